//! The losses of all variants over the epochs, side by side.

use super::Outcome;
use crate::{Error, Result, picture::write_atomically, train::log::Row};
use plotters::{coord::Shift, prelude::*};
use std::{ops::Range, path::Path};

const SIZE: (u32, u32) = (1260, 480);
/// Height of the strip below the panels that tells which colour is which variant.
const LEGEND: u32 = 40;
/// Blue, vermilion, green and purple of Okabe and Ito's palette, which colour-blind readers can tell apart.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const PANELS: [Panel; 3] = [
    ("train", |row| row.train_loss),
    ("validation", |row| row.validation_loss),
    ("test", |row| row.test_loss),
];

/// A name, and the loss that is drawn.
type Panel = (&'static str, fn(&Row) -> f64);
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a panel for each of the three losses, with a curve for each variant, as an SVG picture. All panels have the same
/// axes. Dropout is dashed, for these curves may lie on the others. What was measured before the first step is left out.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written, [`Error::Misuse`] when the picture cannot be drawn.
pub fn draw(outcomes: &[Outcome; 4], path: &Path) -> Result<()> {
    let mut svg = String::new();
    draw_into(outcomes, &mut svg).map_err(|e| Error::Misuse(format!("cannot draw the curves: {e}")))?;
    write_atomically(path, svg.as_bytes())
}

fn draw_into(outcomes: &[Outcome; 4], svg: &mut String) -> Drawn {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (panels, legend) = area.split_vertically(SIZE.1 - LEGEND);
    let (epochs, losses) = ranges(outcomes);
    for (panel, (name, value)) in panels.split_evenly((1, 3)).iter().zip(PANELS) {
        draw_panel(panel, name, value, outcomes, (epochs.clone(), losses.clone()))?;
    }
    draw_legend(&legend, outcomes)?;
    area.present()?;
    Ok(())
}

/// The points of a curve: epochs and losses that a logarithmic axis can show.
fn points(outcome: &Outcome, value: fn(&Row) -> f64) -> impl Iterator<Item = (f64, f64)> + Clone {
    let points = outcome.rows.iter().map(move |row| (row.epoch, value(row)));
    points.filter(|&(epoch, loss)| epoch > 0.0 && loss > 0.0 && loss.is_finite())
}

/// The epochs and the losses of all points, with some room around the losses.
fn ranges(outcomes: &[Outcome; 4]) -> (Range<f64>, Range<f64>) {
    let all = || {
        outcomes.iter().flat_map(|outcome| PANELS.into_iter().flat_map(|(_, value)| points(outcome, value)))
    };
    let end = all().map(|(epoch, _)| epoch).fold(0.0, f64::max);
    let least = all().map(|(_, loss)| loss).fold(f64::INFINITY, f64::min);
    let most = all().map(|(_, loss)| loss).fold(0.0, f64::max);
    if least <= most { (0.0..end, least * 0.95..most * 1.05) } else { (0.0..1.0, 1e-3..1.0) }
}

fn draw_panel(
    area: &Area<'_>,
    name: &str,
    value: fn(&Row) -> f64,
    outcomes: &[Outcome; 4],
    (epochs, losses): (Range<f64>, Range<f64>),
) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .caption(name, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d(epochs, losses.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .y_desc("mean squared error")
        .x_max_light_lines(1)
        .y_labels(30)
        .y_max_light_lines(1)
        .y_label_formatter(&|y| format!("{y:.4}"))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (outcome, colour) in outcomes.iter().zip(COLOURS) {
        let (points, style) = (points(outcome, value), colour.stroke_width(2));
        if outcome.variant.dropout {
            chart.draw_series(DashedLineSeries::new(points, 7, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(points, style))?;
        }
    }
    Ok(())
}

fn draw_legend(area: &Area<'_>, outcomes: &[Outcome; 4]) -> Drawn {
    for ((outcome, colour), left) in outcomes.iter().zip(COLOURS).zip((320..).step_by(150)) {
        let line = vec![(left, 16), (left + 28, 16)];
        area.draw(&PathElement::new(line, colour.stroke_width(3)))?;
        area.draw(&Text::new(outcome.variant.name(), (left + 36, 9), ("sans-serif", 15)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Variant, outcome::tests::outcome},
        *,
    };

    #[test]
    fn four_curves_are_drawn_in_three_panels() {
        let outcomes = Variant::ALL.map(|variant| outcome(variant, 0.01, &[]));
        let mut svg = String::new();
        draw_into(&outcomes, &mut svg).unwrap();
        for (RGBColor(r, g, b), variant) in COLOURS.into_iter().zip(Variant::ALL) {
            // A curve, or its dashes, in each panel, and a line in the legend.
            let lines = svg.matches(&format!("stroke=\"#{r:02X}{g:02X}{b:02X}\"")).count();
            assert!(if variant.dropout { lines > 10 } else { lines == 4 }, "{lines} of {}", variant.name());
        }
        for name in Variant::ALL.map(Variant::name).into_iter().chain(PANELS.map(|panel| panel.0)) {
            assert!(svg.lines().any(|line| line == name), "{name} is not written");
        }
        let (epochs, losses) = ranges(&outcomes);
        assert_eq!(epochs, 0.0..3.0);
        assert!((losses.start - 0.95 * 0.005).abs() < 1e-9 && (losses.end - 1.05 * 0.03).abs() < 1e-9);
    }

    #[test]
    fn a_diverged_curve_does_not_spoil_the_others() {
        let mut outcomes = Variant::ALL.map(|variant| outcome(variant, 0.01, &[]));
        for row in &mut outcomes[1].rows {
            (row.train_loss, row.validation_loss, row.test_loss) = (f64::NAN, f64::INFINITY, 0.0);
        }
        assert!(draw_into(&outcomes, &mut String::new()).is_ok());
        for row in outcomes.iter_mut().flat_map(|outcome| &mut outcome.rows) {
            (row.train_loss, row.validation_loss, row.test_loss) = (f64::NAN, f64::NAN, f64::NAN);
        }
        assert!(draw_into(&outcomes, &mut String::new()).is_ok());
    }
}
