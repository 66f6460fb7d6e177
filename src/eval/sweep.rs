//! One picture through the codec at several qualities.

use std::time::Instant;

use super::{CODEC, Distortion, Row};
use crate::{
    codec::{Decoder, Encoder, Latents, Refiner},
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
            encode_s: self.encode_s,
            decode_s: self.decode_s,
        })
    }
}

impl Sweep<'_> {
    /// Encodes and decodes a picture at each quality. The picture is analysed once; the time of that counts for
    /// each quality. `path` names the picture in the results.
    ///
    /// # Errors
    /// As for [`Encoder::encode`] and [`Decoder::decode`].
    pub fn measure(&self, path: &str, picture: &Picture) -> Result<Measured> {
        let analysed = self.analyse(picture)?;
        let row = |&quality: &Quality| analysed.code(quality)?.row(path, CODEC, picture);
        let rows = self.qualities.iter().map(row).collect::<Result<_>>()?;
        Ok(Measured { unquantized: Some(analysed.unquantized()?), rows })
    }

    pub(super) fn analyse<'a>(&'a self, picture: &'a Picture) -> Result<Analysed<'a>> {
        let encoder = Encoder { refiner: self.refiner, ..Encoder::new(self.model) };
        let (latents, seconds) = timed(|| encoder.analyse(picture))?;
        Ok(Analysed { encoder, decoder: Decoder::new(self.model), picture, latents, seconds })
    }
}

/// A picture that can be coded at any quality without another pass through the encoder's network.
pub(super) struct Analysed<'a> {
    encoder: Encoder<'a>,
    decoder: Decoder<'a>,
    picture: &'a Picture,
    latents: Latents,
    seconds: f64,
}

impl Analysed<'_> {
    pub fn code(&self, quality: Quality) -> Result<Coded> {
        let encoder = Encoder { quality, ..self.encoder };
        let (bytes, coding_s) = timed(|| {
            encoder.encode_latents(self.picture, &encoder.refine(self.picture, self.latents.clone())?)
        })?;
        let (picture, decode_s) = timed(|| self.decoder.decode(&bytes))?;
        let (quality, bytes) = (quality.get().into(), bytes.len() as u64);
        Ok(Coded { quality, bytes, picture, encode_s: self.seconds + coding_s, decode_s })
    }

    fn unquantized(&self) -> Result<Distortion> {
        let &Picture { width, height, gray, .. } = self.picture;
        let rgb = self.decoder.synthesize(&self.latents, width, height, gray)?;
        Distortion::between(self.picture, &Picture::from_rgb(width, height, rgb))
    }
}

/// The result of some work, and the seconds that it took.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed().as_secs_f64()))
}
