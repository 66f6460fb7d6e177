//! The result of training one variant: its log, and measurements of its files.

use super::Variant;
use crate::{
    error::Result,
    log::{Log, Row},
    measure::{mean, to_picture},
};
use aez_core::{Decoder, Encoder, Model, Quality, picture::psnr, tiled::TiledModel};
use std::{collections::BTreeMap, path::Path};

/// PSNR in decibels that equal tiles count as, so that averages stay finite.
const MAX_PSNR: f64 = 100.0;

/// Averages over test tiles that were encoded as files of one tile each.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Coded {
    /// Quality of the files.
    pub quality: Quality,
    /// Size of a whole file.
    pub bytes: f64,
    /// PSNR in decibels.
    pub psnr: f64,
}

/// Loss of the test tiles of one class.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClassLoss {
    /// Name of the class.
    pub name: String,
    /// Number of test tiles.
    pub tiles: usize,
    /// Mean squared error of values in [0, 1] without clamping.
    pub loss: f64,
}

/// Groups the squared errors of tiles by their labels, in the order of the labels.
pub(super) fn class_losses(errors: &[f64], labels: &[u8], name: impl Fn(u8) -> String) -> Vec<ClassLoss> {
    let mut classes: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    for (&label, &error) in labels.iter().zip(errors) {
        classes.entry(label).or_default().push(error);
    }
    let loss = |(label, errors): (u8, Vec<f64>)| ClassLoss {
        name: name(label),
        tiles: errors.len(),
        loss: mean(&errors),
    };
    classes.into_iter().map(loss).collect()
}

/// A trained variant and its measurements.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The variant.
    pub variant: Variant,
    /// The log of its training. The first row was measured before the first step.
    pub rows: Vec<Row>,
    /// Number of test tiles that were encoded.
    pub tiles: usize,
    /// Average PSNR in decibels of these tiles without quantization of the latents.
    pub network_psnr: f64,
    /// Measurements of the files, in the order of the qualities.
    pub coded: Vec<Coded>,
    /// Losses of the model file by class. Empty if the classes of the test tiles are not known.
    pub classes: Vec<ClassLoss>,
}

impl Outcome {
    /// Reads the log of a variant, and encodes and decodes `tiles` with its model. Tiles lie one after the other, with values in
    /// [0, 1] and interleaved channels. The losses by class are left empty.
    pub(super) fn measure(
        variant: Variant,
        model: TiledModel,
        log: &Path,
        tiles: &[f32],
        qualities: &[Quality],
    ) -> Result<Self> {
        let rows = Log::load(log, u64::MAX)?.rows().to_vec();
        let (edge, tile_len) = (model.tile(), model.config().tile_len());
        let model = Model::from(model);
        let (encoder, decoder) = (Encoder::new(&model).effort(0), Decoder::new(&model));
        let tiles = tiles.chunks_exact(tile_len);
        let count = tiles.len() as f64;
        let mut outcome = Self {
            variant,
            rows,
            tiles: tiles.len(),
            network_psnr: 0.0,
            coded: qualities.iter().map(|&quality| Coded { quality, bytes: 0.0, psnr: 0.0 }).collect(),
            classes: Vec::new(),
        };
        for tile in tiles {
            let original = to_picture(tile, edge);
            let analysed = encoder.analyse(&original)?;
            let unquantized = analysed.unquantized()?.expect("models with tiles return it");
            outcome.network_psnr += psnr(&original, &unquantized)?.min(MAX_PSNR) / count;
            for coded in &mut outcome.coded {
                let file = analysed.encode_at(coded.quality)?;
                coded.bytes += file.len() as f64 / count;
                coded.psnr += psnr(&original, &decoder.decode(&file)?)?.min(MAX_PSNR) / count;
            }
        }
        Ok(outcome)
    }

    /// The last row of the log.
    ///
    /// # Panics
    /// When the log is empty. The log of a run is not.
    #[must_use]
    pub fn last(&self) -> &Row {
        self.rows.last().expect("a log has a row from before the first step")
    }

    /// Average PSNR in decibels of files of a given average size, interpolated between the measured qualities linearly in the
    /// logarithm of the size. `None`: the size is outside of the measured range.
    #[must_use]
    pub fn psnr_at(&self, bytes: f64) -> Option<f64> {
        let mut points = self.coded.clone();
        points.sort_by(|a, b| a.bytes.total_cmp(&b.bytes));
        let around = points.windows(2).find(|pair| pair[0].bytes <= bytes && bytes <= pair[1].bytes)?;
        let [low, high] = [around[0], around[1]];
        let span = (high.bytes / low.bytes).ln();
        let part = if span > 0.0 { (bytes / low.bytes).ln() / span } else { 1.0 };
        Some(low.psnr + part * (high.psnr - low.psnr))
    }
}

