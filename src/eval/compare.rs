//! Two curves side by side, and the text that tells of all of them.

use std::fmt::Write;

use super::{
    Distortion, Point, Results, Seams,
    bd_rate::{BdRate, bd_rate},
};

/// A codec against another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison<'a> {
    pub codec: &'a str,
    pub against: &'a str,
    /// `None` where the curves have no PSNR in common.
    pub bd_rate: Option<BdRate>,
    /// The lowest and the highest PSNR of either curve.
    ranges: [(f64, f64); 2],
}

/// A codec and its points.
type Curve<'a> = (&'a String, &'a Vec<Point>);

impl<'a> Comparison<'a> {
    pub(super) fn new((codec, curve): Curve<'a>, (against, other): Curve<'a>) -> Self {
        let points = |curve: &[Point]| curve.iter().map(|p| (p.bpp, p.distortion.psnr)).collect::<Vec<_>>();
        let range = |curve: &[Point]| {
            let values = curve.iter().map(|p| p.distortion.psnr);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        };
        Self {
            codec,
            against,
            bd_rate: bd_rate(&points(curve), &points(other)),
            ranges: [range(curve), range(other)],
        }
    }

    /// The difference in rate in percent, or that there is none.
    #[must_use]
    pub fn percent(&self) -> String {
        self.bd_rate.map_or_else(|| "none".into(), |found| format!("{:+.1} %", found.percent))
    }

    /// Where the difference was measured, or why it could not be; codecs by what `title` makes of their names.
    #[must_use]
    pub fn remark(&self, title: fn(&str) -> &str) -> String {
        if let Some(BdRate { psnr: (from, to), .. }) = self.bd_rate {
            return format!("over {from:.2} to {to:.2} dB");
        }
        let [(a_from, a_to), (b_from, b_to)] = self.ranges;
        let (codec, against) = (title(self.codec), title(self.against));
        let why = if a_to <= b_from || b_to <= a_from { "no PSNR in common" } else { "too few points" };
        format!("{why}: {codec} {a_from:.2} to {a_to:.2} dB, {against} {b_from:.2} to {b_to:.2} dB")
    }
}

impl Results {
    /// The curves and the comparisons of each two as text in columns.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<12} {:>7} {:>10} {:>9} {:>7} {:>8}\n",
            "codec", "quality", "bytes", "bpp", "PSNR", "MS-SSIM"
        );
        // Writing to a string cannot fail.
        if let Some(Distortion { psnr, ms_ssim }) = self.unquantized {
            let _ = writeln!(
                text,
                "{:<12} {:>7} {:>10} {:>9} {psnr:>7.2} {ms_ssim:>8.4}",
                "unquantized", "-", "-", "-"
            );
        }
        for (codec, points) in &self.curves {
            for Point { quality, bytes, bpp, distortion: Distortion { psnr, ms_ssim }, .. } in points {
                let _ = writeln!(
                    text,
                    "{codec:<12} {quality:>7} {bytes:>10.1} {bpp:>9.4} {psnr:>7.2} {ms_ssim:>8.4}"
                );
            }
        }
        let points = self.curves.iter().flat_map(|(codec, points)| points.iter().map(move |p| (codec, p)));
        let mut seams = points.filter_map(|(codec, p)| Some((codec, p.quality, p.seams?.ratio()))).peekable();
        if seams.peek().is_some() {
            let reach = Seams::REACH;
            let _ = writeln!(
                text,
                "\nerror within {reach} pixels of a border between tiles, over that of the rest"
            );
        }
        for (codec, quality, ratio) in seams {
            let _ = writeln!(text, "{codec:<12} {quality:>7} {ratio:>10.3}");
        }
        let comparisons = self.comparisons();
        if !comparisons.is_empty() {
            text += "\nBD-rate: bits at equal PSNR, more (+) or fewer (-) than those of the other codec\n";
        }
        for comparison in comparisons {
            let Comparison { codec, against, .. } = comparison;
            let (percent, remark) = (comparison.percent(), comparison.remark(|name| name));
            let _ = writeln!(text, "{codec:<12} against {against:<8} {percent:>10}  {remark}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<Point> {
        let point = |&(bytes, psnr): &(f64, f64)| {
            let distortion = Distortion { psnr, ms_ssim: 0.5 };
            Point { quality: 1, bytes, bpp: bytes / 10.0, distortion, seams: None }
        };
        points.iter().map(point).collect()
    }

    #[test]
    fn each_pair_is_compared_once_and_gaps_are_told() {
        let curves = [
            ("aez", &[(50.0, 18.0), (100.0, 20.0)][..]),
            ("jpeg", &[(400.0, 18.0), (800.0, 20.0)]),
            ("jxl", &[(400.0, 19.0)]),
            ("webp", &[(300.0, 23.0), (500.0, 26.0)]),
        ];
        let curves = curves.map(|(name, points)| (name.to_owned(), curve(points))).into();
        let text = Results { curves, ..Results::default() }.table();
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
    fn one_codec_has_nothing_to_be_compared_with() {
        let curves = [("aez".to_owned(), curve(&[(50.0, 18.0), (100.0, 20.0)]))].into();
        assert!(!Results { curves, ..Results::default() }.table().contains("BD-rate"));
    }
}
