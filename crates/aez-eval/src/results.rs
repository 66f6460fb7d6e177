//! Measurements of many pictures, and their averages.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{BlockBoundary, Comparison, Distortion, average, external::Programs, plot::Metric};

/// Measurement of one picture with one codec at one quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// Path of the picture.
    pub path: String,
    /// Name of the codec.
    pub codec: String,
    /// Quality on the codec's own scale.
    pub quality: u32,
    /// Size of the whole file.
    pub bytes: u64,
    /// Bits of the file per pixel.
    pub bpp: f64,
    /// Similarity of the decoded picture to the original.
    #[serde(flatten)]
    pub distortion: Distortion,
    /// Errors at block boundaries: of AEZ models that code blocks, for pictures of several blocks.
    #[serde(flatten)]
    pub block_boundary: Option<BlockBoundary>,
    /// Seconds to encode. For AEZ, from a picture in memory to a file in memory; for other codecs, the run of a program.
    pub encode_s: f64,
    /// Seconds to decode, measured in the same way.
    pub decode_s: f64,
}

/// All measurements of one picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PictureResults {
    /// Similarity of the picture that the network returns without quantization, if AEZ was measured and its model has such a
    /// thing.
    pub unquantized: Option<Distortion>,
    /// One row for each codec and quality.
    pub rows: Vec<Row>,
}

/// Averages over all pictures with one codec at one quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// Quality on the codec's own scale.
    pub quality: u32,
    /// Size of the whole file.
    pub bytes: f64,
    /// Bits of the file per pixel.
    pub bpp: f64,
    /// Similarity of the decoded pictures to the originals.
    #[serde(flatten)]
    pub distortion: Distortion,
    /// Errors at block boundaries, over the pictures of several blocks.
    #[serde(flatten)]
    pub block_boundary: Option<BlockBoundary>,
}

/// All measurements and what follows from them. `results.json` of `aez eval` is the serialized form.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Results {
    /// One row for each picture, codec and quality.
    pub images: Vec<Row>,
    /// Rate-distortion curves by codec, with points in order of quality.
    pub curves: BTreeMap<String, Vec<Point>>,
    /// BD-rate in percent by codec and by the codec that it is compared with; see [`bd_rate`](crate::bd_rate). Pairs whose curves
    /// cannot be compared are left out.
    pub bd_rate: BTreeMap<String, BTreeMap<String, f64>>,
    /// The same at equal SSIMULACRA 2 instead of equal PSNR.
    pub bd_rate_ssimulacra2: BTreeMap<String, BTreeMap<String, f64>>,
    /// Average similarity of the pictures that the network returns without quantization.
    pub unquantized: Option<Distortion>,
    /// Programs that other codecs were measured with, by codec.
    pub programs: BTreeMap<String, Programs>,
}

impl Results {
    /// Averages the measurements of pictures, and compares each two codecs. All pictures should have been measured with the same
    /// codecs at the same qualities.
    #[must_use]
    pub fn new(pictures: Vec<PictureResults>) -> Self {
        let (unquantized, rows): (Vec<_>, Vec<_>) =
            pictures.into_iter().map(|picture| (picture.unquantized, picture.rows)).unzip();
        let unquantized: Vec<_> = unquantized.into_iter().flatten().collect();
        let images = rows.concat();
        let curves = curves(&images);
        Self {
            bd_rate: bd_rates(Metric::Psnr, &curves),
            bd_rate_ssimulacra2: bd_rates(Metric::Ssimulacra2, &curves),
            unquantized: (!unquantized.is_empty()).then(|| Distortion::average(&unquantized)),
            images,
            curves,
            programs: BTreeMap::new(),
        }
    }

    /// Average number of pixels of a picture, 0 if there are none.
    #[must_use]
    pub fn mean_pixels(&self) -> f64 {
        let pixels = self.images.iter().map(|row| row.bytes as f64 * 8.0 / row.bpp);
        if self.images.is_empty() { 0.0 } else { average(pixels) }
    }

    /// Comparisons of each two codecs at equal quality, one for each pair. Codecs without this measure are left out.
    #[must_use]
    pub fn comparisons(&self, metric: Metric) -> Vec<Comparison<'_>> {
        let is_measured = |points: &[Point]| points.iter().any(|point| metric.of(point.distortion).is_some());
        let (mut pairs, mut curves) =
            (Vec::new(), self.curves.iter().filter(|(_, points)| is_measured(points)));
        while let Some(one) = curves.next() {
            pairs.extend(curves.clone().map(|other| Comparison::new(metric, one, other)));
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
        bytes: average(rows.iter().map(|row| row.bytes as f64)),
        bpp: average(rows.iter().map(|row| row.bpp)),
        distortion: Distortion::average(&rows.iter().map(|row| row.distortion).collect::<Vec<_>>()),
        block_boundary: BlockBoundary::average(
            &rows.iter().filter_map(|row| row.block_boundary).collect::<Vec<_>>(),
        ),
    };
    groups
        .into_iter()
        .map(|(codec, by_quality)| (codec, by_quality.into_iter().map(point).collect()))
        .collect()
}

