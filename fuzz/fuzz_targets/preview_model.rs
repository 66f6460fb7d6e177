//! A model file of the preview family is either rejected, or decodes any text to a picture or an error.
#![no_main]

use aez_core::{Error, Model, container::Family, preview};
use aez_fuzz::LIMITS;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    // Arbitrary files seldom have a valid structure, so that half of the inputs are weights only.
    let file = if kind & 1 == 0 { rest.to_vec() } else { with_weights(rest) };
    let model = match Model::from_bytes(file) {
        Ok(model) => model,
        Err(Error::Model(_)) => return,
        Err(other) => panic!("{other:?} is no documented error of a model file"),
    };
    if model.family() == Family::PREVIEW {
        decode(&model, rest);
    }
});

/// The built-in model with other values from a place on.
fn with_weights(data: &[u8]) -> Vec<u8> {
    let mut file = preview::MODEL_FILE.to_vec();
    let Some((place, values)) = data.split_first_chunk() else { return file };
    let header = 8 + u64::from_le_bytes(*preview::MODEL_FILE.first_chunk().expect("8 bytes")) as usize;
    let weights = &mut file[header..];
    let place = u32::from_le_bytes(*place) as usize % weights.len();
    weights[place..].iter_mut().zip(values).for_each(|(weight, value)| *weight = *value);
    file
}

/// Decodes bytes, to which one is added that makes family and check correct.
fn decode(model: &Model, bytes: &[u8]) {
    let mut coded = bytes[..bytes.len().min(preview::MAX_BYTES - 1)].to_vec();
    coded.push(0);
    for last in 0..=255 {
        *coded.last_mut().expect("a byte") = last;
        match preview::decode(model, &BASE64_URL_SAFE_NO_PAD.encode(&coded), Some((7, 3)), &LIMITS) {
            Ok(picture) => assert_eq!((picture.width, picture.height, picture.rgb.len()), (7, 3, 63)),
            Err(Error::Preview(reason)) if reason.contains("check fails") => continue,
            Err(Error::Preview(_)) => {}
            Err(other) => panic!("{other:?} is no documented error of a preview"),
        }
        return;
    }
    panic!("no byte makes the check correct");
}
