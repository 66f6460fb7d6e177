//! The files in `tests/vectors`: this library, on every instruction set, and a second reader, which was written from the
//! specification only, decode each of them to the recorded symbols and pixels.
//!
//! `cargo test --release --test conformance -- --ignored regenerate` writes the folder again, except the models, which it
//! makes only where their files are missing. If that changes a file, the format has changed.

mod encoder;
mod instruction_sets;
mod make;
mod photo;
mod reader;
mod rejected;
mod vectors;

use std::{
    fs,
    path::{Path, PathBuf},
};

use aez::{Error, Limits, Model, Picture};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The models that the files were made with: 8-bit weights and tiles of 8 pixels, a normalized one with float weights and
/// tiles of 4, one with packed weights and tiles of 16, and two of the photo family, of which the second has directions.
const MODELS: [&str; 5] = ["model.safetensors", "normalized.safetensors", "packed.safetensors", PHOTO, MOVED];
const PHOTO: &str = "photo.safetensors";
const MOVED: &str = "moved.safetensors";
/// The folders of files that must be rejected, and the models that a reader has.
const REJECTED: [(&str, &str); 3] =
    [("rejected", MODELS[0]), ("rejected_photo", PHOTO), ("rejected_moved", MOVED)];

/// The content of an `.aez` file without its pixels, in `NAME.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    model: String,
    width: u32,
    height: u32,
    gray: bool,
    quality: u8,
    coder: String,
    model_id: String,
    /// In hexadecimal digits.
    icc: Option<String>,
    exif: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xmp: Option<String>,
    /// Empty for photos, whose pixels are the same for all readers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    symbols: Vec<i32>,
}

/// The content of a preview. Its pixels at the size of a tile are in `PICTURE.png`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PreviewRecord {
    text: String,
    picture: String,
    quality: u8,
    /// The size of the decoded picture if none is requested.
    size: (u32, u32),
    symbols: Vec<i32>,
}

/// A file or the text of a preview that must be rejected, and the expected error.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rejection {
    input: String,
    kind: String,
    message: String,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&bytes(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn png(name: &str) -> Picture {
    aez_image::read(&path(&format!("{name}.png")), &Limits::default()).unwrap()
}

fn model(name: &str) -> Model {
    Model::from_bytes(bytes(name)).unwrap()
}

/// The names of all files that must be decoded, without extension.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "aez"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() > 15, "tests/vectors is not complete");
    names
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The kinds of errors in `rejected.json` and of the second reader.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::NotAez(_) => "not_aez",
        Error::UnsupportedVersion { .. } => "version",
        Error::Unsupported(_) => "unsupported",
        Error::Damaged(_) => "damaged",
        Error::WrongModel { .. } => "wrong_model",
        Error::Model(_) => "model",
        Error::Limit { .. } => "limit",
        Error::Preview(_) => "preview",
        _ => "other",
    }
}

/// Checks that no level differs by more than one, and returns the largest difference.
fn assert_near(name: &str, found: &[u8], expected: &[u8]) -> u8 {
    assert_eq!(found.len(), expected.len(), "{name}");
    let worst = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    assert!(worst <= 1, "{name}: a level differs by {worst}");
    worst
}

/// Checks the levels of a file of a model: those of photos are equal.
fn assert_shows(name: &str, model: &str, found: &[u8], expected: &[u8]) {
    let worst = assert_near(name, found, expected);
    assert!(worst == 0 || ![PHOTO, MOVED].contains(&model), "{name}: a level differs");
}
