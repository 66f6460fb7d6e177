//! One picture through an AEZ model at several qualities.

use std::{borrow::Cow, time::Instant};

use aez_core::{Decoder, Encoder, Model, Picture, Quality, Result, Tune};

use crate::{BlockBoundary, CODEC, Distortion, PictureResults, Row};

/// Settings of a measurement of AEZ.
pub struct Sweep<'m> {
    /// The model to measure.
    pub model: &'m Model,
    /// The qualities to measure.
    pub qualities: Vec<Quality>,
    /// Effort of the encoder, 0 to 9, or `None` for the default of the model's family.
    pub effort: Option<u8>,
    /// The measure of quality that the encoder aims at.
    pub tune: Tune,
}

/// A picture that was encoded and decoded by some codec.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundTrip {
    /// Quality on the codec's own scale.
    pub quality: u32,
    /// Size of the whole file.
    pub bytes: u64,
    /// The decoded picture.
    pub picture: Picture,
    /// Seconds to encode.
    pub encode_s: f64,
    /// Seconds to decode.
    pub decode_s: f64,
}

impl RoundTrip {
    /// Compares the decoded picture with its original. `path` and `codec` are the names in the results.
    ///
    /// # Errors
    /// As for [`Distortion::between`].
    pub fn row(&self, path: &str, codec: &str, original: &Picture) -> Result<Row> {
        let pixels = f64::from(original.width) * f64::from(original.height);
        Ok(Row {
            path: path.to_owned(),
            codec: codec.to_owned(),
            quality: self.quality,
            bytes: self.bytes,
            bpp: self.bytes as f64 * 8.0 / pixels,
            distortion: Distortion::between(original, &self.picture)?,
            block_boundary: None,
            encode_s: self.encode_s,
            decode_s: self.decode_s,
        })
    }
}

/// A picture that was encoded and decoded by an AEZ model at each quality.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SweepResult {
    /// Similarity of the picture that the network returns without quantization. `None`: the model has no such thing.
    pub unquantized: Option<Distortion>,
    /// Edge of the model's blocks in pixels. `None`: it has no blocks.
    pub block_edge: Option<u32>,
    /// One for each quality, in the same order.
    pub round_trips: Vec<RoundTrip>,
}

impl<'m> Sweep<'m> {
    /// A sweep over some qualities at the default effort.
    #[must_use]
    pub fn new(model: &'m Model, qualities: Vec<Quality>) -> Self {
        Self { model, qualities, effort: None, tune: Tune::Psnr }
    }

    /// Encodes and decodes a picture at each quality. The picture is analysed only once, but the time of that counts for each
    /// quality.
    ///
    /// # Errors
    /// As for [`Encoder::encode`] and [`Decoder::decode`].
    pub fn run(&self, picture: &Picture) -> Result<SweepResult> {
        let encoder = Encoder::new(self.model).tune(self.tune);
        let encoder = self.effort.map_or(encoder, |effort| encoder.effort(effort));
        let decoder = Decoder::new(self.model);
        let coded = colours(picture)?;
        let (analysed, analysis_s) = timed(|| encoder.analyse(&coded))?;
        let round_trip = |&quality: &Quality| {
            let (bytes, coding_s) = timed(|| analysed.encode_at(quality))?;
            let (picture, decode_s) = timed(|| decoder.decode(&bytes))?;
            let (quality, bytes) = (quality.get().into(), bytes.len() as u64);
            Ok(RoundTrip { quality, bytes, picture, encode_s: analysis_s + coding_s, decode_s })
        };
        let round_trips = self.qualities.iter().map(round_trip).collect::<Result<_>>()?;
        let unquantized = analysed.unquantized()?;
        let unquantized = unquantized.map(|decoded| Distortion::between(picture, &decoded)).transpose()?;
        Ok(SweepResult { unquantized, block_edge: self.model.block_edge(), round_trips })
    }

    /// Encodes, decodes and compares a picture at each quality. `path` is its name in the results.
    ///
    /// # Errors
    /// As for [`Sweep::run`].
    pub fn measure(&self, path: &str, picture: &Picture) -> Result<PictureResults> {
        self.run(picture)?.measure(path, picture)
    }
}

impl SweepResult {
    /// Compares the decoded pictures with their original. `path` is its name in the results.
    ///
    /// # Errors
    /// As for [`Distortion::between`].
    pub fn measure(&self, path: &str, original: &Picture) -> Result<PictureResults> {
        let row = |round_trip: &RoundTrip| {
            let row = round_trip.row(path, CODEC, original)?;
            let block_boundary = match self.block_edge {
                Some(edge) => BlockBoundary::between(original, &round_trip.picture, edge)?,
                None => None,
            };
            Ok(Row { block_boundary, ..row })
        };
        let rows = self.round_trips.iter().map(row).collect::<Result<_>>()?;
        Ok(PictureResults { unquantized: self.unquantized, rows })
    }
}

/// The picture that all codecs encode: without alpha, and with other colours where nothing is visible.
pub(crate) fn colours(picture: &Picture) -> Result<Cow<'_, Picture>> {
    if picture.alpha.is_none() {
        return Ok(Cow::Borrowed(picture));
    }
    let rgb = picture.visible_rgb()?.into_owned();
    let opaque = Picture::from_rgb(picture.width, picture.height, rgb).with_gray(picture.gray);
    Ok(Cow::Owned(opaque))
}

/// The result of some work, and the seconds that it took.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::testing;

    #[test]
    fn each_quality_is_measured_as_a_whole_file() {
        let model = testing::tiny();
        let edge = model.block_edge().unwrap();
        let (width, height) = (2 * edge + 4, edge + 8);
        let rgb = (0..width * height).flat_map(|i| [(i % width) as u8 * 5, (i / width) as u8 * 7, 99]);
        let picture = Picture::from_rgb(width, height, rgb.collect());
        let qualities = [20, 80].map(|quality| Quality::new(quality).unwrap());
        let measured = Sweep::new(&model, qualities.to_vec()).measure("x", &picture).unwrap();
        assert!(measured.unquantized.is_some());
        for (row, quality) in measured.rows.iter().zip(qualities) {
            let file = Encoder::new(&model).quality(quality).encode(&picture).unwrap();
            let decoded = Decoder::new(&model).decode(&file).unwrap();
            assert_eq!((row.quality, row.bytes), (quality.get().into(), file.len() as u64));
            assert_eq!(row.distortion, Distortion::between(&picture, &decoded).unwrap());
            assert_eq!(row.block_boundary, BlockBoundary::between(&picture, &decoded, edge).unwrap());
            assert!(row.block_boundary.is_some() && row.encode_s > 0.0 && row.decode_s > 0.0);
        }
        assert_eq!(measured.rows.len(), 2);
    }
}
