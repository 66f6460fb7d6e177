//! Rate and distortion over many pictures, by the real codecs: every byte of a file counts.

pub mod anchors;
pub mod bd_rate;
mod compare;
pub mod gallery;
pub mod page;
pub mod peers;
pub mod plot;
mod sweep;

use std::collections::BTreeMap;

use serde::Serialize;

pub use compare::Comparison;
pub use sweep::{Coded, Measured, Sweep, Swept};

use crate::{
    error::Result,
    picture::{Picture, metrics::mse_in_and_out, ms_ssim, psnr},
};

/// The name of this codec in results.
pub const CODEC: &str = "aez";
/// Equal pictures count as this many decibels, so that means stay finite.
pub const MAX_PSNR: f64 = 100.0;

/// How much a decoded picture differs from the original, or the mean of that over pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distortion {
    /// Decibels, over 8-bit RGB, at most [`MAX_PSNR`].
    pub psnr: f64,
    /// 1 for equal pictures.
    pub ms_ssim: f64,
}

/// One picture at one quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub path: String,
    pub codec: String,
    pub quality: u32,
    /// Of the whole file.
    pub bytes: u64,
    pub bpp: f64,
    #[serde(flatten)]
    pub distortion: Distortion,
    /// Of this codec alone, where a picture has several tiles.
    #[serde(flatten)]
    pub seams: Option<Seams>,
    /// Seconds from a picture in memory to a file in memory.
    pub encode_s: f64,
    /// Seconds from a file in memory to a picture in memory.
    pub decode_s: f64,
}

/// The means over all pictures at one quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    pub quality: u32,
    pub bytes: f64,
    pub bpp: f64,
    #[serde(flatten)]
    pub distortion: Distortion,
    /// Of the pictures with several tiles.
    #[serde(flatten)]
    pub seams: Option<Seams>,
}

/// How much the borders between tiles show: mean squared errors of bytes, or the mean of them over pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Seams {
    /// Of the pixels within [`Seams::REACH`] of a border.
    pub border_mse: f64,
    /// Of all others.
    pub inner_mse: f64,
}

/// All that was measured; `results.json` is this.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Results {
    pub images: Vec<Row>,
    /// Codec to its points in order of quality.
    pub curves: BTreeMap<String, Vec<Point>>,
    /// Codec, and the codec that it is compared with, to the difference in rate at equal quality in percent.
    pub bd_rate: BTreeMap<String, BTreeMap<String, f64>>,
    /// What the network alone does to the pictures, without quantization.
    pub unquantized: Option<Distortion>,
    /// The programs that other codecs were measured with.
    pub programs: BTreeMap<String, peers::Programs>,
}

impl Distortion {
    /// Compares a decoded picture with the original.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) when the sizes differ.
    pub fn between(original: &Picture, decoded: &Picture) -> Result<Self> {
        Ok(Self { psnr: psnr(original, decoded)?.min(MAX_PSNR), ms_ssim: ms_ssim(original, decoded)? })
    }

    fn mean(all: &[Self]) -> Self {
        Self { psnr: mean(all.iter().map(|d| d.psnr)), ms_ssim: mean(all.iter().map(|d| d.ms_ssim)) }
    }
}

impl Seams {
    /// Pixels on either side of a border that count for it.
    pub const REACH: u32 = 2;

    /// Compares a decoded picture with the original; `None` where it has but one tile, or nothing apart from borders.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) when the sizes differ.
    pub fn between(original: &Picture, decoded: &Picture, edge: u32) -> Result<Option<Self>> {
        let at_border = |x: u32, len: u32| {
            let (after, before) = (x % edge, edge - x % edge);
            (x >= edge && after < Self::REACH) || (before <= Self::REACH && x + before < len)
        };
        let Picture { width, height, .. } = *original;
        let [border_mse, inner_mse] =
            mse_in_and_out(original, decoded, |x, y| at_border(x, width) || at_border(y, height))?;
        Ok((border_mse.is_finite() && inner_mse.is_finite()).then_some(Self { border_mse, inner_mse }))
    }

