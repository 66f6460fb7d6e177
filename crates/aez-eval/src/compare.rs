//! The comparison of two codecs, and the results as a text table.

use std::fmt::Write;

use crate::{
    BlockBoundary, Distortion, Point, Results,
    bd_rate::{BdRate, RatePoint, bd_rate},
    plot::Metric,
};

/// Comparison of the rate-distortion curves of two codecs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Comparison<'a> {
    /// Name of the codec.
    pub codec: &'a str,
    /// Name of the codec that it is compared with.
    pub against: &'a str,
    /// The quality that is equal.
    pub metric: Metric,
    /// Difference in rate. `None`: the curves cannot be compared.
    pub bd_rate: Option<BdRate>,
    /// The lowest and the highest quality of either curve.
    ranges: [(f64, f64); 2],
}

/// A codec's name and its points.
type Curve<'a> = (&'a String, &'a Vec<Point>);

impl<'a> Comparison<'a> {
    pub(crate) fn new(metric: Metric, (codec, curve): Curve<'a>, (against, other): Curve<'a>) -> Self {
        let points = |curve: &[Point]| -> Vec<RatePoint> {
            curve.iter().filter_map(|p| Some((p.bpp, metric.of(p.distortion)?))).collect()
        };
        let range = |points: &[RatePoint]| {
            let values = points.iter().map(|point| point.1);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        };
        let (curve, other) = (points(curve), points(other));
        let ranges = [range(&curve), range(&other)];
        Self { codec, against, metric, bd_rate: bd_rate(&curve, &other), ranges }
    }

    /// The difference in rate as text, such as `-12.5 %`, or `none`.
    #[must_use]
    pub fn percent(&self) -> String {
        self.bd_rate.map_or_else(|| "none".into(), |found| format!("{:+.1} %", found.percent))
    }

    /// The range of quality that the difference was measured over, or why there is none. `name` maps the names of codecs to those
    /// that are shown.
    #[must_use]
    pub fn remark(&self, name: fn(&str) -> &str) -> String {
        let (metric, unit) = (self.metric.name(), self.metric.unit());
        if let Some(BdRate { range: (from, to), .. }) = self.bd_rate {
            return format!("over {from:.2} to {to:.2}{unit}");
        }
        let [(a_from, a_to), (b_from, b_to)] = self.ranges;
        let (codec, against) = (name(self.codec), name(self.against));
        let is_apart = a_to <= b_from || b_to <= a_from;
        let why = if is_apart { format!("no {metric} in common") } else { "too few points".into() };
        format!("{why}: {codec} {a_from:.2} to {a_to:.2}{unit}, {against} {b_from:.2} to {b_to:.2}{unit}")
    }
}

