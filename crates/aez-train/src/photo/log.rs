//! The log of a run: a CSV file and a chart.

use std::{fmt::Write, fs, path::Path};

use aez_eval::chart::{self, Axis, Chart, Colour, Legend, Series};
use aez_image::write_atomically;

use crate::{Error, Result};

/// Measurements after a number of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Number of steps.
    pub steps: u32,
    /// Number of crops that have been used.
    pub crops: u64,
    /// Duration of the training in seconds.
    pub seconds: f64,
    /// Mean over the steps since the last row: bits for each pixel plus squared error divided by lambda, with soft rounding.
    /// Not a number without a step.
    pub train_loss: f64,
    /// Mean over the held-out pictures, after their latents were optimized: the same for rounded latents. Not a number if there are no
    /// such pictures.
    pub validation_loss: f64,
    /// Bits for each pixel of the held-out pictures.
    pub validation_bits: f64,
    /// Peak signal-to-noise ratio of the mean squared error of the held-out pictures in decibels.
    pub validation_psnr: f64,
}

const HEADER: &str = "steps,crops,seconds,train_loss,validation_loss,validation_bits,validation_psnr";

/// The rows of an interrupted run that have at most `steps` steps: those until the checkpoint.
///
/// # Errors
/// [`aez_core::Error::Io`] when the file cannot be read, [`aez_core::Error::Misuse`] when it is not a log.
pub fn load(path: &Path, steps: u32) -> Result<Vec<Row>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("cannot read the log", path, e))?;
    let mut lines = text.lines();
    let rows: Option<Vec<Row>> = if lines.next() == Some(HEADER) { lines.map(parse).collect() } else { None };
    let invalid = || Error::misuse(format!("{} is not the log of such a training run", path.display()));
    Ok(rows.ok_or_else(invalid)?.into_iter().filter(|row| row.steps <= steps).collect())
}

fn parse(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split(',').collect();
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some(Row {
        steps: fields.first()?.parse().ok()?,
        crops: fields.get(1)?.parse().ok()?,
        seconds: number(2)?,
        train_loss: number(3)?,
        validation_loss: number(4)?,
        validation_bits: number(5)?,
        validation_psnr: number(6)?,
    })
}

/// Writes the rows as a CSV file, and a chart of the losses over the number of crops as an SVG file.
///
/// # Errors
/// [`aez_core::Error::Io`] when a file cannot be written.
pub fn save(rows: &[Row], csv: &Path, svg: &Path) -> Result<()> {
    let mut text = format!("{HEADER}\n");
    for row in rows {
        let Row { steps, crops, seconds, train_loss, validation_loss, validation_bits, validation_psnr } =
            row;
        // Writing to a string cannot fail. All digits of the losses, so that rows that are read again stay the same.
        let _ = writeln!(
            text,
            "{steps},{crops},{seconds:.1},{train_loss},{validation_loss},{validation_bits:.4},{validation_psnr:.2}"
        );
    }
    write_atomically(csv, text.as_bytes())?;
    Ok(write_atomically(svg, chart::draw(&losses(rows))?.as_bytes())?)
}

fn losses(rows: &[Row]) -> Chart {
    let series = |name, colour, loss: fn(&Row) -> f64| {
        Series::new(name, rows.iter().map(|row| (row.crops as f64, loss(row))).collect(), colour)
    };
    let last = rows.last().map_or(1, |row| row.crops.max(1));
    Chart {
        title: None,
        size: (720, 440),
        x: Axis::linear("crops").with_range(0.0, last as f64),
        y: Axis::logarithmic("bits a pixel + squared error / lambda"),
        series: vec![
            series("training", Colour(31, 119, 180), |row| row.train_loss),
            series("validation", Colour(255, 127, 14), |row| row.validation_loss),
        ],
        legend: Legend::UpperRight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_up_to_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let [csv, svg] = ["log.csv", "log.svg"].map(|name| folder.path().join(name));
        let row = |steps: u32| Row {
            steps,
            crops: u64::from(steps / 2),
            seconds: 1.5,
            train_loss: 1.0 / f64::from(steps),
            validation_loss: f64::NAN,
            validation_bits: 0.25,
            validation_psnr: 30.5,
        };
        save(&[row(7), row(20), row(30)], &csv, &svg).unwrap();
        let read = load(&csv, 20).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].steps, read[0].train_loss, read[1].validation_psnr), (7, 1.0 / 7.0, 30.5));
        assert!(fs::read_to_string(&svg).unwrap().contains("<polyline"));
        fs::write(&csv, "no log").unwrap();
        assert!(load(&csv, 1).is_err() && load(&folder.path().join("none"), 1).is_err());
    }
}
