//! How much the symbols differ that the encoder chooses on different instruction sets. They may differ: a latent close to
//! the middle between two symbols can be rounded to either. `docs/compatibility.md` has the figures of the built-in model,
//! from `cargo test --release --test conformance -- --ignored --nocapture measure`.

use aez::{Picture, Quality};
use aez_core::{
    nn::InstructionSet,
    testing::tiny_tiled,
    tiled::{TiledModel, quantize},
};

/// The differences between the results of two instruction sets for the same tiles.
#[derive(Default, Debug)]
struct Difference {
    symbols: usize,
    different_symbols: usize,
    /// The largest difference between two symbols.
    max_symbol: u32,
    tiles: usize,
    different_tiles: usize,
    levels: usize,
    different_levels: usize,
    /// The largest difference between two levels that were decoded from the same symbols.
    max_level: u8,
}

/// A test image with gradients, waves, edges and noise that depend on the seed.
fn draw(edge: u32, seed: u32) -> Picture {
    let s = seed as f32;
    let mut noise = seed.wrapping_mul(2_654_435_761) | 1;
    let mut level = |x: f32, y: f32, c: f32| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let slope = (x * (s * 0.7).cos() + y * (s * 0.7).sin()) * 90.0;
        let wave = 45.0 * ((x * (3.0 + s % 7.0) + y * (s % 5.0) + c) * 3.0).sin();
        let inside = (x - 0.3 - 0.4 * (s * 0.37).sin().abs()).hypot(y - 0.5) < 0.25;
        let grain = (noise >> 24) as f32 / 255.0 * (s % 4.0) * 12.0;
        (100.0 + slope + wave + grain + if inside { 60.0 - 50.0 * c } else { 0.0 }).clamp(0.0, 255.0) as u8
    };
    let at = |i: u32| i as f32 / edge as f32;
    let pixel = |i: u32| [0.0, 1.0, 2.0].map(|c| level(at(i % edge), at(i / edge), c));
    Picture::from_rgb(edge, edge, (0..edge * edge).flat_map(pixel).collect())
}

fn compare(a: &TiledModel, b: &TiledModel, tiles: u32, quality: Quality) -> Difference {
    let tables = a.prior().at(quality);
    let mut found = Difference::default();
    for seed in 0..tiles {
        let picture = draw(a.tile() as u32, seed);
        let [first, second] = [a, b].map(|model| {
            let latents = model.latents_of(&picture).unwrap();
            quantize::quantize(&latents, &tables, quality, quantize::LAMBDA).unwrap()
        });
        let differences = first.values().iter().zip(second.values()).map(|(a, b)| a.abs_diff(*b));
        found.symbols += first.values().len();
        found.different_symbols += differences.clone().filter(|&difference| difference > 0).count();
        found.max_symbol = found.max_symbol.max(differences.max().unwrap_or(0));
        found.tiles += 1;
        found.different_tiles += usize::from(first != second);
        let latents = quantize::reconstruct(&first, &tables).unwrap();
        let [first, second] = [a, b]
            .map(|model| model.synthesize_picture(&latents, picture.width, picture.height, false).unwrap());
        let differences = first.iter().zip(&second).map(|(a, b)| a.abs_diff(*b));
        found.levels += first.len();
        found.different_levels += differences.clone().filter(|&difference| difference > 0).count();
        found.max_level = found.max_level.max(differences.max().unwrap_or(0));
    }
    found
}

#[test]
fn instruction_sets_choose_nearly_the_same_symbols() {
    let sets = InstructionSet::available();
    let best = tiny_tiled();
    for set in &sets[..sets.len() - 1] {
        for quality in [40, 75, 100] {
            let model = tiny_tiled().with_instruction_set(*set);
            let found = compare(&model, &best, 60, Quality::new(quality).unwrap());
            assert!(found.max_symbol <= 1 && found.max_level <= 1, "{set:?}: {found:?}");
            assert!(found.different_symbols * 200 <= found.symbols, "{set:?}: {found:?}");
            assert!(found.different_levels * 200 <= found.levels, "{set:?}: {found:?}");
        }
    }
}

#[test]
#[ignore = "takes a minute: prints the figures of docs/compatibility.md"]
fn measure() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tile.safetensors");
    let file = std::fs::read(path).unwrap();
    let sets = InstructionSet::available();
    let model = |set| TiledModel::from_bytes(file.clone()).unwrap().with_instruction_set(set);
    let models: Vec<TiledModel> = sets.iter().copied().map(model).collect();
    for (index, set) in sets.iter().enumerate() {
        for (other_set, other) in sets.iter().zip(&models).skip(index + 1) {
            for quality in [50, 75, 100] {
                let found = compare(&models[index], other, 50, Quality::new(quality).unwrap());
                println!("{set:?} and {other_set:?}, quality {quality}: {found:?}");
            }
        }
    }
}
