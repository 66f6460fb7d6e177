//! Pictures of the codec as RGBA pixels.

use aez_core::Picture;

/// The RGBA pixels of a picture.
pub fn to_rgba(picture: &Picture) -> Vec<u8> {
    let (pixels, _) = picture.rgb.as_chunks::<3>();
    let mut rgba: Vec<u8> = pixels.iter().flat_map(|&[r, g, b]| [r, g, b, u8::MAX]).collect();
    if let Some(alpha) = &picture.alpha {
        rgba.chunks_exact_mut(4).zip(alpha).for_each(|(pixel, &alpha)| pixel[3] = alpha);
    }
    rgba
}