    /// The error at borders in the measure of that elsewhere.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.border_mse / self.inner_mse
    }

    fn mean(all: &[Self]) -> Option<Self> {
        let mean = |part: fn(&Self) -> f64| mean(all.iter().map(part));
        (!all.is_empty())
            .then(|| Self { border_mse: mean(|s| s.border_mse), inner_mse: mean(|s| s.inner_mse) })
    }
}

impl Results {
    /// Draws the curves from what was measured on each picture, and compares them.
    #[must_use]
    pub fn new(measured: Vec<Measured>) -> Self {
        let (unquantized, rows): (Vec<_>, Vec<_>) =
            measured.into_iter().map(|m| (m.unquantized, m.rows)).unzip();
        let unquantized: Vec<_> = unquantized.into_iter().flatten().collect();
        let images = rows.concat();
        let curves = curves(&images);
        Self {
            bd_rate: bd_rates(&curves),
            unquantized: (!unquantized.is_empty()).then(|| Distortion::mean(&unquantized)),
            images,
            curves,
            programs: BTreeMap::new(),
        }
    }

    /// The mean number of pixels of the pictures, 0 where there are none.
    #[must_use]
    pub fn mean_pixels(&self) -> f64 {
        let pixels = self.images.iter().map(|row| row.bytes as f64 * 8.0 / row.bpp);
        if self.images.is_empty() { 0.0 } else { mean(pixels) }
    }

    /// Each pair of codecs, once.
    #[must_use]
    pub fn comparisons(&self) -> Vec<Comparison<'_>> {
        let (mut pairs, mut curves) = (Vec::new(), self.curves.iter());
        while let Some(one) = curves.next() {
            pairs.extend(curves.clone().map(|other| Comparison::new(one, other)));
        }
        pairs
    }
}

fn curves(rows: &[Row]) -> BTreeMap<String, Vec<Point>> {
    let mut groups = BTreeMap::<_, BTreeMap<_, Vec<&Row>>>::new();
    for row in rows {
        groups.entry(row.codec.clone()).or_default().entry(row.quality).or_default().push(row);
    }
    let point = |(quality, rows): (u32, Vec<&Row>)| Point {
        quality,
        bytes: mean(rows.iter().map(|row| row.bytes as f64)),
        bpp: mean(rows.iter().map(|row| row.bpp)),
        distortion: Distortion::mean(&rows.iter().map(|row| row.distortion).collect::<Vec<_>>()),
        seams: Seams::mean(&rows.iter().filter_map(|row| row.seams).collect::<Vec<_>>()),
    };
    groups
        .into_iter()
        .map(|(codec, by_quality)| (codec, by_quality.into_iter().map(point).collect()))
        .collect()
}

