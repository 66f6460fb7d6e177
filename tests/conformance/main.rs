//! The files in `tests/vectors`: each is read as recorded, symbol for symbol and pixel for pixel, by this library on
//! every instruction set and by a second reader that was written from the specification alone.
//!
//! `cargo test --release --test conformance -- --ignored regenerate` writes the folder anew. A change of a file there
//! is a change of the format or of the small models, and needs a reason.

mod encoder;
mod make;
mod paths;
mod reader;
mod rejected;
mod vectors;

use std::{
    fs,
    path::{Path, PathBuf},
};

use aez::{Error, Limits, model::Model, picture::Picture};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The models that the files were made with: 8-bit weights and tiles of 8 pixels, and a normalized one with float
/// weights and tiles of 4.
const MODELS: [&str; 2] = ["model.safetensors", "normalized.safetensors"];

/// What is recorded of an `.aez` file beside its pixels, in `NAME.json`.
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
    symbols: Vec<i32>,
}

/// What is recorded of a preview; its pixels at the size of a tile are in `PICTURE.png`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PreviewRecord {
    text: String,
    picture: String,
    quality: u8,
    /// The size at which it is shown where none is wanted.
    size: (u32, u32),
    symbols: Vec<i32>,
}

/// A file or the text of a preview that must be refused, and how.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Refusal {
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
    aez::picture::read(&path(&format!("{name}.png")), &Limits::default()).unwrap()
}

fn model(name: &str) -> Model {
    Model::load(&path(name)).unwrap()
}

/// The names of all files that must be read, without extension.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "aez"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.len() > 15, "tests/vectors is not whole");
    names
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names of errors in `rejected.json` and in the second reader.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::NotAez(_) => "not_aez",
        Error::UnsupportedVersion { .. } => "version",
        Error::Unsupported(_) => "unsupported",
        Error::Damaged(_) => "damaged",
        Error::WrongModel { .. } => "wrong_model",
        Error::Limit { .. } => "limit",
        Error::Preview(_) => "preview",
        _ => "other",
    }
}

/// Checks that no level is off by more than one, and says by how much they are off at most.
fn assert_near(name: &str, found: &[u8], expected: &[u8]) -> u8 {
    assert_eq!(found.len(), expected.len(), "{name}");
    let worst = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    assert!(worst <= 1, "{name}: a level is off by {worst}");
    worst
}
