//! The network by candle's operations compared with the kernels of `aez_core`, and their gradients with candle's automatic
//! differentiation.

use crate::{GraphBackend, cuda_device};
use aez_core::{
    Encoder, Model, Picture, Quality,
    testing::{tiny_tiled, waves},
    tiled::{Backend, Calibration, Config, TiledModel, calibrate, init, processor},
};
use candle_core::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TINY: Config =
    Config { tile: 16, channels: 12, reductions: 2, latents: 12, normalize: false, dropout: 0.0 };

/// Configurations for which the layers use different kernels. With 16 channels and more, convolutions of stride 1 use
/// Winograd's algorithm and the last layer uses the kernel for few outputs; with 12 channels, all layers use direct sums, and
/// with 7, none is a multiple of a vector.
const CONFIGS: [Config; 5] = [
    TINY,
    Config { normalize: true, ..TINY },
    Config { channels: 16, latents: 20, ..TINY },
    Config { tile: 24, channels: 32, reductions: 3, latents: 30, normalize: true, dropout: 0.2 },
    Config { tile: 6, channels: 7, reductions: 1, latents: 5, ..TINY },
];

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `count` tiles of smooth colours.
fn tiles(config: &Config, count: usize) -> Vec<f32> {
    (70..70 + count).flat_map(|index| waves(config.tile, index as f32)).collect()
}

/// A model with random weights and biases, so that in each layer ReLU is active for some of the values.
fn model(config: Config) -> TiledModel {
    let mut parameters = init::xavier(config, 1).unwrap();
    for (array, seed) in
        parameters.arrays.iter_mut().zip(2..).filter(|(array, _)| array.name.ends_with("bias"))
    {
        array.values.iter_mut().zip(random(array.shape[0], seed)).for_each(|(x, random)| *x += 0.2 * random);
    }
    let calibration = calibrate(&*processor(&parameters), &config, &tiles(&config, 32), 8, 10.0, 1).unwrap();
    let Calibration { quantizer, prior, .. } = calibration;
    TiledModel::from_parts(&parameters, quantizer, prior).unwrap()
}

/// Latents of `count` tiles, of which some are negative.
fn latents(config: &Config, count: usize) -> Vec<f32> {
    random(count * config.latents, 3).into_iter().map(|x| 2.0 * x + 1.0).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    assert!(scale > 0.0, "{what}: all values are zero");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / scale;
        assert!(
            error <= tolerance,
            "{what} at {index}: {found} instead of {expected}, {error} of the largest"
        );
    }
}

/// The gradient of a loss whose derivative depends on the decoded tiles.
fn gradient(tiles: &[f32]) -> Vec<f32> {
    tiles.iter().zip(random(tiles.len(), 4)).map(|(x, target)| 2.0 * (x - target)).collect()
}

/// Compares a backend on `device` with the kernels on the CPU.
fn check(device: &Device, tolerance: f32) {
    for config in CONFIGS {
        let model = model(config);
        let backend = GraphBackend::new(&model, device).unwrap();
        for count in [1, 3, 10] {
            let what = |what: &str| format!("{what} of {count} tiles, {config:?}");
            let (tiles, latents) = (tiles(&config, count), latents(&config, count));
            let expected = model.analyse(&tiles).unwrap();
            assert_close(&backend.analyse(&tiles).unwrap(), &expected, tolerance, &what("latents"));
            let decoded = model.synthesize(&latents).unwrap();
            assert_close(&backend.synthesize(&latents).unwrap(), &decoded, tolerance, &what("values"));

            let expected = model.synthesis_gradient(&latents, &mut gradient).unwrap();
            let mut seen = Vec::new();
            let found = backend.synthesis_gradient(&latents, &mut |tiles| {
                seen = tiles.to_vec();
                gradient(tiles)
            });
            assert_close(&seen, &decoded, tolerance, &what("values for the gradient"));
            assert_close(&found.unwrap(), &expected, 2.0 * tolerance, &what("gradient"));
        }
    }
}

