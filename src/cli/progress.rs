//! Progress bars on the standard error. They are not drawn where that is not a terminal.

use std::time::Duration;

use aez_train::{log::Row, run::Event};
use indicatif::{ProgressBar, ProgressStyle};

use super::output::write_stdout;

/// Positions of the bar of a training run.
const RUN_LENGTH: u64 = 10_000;

/// A bar for work on several files. A single file has none.
pub fn files(count: usize, quiet: bool) -> ProgressBar {
    bar(count as u64, "{bar:24} {pos}/{len} {wide_msg} {eta}", quiet || count < 2)
}

/// A bar for a download, whose length is set later.
pub fn download(quiet: bool) -> ProgressBar {
    bar(0, "{bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}", quiet)
}

/// A bar for a training run, to be updated by [`show`].
pub fn run(quiet: bool) -> ProgressBar {
    bar(RUN_LENGTH, "{bar:30} {percent}%  {msg}  {eta} left", quiet)
}

fn bar(length: u64, template: &str, hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).expect("a valid template");
    let bar = ProgressBar::new(length).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Shows an event of a training run: rows of the log on the standard output, unless `quiet`, all else on the bar.
pub fn show(bar: &ProgressBar, event: Event<'_>, quiet: bool) {
    match event {
        Event::Busy(what) => bar.set_message(what.to_owned()),
        Event::Step { progress, tiles, loss, speed } => {
            bar.set_position((progress * RUN_LENGTH as f64) as u64);
            bar.set_message(format!("{tiles} tiles  loss {loss:.5}  {speed:.1} tiles/s"));
        }
        Event::Measured(row) if !quiet => bar.suspend(|| print_row(row)),
        _ => {}
    }
}

/// Errors are ignored: training continues when the standard output is closed.
fn print_row(row: &Row) {
    let text = format!(
        "epoch {:7.3}  {:8} tiles  loss: train {:.5}  validation {:.5}  test {:.5}  PSNR {:.3} dB  coded {:.1} bytes {:.3} dB  {:.0} s\n",
        row.epoch,
        row.tiles,
        row.train_loss,
        row.validation_loss,
        row.test_loss,
        row.validation_psnr,
        row.coded_bytes,
        row.coded_psnr,
        row.seconds
    );
    let _ = write_stdout(text.as_bytes());
}
