//! A chart of the losses of all variants over the epochs.

use super::Outcome;
use crate::{Result, log::Row};
use aez_eval::chart::{self, Axis, Chart, Colour, Legend, Series};
use aez_image::write_atomically;
use std::path::Path;

/// Size of one panel in pixels.
const SIZE: (u32, u32) = (420, 440);
/// Blue, vermilion, green and purple of the palette of Okabe and Ito, which colour-blind readers can distinguish.
const COLOURS: [Colour; 4] =
    [Colour(0, 114, 178), Colour(213, 94, 0), Colour(0, 158, 115), Colour(204, 121, 167)];
/// A loss in a row of the log.
type Loss = fn(&Row) -> f64;
/// Title of each panel, and the loss that it shows.
const PANELS: [(&str, Loss); 3] = [
    ("training", |row| row.train_loss),
    ("validation", |row| row.validation_loss),
    ("test", |row| row.test_loss),
];

/// Writes a chart to an SVG file: three panels, one for each loss, with a line for each variant. All panels have the same axes.
/// Lines of variants with dropout are dashed, because they may coincide with others. Measurements before the first step are left
/// out.
///
/// # Errors
/// [`aez_core::Error::Io`] when the file cannot be written.
pub fn draw(outcomes: &[Outcome; 4], path: &Path) -> Result<()> {
    Ok(write_atomically(path, chart::draw_row(&panels(outcomes))?.as_bytes())?)
}

fn panels(outcomes: &[Outcome; 4]) -> Vec<Chart> {
    let (epochs, losses) = ranges(outcomes);
    let series = |loss: Loss| {
        let line = |(outcome, colour): (&Outcome, Colour)| {
            let points = points(outcome, loss).collect();
            let dashed = outcome.variant.dropout;
            Series { dashed, ..Series::new(outcome.variant.name(), points, colour) }
        };
        outcomes.iter().zip(COLOURS).map(line).collect()
    };
    let panel = |(title, loss): (&str, Loss)| Chart {
        title: Some(title.to_owned()),
        size: SIZE,
        x: Axis::linear("epoch").with_range(epochs.0, epochs.1),
        y: Axis::logarithmic("mean squared error").with_range(losses.0, losses.1),
        series: series(loss),
        legend: Legend::None,
    };
    PANELS.into_iter().map(panel).collect()
}

/// Epochs and losses that a logarithmic axis can show.
fn points(outcome: &Outcome, loss: Loss) -> impl Iterator<Item = (f64, f64)> {
    let points = outcome.rows.iter().map(move |row| (row.epoch, loss(row)));
    points.filter(|&(epoch, loss)| epoch > 0.0 && loss > 0.0 && loss.is_finite())
}

/// The ranges of the epochs and of the losses of all points, with a margin for the losses.
fn ranges(outcomes: &[Outcome; 4]) -> ((f64, f64), (f64, f64)) {
    let all =
        || outcomes.iter().flat_map(|outcome| PANELS.into_iter().flat_map(|(_, loss)| points(outcome, loss)));
    let end = all().map(|(epoch, _)| epoch).fold(0.0, f64::max);
    let low = all().map(|(_, loss)| loss).fold(f64::INFINITY, f64::min);
    let high = all().map(|(_, loss)| loss).fold(0.0, f64::max);
    if low <= high { ((0.0, end), (low * 0.95, high * 1.05)) } else { ((0.0, 1.0), (1e-3, 1.0)) }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Variant, outcome::tests::outcome},
        *,
    };

    #[test]
    fn four_lines_are_drawn_in_three_panels() {
        let outcomes = Variant::ALL.map(|variant| outcome(variant, 0.01, &[]));
        let svg = chart::draw_row(&panels(&outcomes)).unwrap();
        for (Colour(r, g, b), variant) in COLOURS.into_iter().zip(Variant::ALL) {
            // A line, or its dashes, in each panel and in the legend.
            let lines = svg.matches(&format!("stroke=\"#{r:02X}{g:02X}{b:02X}\"")).count();
            assert!(if variant.dropout { lines > 10 } else { lines == 4 }, "{lines} of {}", variant.name());
        }
        for name in Variant::ALL.map(Variant::name).into_iter().chain(PANELS.map(|panel| panel.0)) {
            assert!(svg.lines().any(|line| line == name), "{name} is missing");
        }
        let (epochs, losses) = ranges(&outcomes);
        assert_eq!(epochs, (0.0, 3.0));
        assert!((losses.0 - 0.95 * 0.005).abs() < 1e-9 && (losses.1 - 1.05 * 0.03).abs() < 1e-9);
    }

    #[test]
    fn diverged_variants_are_left_out() {
        let mut outcomes = Variant::ALL.map(|variant| outcome(variant, 0.01, &[]));
        for row in &mut outcomes[1].rows {
            (row.train_loss, row.validation_loss, row.test_loss) = (f64::NAN, f64::INFINITY, 0.0);
        }
        assert!(chart::draw_row(&panels(&outcomes)).is_ok());
        for row in outcomes.iter_mut().flat_map(|outcome| &mut outcome.rows) {
            (row.train_loss, row.validation_loss, row.test_loss) = (f64::NAN, f64::NAN, f64::NAN);
        }
        assert!(chart::draw_row(&panels(&outcomes)).unwrap().contains("no data"));
    }
}
