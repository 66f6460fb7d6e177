//! Files whose coefficients move the weights.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    super::{
        coefficients, fit::fit, network::Network, objective, quality::UNCHANGED, target::Target,
        target::to_rgb, tests::picture,
    },
    IntegerNetwork,
    directions::COEFFICIENT_LIMIT,
    tables::Tables,
    tests::trained,
};
use crate::{
    entropy::{RangeDecoder, RangeEncoder},
    error::Error,
    limits::Limits,
};

const SIZE: (u32, u32) = (40, 48);

/// A trained network with three random directions, larger than those of a training.
fn network() -> Network {
    let network = trained().with_random_directions(3, 5).unwrap();
    let directions = network.directions.iter().map(|x| 4.0 * x).collect();
    network.with_directions(directions).unwrap()
}

fn latents(network: &Network) -> Vec<Vec<i32>> {
    fit(network, &Target::new(&picture(SIZE.1, SIZE.0)).unwrap(), 20).latents
}

fn encode(network: &IntegerNetwork, latents: &[Vec<i32>], coefficients: &[i32]) -> (Vec<u8>, Vec<u8>) {
    network.encode(SIZE.0, SIZE.1, UNCHANGED, latents, coefficients).unwrap()
}

fn decode(network: &IntegerNetwork, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    network.decode(SIZE.0, SIZE.1, UNCHANGED, bytes, &Limits::default())
}

#[test]
fn moved_networks_survive_a_round_trip_and_look_as_in_floating_point() {
    let network = network();
    let (integer, target) =
        (IntegerNetwork::new(&network).unwrap(), Target::new(&picture(SIZE.1, SIZE.0)).unwrap());
    let latents = latents(&network);
    let float: Vec<Vec<f32>> =
        latents.iter().map(|level| level.iter().map(|&x| x as f32).collect()).collect();
    let mut shown_before = Vec::new();
    for coefficients in [[0, 0, 0], [16, 0, 0], [-30, 7, 20], [0, 0, -50]] {
        let (bytes, shown) = encode(&integer, &latents, &coefficients);
        assert_eq!(decode(&integer, &bytes).unwrap(), shown);
        assert_ne!(shown, shown_before);
        let (cost, planes) =
            objective::measure(&coefficients::moved(&network, &coefficients), &target, &float);
        let expected = cost.bits.iter().sum::<f64>() / 8.0;
        let difference = bytes.len() as f64 - expected;
        assert!(difference.abs() < 6.0 + 0.03 * expected, "{} bytes instead of {expected}", bytes.len());
        let worst = to_rgb(&planes).iter().zip(&shown).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(3), "{coefficients:?}: {worst:?}");
        shown_before = shown;
    }
    assert_eq!(encode(&integer, &latents, &[]), encode(&integer, &latents, &[0; 3]));
    for wrong in [&[1, 2][..], &[0, 0, 128], &[1; 4]] {
        let result = integer.encode(SIZE.0, SIZE.1, UNCHANGED, &latents, wrong);
        assert!(matches!(result, Err(Error::Misuse(_))));
    }
}

#[test]
fn integers_give_back_the_directions() {
    let network = network();
    let integer = IntegerNetwork::new(&network).unwrap();
    let restored = integer.to_network(network.lambda(), 2 * UNCHANGED).unwrap();
    let largest = network.directions.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    // The features of the coarser level are in smaller units than other values, and so have the fewest bits.
    for (a, b) in network.directions.iter().zip(&restored.directions) {
        assert!((a - b).abs() < 0.2 * largest, "{a} {b}");
    }
    // What was rounded once is rounded to itself.
    let again = IntegerNetwork::new(&restored).unwrap().to_network(network.lambda(), UNCHANGED).unwrap();
    assert_eq!(again.directions, restored.directions);
}

/// The first bytes of a payload with some coefficients, which no encoder may have written.
fn beginning(is_moved: i32, coefficients: &[i32]) -> Vec<u8> {
    let (tables, mut encoder) = (Tables::get(), RangeEncoder::new());
    encoder.put(is_moved, tables.bit());
    coefficients.iter().for_each(|&coefficient| tables.put(&mut encoder, coefficient, 0, 45));
    encoder.finish()
}

