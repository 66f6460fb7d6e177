//! The log of a run: a row a measurement as CSV, and the curves as a picture.

use crate::{
    error::{Error, Result},
    picture::write_atomically,
};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};
use std::{fmt::Write, fs, path::Path};

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Passes over the training data; a fraction in the middle of one.
    pub epoch: f64,
    /// Tiles seen, and seconds spent.
    pub tiles: u64,
    pub seconds: f64,
    /// Mean squared errors of values in [0, 1]: over the training tiles since the last row, and over fixed tiles of the
    /// validation and the test set (NaN where there are none).
    pub train_loss: f64,
    pub validation_loss: f64,
    pub test_loss: f64,
    /// Mean PSNR of the validation tiles in dB, before quantization.
    pub validation_psnr: f64,
    /// The same tiles in files of quality 75: mean bytes of their latents by the prior, of the whole files, and mean PSNR.
    pub estimated_bytes: f64,
    pub coded_bytes: f64,
    pub coded_psnr: f64,
    pub learning_rate: f64,
    /// Length of the last gradient, before it was clipped.
    pub gradient_norm: f64,
}

const HEADER: &str = "epoch,tiles,seconds,train_loss,validation_loss,test_loss,validation_psnr,\
estimated_bytes,coded_bytes,coded_psnr,learning_rate,gradient_norm";

/// The rows so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    rows: Vec<Row>,
}

impl Log {
    /// Reads the rows of an earlier part of the run, up to a number of tiles: what came after the checkpoint will come
    /// again.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Misuse`] when it is no such log.
    pub fn load(path: &Path, tiles: u64) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|e| Error::io("cannot read the log", path, e))?;
        let broken = || Error::Misuse(format!("{} is not the log of a training run", path.display()));
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(broken());
        }
        let rows: Option<Vec<Row>> = lines.map(parse).collect();
        let rows = rows.ok_or_else(broken)?;
        Ok(Self { rows: rows.into_iter().filter(|row| row.tiles <= tiles).collect() })
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The rows in order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Writes the rows as CSV.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = format!("{HEADER}\n");
        for row in &self.rows {
            let Row { epoch, tiles, seconds, train_loss, validation_loss, test_loss, .. } = row;
            let _ = writeln!(
                text,
                "{epoch:.4},{tiles},{seconds:.1},{train_loss:.8},{validation_loss:.8},{test_loss:.8},{:.4},{:.2},{:.2},{:.4},{:.3e},{:.5}",
                row.validation_psnr,
                row.estimated_bytes,
                row.coded_bytes,
                row.coded_psnr,
                row.learning_rate,
                row.gradient_norm
            );
        }
        write_atomically(path, text.as_bytes())
    }

    /// Draws the three losses over the tiles seen as an SVG picture.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, [`Error::Misuse`] when the picture cannot be drawn.
    pub fn draw(&self, path: &Path) -> Result<()> {
        let mut svg = String::new();
        self.draw_into(&mut svg).map_err(|e| Error::Misuse(format!("cannot draw the curves: {e}")))?;
        write_atomically(path, svg.as_bytes())
    }

    fn draw_into(&self, svg: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
        type Curve = (&'static str, RGBColor, fn(&Row) -> f64);
        const CURVES: [Curve; 3] = [
            ("train", RGBColor(31, 119, 180), |row| row.train_loss),
            ("validation", RGBColor(255, 127, 14), |row| row.validation_loss),
            ("test", RGBColor(44, 160, 44), |row| row.test_loss),
        ];
        let losses =
            || self.rows.iter().flat_map(|row| CURVES.map(|curve| curve.2(row))).filter(|x| *x > 0.0);
        let (least, most) = losses().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
        let (least, most) = if least <= most { (least * 0.95, most * 1.05) } else { (1e-3, 1.0) };
        let end = self.rows.last().map_or(1, |row| row.tiles.max(1)) as f64 / 1000.0;
        let area = SVGBackend::with_string(svg, (720, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("Training", ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, (least..most).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("thousand tiles")
            .y_desc("mean squared error")
            .y_label_formatter(&|y| format!("{y:.4}"))
            .draw()?;
        for (name, colour, value) in CURVES {
            let points: Vec<(f64, f64)> = self
                .rows
                .iter()
                .map(|row| (row.tiles as f64 / 1000.0, value(row)))
                .filter(|p| p.1 > 0.0)
                .collect();
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
        area.present()?;
        Ok(())
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

    #[test]
    fn rows_come_back_up_to_the_checkpoint_and_curves_are_drawn() {
        let mut log = Log::default();
        for tiles in [64, 128, 192] {
            log.push(Row {
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
            });
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        log.save(&path).unwrap();
        let read = Log::load(&path, 128).unwrap();
        assert_eq!(read.rows().len(), 2);
        let row = read.rows()[1];
        assert_eq!((row.tiles, row.test_loss, row.coded_psnr, row.gradient_norm), (128, 0.015625, 17.5, 0.5));
        assert!(read.rows()[1].validation_loss.is_nan());
        log.draw(&path).unwrap();
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.matches("<polyline").count() >= 2);
        assert!(Log::load(&path, 128).is_err());
    }
}
