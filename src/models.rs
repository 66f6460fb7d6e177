//! The built-in models, and model files.

use std::{fs, path::Path, sync::OnceLock};

use aez_core::{
    Error, Model, Result,
    container::{Family, Header},
};

/// A model file; empty where there is none.
struct BuiltIn {
    name: &'static str,
    bytes: &'static [u8],
    /// The environment variable that chooses another file.
    variable: &'static str,
    loaded: OnceLock<Model>,
}

static TILE: BuiltIn = BuiltIn {
    name: NAMES[0],
    bytes: include_bytes!(env!("AEZ_BUILTIN_MODEL")),
    variable: "AEZ_BUILTIN_MODEL",
    loaded: OnceLock::new(),
};
/// The file that the environment of the build chooses; empty where it chooses none.
static CHOSEN_PHOTO: &[u8] = include_bytes!(env!("AEZ_BUILTIN_PHOTO_MODEL"));
static PHOTO: BuiltIn = BuiltIn {
    name: NAMES[1],
    bytes: if CHOSEN_PHOTO.is_empty() { aez_core::photo::MODEL_FILE } else { CHOSEN_PHOTO },
    variable: "AEZ_BUILTIN_PHOTO_MODEL",
    loaded: OnceLock::new(),
};

/// The names of the built-in models.
pub const NAMES: [&str; 3] = ["tile", "photo", "preview"];

/// The built-in model `tile`: the paper's autoencoder, for pictures of 20 to 150 bytes. It is loaded when it is first used.
///
/// # Errors
/// [`Error::Misuse`] when the program was built without it, from a checkout that lacks its file.
pub fn tile() -> Result<&'static Model> {
    TILE.get()
}

/// The built-in model `photo`: a pyramid autoencoder for photographs, for some 25 to 35 dB. It is loaded when it is first
/// used.
///
/// # Errors
/// As for [`tile`].
pub fn photo() -> Result<&'static Model> {
    PHOTO.get()
}

/// The built-in model `preview`, for [previews](crate::preview) only: small, and decoded to the same pixels on every machine. It is
/// loaded when it is first used.
pub fn preview() -> &'static Model {
    aez_core::preview::model()
}

/// The built-in model of the family that an AEZ file belongs to. Whether the file was encoded with this very model, the decoder checks.
///
/// # Errors
/// As for [`tile`], and those of [`Header::parse`].
pub fn for_file(bytes: &[u8]) -> Result<&'static Model> {
    // Not more than the header: the file may be cut short.
    let (header, _) = Header::parse(bytes)?;
    if header.family == Family::PHOTO { photo() } else { tile() }
}

/// The built-in model of the family that a preview belongs to. Whether it was made with this very model, the decoder checks.
///
/// # Errors
/// As for [`tile`], and those of [`preview::family`](crate::preview::family).
pub fn for_preview(text: &str) -> Result<&'static Model> {
    if aez_core::preview::family(text)? == Family::PREVIEW { Ok(preview()) } else { tile() }
}

/// A separate copy of a built-in model or a model file: a name out of [`NAMES`], or else a path.
///
/// # Errors
/// As for [`tile`] and [`load`].
pub fn open(name_or_path: &Path) -> Result<Model> {
    match built_in(name_or_path) {
        Some(bytes) => Model::from_static(bytes?),
        None => load(name_or_path),
    }
}

/// The model file of a built-in model, or of a path.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, and as for [`tile`].
pub fn read(name_or_path: &Path) -> Result<Vec<u8>> {
    match built_in(name_or_path) {
        Some(bytes) => bytes.map(<[u8]>::to_vec),
        None => fs::read(name_or_path).map_err(|e| Error::io("cannot read the model", name_or_path, e)),
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

/// The file of a built-in model, if this is the name of one.
fn built_in(name: &Path) -> Option<Result<&'static [u8]>> {
    let name = name.to_str()?;
    match [&TILE, &PHOTO].into_iter().find(|model| name == model.name) {
        Some(model) => Some(model.bytes()),
        None => (name == NAMES[2]).then_some(Ok(aez_core::preview::MODEL_FILE)),
    }
}

impl BuiltIn {
    fn bytes(&self) -> Result<&'static [u8]> {
        let Self { name, bytes, variable, .. } = *self;
        if bytes.is_empty() {
            return Err(Error::Misuse(format!(
                "this program was built without a model {name}: use a model file, or build it with models/{name}.safetensors in \
                 place, or with {variable}=FILE in the environment"
            )));
        }
        Ok(bytes)
    }

    fn get(&'static self) -> Result<&'static Model> {
        if let Some(model) = self.loaded.get() {
            return Ok(model);
        }
        let model = Model::from_static(self.bytes()?)?;
        Ok(self.loaded.get_or_init(|| model))
    }
}
