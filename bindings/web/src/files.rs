//! Files and the models that they need.

use std::sync::{Mutex, PoisonError};

use aez_core::{Decoder, Model, info::FileInfo};

use crate::state::{Output, argument, with_input};

/// The models, by their slots.
type Models = Vec<Option<Model>>;

static MODELS: Mutex<Models> = Mutex::new(Vec::new());

/// Calls a function with the models. JavaScript calls one function at a time, so that nothing waits.
fn with_models<T>(function: impl FnOnce(&mut Models) -> T) -> T {
    function(&mut MODELS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Adds a model, and returns its slot.
fn add(models: &mut Models, model: Model) -> u32 {
    let free = models.iter().position(Option::is_none).unwrap_or(models.len());
    if free == models.len() {
        models.push(None);
    }
    models[free] = Some(model);
    free as u32
}

/// Reads a model file, and selects a slot for it.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn load_model() -> u32 {
    with_input(|_, input| {
        let model = Model::from_bytes(input)?;
        let about = serde_json::json!({ "id": model.id().to_string(), "family": model.family().to_string() });
        let slot = with_models(|models| add(models, model));
        Ok(Output { width: slot, ..Output::of_bytes(about.to_string().into_bytes()) })
    })
}

/// Drops the model of a slot.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn drop_model(slot: u32) {
    with_models(|models| {
        if let Some(model) = models.get_mut(slot as usize) {
            *model = None;
        }
    });
}

/// Decodes a file to RGBA pixels.
#[expect(unsafe_code, reason = "the name is exported")]
#[unsafe(no_mangle)]
pub extern "C" fn decode(slot: u32) -> u32 {
    with_input(|state, input| {
        with_models(|models| {
            let model = models.get(slot as usize).and_then(Option::as_ref);
            let model = model.ok_or_else(|| argument("this model was dropped"))?;
            let picture = Decoder::new(model).limits(state.limits).decode(&input)?;
            Ok(Output::of_picture(&picture))
        })
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
