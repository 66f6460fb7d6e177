//! One picture through the codec at several qualities.

use std::time::Instant;

use super::{CODEC, Distortion, Row, Seams};
use crate::{
    codec::{Decoder, Encoder, Refiner},
    error::Result,
    model::Model,
    picture::Picture,
    symbols::Quality,
};

/// What is to be measured.
pub struct Sweep<'m> {
    pub model: &'m Model,
    pub qualities: Vec<Quality>,
    /// What improves the latents of each picture at each quality.
    pub refiner: Option<&'m Refiner<'m>>,
}

/// What was measured on one picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// What the network alone does to the picture, where this codec was measured.
    pub unquantized: Option<Distortion>,
    /// A codec after the other, each in the order of its qualities.
    pub rows: Vec<Row>,
}

/// A picture that went through a codec.
#[derive(Debug, Clone, PartialEq)]
pub struct Coded {
    /// On the codec's own scale.
    pub quality: u32,
    /// Of the whole file.
    pub bytes: u64,
    /// As decoded.
    pub picture: Picture,
    pub encode_s: f64,
    pub decode_s: f64,
}

impl Coded {
    /// How it compares with the original; `path` and `codec` are names for the results.
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
            seams: None,
            encode_s: self.encode_s,
            decode_s: self.decode_s,
        })
    }
}

/// A picture that went through this codec at each quality.
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    /// What the network alone does to it.
    pub unquantized: Distortion,
    /// Edge of its tiles, in pixels.
    pub tile: u32,
    /// In the order of the qualities.
    pub coded: Vec<Coded>,
}

impl Sweep<'_> {
    /// Encodes and decodes a picture at each quality. The picture is analysed once; the time of that counts for
    /// each quality.
    ///
    /// # Errors
    /// As for [`Encoder::encode`] and [`Decoder::decode`].
    pub fn code(&self, picture: &Picture) -> Result<Swept> {
        let encoder = Encoder { refiner: self.refiner, ..Encoder::new(self.model) };
        let decoder = Decoder::new(self.model);
        let (latents, analysis_s) = timed(|| encoder.analyse(picture))?;
        let &Picture { width, height, gray, .. } = picture;
        let network = Picture::from_rgb(width, height, decoder.synthesize(&latents, width, height, gray)?);
        let code = |&quality: &Quality| {
            let encoder = Encoder { quality, ..encoder };
            let (bytes, coding_s) =
                timed(|| encoder.encode_latents(picture, &encoder.refine(picture, latents.clone())?))?;
            let (picture, decode_s) = timed(|| decoder.decode(&bytes))?;
            let (quality, bytes) = (quality.get().into(), bytes.len() as u64);
            Ok(Coded { quality, bytes, picture, encode_s: analysis_s + coding_s, decode_s })
        };
        let coded = self.qualities.iter().map(code).collect::<Result<_>>()?;
        let tile = self.model.tile() as u32;
        Ok(Swept { unquantized: Distortion::between(picture, &network)?, tile, coded })
    }

    /// The rows of a picture; `path` names it in the results.
    ///
    /// # Errors
    /// As for [`Sweep::code`].
    pub fn measure(&self, path: &str, picture: &Picture) -> Result<Measured> {
        self.code(picture)?.measured(path, picture)
    }
}

impl Swept {
    /// The rows of the picture that was coded; `path` names it in the results.
    ///
    /// # Errors
    /// As for [`Distortion::between`].
    pub fn measured(&self, path: &str, original: &Picture) -> Result<Measured> {
        let row = |coded: &Coded| {
            let seams = Seams::between(original, &coded.picture, self.tile)?;
            Ok(Row { seams, ..coded.row(path, CODEC, original)? })
        };
        let rows = self.coded.iter().map(row).collect::<Result<_>>()?;
        Ok(Measured { unquantized: Some(self.unquantized), rows })
    }
}

/// The result of some work, and the seconds that it took.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed().as_secs_f64()))
}
