//! Charts of quality over file size.

use aez_core::Result;

use crate::{
    CODEC, Distortion, Point, Results,
    anchors::{Anchor, AnchorPoint},
    chart::{Axis, Chart, Colour, Legend, Marker, Series},
    external::ExternalCodec,
};

/// The measure of quality that a chart shows over file size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// Peak signal-to-noise ratio in decibels.
    Psnr,
    /// Multi-scale structural similarity.
    MsSsim,
    /// SSIMULACRA 2.
    Ssimulacra2,
}

impl Metric {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Psnr => "PSNR",
            Self::MsSsim => "MS-SSIM",
            Self::Ssimulacra2 => "SSIMULACRA 2",
        }
    }

    /// Its unit after a space, or nothing.
    pub(crate) fn unit(self) -> &'static str {
        if self == Self::Psnr { " dB" } else { "" }
    }

    /// The label of its axis: name and unit.
    #[must_use]
    pub fn label(self) -> &'static str {
        if self == Self::Psnr { "PSNR, dB" } else { self.name() }
    }

    /// The value, if it was measured.
    pub(crate) fn of(self, distortion: Distortion) -> Option<f64> {
        match self {
            Self::Psnr => Some(distortion.psnr),
            Self::MsSsim => Some(distortion.ms_ssim),
            Self::Ssimulacra2 => distortion.ssimulacra2,
        }
    }

    fn of_anchor(self, point: &AnchorPoint) -> Option<f64> {
        match self {
            Self::Psnr => Some(point.psnr),
            Self::MsSsim => point.ms_ssim,
            Self::Ssimulacra2 => None,
        }
    }
}

/// The name of a codec as it is usually written, by its name in results.
#[must_use]
pub fn display_name(codec: &str) -> &str {
    if codec == CODEC { "AEZ" } else { ExternalCodec::by_name(codec).map_or(codec, |found| found.title) }
}

const SIZE: (u32, u32) = (640, 440);
/// Colours of measured curves, of sufficient contrast to both white and black.
const COLOURS: [Colour; 5] = [
    Colour(209, 73, 91),
    Colour(155, 93, 229),
    Colour(59, 130, 196),
    Colour(199, 119, 0),
    Colour(42, 157, 92),
];
/// Markers of measured curves, so that they differ not only in colour.
const MARKERS: [Marker; 4] = [Marker::Disc, Marker::Triangle, Marker::Circle, Marker::Cross];
/// Colours of published curves.
const ANCHOR_COLOURS: [Colour; 7] = [
    Colour(125, 125, 125),
    Colour(165, 115, 75),
    Colour(85, 140, 130),
    Colour(140, 105, 150),
    Colour(110, 125, 165),
    Colour(150, 135, 60),
    Colour(175, 105, 115),
];

/// Draws a metric over the file size in bytes, on a logarithmic scale, as an SVG document.
///
/// Published rates in bits per pixel are converted to bytes for a picture of the average size of the measured ones.
///
/// # Errors
/// As for [`chart::draw`](crate::chart::draw).
pub fn draw(results: &Results, anchors: &[Anchor], metric: Metric) -> Result<String> {
    let bytes_per_bpp = results.mean_pixels() / 8.0;
    let published = anchors.iter().enumerate().map(|(index, anchor)| {
        let point = |point: &AnchorPoint| Some((point.bpp * bytes_per_bpp, metric.of_anchor(point)?));
        let colour = ANCHOR_COLOURS[index % ANCHOR_COLOURS.len()];
        let points = anchor.points.iter().filter_map(point).collect();
        let name = format!("{} (published)", anchor.name);
        Series { width: 1, dashed: true, ..Series::new(&name, points, colour) }
    });
    let measured = results.curves.iter().enumerate().map(|(index, (codec, curve))| {
        let point = |point: &Point| Some((point.bytes, metric.of(point.distortion)?));
        let colour = COLOURS[index % COLOURS.len()];
        let width = if index == 0 { 3 } else { 2 };
        let marker = Some(MARKERS[index % MARKERS.len()]);
        let points = curve.iter().filter_map(point).collect();
        Series { width, marker, ..Series::new(display_name(codec), points, colour) }
    });
    let series = measured.chain(published.filter(|series| !series.points.is_empty())).collect();
    crate::chart::draw(&Chart {
        title: None,
        size: SIZE,
        x: Axis::logarithmic("file size, bytes"),
        y: Axis::linear(metric.label()),
        series,
        legend: Legend::LowerRight,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Row,
        results::tests::{results as results_of, row},
    };

    fn results(codecs: &[&str]) -> Results {
        let row = |codec: &str, step: u32| Row {
            codec: codec.to_owned(),
            ..row(step, 50 << step, 20.0 + f64::from(step))
        };
        results_of(codecs.iter().flat_map(|codec| [0, 1, 2].map(|step| row(codec, step))).collect())
    }

    #[test]
    fn each_codec_has_a_line_and_a_name() {
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
                ["AEZ", "WebP", "JPEG XL", "AVIF", "a&lt;b (published)", "file size, bytes", metric.label()]
            {
                assert!(svg.contains(&format!("\n{name}\n")), "{name}: {svg}");
            }
            assert_eq!(svg.contains("av1 (published)"), published);
        }
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
