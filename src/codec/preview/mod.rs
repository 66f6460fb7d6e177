//! Previews: pictures of any size and shape as a short text, to be shown until the picture itself has come.
//!
//! ```text
//! Picture ─ scale ─> one tile ─ analysis ──> latents ─ choose ──────> range coder ─ base64url ─> text
//! Picture <─ scale ─ one tile <─ synthesis ─ latents <─ reconstruct ─ range coder <─ base64url ─ text
//! ```
//!
//! The whole picture is squeezed into a single tile of the model; its aspect ratio is kept beside it, and a coarse
//! grid of opacities. All of it is one number of the range coder, so that nothing is spent on fields that are not used.

mod alpha;
mod choose;
mod shape;
mod stream;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use self::{alpha::AlphaGrid, shape::Aspect, stream::Head};
use super::{Decoder, Encoder, quantize};
use crate::{
    error::{Error, Result},
    limits::Limits,
    model::Model,
    picture::{Filter, Picture, resample},
    symbols::{Quality, Symbols},
};

/// Fewest bytes that can be asked for: 22 characters.
pub const MIN_BYTES: usize = 16;
/// Most bytes of a preview: 267 characters.
pub const MAX_BYTES: usize = 200;
/// Bytes that do for most pictures: 40 characters.
pub const DEFAULT_BYTES: usize = 30;

/// Part of the bytes that opacities may take: one in so many.
const ALPHA_SHARE: usize = 4;
/// Bytes that decoding holds for a pixel: three colours as floats and as integers, and the opacity likewise.
const BYTES_A_PIXEL: u64 = 20;

/// Makes the preview of a picture: base64url text without padding that stands for at most `bytes` bytes, which
/// are [`MIN_BYTES`] to [`MAX_BYTES`]; less only where the model has nothing more to say. Only the decoder with the
/// same model can read it.
///
/// ```no_run
/// # fn main() -> aez::Result<()> {
/// use aez::{codec::preview, model::Model};
/// let picture = aez::picture::read("photo.jpg".as_ref(), &aez::Limits::default())?;
/// let text = preview::encode(Model::builtin()?, &picture, 21)?;
/// assert!(text.len() <= 28);
/// let placeholder = preview::decode(Model::builtin()?, &text, Some((320, 200)))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Misuse`] for an impossible number of bytes, or an empty picture; [`Error::Network`].
pub fn encode(model: &Model, picture: &Picture, bytes: usize) -> Result<String> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
        return Err(Error::Misuse(format!(
            "a preview of {bytes} bytes is not between {MIN_BYTES} and {MAX_BYTES}"
        )));
    }
    let head = Head {
        aspect: Aspect::of(picture.width, picture.height)?,
        gray: picture.gray,
        alpha: AlphaGrid::of(picture, bytes / ALPHA_SHARE),
    };
    let latents = Encoder::new(model).analyse(&tile(model, picture))?;
    let coded = choose::code(model, &head, &latents, bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(coded))
}

/// Shows a preview as a picture of `size` columns and rows; where no size is given, the longer side is that of the
/// model's tile, 96 pixels with the usual ones. The picture has an alpha plane where the original had one that was
/// not opaque.
///
/// # Errors
/// [`Error::Preview`] for any text that [`encode`] does not make with this model, but for 1 in 256;
/// [`Error::Misuse`] or [`Error::Limit`] for an impossible size; [`Error::Network`].
pub fn decode(model: &Model, text: &str, size: Option<(u32, u32)>) -> Result<Picture> {
    let coded = parse(text)?;
    let (head, quality, symbols) = stream::read(&coded, model)?;
    let (width, height) = size.unwrap_or_else(|| head.aspect.fit(model.tile() as u32));
    check_size(width, height)?;
    let latents = quantize::reconstruct(&symbols, &model.prior().at(quality))?;
    let edge = model.tile() as u32;
    let tile = Picture {
        gray: head.gray,
        ..Picture::from_rgb(edge, edge, Decoder::new(model).synthesize(&latents, edge, edge, head.gray)?)
    };
    let alpha = head.alpha.map(|grid| grid.spread(width, height));
    Ok(Picture { alpha, ..resample::scale(&tile, Filter::Lanczos3, width, height) })
}

/// The quality and the symbols of a preview, without the network: what every reader must agree upon.
///
/// # Errors
/// [`Error::Preview`] as for [`decode`].
pub fn symbols(model: &Model, text: &str) -> Result<(Quality, Symbols)> {
    let (_, quality, symbols) = stream::read(&parse(text)?, model)?;
    Ok((quality, symbols))
}

/// The bytes that a text stands for.
fn parse(text: &str) -> Result<Vec<u8>> {
    let longest = (MAX_BYTES * 4).div_ceil(3);
    if text.is_empty() || text.len() > longest {
        return Err(Error::Preview(format!("it has {} characters instead of 1 to {longest}", text.len())));
    }
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|e| {
        Error::Preview(format!("it is not base64url (letters, digits, '-' and '_', no padding): {e}"))
    })
}

fn check_size(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Misuse(format!("a picture of {width}x{height} pixels cannot be made")));
    }
    let limits = Limits::default();
    limits.check_size(width, height)?;
    limits.check_memory(u64::from(width) * u64::from(height) * BYTES_A_PIXEL)
}

/// The picture squeezed into one tile.
fn tile(model: &Model, picture: &Picture) -> Picture {
    let edge = model.tile() as u32;
    let squeeze = |picture: &Picture| resample::scale(picture, Filter::Lanczos3, edge, edge);
    match &picture.alpha {
        Some(alpha) => {
            let filled = alpha::fill(&picture.rgb, alpha);
            squeeze(&Picture::from_rgb(picture.width, picture.height, filled))
        }
        None => squeeze(picture),
    }
}

#[cfg(test)]
mod tests;
