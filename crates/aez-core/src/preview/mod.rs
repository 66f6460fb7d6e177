//! Previews: a picture of any size and shape as a short text, to be shown until the picture itself has been loaded.
//!
//! ```text
//! encode:  picture ─ scale ─> one tile ─ analysis ─> latents ─ choose ─> symbols ─ range coder ─> base64url text
//! decode:  text ─> range coder ─> symbols ─ dequantization ─> latents ─ synthesis ─> one tile ─ scale ─> picture
//! ```
//!
//! The whole picture is scaled to one tile of a model of the tiled family. Its aspect ratio is stored as well, and a coarse grid of
//! opacities where it is not opaque. Everything is one string of the range coder. A [`PreviewModel`] takes the place of tile and
//! latents by a cosine transform, and is much smaller: [`model()`] is part of this crate. A text says which of the two families it needs
//! ([`family`]), and its check whether it belongs to a model.

mod alpha;
mod choose;
mod cosine;
mod opacity;
mod shape;
mod stream;

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

pub use self::cosine::PreviewModel;
use self::{alpha::AlphaGrid, shape::Aspect, stream::Head};
use crate::{
    codec::check_picture,
    container::Family,
    error::{Error, Result},
    limits::Limits,
    model::Model,
    picture::{
        Picture,
        resample::{self, Filter},
    },
    symbols::{Quality, Symbols},
    tiled::{TiledModel, quantize},
};

/// The file of the model of the preview family that is part of this crate: small, and decoded to the same pixels on every machine.
pub static MODEL_FILE: &[u8] = include_bytes!("../../models/preview.safetensors");

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::from_static(MODEL_FILE).expect("a valid model"));

/// The model of [`MODEL_FILE`]. It is loaded when it is first used.
#[must_use]
pub fn model() -> &'static Model {
    &MODEL
}

/// Minimum number of bytes of a preview: 22 characters.
pub const MIN_BYTES: usize = 16;
/// Maximum number of bytes of a preview: 267 characters.
pub const MAX_BYTES: usize = 200;
/// A number of bytes that is enough for most pictures: 40 characters.
pub const DEFAULT_BYTES: usize = 30;

/// The alpha grid takes at most this part of the bytes: one in so many.
const ALPHA_SHARE: usize = 4;
/// Bytes per pixel that decoding holds: four channels as floats and as integers.
const BYTES_PER_PIXEL: u64 = 20;

/// Encodes a picture as base64url text without padding of at most `bytes` bytes, from [`MIN_BYTES`] to [`MAX_BYTES`]. Only
/// [`decode`] with the same model can read it, which must be of the preview or the tiled family.
///
/// ```
/// use aez_core::{Limits, Picture, preview};
/// # fn main() -> aez_core::Result<()> {
/// # let model = aez_core::testing::tiny();
/// let picture = Picture::from_rgb(40, 30, vec![90; 40 * 30 * 3]);
/// let text = preview::encode(&model, &picture, 21)?;
/// assert!(text.len() <= 28);
/// let placeholder = preview::decode(&model, &text, Some((320, 240)), &Limits::default())?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Misuse`] for another number of bytes, an empty picture, or a model of another family; [`Error::Backend`].
pub fn encode(model: &Model, picture: &Picture, bytes: usize) -> Result<String> {
    match kind(model)? {
        Kind::Preview(model) => model.encode(picture, bytes),
        Kind::Tiled(model) => {
            let head = head(picture, bytes)?;
            let latents = model.latents_of(&scaled(picture, model.tile() as u32)?)?;
            Ok(BASE64_URL_SAFE_NO_PAD.encode(choose::encode(model, &head, &latents, bytes)?))
        }
    }
}

/// Whether all pixels are gray, so that the text does not depend on how a file stored them.
fn is_gray(picture: &Picture) -> bool {
    picture.rgb.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b)
}

/// What precedes the symbols of a preview.
fn head(picture: &Picture, bytes: usize) -> Result<Head> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&bytes) {
        return Err(Error::Misuse(format!(
            "a preview of {bytes} bytes is not between {MIN_BYTES} and {MAX_BYTES}"
        )));
    }
    check_picture(picture)?;
    Ok(Head {
        aspect: Aspect::of(picture.width, picture.height)?,
        gray: picture.gray || is_gray(picture),
        alpha: AlphaGrid::of(picture, bytes / ALPHA_SHARE),
    })
}

