//! Charts drawn with `plotters`.

use aez_core::{Error, Result};
use plotters::{
    coord::{
        Shift,
        ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter},
    },
    element::DashedPathElement,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    Chart, Legend, Marker, Series,
    scale::{Scale, Tick},
};

/// Size of the text in pixels.
const TEXT: f64 = 15.0;
/// Font of the text. `plotters` divides its size by 1.24 to get pixels.
const FONT: (&str, f64) = ("sans-serif", TEXT * 1.24);
/// Width of a character relative to the size of the text: that of a digit in DejaVu Sans, a wide font.
const CHARACTER: f64 = 0.64;
/// Minimum distance between two labels of an axis in pixels.
const GAP: f64 = TEXT * 0.9;
/// Space around a chart in pixels.
const MARGIN: u32 = 12;
/// Height of the title in pixels.
const TITLE: u32 = 34;
/// Height of the labels and the name of the x-axis in pixels.
const X_LABELS: u32 = 50;
/// Height of a legend below charts in pixels.
const LEGEND: u32 = 40;
/// Length of a line in a legend in pixels.
const SAMPLE: i32 = 24;
/// Distance between a line in a legend and its name in pixels.
const SAMPLE_GAP: i32 = 8;
/// Length of a dash and of the space after it in pixels.
const DASH: (i32, i32) = (6, 4);
const GRID: RGBColor = RGBColor(200, 200, 200);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Coordinate, Coordinate>>;
type Element<'a, C> = DynElement<'static, SVGBackend<'a>, C>;
type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// An axis for `plotters`. Its values are the positions of the [`Scale`].
struct Coordinate {
    scale: Scale,
    ticks: Vec<Tick>,
}

impl Ranged for Coordinate {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, position: &f64, (first, last): (i32, i32)) -> i32 {
        let part = (position - self.scale.first) / (self.scale.last - self.scale.first);
        (f64::from(first) + part * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let light = hint.weight().allow_light_points();
        if light { Vec::new() } else { self.ticks.iter().map(|tick| tick.position).collect() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.scale.first..self.scale.last
    }
}

impl ValueFormatter<f64> for Coordinate {
    fn format_ext(&self, position: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.position == *position);
        tick.map_or_else(String::new, |tick| tick.label.clone())
    }
}

/// Draws a chart, and returns it as an SVG document.
///
/// # Errors
/// [`Error::Misuse`] when the range of an axis is empty, not finite, or not positive on a logarithmic axis.
pub fn draw(chart: &Chart) -> Result<String> {
    let scales = scales(chart)?;
    render(chart.size, |area| draw_chart(area, chart, scales, chart.legend))
}

/// Draws charts side by side, and below them one legend with the series of the first. Their own legends are not drawn.
///
/// # Errors
/// As for [`draw`].
pub fn draw_row(charts: &[Chart]) -> Result<String> {
    let scales: Vec<_> = charts.iter().map(scales).collect::<Result<_>>()?;
    let width = charts.iter().map(|chart| chart.size.0).sum();
    let height = charts.iter().map(|chart| chart.size.1).max().unwrap_or(0);
    render((width, height + LEGEND), |area| {
        let (mut rest, legend) = area.split_vertically(height);
        for (chart, scales) in charts.iter().zip(scales) {
            let (own, others) = rest.split_horizontally(chart.size.0);
            draw_chart(&own, chart, scales, Legend::None)?;
            rest = others;
        }
        draw_legend_row(&legend, charts.first().map_or(&[], |chart| &chart.series))
    })
}

fn render(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Outcome) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
    drawn
        .and_then(|()| Ok(area.present()?))
        .map_err(|e| Error::Misuse(format!("cannot draw a chart: {e}")))?;
    drop(area);
    Ok(svg)
}

/// The scales of both axes.
fn scales(chart: &Chart) -> Result<[Scale; 2]> {
    let points = || chart.series.iter().flat_map(|series| series.points.iter().copied());
    // Points that one axis cannot show do not extend the range of the other.
    let (x_any, y_any) = (Scale::new(&chart.x, [].into_iter())?, Scale::new(&chart.y, [].into_iter())?);
    let shown = || points().filter(|&(x, y)| x_any.position(x).is_some() && y_any.position(y).is_some());
    Ok([Scale::new(&chart.x, shown().map(|p| p.0))?, Scale::new(&chart.y, shown().map(|p| p.1))?])
}

fn draw_chart(area: &Area<'_>, chart: &Chart, scales: [Scale; 2], legend: Legend) -> Outcome {
    let mut body = area.clone();
    if let Some(title) = &chart.title {
        let (head, below) = area.split_vertically(TITLE);
        let place = (head.dim_in_pixel().0 as i32 / 2, TITLE as i32 / 2 + 4);
        head.draw_text(title, &text(HPos::Center, VPos::Center), place)?;
        body = below;
    }
    let mut plane = draw_axes(&body, chart, scales)?;
    for series in &chart.series {
        draw_series(&mut plane, series, scales)?;
    }
    let plane = plane.plotting_area().strip_coord_spec();
    if chart.series.iter().all(|series| positions(series, scales).next().is_none()) {
        let (width, height) = plane.dim_in_pixel();
        let centre = (width as i32 / 2, height as i32 / 2);
        return Ok(plane.draw_text("no data", &text(HPos::Center, VPos::Center), centre)?);
    }
    match legend {
        Legend::None => Ok(()),
        Legend::UpperRight => draw_legend_box(&plane, &chart.series, false),
        Legend::LowerRight => draw_legend_box(&plane, &chart.series, true),
    }
}

