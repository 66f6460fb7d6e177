//! What remains between calls: input, output and limits.

use std::sync::{Mutex, PoisonError};

use aez_core::{Error, Limits, Picture, Result};

use crate::picture;

static STATE: Mutex<State> = Mutex::new(State::new());

/// What remains between calls.
pub struct State {
    input: Vec<u8>,
    pub output: Output,
    pub limits: Limits,
}

/// The result of a function.
pub struct Output {
    pub bytes: Vec<u8>,
    pub width: u32,
}

impl Output {
    /// A result that is no picture.
    pub const fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, width: 0 }
    }

    /// The RGBA pixels of a picture.
    pub fn of_picture(picture: &Picture) -> Self {
        Self { bytes: picture::to_rgba(picture), width: picture.width }
    }
}

impl State {
    const fn new() -> Self {
        Self { input: Vec::new(), output: Output::of_bytes(Vec::new()), limits: Limits::NONE }
    }

    /// Calls a function with the state. JavaScript calls one function at a time, so that nothing waits.
    pub fn with<T>(function: impl FnOnce(&mut Self) -> T) -> T {
        function(&mut STATE.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn reserve_input(&mut self, length: usize) -> *mut u8 {
        self.clear();
        match self.input.try_reserve_exact(length) {
            Ok(()) => {
                self.input.resize(length, 0);
                self.input.as_mut_ptr()
            }
            Err(_) => std::ptr::null_mut(),
        }
    }

    pub fn clear(&mut self) {
        self.input = Vec::new();
        self.output = Output::of_bytes(Vec::new());
    }
}

/// Calls a function with the input, and keeps its result or its error as the output. Returns 0 or the kind of the error.
pub fn with_input(function: impl FnOnce(&mut State, Vec<u8>) -> Result<Output>) -> u32 {
    State::with(|state| {
        let input = std::mem::take(&mut state.input);
        let result = function(state, input);
        let (kind, output) = match result {
            Ok(output) => (0, output),
            Err(error) => (kind_of(&error), Output::of_bytes(error.to_string().into_bytes())),
        };
        state.output = output;
        kind
    })
}

/// An error of the caller.
pub fn argument(message: &str) -> Error {
    Error::Misuse(message.to_owned())
}

/// The number of an error's kind, which JavaScript has names for.
pub fn kind_of(error: &Error) -> u32 {
    match error {
        Error::Misuse(_) => 1,
        Error::Preview(_) => 2,
        Error::NotAez(_) | Error::Damaged(_) => 3,
        Error::UnsupportedVersion { .. } | Error::Unsupported(_) => 4,
        Error::Model(_) | Error::WrongModel { .. } => 5,
        Error::Limit { .. } => 6,
        _ => 7,
    }
}