/// Decodes a preview to a picture of `size`, width and height in pixels. Without a size, the longer side is that of the model's tile,
/// 96 pixels for the usual models and those of the preview family. The picture has an alpha plane where the original was not opaque.
///
/// # Errors
/// [`Error::Preview`] for text that [`encode`] does not produce with this model, except for one in 256 random texts;
/// [`Error::Limit`] or [`Error::Misuse`] for an impossible size, [`Error::Misuse`] for a model of another family;
/// [`Error::Backend`].
pub fn decode(model: &Model, text: &str, size: Option<(u32, u32)>, limits: &Limits) -> Result<Picture> {
    match kind(model)? {
        Kind::Preview(model) => model.decode(text, size, limits),
        Kind::Tiled(model) => decode_tiled(model, &parse(text)?, size, limits),
    }
}

fn decode_tiled(
    model: &TiledModel,
    coded: &[u8],
    size: Option<(u32, u32)>,
    limits: &Limits,
) -> Result<Picture> {
    let (head, quality, symbols) = stream::read_tiled(coded, model)?;
    let edge = model.tile() as u32;
    show(&head, size, edge, limits, || {
        let latents = quantize::reconstruct(&symbols, &model.prior().at(quality))?;
        let rgb = model.synthesize_picture(&latents, edge, edge, head.gray)?;
        Ok(Picture::from_rgb(edge, edge, rgb).with_gray(head.gray))
    })
}

/// Scales a decoded square to `size`, or to the picture's aspect ratio with `longest` pixels on the longer side, and adds the opacities.
/// The square is decoded only if the limits allow the size.
fn show(
    head: &Head,
    size: Option<(u32, u32)>,
    longest: u32,
    limits: &Limits,
    square: impl FnOnce() -> Result<Picture>,
) -> Result<Picture> {
    let (width, height) = size.unwrap_or_else(|| head.aspect.fit(longest));
    check_size(width, height, limits)?;
    let alpha = head.alpha.as_ref().map(|grid| grid.plane(width, height));
    Ok(resample::scale(&square()?, Filter::Lanczos3, width, height).with_alpha(alpha))
}

/// The family of the model that a text was made with, as far as it is a preview: that it was not damaged, only [`decode`] finds out.
///
/// ```
/// use aez_core::{Picture, container::Family, preview};
/// # fn main() -> aez_core::Result<()> {
/// # let model = aez_core::testing::tiny();
/// let text = preview::encode(&model, &Picture::from_rgb(3, 2, vec![90; 18]), 21)?;
/// assert_eq!(preview::family(&text)?, Family::TILED);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Preview`] for text that is too long, empty or not base64url.
pub fn family(text: &str) -> Result<Family> {
    parse(text).map(|bytes| stream::family_of(&bytes))
}

/// The quality and the symbols of a preview of the tiled family, decoded without the network.
///
/// # Errors
/// [`Error::Preview`] and [`Error::Misuse`] as for [`decode`]; [`Error::Misuse`] for a model of the preview family.
pub fn symbols(model: &Model, text: &str) -> Result<(Quality, Symbols)> {
    let Kind::Tiled(model) = kind(model)? else {
        return Err(Error::Misuse(format!("model {} has no quality", model.id())));
    };
    let (_, quality, symbols) = stream::read_tiled(&parse(text)?, model)?;
    Ok((quality, symbols))
}

/// A model that has previews.
enum Kind<'a> {
    Tiled(&'a TiledModel),
    Preview(&'a PreviewModel),
}

fn kind(model: &Model) -> Result<Kind<'_>> {
    match (model.preview(), model.tiled()) {
        (Some(model), _) => Ok(Kind::Preview(model)),
        (_, Some(model)) => Ok(Kind::Tiled(model)),
        _ => Err(Error::Misuse(format!(
            "previews need a model of the preview or the tiled family, and {} is of neither",
            model.id()
        ))),
    }
}

/// The bytes of a text.
fn parse(text: &str) -> Result<Vec<u8>> {
    let longest = (MAX_BYTES * 4).div_ceil(3);
    if text.is_empty() || text.len() > longest {
        return Err(Error::Preview(format!("it has {} characters instead of 1 to {longest}", text.len())));
    }
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|e| {
        Error::Preview(format!("it is not base64url (letters, digits, '-' and '_', no padding): {e}"))
    })
}

fn check_size(width: u32, height: u32, limits: &Limits) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Misuse(format!("a picture of {width}x{height} pixels is empty")));
    }
    limits.check_size(width, height)?;
    limits.check_memory((u64::from(width) * u64::from(height)).saturating_mul(BYTES_PER_PIXEL))
}

/// The picture scaled to a square, with other colours where nothing is visible.
fn scaled(picture: &Picture, edge: u32) -> Result<Picture> {
    let scale = |picture: &Picture| resample::scale(picture, Filter::Lanczos3, edge, edge);
    match &picture.alpha {
        Some(_) => {
            let filled = picture.visible_rgb()?.into_owned();
            Ok(scale(&Picture::from_rgb(picture.width, picture.height, filled)))
        }
        None => Ok(scale(picture)),
    }
}

#[cfg(test)]
mod tests;
