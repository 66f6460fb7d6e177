//! The built-in models, and model files.

use std::{fs, path::Path, sync::OnceLock};

use aez_core::{Error, Model, Result};

/// The model `tile`, which `build.rs` chooses; empty where there is none.
static TILE: &[u8] = include_bytes!(env!("AEZ_BUILTIN_MODEL"));

/// The names of the built-in models.
pub const NAMES: [&str; 1] = ["tile"];

/// The built-in model `tile`: the paper's autoencoder, for pictures of 20 to 150 bytes. It is loaded when it is first used.
///
/// # Errors
/// [`Error::Misuse`] when the program was built without it, from a checkout that lacks its file.
pub fn tile() -> Result<&'static Model> {
    static MODEL: OnceLock<Model> = OnceLock::new();
    if let Some(model) = MODEL.get() {
        return Ok(model);
    }
    let model = load_tile()?;
    Ok(MODEL.get_or_init(|| model))
}

/// A separate copy of a built-in model or a model file: a name out of [`NAMES`], or else a path.
///
/// # Errors
/// As for [`tile`] and [`load`].
pub fn open(name_or_path: &Path) -> Result<Model> {
    match name_or_path.to_str() {
        Some("tile") => load_tile(),
        _ => load(name_or_path),
    }
}

/// Loads a model file.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Model`] when it is not a usable model.
pub fn load(path: &Path) -> Result<Model> {
    let bytes = fs::read(path).map_err(|e| Error::io("cannot read the model", path, e))?;
    Model::from_bytes(bytes).map_err(|error| match error {
        Error::Model(reason) => Error::Model(format!("{}: {reason}", path.display())),
        other => other,
    })
}

fn load_tile() -> Result<Model> {
    if TILE.is_empty() {
        return Err(Error::Misuse(
            "this program was built without a model: use a model file, or build it with models/tile.safetensors in place, or with \
             AEZ_BUILTIN_MODEL=FILE in the environment"
                .into(),
        ));
    }
    Model::from_static(TILE)
}
