//! A model file either is refused, or runs.
#![no_main]

use aez::{Error, model::Model};
use libfuzzer_sys::fuzz_target;

/// Tiles beyond this are not run: a few bytes of a file can ask for many pixels.
const MAX_TILE: usize = 32;

fuzz_target!(|data: &[u8]| {
    let model = match Model::from_bytes(data.to_vec()) {
        Ok(model) => model,
        Err(Error::Model(_)) => return,
        Err(other) => panic!("{other:?} is no answer to a model file"),
    };
    if model.tile() <= MAX_TILE {
        let tile = model.synthesize(&vec![1.0; model.latents()]).expect("a whole row of latents");
        let latents = model.analyse(&tile).expect("a whole tile");
        assert_eq!(latents.len(), model.latents());
    }
});
