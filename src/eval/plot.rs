//! Quality over size as SVG drawings.

use plotters::{
    coord::{Shift, ranged1d::ValueFormatter, types::RangedCoordf64},
    element::DashedPathElement,
    prelude::*,
};

use super::{
    CODEC, Distortion, Results,
    anchors::{Anchor, AnchorPoint},
    peers::Peer,
};
use crate::error::{Error, Result};

/// What a drawing shows over the size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    Psnr,
    MsSsim,
}

impl Metric {
    /// As an axis is named.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Psnr => "PSNR, dB",
            Self::MsSsim => "MS-SSIM",
        }
    }

    fn of(self, distortion: Distortion) -> f64 {
        match self {
            Self::Psnr => distortion.psnr,
            Self::MsSsim => distortion.ms_ssim,
        }
    }

    fn published(self, point: &AnchorPoint) -> Option<f64> {
        match self {
            Self::Psnr => Some(point.psnr),
            Self::MsSsim => point.ms_ssim,
        }
    }
}

/// As people call the codec of that name in results.
#[must_use]
pub fn title(codec: &str) -> &str {
    if codec == CODEC { "AEZ" } else { Peer::named(codec).map_or(codec, |peer| peer.title) }
}

const SIZE: (u32, u32) = (640, 440);
const FONT: (&str, i32) = ("sans-serif", 21);
/// All are seen well on white and on black.
const COLOURS: [RGBColor; 5] = [
    RGBColor(209, 73, 91),
    RGBColor(155, 93, 229),
    RGBColor(59, 130, 196),
    RGBColor(199, 119, 0),
    RGBColor(42, 157, 92),
];
const PUBLISHED: [RGBColor; 7] = [
    RGBColor(125, 125, 125),
    RGBColor(165, 115, 75),
    RGBColor(85, 140, 130),
    RGBColor(140, 105, 150),
    RGBColor(110, 125, 165),
    RGBColor(150, 135, 60),
    RGBColor(175, 105, 115),
];

type Points = Vec<(f64, f64)>;
type Drawing<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

/// Draws a metric over the bytes of a file, on a logarithmic scale. Published rates become bytes for pictures as large as those
/// that were measured are in the mean.
///
/// # Errors
/// [`Error::Misuse`] when the picture cannot be drawn.
pub fn draw(results: &Results, anchors: &[Anchor], metric: Metric) -> Result<String> {
    let measured = |(codec, curve): (&String, &Vec<super::Point>)| {
        let points = curve.iter().map(|point| (point.bytes, metric.of(point.distortion)));
        (title(codec).to_owned(), points.collect())
    };
    let bytes_at_1_bpp = results.mean_pixels() / 8.0;
    let published = |anchor: &Anchor| {
        let point = |point: &AnchorPoint| Some((point.bpp * bytes_at_1_bpp, metric.published(point)?));
        (format!("{} (published)", anchor.name), anchor.points.iter().filter_map(point).collect::<Points>())
    };
    let chart = Chart {
        metric,
        measured: results.curves.iter().map(measured).collect(),
        published: anchors.iter().map(published).filter(|(_, points)| !points.is_empty()).collect(),
    };
    let mut svg = String::new();
    chart
        .draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area())
        .map_err(|e| Error::Misuse(format!("cannot draw the curves: {e}")))?;
    Ok(svg)
}

/// Curves by their names in the legend.
struct Chart {
    metric: Metric,
    measured: Vec<(String, Points)>,
    published: Vec<(String, Points)>,
}