/// Sizes in bytes at which all outcomes can be compared: the smallest and the largest size that the files of all of them cover, and
/// one between.
pub(super) fn common_sizes(outcomes: &[Outcome]) -> Vec<f64> {
    let range = |outcome: &Outcome| {
        let bytes = || outcome.coded.iter().map(|coded| coded.bytes);
        (bytes().fold(f64::INFINITY, f64::min), bytes().fold(0.0, f64::max))
    };
    let ranges = || outcomes.iter().map(range);
    let smallest = ranges().map(|(smallest, _)| smallest).fold(0.0, f64::max).ceil();
    let largest = ranges().map(|(_, largest)| largest).fold(f64::INFINITY, f64::min).floor();
    if smallest > largest {
        return Vec::new();
    }
    let mut sizes = vec![smallest, (smallest * largest).sqrt().round(), largest];
    sizes.dedup();
    sizes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use aez_core::testing;

    /// An outcome with the given sizes and PSNRs of files, and losses that decrease to `loss` in three epochs.
    pub fn outcome(variant: Variant, loss: f64, coded: &[(f64, f64)]) -> Outcome {
        let row = |epoch: u64| Row {
            epoch: epoch as f64,
            tiles: 10 * epoch,
            seconds: epoch as f64,
            train_loss: if epoch == 0 { f64::NAN } else { loss * 1.5 / epoch as f64 },
            validation_loss: loss * 3.0 / epoch.max(1) as f64,
            test_loss: loss * 3.0 / epoch.max(1) as f64,
            validation_psnr: 10.0 + epoch as f64,
            estimated_bytes: 20.0,
            coded_bytes: 30.0,
            coded_psnr: 10.0,
            learning_rate: 1e-3,
            gradient_norm: 1.0,
        };
        let coded = (1..).zip(coded).map(|(quality, &(bytes, psnr))| Coded {
            quality: Quality::new(quality).unwrap(),
            bytes,
            psnr,
        });
        Outcome {
            variant,
            rows: (0..4).map(row).collect(),
            tiles: 5,
            network_psnr: 21.5,
            coded: coded.collect(),
            classes: Vec::new(),
        }
    }

    #[test]
    fn losses_are_grouped_by_class() {
        let found = class_losses(&[0.1, 0.2, 0.3, 0.5], &[3, 1, 3, 1], |label| format!("class {label}"));
        let found: Vec<(&str, usize, f64)> =
            found.iter().map(|class| (class.name.as_str(), class.tiles, class.loss)).collect();
        assert_eq!(found, [("class 1", 2, 0.35), ("class 3", 2, 0.2)]);
    }

    #[test]
    fn files_are_compared_at_common_sizes() {
        let [plain, dropout, ..] = Variant::ALL;
        let a = outcome(plain, 0.01, &[(20.0, 10.0), (40.0, 12.0), (160.0, 14.0)]);
        let b = outcome(dropout, 0.01, &[(100.0, 13.0), (24.5, 9.0), (60.0, 11.0)]);
        assert_eq!(a.psnr_at(20.0), Some(10.0));
        assert_eq!(a.psnr_at(160.0), Some(14.0));
        assert!((a.psnr_at(80.0).unwrap() - 13.0).abs() < 1e-9);
        assert_eq!((a.psnr_at(19.9), a.psnr_at(160.1)), (None, None));
        assert!((b.psnr_at(60.0).unwrap() - 11.0).abs() < 1e-9, "does not depend on the order");
        assert_eq!(common_sizes(&[a.clone(), b.clone()]), [25.0, 50.0, 100.0]);
        let far = outcome(plain, 0.01, &[(300.0, 10.0), (400.0, 12.0)]);
        assert!(common_sizes(&[a, far]).is_empty());
        // If all latents of a network are constant, all its files have the same size.
        let constant = outcome(plain, 0.01, &[(14.0, 9.0), (14.0, 9.5)]);
        assert_eq!(
            (constant.psnr_at(14.0), common_sizes(std::slice::from_ref(&constant))),
            (Some(9.5), vec![14.0])
        );
        assert!(common_sizes(&[outcome(plain, 0.01, &[])]).is_empty());
    }

    #[test]
    fn sizes_are_those_of_whole_files() {
        let tiled = testing::tiny_tiled();
        let edge = tiled.tile();
        let tile =
            |shift: usize| (0..edge * edge * 3).map(move |i| ((i * 7 + shift * 40) % 200) as f32 / 255.0);
        let tiles: Vec<f32> = (0..3).flat_map(tile).collect();
        let folder = tempfile::tempdir().unwrap();
        let (log, quality) = (folder.path().join("log"), Quality::new(60).unwrap());
        Log::default().save(&log, false).unwrap();
        let outcome = Outcome::measure(Variant::ALL[0], tiled, &log, &tiles, &[quality]).unwrap();
        let model = testing::tiny();
        let (mut bytes, mut distortion) = (0, 0.0);
        for tile in tiles.chunks(edge * edge * 3) {
            let original = to_picture(tile, edge);
            let file = Encoder::new(&model).quality(quality).effort(0).encode(&original).unwrap();
            bytes += file.len();
            distortion += psnr(&original, &Decoder::new(&model).decode(&file).unwrap()).unwrap();
        }
        assert_eq!((outcome.tiles, outcome.coded[0].quality), (3, quality));
        assert!((outcome.coded[0].bytes - bytes as f64 / 3.0).abs() < 1e-9);
        assert!((outcome.coded[0].psnr - distortion / 3.0).abs() < 1e-9);
        assert!(outcome.network_psnr > outcome.coded[0].psnr - 1.0);
    }
}
