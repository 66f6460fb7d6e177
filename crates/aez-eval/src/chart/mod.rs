//! Line charts as SVG text, described by plain data.
//!
//! This is the only module that uses a plotting library. A [`Chart`] describes what to draw; [`draw`] and [`draw_row`] choose the
//! ticks, lay out the text and return the SVG document.
//!
//! ```
//! use aez_eval::chart::{Axis, Chart, Colour, Legend, Series, draw};
//!
//! # fn main() -> aez_core::Result<()> {
//! let points = vec![(100.0, 24.1), (1_000.0, 30.7), (10_000.0, 38.2)];
//! let svg = draw(&Chart {
//!     title: None,
//!     size: (640, 440),
//!     x: Axis::logarithmic("file size, bytes"),
//!     y: Axis::linear("PSNR, dB"),
//!     series: vec![Series::new("a codec", points, Colour(0, 114, 178))],
//!     legend: Legend::LowerRight,
//! })?;
//! assert!(svg.starts_with("<svg"));
//! # Ok(())
//! # }
//! ```

mod render;
mod scale;
#[cfg(test)]
mod tests;

pub use render::{draw, draw_row};

/// A chart of lines over a plane with two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Text above the chart.
    pub title: Option<String>,
    /// Width and height of the whole chart in pixels, text included.
    pub size: (u32, u32),
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines. Later ones are drawn over earlier ones.
    pub series: Vec<Series>,
    /// Where the names of the series are listed.
    pub legend: Legend,
}

/// One axis of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Quantity and unit, such as `PSNR, dB`.
    pub label: String,
    /// Whether the scale is logarithmic.
    pub logarithmic: bool,
    /// The first and the last value. `None`: the range of the points and a margin around it.
    pub range: Option<(f64, f64)>,
}

/// Points that are joined by a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Pairs of x and y in the order of the line. Points that an axis cannot show are left out: those that are not finite, not
    /// positive on a logarithmic axis, or outside of a given range.
    pub points: Vec<(f64, f64)>,
    /// Colour of the line and of its markers.
    pub colour: Colour,
    /// Width of the line in pixels.
    pub width: u32,
    /// Whether the line is dashed.
    pub dashed: bool,
    /// Symbol at each point.
    pub marker: Option<Marker>,
}

/// A colour by its red, green and blue samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// A symbol that marks a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// A filled circle.
    Disc,
    /// A filled triangle.
    Triangle,
    /// The outline of a circle.
    Circle,
    /// A diagonal cross.
    Cross,
}

/// Where the names of the series are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legend {
    /// Nowhere.
    None,
    /// In the upper right corner of the plane.
    UpperRight,
    /// In the lower right corner of the plane.
    LowerRight,
}

impl Axis {
    /// A linear axis over the range of the points.
    #[must_use]
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), logarithmic: false, range: None }
    }

    /// A logarithmic axis over the range of the points.
    #[must_use]
    pub fn logarithmic(label: &str) -> Self {
        Self { label: label.to_owned(), logarithmic: true, range: None }
    }

    /// The same axis over a given range.
    #[must_use]
    pub fn with_range(self, first: f64, last: f64) -> Self {
        Self { range: Some((first, last)), ..self }
    }
}

impl Series {
    /// A solid line of two pixels without markers.
    #[must_use]
    pub fn new(name: &str, points: Vec<(f64, f64)>, colour: Colour) -> Self {
        Self { name: name.to_owned(), points, colour, width: 2, dashed: false, marker: None }
    }
}
