//! The second reader, `scripts/read_aez.py`, gives the same results. It needs Python 3, for some files the package
//! `zstandard`, and for photos and the preview family `numpy`; checks for which they are missing are skipped with a message. `AEZ_PYTHON` names another interpreter.

use std::{path::Path, process::Command};

use aez::{Limits, Picture, models, preview};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{
    MODELS, MOVED, PHOTO, PreviewRecord, REJECTED, Record, Rejection, assert_near, assert_shows, json,
    make::{gray, scene, with_alpha},
    names, path,
    photo::assert_latents,
    png,
};

/// The output of the reader for each input, or `None` without Python.
pub fn read(model: &Path, inputs: &[String]) -> Option<Vec<Value>> {
    let python = std::env::var("AEZ_PYTHON").unwrap_or("python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/read_aez.py");
    let output = Command::new(&python).arg(script).arg(model).args(inputs).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: cannot run {python}: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Whether a line of the output means that a check was impossible.
pub fn is_skipped(line: &Value) -> bool {
    let skipped = line["error"] == "missing";
    if skipped {
        println!("skipped: {}: {}", line["input"], line["reason"]);
    }
    skipped
}

fn file(name: &str) -> String {
    path(name).to_str().unwrap().to_owned()
}

fn levels(line: &Value, field: &str) -> Option<Vec<u8>> {
    line.get(field).map(|values| serde_json::from_value(values.clone()).unwrap())
}

#[test]
fn the_second_reader_decodes_the_same() {
    for model in MODELS {
        let mut own = names();
        own.retain(|name| json::<Record>(&format!("{name}.json")).model == model);
        let inputs: Vec<String> = own.iter().map(|name| file(&format!("{name}.aez"))).collect();
        let Some(lines) = read(&path(model), &inputs) else { return };
        assert_eq!(lines.len(), inputs.len());
        for (name, mut line) in own.iter().zip(lines) {
            if is_skipped(&line) {
                continue;
            }
            let picture = png(name);
            line["model"] = model.into();
            let mut found: Record =
                serde_json::from_value(line.clone()).unwrap_or_else(|e| panic!("{e}: {line}"));
            let rgb = levels(&line, "rgb").unwrap();
            if [PHOTO, MOVED].contains(&model) {
                assert_latents(model, name, &std::mem::take(&mut found.symbols), &rgb);
            }
            assert_eq!(found, json(&format!("{name}.json")), "{name}");
            assert_shows(name, model, &rgb, &picture.rgb);
            assert_eq!(levels(&line, "alpha"), picture.alpha, "{name}");
        }
    }
}

#[test]
fn the_second_reader_rejects_the_same_files_for_the_same_reasons() {
    for (folder, model) in REJECTED {
        let rejections: Vec<Rejection> = json(&format!("{folder}/rejected.json"));
        let inputs: Vec<String> = rejections.iter().map(|r| file(&format!("{folder}/{}", r.input))).collect();
        let Some(lines) = read(&path(model), &inputs) else { return };
        for (rejection, line) in rejections.iter().zip(lines) {
            assert!(is_skipped(&line) || line["error"] == *rejection.kind, "{rejection:?}: {line}");
        }
    }
}

#[test]
fn the_second_reader_decodes_previews() {
    let previews: Vec<PreviewRecord> = json("previews.json");
    let rejected: Vec<Rejection> = json("rejected_previews.json");
    let texts = previews.iter().map(|p| p.text.clone()).chain(rejected.iter().map(|r| r.input.clone()));
    let inputs: Vec<String> = std::iter::once("--preview".to_owned()).chain(texts).collect();
    let Some(lines) = read(&path(MODELS[0]), &inputs) else { return };
    assert_eq!(lines.len(), inputs.len() - 1);
    for (expected, line) in previews.iter().zip(&lines) {
        let picture = png(&expected.picture);
        assert_eq!(line["symbols"], serde_json::json!(expected.symbols), "{line}");
        assert_eq!(line["quality"], expected.quality, "{line}");
        assert_eq!(
            (&line["gray"], line.get("alpha").is_some()),
            (&picture.gray.into(), picture.alpha.is_some())
        );
        let (width, height) = expected.size;
        let shape = 2f64.powf(line["aspect"].as_f64().unwrap() / 24.0);
        // The size is rounded to whole pixels.
        assert!((f64::from(width) - shape * f64::from(height)).abs() <= 0.5 + shape / 2.0, "{line}");
        assert_near(&expected.text, &levels(line, "rgb").unwrap(), &picture.rgb);
    }
    for line in &lines[previews.len()..] {
        assert_eq!(line["error"], "preview", "{line}");
    }
}

/// Texts of pictures, and such texts with other bytes of a correct check, which reach the range decoder.
#[test]
fn the_second_reader_decodes_previews_of_the_preview_family() {
    let model = models::preview();
    let pictures = [
        scene(30, 20),
        gray(scene(48, 48)),
        with_alpha(scene(40, 40)),
        with_alpha(gray(scene(16, 70))),
        scene(300, 200),
    ];
    let of = |picture: &Picture, bytes| preview::encode(model, picture, bytes).unwrap();
    let texts = pictures.iter().flat_map(|picture| [16, 21, 60, 200].map(|bytes| of(picture, bytes)));
    let texts: Vec<String> = texts.flat_map(|text| [damaged(&text), text]).collect();
    let inputs: Vec<String> = std::iter::once("--preview".to_owned()).chain(texts.clone()).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/aez-core/models/preview.safetensors");
    let Some(lines) = read(&file, &inputs) else { return };
    assert_eq!(lines.len(), texts.len());
    for (text, line) in texts.iter().zip(&lines) {
        if is_skipped(line) {
            continue;
        }
        match preview::decode(model, text, Some((48, 48)), &Limits::default()) {
            Ok(picture) => {
                assert_eq!(levels(line, "rgb").as_ref(), Some(&picture.rgb), "{text}");
                let alpha = line.get("alpha").is_some();
                assert_eq!((&line["gray"], alpha), (&picture.gray.into(), picture.alpha.is_some()), "{text}");
            }
            Err(_) => assert_eq!(line["error"], "preview", "{text}: {line}"),
        }
    }
}

/// A text with three other bits, for which the check still succeeds, and which has the same family.
fn damaged(text: &str) -> String {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    // The polynomial of the check, as bits of the text.
    let pattern = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x01;
        bytes[at + 1] ^= 0x07;
        bytes
    };
    BASE64_URL_SAFE_NO_PAD.encode(pattern(bytes.len() / 2))
}
