//! The log of a training run: a CSV file with one row per measurement, and a chart of the losses.

use crate::error::{Error, Result};
use aez_eval::chart::{self, Axis, Chart, Colour, Legend, Series};
use aez_image::write_atomically;
use serde::{Deserialize, Serialize};
use std::{fmt::Write, fs, path::Path};

/// One measurement. Losses are mean squared errors of pixel values in [0, 1]: the mean of the losses of the batches, as in the paper.
/// Decoded values are not clamped for losses, but for PSNRs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Number of passes over the training data, with a fraction for an incomplete one.
    pub epoch: f64,
    /// Number of training tiles seen.
    pub tiles: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Mean loss of the training steps since the last row. NaN before the first step.
    pub train_loss: f64,
    /// Loss on the validation set, or on its first 128 tiles unless the recipe measures whole sets. NaN if there are none.
    pub validation_loss: f64,
    /// The same for the test set.
    pub test_loss: f64,
    /// Average PSNR of these validation tiles in decibels, without quantization.
    pub validation_psnr: f64,
    /// Average size in bytes of the latents of the first 128 validation tiles at quality 75, estimated by the prior.
    pub estimated_bytes: f64,
    /// Average size in bytes of files of one validation tile at quality 75.
    pub coded_bytes: f64,
    /// Average PSNR of these files in decibels.
    pub coded_psnr: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Euclidean norm of the last gradient, before it was clipped.
    pub gradient_norm: f64,
}

const HEADER: &str = "epoch,tiles,seconds,train_loss,validation_loss,test_loss,validation_psnr,\
estimated_bytes,coded_bytes,coded_psnr,learning_rate,gradient_norm,\
network_train_loss,network_validation_loss,network_test_loss";

/// The loss of values in [-1, 1] for a loss of values in [0, 1].
pub(crate) const NORMALIZED_LOSS: f64 = 4.0;

/// The rows of a run in the order of the measurements.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    rows: Vec<Row>,
}

impl Log {
    /// Reads the rows of an interrupted run that have at most `tiles` tiles: those until the checkpoint. Later measurements are
    /// repeated when the run is resumed.
    ///
    /// # Errors
    /// [`aez_core::Error::Io`] when the file cannot be read, [`aez_core::Error::Misuse`] when it is not a log.
    pub fn load(path: &Path, tiles: u64) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|e| Error::io("cannot read the log", path, e))?;
        let invalid = || Error::misuse(format!("{} is not the log of a training run", path.display()));
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(invalid());
        }
        let rows: Option<Vec<Row>> = lines.map(parse).collect();
        let rows = rows.ok_or_else(invalid)?;
        Ok(Self { rows: rows.into_iter().filter(|row| row.tiles <= tiles).collect() })
    }

    /// Appends a row.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The rows in order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Writes the rows to a CSV file. The last columns are the losses in the units of the network, in which the paper gives them: of
    /// values in [-1, 1] if the network normalizes its input.
    ///
    /// # Errors
    /// [`aez_core::Error::Io`] when the file cannot be written.
    pub fn save(&self, path: &Path, normalize: bool) -> Result<()> {
        let scale = if normalize { NORMALIZED_LOSS } else { 1.0 };
        let mut text = format!("{HEADER}\n");
        for row in &self.rows {
            let Row { epoch, tiles, seconds, .. } = row;
            let losses = |scale: f64| {
                let losses = [row.train_loss, row.validation_loss, row.test_loss];
                // All digits, so that rows that are read again stay the same.
                losses.map(|loss| (scale * loss).to_string()).join(",")
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{epoch:.4},{tiles},{seconds:.1},{},{:.4},{:.2},{:.2},{:.4},{:.3e},{:.5},{}",
                losses(1.0),
                row.validation_psnr,
                row.estimated_bytes,
                row.coded_bytes,
                row.coded_psnr,
                row.learning_rate,
                row.gradient_norm,
                losses(scale)
            );
        }
        Ok(write_atomically(path, text.as_bytes())?)
    }

    /// Writes a chart of the three losses over the number of training tiles to an SVG file.
    ///
    /// # Errors
    /// [`aez_core::Error::Io`] when the file cannot be written.
    pub fn draw(&self, path: &Path) -> Result<()> {
        Ok(write_atomically(path, chart::draw(&self.chart())?.as_bytes())?)
    }

    fn chart(&self) -> Chart {
        let series = |name, colour, loss: fn(&Row) -> f64| {
            let points = self.rows.iter().map(|row| (row.tiles as f64, loss(row)));
            Series::new(name, points.collect(), colour)
        };
        let last = self.rows.last().map_or(1, |row| row.tiles.max(1));
        Chart {
            title: None,
            size: (720, 440),
            x: Axis::linear("training tiles").with_range(0.0, last as f64),
            y: Axis::logarithmic("mean squared error"),
            series: vec![
                series("training", Colour(31, 119, 180), |row| row.train_loss),
                series("validation", Colour(255, 127, 14), |row| row.validation_loss),
                series("test", Colour(44, 160, 44), |row| row.test_loss),
            ],
            legend: Legend::UpperRight,
        }
    }
}

fn parse(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split(',').collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some(Row {
        epoch: number(0)?,
        tiles: fields.get(1)?.parse().ok()?,
        seconds: number(2)?,
        train_loss: number(3)?,
        validation_loss: number(4)?,
        test_loss: number(5)?,
        validation_psnr: number(6)?,
        estimated_bytes: number(7)?,
        coded_bytes: number(8)?,
        coded_psnr: number(9)?,
        learning_rate: number(10)?,
        gradient_norm: number(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let row = |tiles: u64| Row {
            epoch: tiles as f64 / 128.0,
            tiles,
            seconds: 2.0,
            train_loss: 1.0 / tiles as f64,
            validation_loss: f64::NAN,
            test_loss: 0.015625,
            validation_psnr: 18.0625,
            estimated_bytes: 80.5,
            coded_bytes: 93.25,
            coded_psnr: 17.5,
            learning_rate: 1e-3,
            gradient_norm: 0.5,
        };
        let mut log = Log::default();
        for tiles in [64, 128, 192] {
            log.push(row(tiles));
        }
        log
    }

    #[test]
    fn rows_are_read_up_to_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        log().save(&path, true).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().nth(1).unwrap().ends_with(",0.0625,NaN,0.0625"), "{text}");
        let read = Log::load(&path, 128).unwrap();
        assert_eq!(read.rows().len(), 2);
        let row = read.rows()[1];
        assert_eq!((row.tiles, row.test_loss, row.coded_psnr, row.gradient_norm), (128, 0.015625, 17.5, 0.5));
        assert!(row.validation_loss.is_nan());
        fs::write(&path, "no log").unwrap();
        assert!(Log::load(&path, 128).unwrap_err().to_string().contains("not the log"));
        fs::write(&path, format!("{HEADER}\n1,2,3\n")).unwrap();
        assert!(Log::load(&path, 128).is_err());
        assert!(Log::load(&folder.path().join("missing"), 128).is_err());
    }

    #[test]
    fn losses_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.svg");
        Log::default().draw(&path).unwrap();
        log().draw(&path).unwrap();
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.matches("<polyline").count() >= 2);
        for name in ["training", "validation", "test", "training tiles", "mean squared error"] {
            assert!(svg.lines().any(|line| line == name), "{name}");
        }
    }
}
