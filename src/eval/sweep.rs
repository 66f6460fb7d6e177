//! One picture through the codec at several qualities.

use std::time::Instant;

use super::{CODEC, Distortion, Row};
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
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What the network alone does to the picture.
    pub unquantized: Distortion,
    /// In the order of the qualities.
    pub rows: Vec<Row>,
}

impl Sweep<'_> {
    /// Encodes and decodes a picture at each quality. The picture is analysed once; the time of that counts for
    /// each quality. `path` names the picture in the results.
    ///
    /// # Errors
    /// As for [`Encoder::encode`] and [`Decoder::decode`].
    pub fn measure(&self, path: &str, picture: &Picture) -> Result<Measured> {
        let encoder = Encoder { refiner: self.refiner, ..Encoder::new(self.model) };
        let decoder = Decoder::new(self.model);
        let (latents, analysis_s) = timed(|| encoder.analyse(picture))?;
        let network = decoder.synthesize(&latents, picture.width, picture.height, picture.gray)?;
        let unquantized =
            Distortion::between(picture, &Picture::from_rgb(picture.width, picture.height, network))?;
        let measure = |&quality: &Quality| {
            let encoder = Encoder { quality, ..encoder };
            let (bytes, coding_s) =
                timed(|| encoder.encode_latents(picture, &encoder.refine(picture, latents.clone())?))?;
            let (decoded, decode_s) = timed(|| decoder.decode(&bytes))?;
            Ok(Row {
                path: path.to_owned(),
                codec: CODEC.to_owned(),
                quality: quality.get().into(),
                bytes: bytes.len() as u64,
                bpp: bytes.len() as f64 * 8.0 / (f64::from(picture.width) * f64::from(picture.height)),
                distortion: Distortion::between(picture, &decoded)?,
                encode_s: analysis_s + coding_s,
                decode_s,
            })
        };
        Ok(Measured { unquantized, rows: self.qualities.iter().map(measure).collect::<Result<_>>()? })
    }
}

/// The result of some work, and the seconds that it took.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed().as_secs_f64()))
}
