//! The WebAssembly parts of the npm package `aez-image`: one module with the feature `previews`, and one with the feature `files`, which
//! is loaded for files only.
//!
//! JavaScript writes bytes to the memory that [`input`] returns, and calls a function. The function returns 0, or a number that says what
//! kind of error occurred ([`state::kind_of`]). Then [`output`] has the result, or the message of the error.

#[cfg(feature = "files")]
mod files;
mod picture;
#[cfg(feature = "previews")]
mod previews;
mod state;

use aez_core::Limits;

use crate::state::State;

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