fn bd_rates(curves: &BTreeMap<String, Vec<Point>>) -> BTreeMap<String, BTreeMap<String, f64>> {
    let against = |(codec, curve): (&String, &Vec<Point>)| {
        let others = curves.iter().filter(|(other, _)| *other != codec);
        let percent = |(other, points): (&String, &Vec<Point>)| {
            let found = Comparison::new((codec, curve), (other, points)).bd_rate?;
            Some((other.clone(), found.percent))
        };
        (codec.clone(), others.filter_map(percent).collect::<BTreeMap<_, _>>())
    };
    curves.iter().map(against).filter(|(_, found)| !found.is_empty()).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(quality: u32, bytes: u64, psnr: f64) -> Row {
        let distortion = Distortion { psnr, ms_ssim: 0.5 };
        let (path, codec) = ("x.png".into(), CODEC.into());
        Row {
            path,
            codec,
            quality,
            bytes,
            bpp: bytes as f64 / 8.0,
            distortion,
            seams: None,
            encode_s: 0.0,
            decode_s: 0.0,
        }
    }

    #[test]
    fn curves_are_means_in_order_of_quality() {
        let measured = |psnr, rows: &[Row]| Measured {
            unquantized: Some(Distortion { psnr, ms_ssim: 0.9 }),
            rows: rows.to_vec(),
        };
        let results = Results::new(vec![
            measured(30.0, &[row(80, 100, 20.0), row(9, 10, 10.0)]),
            measured(40.0, &[row(80, 300, 30.0), row(9, 30, 11.0)]),
        ]);
        let points: Vec<_> =
            results.curves[CODEC].iter().map(|p| (p.quality, p.bytes, p.bpp, p.distortion.psnr)).collect();
        assert_eq!(points, [(9, 20.0, 2.5, 10.5), (80, 200.0, 25.0, 25.0)]);
        assert_eq!(results.unquantized.unwrap().psnr, 35.0);
        let table = results.table();
        let words: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["unquantized", "-", "-", "-", "35.00", "0.9000"]);
        assert_eq!(words[3], ["aez", "80", "200.0", "25.0000", "25.00", "0.5000"]);
    }

    #[test]
    fn borders_are_those_between_tiles() {
        let original = Picture::from_rgb(20, 8, vec![100; 480]);
        let wrong_at = |columns: &[usize]| {
            let mut decoded = original.clone();
            for (at, byte) in decoded.rgb.iter_mut().enumerate() {
                *byte += if columns.contains(&(at / 3 % 20)) { 2 } else { 0 };
            }
            Seams::between(&original, &decoded, 8).unwrap().unwrap()
        };
        // Columns 6 to 9 and 14 to 17 lie at the borders; the picture's own edge is none.
        assert_eq!(wrong_at(&[6, 9, 14, 17]), Seams { border_mse: 2.0, inner_mse: 0.0 });
        assert_eq!(wrong_at(&[0, 5, 10, 13, 18, 19]), Seams { border_mse: 0.0, inner_mse: 2.0 });
        assert_eq!(Seams::between(&original, &original, 20).unwrap(), None);
        let seams =
            |border_mse| Row { seams: Some(Seams { border_mse, inner_mse: 2.0 }), ..row(75, 8, 20.0) };
        let rows = vec![seams(3.0), seams(5.0), row(75, 8, 20.0), row(10, 8, 20.0)];
        let results = Results::new(vec![Measured { unquantized: None, rows }]);
        assert_eq!(results.curves[CODEC][0].seams, None);
        assert_eq!(results.curves[CODEC][1].seams.unwrap().ratio(), 2.0);
        assert!(
            results.table().ends_with("of the rest\naez               75      2.000\n"),
            "{}",
            results.table()
        );
        assert_eq!(serde_json::to_value(&results).unwrap()["images"][0]["border_mse"], 3.0);
    }

    #[test]
    fn both_directions_of_a_comparison_are_told() {
        let codec = |name: &str, row: Row| Row { codec: name.into(), ..row };
        let rows = vec![
            row(1, 100, 20.0),
            row(2, 200, 22.0),
            codec("x", row(1, 200, 20.0)),
            codec("x", row(2, 400, 22.0)),
        ];
        let results = Results::new(vec![Measured { unquantized: None, rows }]);
        assert!((results.bd_rate["aez"]["x"] + 50.0).abs() < 1e-9);
        assert!((results.bd_rate["x"]["aez"] - 100.0).abs() < 1e-9);
        assert_eq!((results.mean_pixels(), results.unquantized), (64.0, None));
    }

    #[test]
    fn results_are_written_under_the_names_that_others_read() {
        let results = Results {
            images: vec![row(5, 8, 20.0)],
            curves: curves(&[row(5, 8, 20.0)]),
            ..Results::default()
        };
        let json = serde_json::to_value(&results).unwrap();
        for name in ["path", "codec", "quality", "bytes", "bpp", "psnr", "ms_ssim", "encode_s", "decode_s"] {
            assert!(!json["images"][0][name].is_null(), "{name}");
        }
        for name in ["quality", "bytes", "bpp", "psnr", "ms_ssim"] {
            assert!(!json["curves"]["aez"][0][name].is_null(), "{name}");
        }
        assert!(json["bd_rate"].is_object());
    }

    #[test]
    fn no_pictures_no_curves() {
        let results = Results::new(Vec::new());
        assert!(results.curves.is_empty() && results.unquantized.is_none());
    }
}
