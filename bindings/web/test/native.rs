//! The functions of the package in a native program, for its tests: each line of the input is a task in JSON, and each line of the output
//! its result.
//!
//! - `{"encode": RGBA in base64, "width": 3, "height": 2, "bytes": 21}`: the text of a preview
//! - `{"decode": TEXT, "width": 3, "height": 2}` (both 0 for the default size): RGBA in base64
//! - `{"file": RGBA in base64, "width": 3, "height": 2, "model": PATH, "quality": 50}`: a file in base64 and its pixels

use std::io::{BufRead, stdin};

use aez_core::{Decoder, Encoder, Error, Limits, Model, Picture, Quality, preview};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

#[path = "../src/picture.rs"]
mod picture;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = preview::model();
    for line in stdin().lock().lines() {
        let task: Value = serde_json::from_str(&line?)?;
        let number = |name: &str| task[name].as_u64().unwrap_or_default() as u32;
        let pixels = |name: &str| {
            let rgba = BASE64_STANDARD.decode(task[name].as_str().unwrap_or_default()).unwrap_or_default();
            from_rgba(&rgba, number("width"), number("height"))
        };
        let result = if task.get("encode").is_some() {
            let bytes = number("bytes") as usize;
            preview::encode(model, &pixels("encode"), bytes).map(Value::from)
        } else if let Some(text) = task["decode"].as_str() {
            let size = (number("width"), number("height"));
            let size = (size != (0, 0)).then_some(size);
            let decoded = preview::decode(model, text, size, &Limits::default());
            decoded.map(|picture| BASE64_STANDARD.encode(picture::to_rgba(&picture)).into())
        } else {
            let model = Model::from_bytes(std::fs::read(task["model"].as_str().unwrap_or_default())?)?;
            file(&model, &pixels("file"), number("quality") as u8)
        };
        println!("{}", result.unwrap_or_else(|error| json!({ "error": error.to_string() })));
    }
    Ok(())
}

fn from_rgba(rgba: &[u8], width: u32, height: u32) -> Picture {
    let pixels = rgba.as_chunks::<4>().0;
    let rgb = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    Picture::from_rgb(width, height, rgb).with_alpha(Some(pixels.iter().map(|pixel| pixel[3]).collect()))
}

fn file(model: &Model, picture: &Picture, quality: u8) -> Result<Value, Error> {
    let file = Encoder::new(model).quality(Quality::new(quality)?).effort(0).encode(picture)?;
    let decoded = Decoder::new(model).decode(&file)?;
    Ok(json!({
        "file": BASE64_STANDARD.encode(&file),
        "pixels": BASE64_STANDARD.encode(picture::to_rgba(&decoded)),
    }))
}
