//! The model of previews: a cosine transform, a prior that adapts to the coefficients, and a small network. All of the decoder is integer
//! arithmetic, so that every machine shows the same pixels.
//!
//! ```text
//! symbols ─ dequantization ─> coefficients ─ inverse cosine transform ─> 48x48 pixels ─ + network ─> 48x48 pixels
//! ```
//!
//! Colours are in an orthonormal space of three channels, of which the first is gray.

mod choose;
mod codec;
mod dct;
mod file;
mod gradient;
mod layer;
mod network;
mod planes;
mod prior;
mod quantize;
mod stream;
mod target;
#[cfg(test)]
mod tests;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use self::{
    dct::{AREA, Coefficients, Step},
    network::Network,
    prior::{Coded, Prior, SCALES},
};
use crate::{container::ModelId, error::Result, limits::Limits, picture::Picture};

/// Width and height of the picture that is coded, in pixels.
pub const EDGE: usize = 48;
/// Number of coefficients that are coded.
const COUNT: usize = 576;
/// Fractional bits of the reductions of magnitudes.
const SHRINK_BITS: u32 = 6;

/// A model of previews.
pub struct PreviewModel {
    id: ModelId,
    /// For each coefficient its place: channel, vertical and horizontal frequency, as the index of an array of `[3][48][48]`.
    order: Vec<u16>,
    prior: Prior,
    /// By the scale of a coefficient, what the magnitudes 1, 2, and 3 or more are reduced by, in 1/64.
    shrink: [[i8; 3]; SCALES],
    network: Network,
}

impl PreviewModel {
    /// The id.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// Encodes a picture as [`preview::encode`](super::encode) does.
    ///
    /// # Errors
    /// As for [`preview::encode`](super::encode).
    pub fn encode(&self, picture: &Picture, bytes: usize) -> Result<String> {
        let head = super::head(picture, bytes)?;
        let edge = 2 * EDGE as u32;
        let coded = choose::encode(self, &head, &super::scaled(picture, edge)?, bytes)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(coded))
    }

    /// Decodes a preview as [`preview::decode`](super::decode) does.
    ///
    /// # Errors
    /// As for [`preview::decode`](super::decode).
    pub fn decode(&self, text: &str, size: Option<(u32, u32)>, limits: &Limits) -> Result<Picture> {
        let (head, step, coded) = stream::read(&super::parse(text)?, self)?;
        super::show(&head, size, 2 * EDGE as u32, limits, || Ok(self.small_picture(step, &coded, head.gray)))
    }

    /// The picture of 48x48 pixels.
    fn small_picture(&self, step: Step, coded: &Coded, gray: bool) -> Picture {
        let pixels = dct::invert(&self.dequantize(step, coded));
        let rgb = dct::levels(&self.network.run(&pixels, step), gray);
        Picture::from_rgb(EDGE as u32, EDGE as u32, rgb).with_gray(gray)
    }

    /// The coefficients that symbols represent, in 1/256.
    fn dequantize(&self, step: Step, coded: &Coded) -> Coefficients {
        let mut coefficients = vec![0; 3 * AREA];
        for (at, (&symbol, &scale)) in coded.symbols.iter().zip(&coded.scales).enumerate() {
            coefficients[usize::from(self.order[at])] = self.point(step, symbol, scale);
        }
        coefficients
    }

    /// The value that a symbol represents, in 1/256.
    fn point(&self, step: Step, symbol: i32, scale: u8) -> i32 {
        let magnitude = symbol.abs();
        if magnitude == 0 {
            return 0;
        }
        let shrink = self.shrink[usize::from(scale)][magnitude.min(3) as usize - 1];
        let size = ((magnitude << SHRINK_BITS) - i32::from(shrink)) * step.size();
        symbol.signum() * ((size + (1 << (SHRINK_BITS - 1))) >> SHRINK_BITS)
    }

    /// The channel of each coefficient.
    fn channel(&self, at: usize) -> usize {
        usize::from(self.order[at]) / AREA
    }
}