impl Results {
    /// The curves and comparisons as text in columns.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_curves(&mut text);
        let _ = self.write_block_boundaries(&mut text);
        let _ = self.write_comparisons(&mut text);
        text
    }

    fn write_curves(&self, text: &mut String) -> std::fmt::Result {
        let names = ["codec", "quality", "bytes", "bpp", "PSNR", "MS-SSIM", "SSIMULACRA2"];
        let [codec, quality, bytes, bpp, psnr, ms_ssim, ssimulacra2] = names;
        writeln!(
            text,
            "{codec:<12} {quality:>7} {bytes:>10} {bpp:>9} {psnr:>7} {ms_ssim:>8} {ssimulacra2:>11}"
        )?;
        let shown = |Distortion { psnr, ms_ssim, ssimulacra2 }: &Distortion| {
            let ssimulacra2 = ssimulacra2.map_or_else(|| "-".into(), |value| format!("{value:.2}"));
            format!("{psnr:>7.2} {ms_ssim:>8.4} {ssimulacra2:>11}")
        };
        if let Some(distortion) = &self.unquantized {
            let (name, none) = ("unquantized", "-");
            writeln!(text, "{name:<12} {none:>7} {none:>10} {none:>9} {}", shown(distortion))?;
        }
        for (codec, Point { quality, bytes, bpp, distortion, .. }) in self.points() {
            writeln!(text, "{codec:<12} {quality:>7} {bytes:>10.1} {bpp:>9.4} {}", shown(distortion))?;
        }
        Ok(())
    }

    fn write_block_boundaries(&self, text: &mut String) -> std::fmt::Result {
        let ratio = |(codec, point): (_, &Point)| Some((codec, point.quality, point.block_boundary?.ratio()));
        let mut ratios = self.points().filter_map(ratio).peekable();
        if ratios.peek().is_some() {
            writeln!(
                text,
                "\nblock boundary error: mean squared error within {} pixels of a block boundary, divided by that of all other \
                 pixels",
                BlockBoundary::REACH
            )?;
        }
        for (codec, quality, ratio) in ratios {
            writeln!(text, "{codec:<12} {quality:>7} {ratio:>10.3}")?;
        }
        Ok(())
    }

    fn write_comparisons(&self, text: &mut String) -> std::fmt::Result {
        for metric in [Metric::Psnr, Metric::Ssimulacra2] {
            let comparisons = self.comparisons(metric);
            if !comparisons.is_empty() {
                let name = metric.name();
                writeln!(
                    text,
                    "\nBD-rate: average difference in file size at equal {name}; negative: smaller files"
                )?;
            }
            for comparison in comparisons {
                let Comparison { codec, against, .. } = comparison;
                let (percent, remark) = (comparison.percent(), comparison.remark(|name| name));
                writeln!(text, "{codec:<12} against {against:<8} {percent:>10}  {remark}")?;
            }
        }
        Ok(())
    }

    /// All points with the names of their codecs.
    fn points(&self) -> impl Iterator<Item = (&String, &Point)> {
        self.curves.iter().flat_map(|(codec, points)| points.iter().map(move |point| (codec, point)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<Point> {
        let point = |&(bytes, psnr): &(f64, f64)| {
            let distortion = Distortion { psnr, ms_ssim: 0.5, ssimulacra2: None };
            Point { quality: 1, bytes, bpp: bytes / 10.0, distortion, block_boundary: None }
        };
        points.iter().map(point).collect()
    }

    fn table(curves: &[(&str, Vec<Point>)]) -> String {
        let curves = curves.iter().map(|(name, points)| ((*name).to_owned(), points.clone())).collect();
        Results { curves, ..Results::default() }.table()
    }

    #[test]
    fn each_pair_is_compared_once_or_has_a_reason() {
        let text = table(&[
            ("aez", curve(&[(50.0, 18.0), (100.0, 20.0)])),
            ("jpeg", curve(&[(400.0, 18.0), (800.0, 20.0)])),
            ("jxl", curve(&[(400.0, 19.0)])),
            ("webp", curve(&[(300.0, 23.0), (500.0, 26.0)])),
        ]);
        let lines: Vec<_> = text.lines().skip_while(|line| !line.contains("BD-rate")).skip(1).collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert_eq!(lines[0], "aez          against jpeg        -87.5 %  over 18.00 to 20.00 dB");
        assert!(
            lines[1].contains("none  too few points: aez 18.00 to 20.00 dB, jxl 19.00 to 19.00 dB"),
            "{text}"
        );
        assert!(
            lines[2].contains("none  no PSNR in common: aez 18.00 to 20.00 dB, webp 23.00 to 26.00 dB"),
            "{text}"
        );
    }

    #[test]
    fn a_table_shows_points_and_the_unquantized_network() {
        let curves = [("aez".to_owned(), curve(&[(50.0, 18.0), (100.0, 20.0)]))].into();
        let unquantized = Some(Distortion { psnr: 35.0, ms_ssim: 0.9, ssimulacra2: Some(71.234) });
        let text = Results { curves, unquantized, ..Results::default() }.table();
        let words: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["unquantized", "-", "-", "-", "35.00", "0.9000", "71.23"]);
        assert_eq!(words[3], ["aez", "1", "100.0", "10.0000", "20.00", "0.5000", "-"]);
        assert_eq!(words.len(), 4, "nothing to compare: {text}");
    }

    #[test]
    fn a_table_shows_errors_at_block_boundaries() {
        let mut points = curve(&[(50.0, 18.0)]);
        points[0].block_boundary = Some(BlockBoundary { boundary_mse: 4.0, inner_mse: 2.0 });
        let text = table(&[("aez", points)]);
        assert!(text.ends_with("of all other pixels\naez                1      2.000\n"), "{text}");
    }
}
