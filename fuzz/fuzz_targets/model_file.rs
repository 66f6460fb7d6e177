//! A model file is either rejected, at the latest when its weights are used, or is a model that runs.
#![no_main]

use aez_core::{Error, tiled::TiledModel};
use libfuzzer_sys::fuzz_target;

/// Models with larger tiles are not run: few bytes of a file can claim many pixels.
const MAX_TILE: usize = 32;

fuzz_target!(|data: &[u8]| {
    let model = match TiledModel::from_bytes(data.to_vec()) {
        Ok(model) => model,
        Err(Error::Model(_)) => return,
        Err(other) => panic!("{other:?} is no documented error of a model file"),
    };
    if model.tile() > MAX_TILE {
        return;
    }
    // Packed weights are checked when they are used.
    match model.synthesize(&vec![1.0; model.latents()]).and_then(|tile| model.analyse(&tile)) {
        Ok(latents) => assert_eq!(latents.len(), model.latents()),
        Err(Error::Model(_)) => {}
        Err(other) => panic!("{other:?} is no documented error of packed weights"),
    }
});
