//! What became of a variant: its log, and what its files are like.

use super::Variant;
use crate::{
    Quality, Result,
    codec::{Decoder, Encoder},
    model::Model,
    picture::{Picture, psnr},
    train::{
        log::{Log, Row},
        measure::{MEASURED_TILES, to_picture},
    },
};
use std::path::Path;

/// A tile that comes back exactly counts as this many decibels, so that means stay finite.
const MAX_PSNR: f64 = 100.0;

/// Means over the test tiles, each a picture in a file of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coded {
    pub quality: Quality,
    /// Of the whole file.
    pub bytes: f64,
    /// In dB.
    pub psnr: f64,
}

/// A trained variant, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub variant: Variant,
    /// Its log: the first row is of the time before the first step.
    pub rows: Vec<Row>,
    /// Number of test tiles whose files are measured.
    pub tiles: usize,
    /// Mean PSNR of these tiles in dB through the model without quantization of the latents.
    pub network_psnr: f64,
    /// In the order of the qualities.
    pub coded: Vec<Coded>,
}

impl Outcome {
    /// Reads a variant's log, and sends `tiles` (one after the other, channels last, values in [0, 1]) through files of its
    /// model.
    pub(super) fn measure(
        variant: Variant,
        model: &Model,
        log: &Path,
        tiles: &[f32],
        qualities: &[Quality],
    ) -> Result<Self> {
        let rows = Log::load(log, u64::MAX)?.rows().to_vec();
        let (encoder, decoder) = (Encoder::new(model), Decoder::new(model));
        let tiles = tiles.chunks_exact(model.config().tile_len()).take(MEASURED_TILES);
        let count = tiles.len() as f64;
        let mut outcome = Self {
            variant,
            rows,
            tiles: tiles.len(),
            network_psnr: 0.0,
            coded: qualities.iter().map(|&quality| Coded { quality, bytes: 0.0, psnr: 0.0 }).collect(),
        };
        for tile in tiles {
            let original = to_picture(tile, model.tile());
            let latents = encoder.analyse(&original)?;
            let (width, height) = (original.width, original.height);
            let network =
                Picture::from_rgb(width, height, decoder.synthesize(&latents, width, height, false)?);
            outcome.network_psnr += psnr(&original, &network)?.min(MAX_PSNR) / count;
            for coded in &mut outcome.coded {
                let file =
                    Encoder { quality: coded.quality, ..encoder }.encode_latents(&original, &latents)?;
                coded.bytes += file.len() as f64 / count;
                coded.psnr += psnr(&original, &decoder.decode(&file)?)?.min(MAX_PSNR) / count;
            }
        }
        Ok(outcome)
    }

    /// The last row of the log.
    ///
    /// # Panics
    /// When the log is empty, which no run's is.
    #[must_use]
    pub fn last(&self) -> &Row {
        self.rows.last().expect("a row before the first step")
    }

    /// Mean PSNR in dB of files of that many bytes, between two of the measured qualities: linear in the logarithm
    /// of the bytes. None outside of what was measured.
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

/// Numbers of bytes at which all can be compared: the least and the most that the files of each reach, and one between.
pub(super) fn common_sizes(outcomes: &[Outcome]) -> Vec<f64> {
    let reach = |outcome: &Outcome| {
        let bytes = || outcome.coded.iter().map(|coded| coded.bytes);
        (bytes().fold(f64::INFINITY, f64::min), bytes().fold(0.0, f64::max))
    };
    let reaches = || outcomes.iter().map(reach);
    let least = reaches().map(|(least, _)| least).fold(0.0, f64::max).ceil();
    let most = reaches().map(|(_, most)| most).fold(f64::INFINITY, f64::min).floor();
    if least > most {
        return Vec::new();
    }
    let mut sizes = vec![least, (least * most).sqrt().round(), most];
    sizes.dedup();
    sizes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model;

    /// An outcome of given files, and losses that fall over three epochs to `loss`.
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
        }
    }

    #[test]
    fn files_are_compared_where_all_have_some() {
        let [plain, dropout, ..] = Variant::ALL;
        let a = outcome(plain, 0.01, &[(20.0, 10.0), (40.0, 12.0), (160.0, 14.0)]);
        let b = outcome(dropout, 0.01, &[(100.0, 13.0), (24.5, 9.0), (60.0, 11.0)]);
        assert_eq!(a.psnr_at(20.0), Some(10.0));
        assert_eq!(a.psnr_at(160.0), Some(14.0));
        assert!((a.psnr_at(80.0).unwrap() - 13.0).abs() < 1e-9);
        assert_eq!((a.psnr_at(19.9), a.psnr_at(160.1)), (None, None));
        assert!((b.psnr_at(60.0).unwrap() - 11.0).abs() < 1e-9, "in whatever order they were measured");
        assert_eq!(common_sizes(&[a.clone(), b.clone()]), [25.0, 50.0, 100.0]);
        let far = outcome(plain, 0.01, &[(300.0, 10.0), (400.0, 12.0)]);
        assert!(common_sizes(&[a, far]).is_empty());
        // A network whose latents are all dead has files of one size.
        let dead = outcome(plain, 0.01, &[(14.0, 9.0), (14.0, 9.5)]);
        assert_eq!((dead.psnr_at(14.0), common_sizes(std::slice::from_ref(&dead))), (Some(9.5), vec![14.0]));
        assert!(common_sizes(&[outcome(plain, 0.01, &[])]).is_empty());
    }

    #[test]
    fn whole_files_are_counted() {
        let model = model::tiny();
        let edge = model.tile();
        let tile =
            |shift: usize| (0..edge * edge * 3).map(move |i| ((i * 7 + shift * 40) % 200) as f32 / 255.0);
        let tiles: Vec<f32> = (0..3).flat_map(tile).collect();
        let folder = tempfile::tempdir().unwrap();
        let (log, quality) = (folder.path().join("log"), Quality::new(60).unwrap());
        Log::default().save(&log).unwrap();
        let outcome = Outcome::measure(Variant::ALL[0], &model, &log, &tiles, &[quality]).unwrap();
        let (mut bytes, mut distortion) = (0, 0.0);
        for tile in tiles.chunks(edge * edge * 3) {
            let original = to_picture(tile, edge);
            let file = Encoder { quality, ..Encoder::new(&model) }.encode(&original).unwrap();
            bytes += file.len();
            distortion += psnr(&original, &Decoder::new(&model).decode(&file).unwrap()).unwrap();
        }
        assert_eq!((outcome.tiles, outcome.coded[0].quality), (3, quality));
        assert!((outcome.coded[0].bytes - bytes as f64 / 3.0).abs() < 1e-9);
        assert!((outcome.coded[0].psnr - distortion / 3.0).abs() < 1e-9);
        assert!(outcome.network_psnr > outcome.coded[0].psnr - 1.0);
    }
}
