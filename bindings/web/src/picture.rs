//! RGBA pixels and the pictures of the codec.

use aez_core::Picture;
#[cfg(feature = "previews")]
use aez_core::{Limits, Result};

#[cfg(feature = "previews")]
use crate::state::argument;

#[cfg(feature = "previews")]
/// Bytes per pixel that encoding a preview holds: the input, its planes and the values of scaling.
const BYTES_PER_PIXEL: u64 = 24;

#[cfg(feature = "previews")]
/// A picture of RGBA pixels. It is gray where red, green and blue are equal everywhere.
pub fn from_rgba(pixels: &[u8], width: u32, height: u32, limits: &Limits) -> Result<Picture> {
    let count = u64::from(width) * u64::from(height);
    if pixels.len() as u64 != count.saturating_mul(4) {
        let found = pixels.len();
        return Err(argument(&format!("{found} bytes are no RGBA picture of {width}x{height} pixels")));
    }
    limits.check_size(width, height)?;
    limits.check_memory(count.saturating_mul(BYTES_PER_PIXEL))?;
    let (pixels, _) = pixels.as_chunks::<4>();
    let rgb: Vec<u8> = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    let gray = pixels.iter().all(|&[r, g, b, _]| r == g && g == b);
    let alpha = pixels.iter().map(|pixel| pixel[3]).collect();
    Ok(Picture::from_rgb(width, height, rgb).with_gray(gray).with_alpha(Some(alpha)))
}

/// The RGBA pixels of a picture.
pub fn to_rgba(picture: &Picture) -> Vec<u8> {
    let (pixels, _) = picture.rgb.as_chunks::<3>();
    let mut rgba: Vec<u8> = pixels.iter().flat_map(|&[r, g, b]| [r, g, b, u8::MAX]).collect();
    if let Some(alpha) = &picture.alpha {
        rgba.chunks_exact_mut(4).zip(alpha).for_each(|(pixel, &alpha)| pixel[3] = alpha);
    }
    rgba
}
