//! Round trips, agreement with floating point, and damaged payloads.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::{
    fit::fit,
    network::Network,
    objective,
    quality::UNCHANGED,
    target::{Target, to_rgb},
    tests::{picture, small_network},
    train::{Recipe, Trainer},
};
use super::IntegerNetwork;
use crate::{
    limits::Limits,
    picture::{Picture, mse},
};

pub(in super::super) fn trained() -> Network {
    let target = Target::new(&picture(48, 40)).unwrap();
    let network = Network::new(small_network().config().clone(), 0.01, 1).unwrap();
    let mut trainer = Trainer::new(network, vec![target], Recipe::default());
    for step in 0..100 {
        trainer.step(step as f32 / 100.0);
    }
    trainer.network().clone()
}

#[test]
fn pictures_survive_a_round_trip_and_look_as_in_floating_point() {
    let network = trained();
    let integer = IntegerNetwork::new(&network).unwrap();
    for (width, height) in [(48, 40), (1, 1), (2, 5), (33, 17), (16, 64)] {
        let target = Target::new(&picture(width, height)).unwrap();
        let fitted = fit(&network, &target, 20);
        let (bytes, shown) = integer.encode(height, width, UNCHANGED, &fitted.latents, &[]).unwrap();
        let decoded = integer.decode(height, width, UNCHANGED, &bytes, &Limits::default()).unwrap();
        assert_eq!(decoded, shown);
        let expected = fitted.bits_per_pixel * f64::from(width * height) / 8.0;
        assert!(
            (bytes.len() as f64 - expected).abs() < 3.0 + 0.02 * expected,
            "{width}x{height}: {} bytes instead of {expected}",
            bytes.len()
        );
        let latents: Vec<Vec<f32>> =
            fitted.latents.iter().map(|level| level.iter().map(|&x| x as f32).collect()).collect();
        let float = to_rgb(&objective::measure(&network, &target, &latents).1);
        let worst = float.iter().zip(&decoded).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(2), "{width}x{height}: {worst:?}");
    }
}

#[test]
fn any_latents_survive_a_round_trip() {
    let integer = IntegerNetwork::new(&small_network()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (width, height) in [(1_u32, 1_u32), (7, 4), (20, 31)] {
        for limit in [0, 1, 30, 4095] {
            let levels = integer.config().levels.iter().enumerate();
            let count = |(level, sizes): (usize, &super::super::Level)| {
                width.div_ceil(1 << level) as usize * height.div_ceil(1 << level) as usize * sizes.channels
            };
            let latents: Vec<Vec<i32>> = levels
                .map(|level| (0..count(level)).map(|_| rng.random_range(-limit..=limit)).collect())
                .collect();
            let (bytes, shown) = integer.encode(height, width, UNCHANGED, &latents, &[]).unwrap();
            assert_eq!(integer.decode(height, width, UNCHANGED, &bytes, &Limits::default()).unwrap(), shown);
        }
    }
    assert!(integer.encode(4, 4, UNCHANGED, &[vec![], vec![], vec![]], &[]).is_err());
}

#[cfg(feature = "rayon")]
#[test]
fn bytes_and_pixels_do_not_depend_on_the_number_of_threads() {
    let integer = IntegerNetwork::new(&small_network()).unwrap();
    let levels = integer.config().levels.iter().enumerate();
    let latents: Vec<Vec<i32>> = levels
        .map(|(level, sizes)| {
            let count = 300_usize.div_ceil(1 << level) * 21_usize.div_ceil(1 << level) * sizes.channels;
            (0..count).map(|i| (i * i % 7) as i32 - 3).collect()
        })
        .collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| integer.encode(300, 21, UNCHANGED, &latents, &[]).unwrap())
    };
    assert!(run(1) == run(3));
}