#[test]
fn candle_computes_what_the_kernels_compute() {
    check(&Device::Cpu, 1e-5);
}

#[cfg(feature = "cuda")]
#[test]
fn a_gpu_computes_what_the_cpu_computes() {
    match cuda_device(0) {
        Ok(device) => check(&device, 1e-3),
        Err(error) => eprintln!("skipped: {error}"),
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn without_the_feature_there_is_no_gpu() {
    assert!(cuda_device(0).unwrap_err().to_string().contains("CUDA device 0"));
}

/// The slope of the loss along a direction is the product of the gradient and the direction.
#[test]
fn gradients_agree_with_differences() {
    for config in CONFIGS {
        let model = model(config);
        let latents = latents(&config, 2);
        let backend = GraphBackend::new(&model, &Device::Cpu).unwrap();
        let gradients = [
            model.synthesis_gradient(&latents, &mut gradient).unwrap(),
            backend.synthesis_gradient(&latents, &mut gradient).unwrap(),
        ];
        // Near the direction of the gradient, where the difference of the losses exceeds the rounding errors.
        let direction: Vec<f32> = gradients[0]
            .iter()
            .zip(random(latents.len(), 5))
            .map(|(g, random)| g * (1.0 + 0.5 * random))
            .collect();
        let loss = |distance: f32| -> f64 {
            let moved: Vec<f32> = latents.iter().zip(&direction).map(|(x, d)| x + distance * d).collect();
            let tiles = model.synthesize(&moved).unwrap();
            let targets = random(tiles.len(), 4);
            tiles.iter().zip(targets).map(|(x, target)| f64::from(x - target).powi(2)).sum()
        };
        let slope = (loss(0.05) - loss(-0.05)) / 0.1;
        for gradient in gradients {
            let along: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
            assert!((along - slope).abs() < 0.02 * slope.abs(), "{along} and {slope}, {config:?}");
        }
    }
}

#[test]
fn pictures_are_encoded_alike_by_both() {
    let (width, height) = (40, 25);
    let value =
        |i: u32| 127.0 + 60.0 * ((i / 3 % width) as f32 * 0.3 + (i % 3) as f32).sin() + (i / 120) as f32;
    let picture = Picture::from_rgb(width, height, (0..width * height * 3).map(|i| value(i) as u8).collect());
    let backend = GraphBackend::new(&tiny_tiled(), &Device::Cpu).unwrap();
    let (on_cpu, on_candle) =
        (Model::from(tiny_tiled()), tiny_tiled().with_backend(Box::new(backend)).into());
    let encode = |model: &Model, effort: u8| {
        let encoder = Encoder::new(model).quality(Quality::new(60).unwrap()).effort(effort);
        encoder.encode(&picture).unwrap()
    };
    for effort in [0, 3] {
        assert_eq!(encode(&on_cpu, effort), encode(&on_candle, effort), "effort {effort}");
    }
    assert_ne!(encode(&on_cpu, 0), encode(&on_cpu, 3));
}

#[test]
fn incomplete_and_missing_tiles_are_handled() {
    let model = model(TINY);
    let backend = GraphBackend::new(&model, &Device::Cpu).unwrap();
    let (tiles, latents) = (tiles(&TINY, 2), latents(&TINY, 2));
    assert!(backend.analyse(&tiles[1..]).is_err() && backend.synthesize(&latents[1..]).is_err());
    assert!(backend.synthesis_gradient(&latents[1..], &mut gradient).is_err());
    assert!(backend.synthesis_gradient(&latents, &mut |_| tiles[..TINY.tile_len()].to_vec()).is_err());
    assert!(backend.analyse(&[]).unwrap().is_empty() && backend.synthesize(&[]).unwrap().is_empty());
    assert!(backend.synthesis_gradient(&[], &mut gradient).unwrap().is_empty());
}
