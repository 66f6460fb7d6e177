//! How near the symbols are that different instruction sets choose. That they are the same is not promised: a latent
//! that lies between two symbols may go either way. `docs/compatibility.md` has the figures of the built-in model, from
//! `cargo test --release --test conformance -- --ignored --nocapture measure`.

use aez::{
    Quality,
    codec::{Decoder, Encoder, quantize},
    model::{Model, tiny},
    nn,
    picture::Picture,
};

/// What two instruction sets make of the same tiles.
#[derive(Default, Debug)]
struct Difference {
    symbols: usize,
    other_symbols: usize,
    /// The largest difference of two symbols.
    farthest: u32,
    tiles: usize,
    other_tiles: usize,
    levels: usize,
    other_levels: usize,
    /// The largest difference of two levels that were decoded from the same symbols.
    farthest_level: u8,
}

/// Slopes, waves, edges and noise: a tile that varies with the seed.
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

fn compare(a: &Model, b: &Model, tiles: u32, quality: Quality) -> Difference {
    let tables = a.prior().at(quality);
    let mut found = Difference::default();
    for seed in 0..tiles {
        let picture = draw(a.tile() as u32, seed);
        let [own, other] = [a, b].map(|model| {
            let latents = Encoder::new(model).analyse(&picture).unwrap();
            quantize::quantize(&latents, &tables, quality, quantize::LAMBDA).unwrap()
        });
        let differences = own.values().iter().zip(other.values()).map(|(a, b)| a.abs_diff(*b));
        found.symbols += own.values().len();
        found.other_symbols += differences.clone().filter(|&difference| difference > 0).count();
        found.farthest = found.farthest.max(differences.max().unwrap_or(0));
        found.tiles += 1;
        found.other_tiles += usize::from(own != other);
        let latents = quantize::reconstruct(&own, &tables).unwrap();
        let (width, height) = (picture.width, picture.height);
        let [own, other] =
            [a, b].map(|model| Decoder::new(model).synthesize(&latents, width, height, false).unwrap());
        let differences = own.iter().zip(&other).map(|(a, b)| a.abs_diff(*b));
        found.levels += own.len();
        found.other_levels += differences.clone().filter(|&difference| difference > 0).count();
        found.farthest_level = found.farthest_level.max(differences.max().unwrap_or(0));
    }
    found
}

#[test]
fn instruction_sets_choose_nearly_the_same_symbols() {
    let paths = nn::Path::available();
    let best = tiny();
    for path in &paths[..paths.len() - 1] {
        for quality in [40, 75, 100] {
            let found = compare(&tiny().with_simd(*path), &best, 60, Quality::new(quality).unwrap());
            assert!(found.farthest <= 1 && found.farthest_level <= 1, "{path:?}: {found:?}");
            assert!(found.other_symbols * 200 <= found.symbols, "{path:?}: {found:?}");
            assert!(found.other_levels * 200 <= found.levels, "{path:?}: {found:?}");
        }
    }
}

#[test]
#[ignore = "takes a minute: the figures of docs/compatibility.md"]
fn measure() {
    let paths = nn::Path::available();
    let models: Vec<Model> =
        paths.iter().map(|path| Model::builtin_copy().unwrap().with_simd(*path)).collect();
    for (index, path) in paths.iter().enumerate() {
        for (other_path, other) in paths.iter().zip(&models).skip(index + 1) {
            for quality in [50, 75, 100] {
                let found = compare(&models[index], other, 50, Quality::new(quality).unwrap());
                println!("{path:?} and {other_path:?}, quality {quality}: {found:?}");
            }
        }
    }
}
