use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{error::Error, symbols::Quality};

/// Latents of 200 channels whose deviations fall from 30 base steps to a tenth, Laplace-distributed.
fn samples(rows: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut laplace = |scale: f64| -> f64 {
        let uniform: f64 = random.random_range(-0.5..0.5);
        -scale * uniform.signum() * f64::ln(1.0 - 2.0 * uniform.abs())
    };
    (0..rows * 200).map(|i| laplace(0.1 + 21.0 / (1.0 + (i % 200) as f64 / 4.0)) as f32).collect()
}

fn prior() -> Prior {
    Prior::fit(&samples(300, 1), 200).unwrap()
}

fn quality(q: u8) -> Quality {
    Quality::new(q).unwrap()
}

/// The symbols nearest to the given latents, in a single row of cells.
fn quantize(latents: &[f32], tables: &Tables, quality: Quality) -> Symbols {
    let step = quality.step_multiplier() as f32 / 256.0;
    let nearest = |(i, u): (usize, &f32)| {
        let range = tables.range(i % 200);
        ((u / step).round() as i32).clamp(*range.start(), *range.end())
    };
    let values: Vec<i32> = latents.iter().enumerate().map(nearest).collect();
    Symbols::new(row_of(values.len() as u32 / 200), values).unwrap()
}

fn row_of(cells: u32) -> Shape {
    Shape { rows: 1, columns: cells, channels: 200 }
}

fn decode_unlimited(coder: Coder, bytes: &[u8], shape: Shape, tables: &Tables) -> Result<Symbols> {
    decode(coder, bytes, shape, tables, &Limits::NONE.with_max_memory(1 << 26))
}

#[test]
fn symbols_survive_a_round_trip_at_every_quality_and_take_the_bits_of_the_prior() {
    let prior = prior();
    let latents = samples(3, 2);
    let (mut ideal, mut spent) = (0.0, 0);
    for q in 1..=100 {
        let tables = prior.at(quality(q));
        for tile in latents.chunks(200) {
            let symbols = quantize(tile, &tables, quality(q));
            let bytes = encode_with(Coder::Range, &symbols, &tables).unwrap();
            assert_eq!(decode_unlimited(Coder::Range, &bytes, row_of(1), &tables).unwrap(), symbols);
            let bits = tables.ideal_bits(&symbols);
            assert!((bytes.len() * 8) as f64 - bits < 8.1, "{} bytes for {bits} bits", bytes.len());
            ideal += bits;
            spent += bytes.len() * 8;
        }
        let symbols = quantize(&latents, &tables, quality(q));
        let bytes = encode_with(Coder::Zstd, &symbols, &tables).unwrap();
        assert_eq!(decode_unlimited(Coder::Zstd, &bytes, row_of(3), &tables).unwrap(), symbols);
    }
    let overhead = (spent as f64 - ideal) / 300.0;
    println!("{overhead:.2} bits per tile above the ideal");
    assert!(overhead < 4.5);
}

#[test]
fn zstd_codes_repeated_tiles_and_the_range_coder_single_ones() {
    let tables = prior().at(Quality::REFERENCE);
    let tile = samples(1, 3);
    let single = quantize(&tile, &tables, Quality::REFERENCE);
    assert_eq!(encode(&single, &tables).unwrap().0, Coder::Range);
    let plain = quantize(&tile.repeat(300), &tables, Quality::REFERENCE);
    let (coder, bytes) = encode(&plain, &tables).unwrap();
    assert_eq!(coder, Coder::Zstd);
    assert!(bytes.len() < 1500, "{} bytes", bytes.len());
    assert_eq!(decode_unlimited(coder, &bytes, row_of(300), &tables).unwrap(), plain);
}

#[test]
fn tables_are_monotone_complete_and_reconstruct_within_the_interval() {
    let prior = prior();
    for q in 1..=100 {
        let (tables, step) = (prior.at(quality(q)), quality(q).step_multiplier() as f32 / 256.0);
        for (channel, table) in tables.channels().iter().enumerate() {
            assert_eq!(table.frequencies.cumulative().first(), Some(&0));
            assert_eq!(table.frequencies.cumulative().last(), Some(&(1 << 20)));
            assert!(table.frequencies.cumulative().is_sorted_by(|a, b| a < b));
            assert_eq!(table.frequencies.cumulative().len(), 2 * table.max as usize + 2);
            for symbol in tables.range(channel) {
                let distance = (tables.centroid(channel, symbol) / step - symbol as f32).abs();
                assert!(distance <= 0.501, "symbol {symbol} at quality {q}: {distance} steps");
            }
        }
    }
}

#[test]
fn tables_agree_with_the_distribution_they_come_from() {
    // Two cells a base step wide, a quarter of the mass below the centre.
    let bytes =
        [&2_u16.to_le_bytes()[..], &[0, 1, 0, 0], &0x4000_u16.to_le_bytes(), &0xC000_u16.to_le_bytes()];
    let tables = Prior::from_bytes(&bytes.concat(), 1).unwrap().at(Quality::REFERENCE);
    assert_eq!(tables.range(0), -1..=1);
    let expected = [0.125, 0.5, 0.375];
    for (symbol, probability) in (-1..).zip(expected) {
        assert!((tables.bits(0, symbol) + f32::log2(probability)).abs() < 1e-4);
    }
    let centroids = [-0.75, 0.125, 0.75];
    for (symbol, centroid) in (-1..).zip(centroids) {
        assert_eq!(tables.centroid(0, symbol), centroid);
    }
}

