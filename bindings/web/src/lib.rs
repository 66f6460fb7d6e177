//! The WebAssembly part of the npm package `aez-image`.
//!
//! JavaScript writes bytes to the memory that [`input`] returns, and calls a function. The function returns 0, or a number that says what
//! kind of error occurred ([`state::kind_of`]). Then [`output`] has the result, or the message of the error.

mod picture;
mod state;

use aez_core::{Decoder, Limits, Model, info::FileInfo, preview};

use crate::state::{Output, State, argument, with_input};

/// The slot of the built-in model for previews.
const PREVIEW_SLOT: u32 = 0;

/// Makes room for the input of the next function, and returns its address, or 0 where there is not enough memory.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn input(length: u32) -> *mut u8 {
    State::with(|state| state.reserve_input(length as usize))
}

/// The address of the output.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    State::with(|state| state.output.bytes.as_ptr())
}

/// The number of bytes of the output.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn output_length() -> u32 {
    State::with(|state| state.output.bytes.len() as u32)
}

/// The width of the picture in the output, in pixels; of [`load_model`] the slot.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn output_width() -> u32 {
    State::with(|state| state.output.width)
}

/// Frees the memory of input and output.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn clear() {
    State::with(State::clear);
}

/// Sets the limits of the functions below: maximum edge, number of pixels, and memory in bytes.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn set_limits(edge: u32, pixels: f64, memory: f64) {
    // Conversions saturate: negative numbers and NaN become 0.
    let limits =
        Limits::NONE.with_max_edge(edge).with_max_pixels(pixels as u64).with_max_memory(memory as u64);
    State::with(|state| state.limits = limits);
}

/// Encodes RGBA pixels as the text of a preview of at most `bytes` bytes.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn encode_preview(width: u32, height: u32, bytes: u32) -> u32 {
    with_input(|state, input| {
        let picture = picture::from_rgba(&input, width, height, &state.limits)?;
        drop(input);
        let text = preview::encode(state.model(PREVIEW_SLOT)?, &picture, bytes as usize)?;
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
        let model = state.model(PREVIEW_SLOT)?;
        let picture = preview::decode(model, text, size.then_some((width, height)), &state.limits)?;
        Ok(Output::of_picture(&picture))
    })
}

/// Reads a model file, and selects a slot for it.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn load_model() -> u32 {
    with_input(|state, input| {
        let slot = state.add_model(Model::from_bytes(input)?);
        Ok(Output { width: slot, ..Output::of_bytes(state.describe(slot)?) })
    })
}

/// Drops the model of a slot.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn drop_model(slot: u32) {
    State::with(|state| state.drop_model(slot));
}

/// Decodes a file to RGBA pixels.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn decode(slot: u32) -> u32 {
    with_input(|state, input| {
        let picture = Decoder::new(state.model(slot)?).limits(state.limits).decode(&input)?;
        Ok(Output::of_picture(&picture))
    })
}

/// Describes a file as JSON.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn info() -> u32 {
    with_input(|_, input| {
        let info = FileInfo::read(&input)?;
        let json = serde_json::to_vec(&info).map_err(|error| argument(&error.to_string()))?;
        Ok(Output::of_bytes(json))
    })
}
