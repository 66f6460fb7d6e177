//! Progress bars on the standard error. They are not drawn where that is not a terminal.

use std::{path::Path, sync::Mutex, time::Duration};

use aez_train::{log::Row, run::Event};
use indicatif::{ProgressBar, ProgressStyle, WeakProgressBar};

use super::{output::write_stdout, text::escape};

/// Positions of the bar of a training run.
const RUN_LENGTH: u64 = 10_000;

/// The bar that is shown. A process has one at a time.
static SHOWN: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Runs a function that prints a line, without the bar in its way. Not to be nested.
pub fn suspend(print: impl FnOnce()) {
    let shown = SHOWN.lock().ok().and_then(|shown| shown.as_ref()?.upgrade());
    match shown {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Shows the name of the current file.
pub fn set_file(bar: &ProgressBar, file: &Path) {
    bar.set_message(escape(&file.display().to_string()));
}

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
    if let Ok(mut shown) = SHOWN.lock() {
        *shown = Some(bar.downgrade());
    }
    bar
}

/// Shows the completed part of a training run, 0 to 1, with a message.
pub fn show_part(bar: &ProgressBar, part: f64, message: String) {
    bar.set_position((part * RUN_LENGTH as f64) as u64);
    bar.set_message(message);
}

/// Shows an event of a training run: rows of the log on the standard output, unless `quiet`, all else on the bar.
pub fn show(bar: &ProgressBar, event: Event<'_>, quiet: bool) {
    match event {
        Event::Busy(what) => bar.set_message(what.to_owned()),
        Event::Step { progress, tiles, loss, speed } => {
            show_part(bar, progress, format!("{tiles} tiles  loss {loss:.5}  {speed:.1} tiles/s"));
        }
        Event::Measured(row) if !quiet => bar.suspend(|| print_row(row)),
        _ => {}
    }
}

/// Errors are ignored: training continues when the standard output is closed.
fn print_row(row: &Row) {
    let _ = write_stdout(row_text(row).as_bytes());
}

fn row_text(row: &Row) -> String {
    // Before the first step there is no training loss, and small data sets have no pictures for validation or test.
    let figure = |value: f64, digits| match value.is_nan() {
        true => "-".into(),
        false => format!("{value:.digits$}"),
    };
    format!(
        "epoch {:7.3}  {:8} tiles  loss: train {}  validation {}  test {}  PSNR {} dB  coded {} bytes {} dB  {:.0} s\n",
        row.epoch,
        row.tiles,
        figure(row.train_loss, 5),
        figure(row.validation_loss, 5),
        figure(row.test_loss, 5),
        figure(row.validation_psnr, 3),
        figure(row.coded_bytes, 1),
        figure(row.coded_psnr, 3),
        row.seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_without_a_value_is_a_dash() {
        let row = Row {
            epoch: 0.0,
            tiles: 0,
            seconds: 1.0,
            train_loss: 0.25,
            validation_loss: f64::NAN,
            test_loss: f64::NAN,
            validation_psnr: f64::NAN,
            estimated_bytes: f64::NAN,
            coded_bytes: f64::NAN,
            coded_psnr: 30.0,
            learning_rate: 0.0,
            gradient_norm: 0.0,
        };
        let text = row_text(&row);
        assert!(
            text.ends_with(
                "loss: train 0.25000  validation -  test -  PSNR - dB  coded - bytes 30.000 dB  1 s\n"
            ),
            "{text}"
        );
    }
}
