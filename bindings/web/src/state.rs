//! What remains between calls: input, output, limits and models.

use std::sync::{Mutex, PoisonError};

use aez_core::{Error, Limits, Model, Picture, Result, preview};

use crate::{PREVIEW_SLOT, picture};

static STATE: Mutex<State> = Mutex::new(State::new());

/// What remains between calls.
pub struct State {
    input: Vec<u8>,
    pub output: Output,
    pub limits: Limits,
    models: Vec<Option<Model>>,
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
        Self {
            input: Vec::new(),
            output: Output::of_bytes(Vec::new()),
            limits: Limits::NONE,
            models: Vec::new(),
        }
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

    /// The model of a slot.
    pub fn model(&self, slot: u32) -> Result<&Model> {
        let model = self.models.get(slot as usize).and_then(Option::as_ref);
        model.ok_or_else(|| argument("this model was dropped"))
    }

    pub fn add_model(&mut self, model: Model) -> u32 {
        let free = self.models.iter().position(Option::is_none).unwrap_or(self.models.len());
        if free == self.models.len() {
            self.models.push(None);
        }
        self.models[free] = Some(model);
        free as u32
    }

    pub fn drop_model(&mut self, slot: u32) {
        if let Some(model) = self.models.get_mut(slot as usize).filter(|_| slot != PREVIEW_SLOT) {
            *model = None;
        }
    }

    /// Id and family of a model as JSON.
    pub fn describe(&self, slot: u32) -> Result<Vec<u8>> {
        let model = self.model(slot)?;
        let (id, family) = (model.id().to_string(), model.family().to_string());
        Ok(serde_json::json!({ "id": id, "family": family }).to_string().into_bytes())
    }
}

/// Calls a function with the input, and keeps its result or its error as the output. Returns 0 or the kind of the error.
pub fn with_input(function: impl FnOnce(&mut State, Vec<u8>) -> Result<Output>) -> u32 {
    State::with(|state| {
        let input = std::mem::take(&mut state.input);
        let result = prepare(state).and_then(|()| function(state, input));
        let (kind, output) = match result {
            Ok(output) => (0, output),
            Err(error) => (kind_of(&error), Output::of_bytes(error.to_string().into_bytes())),
        };
        state.output = output;
        kind
    })
}

/// Reads the built-in model, once.
fn prepare(state: &mut State) -> Result<()> {
    if state.models.is_empty() {
        state.models.push(Some(Model::from_static(preview::MODEL_FILE)?));
    }
    Ok(())
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