impl Chart {
    /// The least and the greatest of some value of the points.
    fn range(&self, value: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let points = self.measured.iter().chain(&self.published).flat_map(|(_, points)| points);
        points.map(value).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)))
    }

    fn draw(&self, area: &Drawing) -> Drawn {
        area.fill(&WHITE)?;
        let ((x0, x1), (y0, y1)) = (self.range(|p| p.0), self.range(|p| p.1));
        if x0 > x1 {
            area.draw(&Text::new("nothing was measured", (SIZE.0 as i32 / 3, SIZE.1 as i32 / 2), FONT))?;
            return Ok(area.present()?);
        }
        let margin = ((y1 - y0) * 0.05).max(0.005);
        let (x, y) = (
            (x0 * 0.8..x1 * 1.25).log_scale().with_key_points(round_numbers(x0 * 0.8, x1 * 1.25)),
            y0 - margin..y1 + margin,
        );
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(56)
            .y_label_area_size(72)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(200, 200, 200))
            .label_style(FONT)
            .axis_desc_style(FONT)
            .x_labels(8)
            .x_desc("bytes of a file")
            .x_label_formatter(&|bytes| format!("{bytes:.0}"))
            .y_desc(self.metric.title())
            .draw()?;
        self.draw_published(&mut chart)?;
        self.draw_measured(&mut chart)?;
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .label_font(FONT)
            .border_style(RGBColor(200, 200, 200))
            .background_style(WHITE)
            .draw()?;
        Ok(area.present()?)
    }

    fn draw_measured<X>(&self, chart: &mut Context<'_, '_, X>) -> Drawn
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        for (index, (name, points)) in self.measured.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let style = colour.stroke_width(if index == 0 { 3 } else { 2 });
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
            // Curves differ in their points as well as in their colours.
            let (points, solid, hollow) = (points.iter().copied(), colour.filled(), colour.stroke_width(2));
            match index % 4 {
                0 => chart.draw_series(points.map(|point| Circle::new(point, 4, solid)))?,
                1 => chart.draw_series(points.map(|point| TriangleMarker::new(point, 5, solid)))?,
                2 => chart.draw_series(points.map(|point| Circle::new(point, 4, hollow)))?,
                _ => chart.draw_series(points.map(|point| Cross::new(point, 4, hollow)))?,
            };
        }
        Ok(())
    }

    fn draw_published<X>(&self, chart: &mut Context<'_, '_, X>) -> Drawn
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        for (index, (name, points)) in self.published.iter().enumerate() {
            let style = PUBLISHED[index % PUBLISHED.len()].stroke_width(1);
            chart
                .draw_series(DashedLineSeries::new(points.iter().copied(), 5, 3, style))?
                .label(name)
                .legend(move |(x, y)| DashedPathElement::new([(x, y), (x + 20, y)], 5, 3, style));
        }
        Ok(())
    }
}

/// Powers of ten and, where they are few, their halves and fifths.
fn round_numbers(from: f64, to: f64) -> Vec<f64> {
    let factors: &[f64] = if to / from < 1e4 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let powers = (from.log10().floor() as i32..=to.log10().ceil() as i32).map(|power| 10f64.powi(power));
    let numbers = powers.flat_map(|power| factors.iter().map(move |factor| factor * power));
    numbers.filter(|number| (from..=to).contains(number)).collect()
}

type Context<'a, 'b, X> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, RangedCoordf64>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Measured, Row};

    fn results(codecs: &[&str]) -> Results {
        let row = |codec: &&str, step: u32| Row {
            path: "x".into(),
            codec: (*codec).to_owned(),
            quality: step,
            bytes: 50 << step,
            bpp: f64::from(50 << step) / 1000.0,
            distortion: Distortion { psnr: 20.0 + f64::from(step), ms_ssim: 0.9 },
            seams: None,
            encode_s: 0.0,
            decode_s: 0.0,
        };
        let rows = codecs.iter().flat_map(|codec| [row(codec, 0), row(codec, 1), row(codec, 2)]).collect();
        Results::new(vec![Measured { unquantized: None, rows }])
    }

    #[test]
    fn each_codec_has_its_line_and_its_name() {
        let point = |bpp, ms_ssim| AnchorPoint { bpp, psnr: 30.0, ms_ssim };
        let anchors = [
            Anchor { name: "av1".into(), points: vec![point(0.1, None), point(0.4, None)], source: None },
            Anchor {
                name: "a<b".into(),
                points: vec![point(0.1, Some(0.5)), point(0.4, Some(0.9))],
                source: None,
            },
        ];
        let results = results(&["aez", "webp", "jxl", "jpeg", "avif"]);
        for (metric, published) in [(Metric::Psnr, true), (Metric::MsSsim, false)] {
            let svg = draw(&results, &anchors, metric).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.matches("<polyline").count() >= 5);
            for name in
                ["AEZ", "WebP", "JPEG XL", "AVIF", "a&lt;b (published)", "bytes of a file", metric.title()]
            {
                assert!(svg.contains(&format!("\n{name}\n")), "{name}: {svg}");
            }
            assert_eq!(svg.contains("av1 (published)"), published);
        }
    }

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(round_numbers(12.0, 600.0), [20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(round_numbers(0.5, 1e5), [1.0, 1e1, 1e2, 1e3, 1e4, 1e5]);
    }

    #[test]
    fn one_point_and_none_can_be_drawn() {
        let mut one = results(&["aez"]);
        one.curves.get_mut("aez").unwrap().truncate(1);
        for results in [one, Results::default()] {
            assert!(draw(&results, &[], Metric::Psnr).unwrap().contains("</svg>"));
        }
    }
}