#[test]
fn a_fitted_prior_codes_fresh_samples_of_its_source_nearly_ideally() {
    let prior = Prior::fit(&samples(4000, 4), 200).unwrap();
    let tables = prior.at(Quality::REFERENCE);
    let fresh = samples(200, 5);
    let spent = tables.ideal_bits(&quantize(&fresh, &tables, Quality::REFERENCE)) / 200.0;
    let ideal: f64 = (0..200).map(|c| laplace_entropy(0.1 + 21.0 / (1.0 + f64::from(c) / 4.0))).sum();
    println!("{spent:.1} bits per tile, entropy of the source {ideal:.1}");
    assert!(spent < ideal * 1.02);
}

/// Bits of a Laplace variable rounded to integers.
fn laplace_entropy(scale: f64) -> f64 {
    let zero = 1.0 - (-0.5 / scale).exp();
    let others =
        (1..2000).map(|k| 0.5 * (-(f64::from(k) - 0.5) / scale).exp() * (1.0 - (-1.0 / scale).exp()));
    others.filter(|&p| p > 0.0).map(|p| -2.0 * p * p.log2()).sum::<f64>() - zero * zero.log2()
}

#[test]
fn misuse_and_limits_are_reported() {
    let tables = prior().at(Quality::REFERENCE);
    let other_shape = Symbols::new(Shape { channels: 3, ..row_of(1) }, vec![0; 3]).unwrap();
    let mut values = vec![0; 200];
    values[7] = tables.range(7).end() + 1;
    let out_of_range = Symbols::new(row_of(1), values).unwrap();
    for symbols in [other_shape, out_of_range] {
        assert!(matches!(encode(&symbols, &tables), Err(Error::Misuse(_))));
    }
    for coder in [Coder::Range, Coder::Zstd] {
        let huge = Shape { rows: u32::MAX, columns: u32::MAX, channels: 200 };
        let small = Limits::NONE.with_max_memory(799);
        let missing = Shape { channels: 199, ..row_of(1) };
        let decode = |shape, limits: &Limits| decode(coder, &[1], shape, &tables, limits);
        assert!(matches!(decode(huge, &Limits::default()), Err(Error::Limit { .. })));
        assert!(matches!(decode(row_of(1), &small), Err(Error::Limit { .. })));
        assert!(matches!(decode(missing, &Limits::default()), Err(Error::Misuse(_))));
        // Were the limits lifted, it would fail all the same, and not abort.
        assert!(decode(huge, &Limits::NONE).is_err());
    }
}

#[test]
fn the_content_for_zstd_is_all_low_bytes_then_the_high_bytes_of_wide_channels() {
    // Two cells each: ±1 base step, and ±512.
    let half = 0x8000_u16.to_le_bytes();
    let channel = |spacing: u32| [&2_u16.to_le_bytes()[..], &spacing.to_le_bytes(), &half, &half].concat();
    let prior = Prior::from_bytes(&[channel(256), channel(1 << 17)].concat(), 2).unwrap();
    let tables = prior.at(Quality::REFERENCE);
    let shape = Shape { rows: 2, columns: 1, channels: 2 };
    let symbols = Symbols::new(shape, vec![1, -300, -1, 2]).unwrap();
    let bytes = encode_with(Coder::Zstd, &symbols, &tables).unwrap();
    assert_eq!(frame::decompress(&bytes, 6).unwrap(), [2, 0x57, 1, 4, 0x02, 0]);
    assert_eq!(decode_unlimited(Coder::Zstd, &bytes, shape, &tables).unwrap(), symbols);
}

#[test]
fn zstd_refuses_symbols_outside_of_the_tables() {
    let tables = prior().at(quality(1));
    assert_eq!(tables.range(199), 0..=0);
    let mut content = vec![0; 200];
    content[199] = 1;
    let bytes = frame::compress(&content).unwrap();
    let error = decode_unlimited(Coder::Zstd, &bytes, row_of(1), &tables).unwrap_err();
    assert!(error.to_string().contains("channel 199"), "{error}");
}

proptest! {
    #[test]
    fn any_symbols_in_range_survive_a_round_trip(q in 1_u8..=100, seed in any::<u64>(), cells in 1_u32..4, extreme in any::<bool>()) {
        let tables = prior().at(quality(q));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |i| {
            let range = tables.range(i % 200);
            if extreme { [*range.start(), *range.end()][random.random_range(0..2)] } else { random.random_range(range) }
        };
        let values: Vec<i32> = (0..cells as usize * 200).map(&mut draw).collect();
        let symbols = Symbols::new(row_of(cells), values).unwrap();
        for coder in [Coder::Range, Coder::Zstd] {
            let bytes = encode_with(coder, &symbols, &tables).unwrap();
            prop_assert_eq!(&decode_unlimited(coder, &bytes, row_of(cells), &tables).unwrap(), &symbols);
            for surplus in [0, 1] {
                let longer = [&bytes[..], &[surplus]].concat();
                let other = decode_unlimited(coder, &longer, row_of(cells), &tables).ok();
                prop_assert_ne!(other.as_ref(), Some(&symbols));
            }
        }
    }

    #[test]
    fn the_range_decoder_accepts_only_what_the_encoder_writes(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xFF)], 0..24),
        q in prop_oneof![1_u8..=30, 90_u8..=100],
    ) {
        let few = Prior::fit(&[0.1, 5.0, -20.0, 0.3, -2.0, 25.0], 3).unwrap().at(quality(q));
        for cells in 1..8 {
            let shape = Shape { rows: 1, columns: cells, channels: 3 };
            if let Ok(symbols) = decode_unlimited(Coder::Range, &bytes, shape, &few) {
                prop_assert_eq!(encode_with(Coder::Range, &symbols, &few).unwrap(), &bytes[..]);
            }
        }
    }
}