fn draw_axes<'a>(area: &Area<'a>, chart: &Chart, [x, y]: [Scale; 2]) -> Outcome<Plane<'a>> {
    let (width, height) = area.dim_in_pixel();
    let y_length = height.saturating_sub(2 * MARGIN + X_LABELS);
    let y_ticks = y.ticks(y_length.into(), GAP, |_| TEXT);
    let widest = y_ticks.iter().map(|tick| text_width(&tick.label)).fold(0.0, f64::max);
    // The labels, the name of the axis beside them, and the space around both.
    let y_labels = (widest + TEXT + 26.0) as u32;
    // The last label of the x-axis may extend beyond the plane.
    let right = 2 * MARGIN;
    let x_ticks = x.ticks(width.saturating_sub(MARGIN + right + y_labels).into(), GAP, text_width);
    let mut plane = ChartBuilder::on(area)
        .margin(MARGIN)
        .margin_right(right)
        .x_label_area_size(X_LABELS)
        .y_label_area_size(y_labels)
        .build_cartesian_2d(
            Coordinate { scale: x, ticks: x_ticks },
            Coordinate { scale: y, ticks: y_ticks },
        )?;
    plane
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .label_style(FONT)
        .axis_desc_style(FONT)
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .draw()?;
    Ok(plane)
}

/// The positions of the points that both axes show.
fn positions(series: &Series, [x, y]: [Scale; 2]) -> impl Iterator<Item = (f64, f64)> + Clone + '_ {
    series.points.iter().filter_map(move |&(a, b)| Some((x.shown(a)?, y.shown(b)?)))
}

fn draw_series(plane: &mut Plane<'_>, series: &Series, scales: [Scale; 2]) -> Outcome {
    let (points, style) = (positions(series, scales), style(series));
    if series.dashed {
        plane.draw_series(DashedLineSeries::new(points.clone(), DASH.0, DASH.1, style))?;
    } else {
        plane.draw_series(LineSeries::new(points.clone(), style))?;
    }
    if let Some(marker) = series.marker {
        plane.draw_series(points.map(|point| symbol(marker, colour(series), point)))?;
    }
    Ok(())
}

fn symbol<'a, C: Clone + 'static>(marker: Marker, colour: RGBColor, point: C) -> Element<'a, C> {
    match marker {
        Marker::Disc => Circle::new(point, 4, colour.filled()).into_dyn(),
        Marker::Triangle => TriangleMarker::new(point, 5, colour.filled()).into_dyn(),
        Marker::Circle => Circle::new(point, 4, colour.stroke_width(2)).into_dyn(),
        Marker::Cross => Cross::new(point, 4, colour.stroke_width(2)).into_dyn(),
    }
}

/// The names of the series below each other, in a box at the right edge of a plane.
fn draw_legend_box(plane: &Area<'_>, series: &[Series], at_bottom: bool) -> Outcome {
    const PADDING: i32 = 10;
    const OFFSET: i32 = 6;
    let entry_height = (TEXT * 1.3) as i32;
    let (width, height) = plane.dim_in_pixel();
    let box_width = series.iter().map(entry_width).max().unwrap_or(0) + 2 * PADDING;
    let box_height = series.len() as i32 * entry_height + PADDING;
    let left = width as i32 - OFFSET - box_width;
    let top = if at_bottom { height as i32 - OFFSET - box_height } else { OFFSET };
    let corners = [(left, top), (left + box_width, top + box_height)];
    plane.draw(&Rectangle::new(corners, WHITE.filled()))?;
    plane.draw(&Rectangle::new(corners, GRID))?;
    let first = top + (PADDING + entry_height) / 2;
    for (series, y) in series.iter().zip((first..).step_by(entry_height as usize)) {
        draw_entry(plane, series, (left + PADDING, y))?;
    }
    Ok(())
}

/// The names of the series in one centred row.
fn draw_legend_row(area: &Area<'_>, series: &[Series]) -> Outcome {
    const SPACE: i32 = 32;
    let total: i32 = series.iter().map(|series| entry_width(series) + SPACE).sum();
    let (width, height) = area.dim_in_pixel();
    let mut x = (width as i32 - total + SPACE) / 2;
    for series in series {
        draw_entry(area, series, (x, height as i32 / 2))?;
        x += entry_width(series) + SPACE;
    }
    Ok(())
}

/// A short line in the style of a series, and its name, from a point to the right.
fn draw_entry(area: &Area<'_>, series: &Series, (x, y): (i32, i32)) -> Outcome {
    let ends = [(x, y), (x + SAMPLE, y)];
    if series.dashed {
        area.draw(&DashedPathElement::new(ends, DASH.0, DASH.1, style(series)))?;
    } else {
        area.draw(&PathElement::new(ends, style(series)))?;
    }
    if let Some(marker) = series.marker {
        area.draw(&symbol(marker, colour(series), (x + SAMPLE / 2, y)))?;
    }
    Ok(area.draw_text(&series.name, &text(HPos::Left, VPos::Center), (x + SAMPLE + SAMPLE_GAP, y))?)
}

fn entry_width(series: &Series) -> i32 {
    SAMPLE + SAMPLE_GAP + text_width(&series.name).ceil() as i32
}

fn colour(series: &Series) -> RGBColor {
    RGBColor(series.colour.0, series.colour.1, series.colour.2)
}

fn style(series: &Series) -> ShapeStyle {
    colour(series).stroke_width(series.width)
}

fn text(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle::from(FONT.into_font()).pos(Pos::new(horizontal, vertical))
}

/// The width of a text in pixels, estimated: the font is the viewer's.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER * TEXT
}