#[test]
fn coefficients_that_no_encoder_writes_are_damage() {
    let integer = IntegerNetwork::new(&network()).unwrap();
    for (bytes, message) in [
        (beginning(1, &[0, 0, 0]), "although all are 0"),
        (beginning(1, &[0, 128, 0]), "a coefficient is out of range"),
        (beginning(1, &[1, 0, -3000]), "a coefficient is out of range"),
        (vec![0xFF; 9], "outside of its interval"),
    ] {
        let error = decode(&integer, &bytes).unwrap_err();
        assert!(matches!(error, Error::Damaged(_)) && error.to_string().contains(message), "{error}");
        assert!(integer.level_bytes(SIZE.0, SIZE.1, UNCHANGED, &bytes, &Limits::default()).is_err());
        let cut = integer.decode_cut(SIZE.0, SIZE.1, UNCHANGED, &bytes, &Limits::default()).unwrap();
        assert_eq!(cut.1, 0);
    }
}

#[test]
fn coefficients_that_overflow_are_damage() {
    let network = network();
    // Layers leave room for coefficients of a common length, not for the largest ones.
    let mut integer = IntegerNetwork::new(&network).unwrap();
    assert!(integer.can_move(&[64, 0, 0]) && integer.can_move(&[36, -36, 36]));
    let layer = integer.arrays_mut().find(|layer| !layer.directions.values.is_empty()).unwrap();
    layer.directions.exponents.fill(1);
    layer.directions.values.fill(127);
    assert!(!integer.can_move(&[1, 0, 0]) && integer.can_move(&[0, 0, 0]));
    let error = decode(&integer, &beginning(1, &[0, 1, 0])).unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error}");
    let latents = latents(&network);
    assert!(integer.encode(SIZE.0, SIZE.1, UNCHANGED, &latents, &[1, 0, 0]).is_err());
}

#[test]
fn coefficients_of_cut_bytes_are_certain_or_0() {
    let network = network();
    let integer = IntegerNetwork::new(&network).unwrap();
    let (bytes, _) = encode(&integer, &latents(&network), &[30, -40, 30]);
    let (plain, _) = encode(&integer, &latents(&network), &[]);
    let mut before = 0;
    for length in 0..=bytes.len() {
        let (pixels, levels) =
            integer.decode_cut(SIZE.0, SIZE.1, UNCHANGED, &bytes[..length], &Limits::default()).unwrap();
        assert!(pixels.len() == (3 * SIZE.0 * SIZE.1) as usize && levels >= before);
        before = levels;
    }
    let levels = |bytes| integer.level_bytes(SIZE.0, SIZE.1, UNCHANGED, bytes, &Limits::default()).unwrap();
    assert_eq!(levels(&bytes).iter().sum::<usize>(), bytes.len());
    // The coefficients belong to the coarsest level.
    assert!(levels(&bytes)[0] > levels(&plain)[0]);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..200 {
        let random: Vec<u8> = (0..rng.random_range(0..60)).map(|_| rng.random_range(0..=255)).collect();
        drop(decode(&integer, &random));
        integer.decode_cut(SIZE.0, SIZE.1, UNCHANGED, &random, &Limits::default()).unwrap();
    }
}

#[test]
fn coefficients_survive_a_round_trip() {
    let (tables, mut rng) = (Tables::get(), ChaCha8Rng::seed_from_u64(7));
    for count in [1, 6, 16] {
        for limit in [0, 1, 20, COEFFICIENT_LIMIT] {
            let coefficients: Vec<i32> = (0..count).map(|_| rng.random_range(-limit..=limit)).collect();
            let mut encoder = RangeEncoder::new();
            tables.put_coefficients(&mut encoder, &coefficients);
            let bytes = encoder.finish();
            let mut decoder = RangeDecoder::new(&bytes);
            let found = tables.take_coefficients(count, |table, _| decoder.take(table)).unwrap();
            assert_eq!(found, coefficients);
            decoder.finish().unwrap();
        }
    }
}