fn bd_rates(
    metric: Metric,
    curves: &BTreeMap<String, Vec<Point>>,
) -> BTreeMap<String, BTreeMap<String, f64>> {
    let against = |(codec, curve): (&String, &Vec<Point>)| {
        let others = curves.iter().filter(|(other, _)| *other != codec);
        let percent = |(other, points): (&String, &Vec<Point>)| {
            let found = Comparison::new(metric, (codec, curve), (other, points)).bd_rate?;
            Some((other.clone(), found.percent))
        };
        (codec.clone(), others.filter_map(percent).collect::<BTreeMap<_, _>>())
    };
    curves.iter().map(against).filter(|(_, found)| !found.is_empty()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::CODEC;

    /// A row of AEZ for a picture of 8 pixels.
    pub(crate) fn row(quality: u32, bytes: u64, psnr: f64) -> Row {
        Row {
            path: "x.png".into(),
            codec: CODEC.into(),
            quality,
            bytes,
            bpp: bytes as f64 / 8.0,
            distortion: Distortion { psnr, ms_ssim: 0.5, ssimulacra2: Some(2.0 * psnr) },
            block_boundary: None,
            encode_s: 0.25,
            decode_s: 0.5,
        }
    }

    pub(crate) fn results(rows: Vec<Row>) -> Results {
        Results::new(vec![PictureResults { unquantized: None, rows }])
    }

    #[test]
    fn curves_are_averages_in_order_of_quality() {
        let picture = |psnr, rows: &[Row]| PictureResults {
            unquantized: Some(Distortion { psnr, ms_ssim: 0.9, ssimulacra2: None }),
            rows: rows.to_vec(),
        };
        let results = Results::new(vec![
            picture(30.0, &[row(80, 100, 20.0), row(9, 10, 10.0)]),
            picture(40.0, &[row(80, 300, 30.0), row(9, 30, 11.0)]),
        ]);
        let points: Vec<_> =
            results.curves[CODEC].iter().map(|p| (p.quality, p.bytes, p.bpp, p.distortion.psnr)).collect();
        assert_eq!(points, [(9, 20.0, 2.5, 10.5), (80, 200.0, 25.0, 25.0)]);
        assert_eq!(results.unquantized.unwrap().psnr, 35.0);
        assert_eq!(results.mean_pixels(), 64.0);
    }

    #[test]
    fn block_boundaries_are_averaged_over_pictures_of_several_blocks() {
        let with_blocks = |boundary_mse| {
            let block_boundary = Some(BlockBoundary { boundary_mse, inner_mse: 2.0 });
            Row { block_boundary, ..row(75, 8, 20.0) }
        };
        let rows = vec![with_blocks(3.0), with_blocks(5.0), row(75, 8, 20.0), row(10, 8, 20.0)];
        let results = results(rows);
        assert_eq!(results.curves[CODEC][0].block_boundary, None);
        assert_eq!(results.curves[CODEC][1].block_boundary.unwrap().ratio(), 2.0);
    }

    #[test]
    fn both_directions_are_compared() {
        let other = |row: Row| Row { codec: "x".into(), ..row };
        let rows =
            vec![row(1, 100, 20.0), row(2, 200, 22.0), other(row(1, 200, 20.0)), other(row(2, 400, 22.0))];
        let results = results(rows);
        assert!((results.bd_rate["aez"]["x"] + 50.0).abs() < 1e-9);
        assert!((results.bd_rate["x"]["aez"] - 100.0).abs() < 1e-9);
        assert_eq!(results.unquantized, None);
    }

    #[test]
    fn json_fields_keep_their_names() {
        let block_boundary = Some(BlockBoundary { boundary_mse: 3.0, inner_mse: 2.0 });
        let json = serde_json::to_value(results(vec![Row { block_boundary, ..row(5, 8, 20.0) }])).unwrap();
        let common = ["quality", "bytes", "bpp", "psnr", "ms_ssim", "ssimulacra2", "border_mse", "inner_mse"];
        for name in ["path", "codec", "encode_s", "decode_s"].iter().chain(&common) {
            assert!(!json["images"][0][name].is_null(), "{name}");
        }
        for name in common {
            assert!(!json["curves"]["aez"][0][name].is_null(), "{name}");
        }
        assert!(json["bd_rate"].is_object() && json["programs"].is_object());
        assert!(json.as_object().unwrap().contains_key("unquantized"));
    }

    #[test]
    fn without_pictures_there_are_no_curves() {
        let results = Results::new(Vec::new());
        assert!(results.curves.is_empty() && results.unquantized.is_none());
        assert_eq!(results.mean_pixels(), 0.0);
    }
}