#[test]
fn pictures_of_cut_bytes_get_better_with_each_part() {
    let integer = IntegerNetwork::new(&trained()).unwrap();
    let original = picture(48, 40);
    let latents = fit(&trained(), &Target::new(&original).unwrap(), 20).latents;
    let (bytes, shown) = integer.encode(40, 48, UNCHANGED, &latents, &[]).unwrap();
    let mut errors = Vec::new();
    let mut before = 0;
    for length in 0..=bytes.len() {
        let (pixels, levels) =
            integer.decode_cut(40, 48, UNCHANGED, &bytes[..length], &Limits::default()).unwrap();
        assert!(levels >= before && levels <= 3);
        before = levels;
        let shown = Picture::from_rgb(48, 40, pixels);
        errors.push(mse(&original, &shown).unwrap());
    }
    let levels = integer.level_bytes(40, 48, UNCHANGED, &bytes, &Limits::default()).unwrap();
    assert_eq!((levels.len(), levels.iter().sum()), (3, bytes.len()));
    // Single latents may make the picture worse until those that belong to them have come, and the last ones hardly matter.
    let eighth = bytes.len() / 8;
    let means: Vec<f64> =
        errors.chunks_exact(eighth).map(|part| part.iter().sum::<f64>() / eighth as f64).collect();
    assert!(means.is_sorted_by(|a, b| 1.01 * a >= *b) && means[0] > 5.0 * means[7], "{means:?}");
    let complete = mse(&original, &Picture::from_rgb(48, 40, shown)).unwrap();
    assert!(errors[bytes.len()] < 1.1 * complete, "{} {complete}", errors[bytes.len()]);
}

#[test]
fn damaged_payloads_do_not_panic() {
    let integer = IntegerNetwork::new(&trained()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let latents = fit(&trained(), &Target::new(&picture(20, 15)).unwrap(), 5).latents;
    let (bytes, _) = integer.encode(15, 20, UNCHANGED, &latents, &[]).unwrap();
    for length in 0..bytes.len() {
        drop(integer.decode(15, 20, UNCHANGED, &bytes[..length], &Limits::default()));
    }
    for _ in 0..300 {
        let count = rng.random_range(0..200);
        let random: Vec<u8> = (0..count).map(|_| rng.random_range(0..=255)).collect();
        let (height, width) = (rng.random_range(1..40), rng.random_range(1..40));
        drop(integer.decode(height, width, UNCHANGED, &random, &Limits::default()));
        integer.decode_cut(height, width, UNCHANGED, &random, &Limits::default()).unwrap();
    }
    assert!(integer.decode(15, 20, UNCHANGED, &[&bytes[..], &[1]].concat(), &Limits::default()).is_err());
}

#[test]
fn limits_come_before_allocations() {
    let integer = IntegerNetwork::new(&small_network()).unwrap();
    let limits = Limits::NONE.with_max_memory(1 << 20);
    assert!(integer.decode(1 << 20, 1 << 20, UNCHANGED, &[], &limits).is_err());
    assert!(integer.decode(u32::MAX, u32::MAX, UNCHANGED, &[], &limits).is_err());
    assert!(integer.decode_cut(u32::MAX, u32::MAX, UNCHANGED, &[], &limits).is_err());
    assert!(integer.level_bytes(u32::MAX, u32::MAX, UNCHANGED, &[], &limits).is_err());
    assert!(integer.memory(u32::MAX, u32::MAX) > 1 << 60);
}

#[test]
fn integers_give_back_the_network() {
    let network = trained();
    let integer = IntegerNetwork::new(&network).unwrap();
    let restored = integer.to_network(network.lambda(), UNCHANGED).unwrap();
    let target = Target::new(&picture(30, 20)).unwrap();
    let latents = fit(&network, &target, 5).latents;
    let latents: Vec<Vec<f32>> =
        latents.iter().map(|level| level.iter().map(|&x| x as f32).collect()).collect();
    let [a, b] = [&network, &restored].map(|network| objective::measure(network, &target, &latents).0);
    let loss = network.lambda();
    assert!((a.loss(loss) / b.loss(loss) - 1.0).abs() < 0.015, "{a:?} {b:?}");
    let doubled = integer.to_network(network.lambda(), 2 * UNCHANGED).unwrap();
    assert!(doubled.steps.iter().zip(&restored.steps).all(|(a, b)| (a / b - 2.0).abs() < 1e-5));
}
