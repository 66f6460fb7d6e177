//! Previews.

use std::sync::OnceLock;

use aez_core::{
    Limits, Picture, Result,
    preview::{MODEL_FILE, PreviewModel},
};

use crate::state::{Output, argument, with_input};

/// Bytes per pixel that encoding a preview holds: the input, its planes and the values of scaling.
const BYTES_PER_PIXEL: u64 = 24;

static MODEL: OnceLock<PreviewModel> = OnceLock::new();

/// The built-in model, which is read once.
fn model() -> Result<&'static PreviewModel> {
    if let Some(model) = MODEL.get() {
        return Ok(model);
    }
    let model = PreviewModel::from_bytes(MODEL_FILE)?;
    Ok(MODEL.get_or_init(|| model))
}

/// Encodes RGBA pixels as the text of a preview of at most `bytes` bytes.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn encode_preview(width: u32, height: u32, bytes: u32) -> u32 {
    with_input(|state, input| {
        let picture = from_rgba(&input, width, height, &state.limits)?;
        drop(input);
        let text = model()?.encode(&picture, bytes as usize)?;
        Ok(Output::of_bytes(text.into_bytes()))
    })
}

/// Decodes the text of a preview to RGBA pixels. A width and a height of 0 select the default size.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn decode_preview(width: u32, height: u32) -> u32 {
    with_input(|state, input| {
        let text = str::from_utf8(&input).map_err(|_| argument("the text of the preview is not UTF-8"))?;
        let size = (width, height) != (0, 0);
        let picture = model()?.decode(text, size.then_some((width, height)), &state.limits)?;
        Ok(Output::of_picture(&picture))
    })
}

/// The picture of RGBA pixels.
fn from_rgba(pixels: &[u8], width: u32, height: u32, limits: &Limits) -> Result<Picture> {
    let count = u64::from(width) * u64::from(height);
    if pixels.len() as u64 != count.saturating_mul(4) {
        let found = pixels.len();
        return Err(argument(&format!("{found} bytes are no RGBA picture of {width}x{height} pixels")));
    }
    limits.check_size(width, height)?;
    limits.check_memory(count.saturating_mul(BYTES_PER_PIXEL))?;
    let (pixels, _) = pixels.as_chunks::<4>();
    let rgb: Vec<u8> = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    let alpha = pixels.iter().map(|pixel| pixel[3]).collect();
    Ok(Picture::from_rgb(width, height, rgb).with_alpha(Some(alpha)))
}
