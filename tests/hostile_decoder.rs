//! Crafted and damaged files in the whole decoder: each gives a picture or one of the documented errors, soon, and without
//! a large allocation. The allocator of this test program has a limit of [`MEMORY`] bytes.

use std::{
    alloc::System,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aez_core::{
    Decoder, Encoder, Error, Limits, Model, Picture, Quality, Result,
    container::{Container, seal},
    entropy::{Coder, encode_with},
    testing::{tiny, tiny_tiled},
    tiled::{
        TiledModel,
        quantize::{LAMBDA, quantize},
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Maximum number of bytes that all tests of this file together may allocate.
const MEMORY: usize = 256 << 20;
#[global_allocator]
static ALLOCATOR: cap::Cap<System> = cap::Cap::new(System, MEMORY);

const LIMITS: Limits = Limits::NONE.with_max_edge(1 << 16).with_max_pixels(1 << 13).with_max_memory(1 << 20);
/// Upper bound for the time of one call, far above what any file within the limits takes.
const MAX_TIME: Duration = Duration::from_secs(20);
const MUTATIONS: u64 = 100_000;

static MODEL: LazyLock<Model> = LazyLock::new(tiny);
static TILED: LazyLock<TiledModel> = LazyLock::new(tiny_tiled);

fn wave(x: u32, y: u32) -> u8 {
    (127.5 + 60.0 * (x as f32 / 9.0).sin() + 60.0 * (y as f32 / 7.0).cos()) as u8
}

fn picture(width: u32, height: u32) -> Picture {
    let pixel = |i: u32| [wave(i % width, i / width), wave(i / width, i % width), wave(i / 9, 3)];
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

/// The file of a picture with the payload in the given code, even if it is not the smaller one.
fn file(picture: &Picture, coder: Coder) -> Vec<u8> {
    let quality = Quality::REFERENCE;
    let tables = TILED.prior().at(quality);
    let latents = TILED.latents_of(picture).unwrap();
    let symbols = quantize(&latents, &tables, quality, LAMBDA).unwrap();
    let mut container = Container::parse(&Encoder::new(&MODEL).encode(picture).unwrap(), &LIMITS).unwrap();
    container.header.coder = coder;
    container.payload = encode_with(coder, &symbols, &tables).unwrap();
    container.to_bytes().unwrap()
}

/// One tile in each code.
fn small_files() -> Vec<Vec<u8>> {
    [Coder::Range, Coder::Zstd].map(|coder| file(&picture(13, 11), coder)).into()
}

/// Nine tiles with alpha, a profile and EXIF data, in each code.
fn large_files() -> Vec<Vec<u8>> {
    let alpha = (0..40 * 35).map(|i| wave(i % 40, i / 40)).collect();
    let (icc, exif) = (b"a profile ".repeat(5), b"II*\0\x08\0\0\0\0\0".to_vec());
    let picture = picture(40, 35).with_alpha(Some(alpha)).with_icc(Some(icc)).with_exif(Some(exif));
    [Coder::Range, Coder::Zstd].map(|coder| file(&picture, coder)).into()
}

/// Decodes, and checks that the result is a picture of the right size or one of the documented errors.
fn decode(bytes: &[u8]) -> Result<Picture> {
    let start = Instant::now();
    let decoder = Decoder::new(&MODEL).limits(LIMITS);
    let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(bytes)));
    let decoded = decoded.unwrap_or_else(|_| panic!("the decoder panics on {bytes:02x?}"));
    assert!(start.elapsed() < MAX_TIME, "the decoder took {:?} for {bytes:02x?}", start.elapsed());
    match &decoded {
        Ok(picture) => {
            let pixels = picture.width as usize * picture.height as usize;
            assert_eq!(picture.rgb.len(), 3 * pixels);
            assert!(picture.alpha.as_ref().is_none_or(|alpha| alpha.len() == pixels));
        }
        Err(
            Error::NotAez(_)
            | Error::Damaged(_)
            | Error::UnsupportedVersion { .. }
            | Error::Unsupported(_)
            | Error::WrongModel { .. }
            | Error::Limit { .. },
        ) => {}
        Err(other) => panic!("{other:?} is no documented error, for {bytes:02x?}"),
    }
    decoded
}

/// Decodes after correcting the checksum, if the header is complete.
fn decode_sealed(mut bytes: Vec<u8>) -> Result<Picture> {
    let _ = seal(&mut bytes);
    decode(&bytes)
}

#[test]
fn every_prefix_is_rejected_or_decodes() {
    for file in small_files().iter().chain(&large_files()) {
        assert!(decode(file).is_ok());
        for length in 0..file.len() {
            assert!(decode(&file[..length]).is_err(), "{length} of {} bytes", file.len());
            let _ = decode_sealed(file[..length].to_vec());
        }
    }
}

#[test]
fn every_change_of_a_byte_is_rejected_or_decodes() {
    let small = small_files().into_iter().map(|file| (file, (1..=255).collect::<Vec<u8>>()));
    let large = large_files().into_iter().map(|file| (file, vec![0x01, 0x10, 0x80, 0xFF]));
    let cases: Vec<(Vec<u8>, Vec<u8>)> = small.chain(large).collect();
    for (file, changes) in &cases {
        (0..file.len()).into_par_iter().for_each(|place| {
            for change in changes {
                let mut bytes = file.clone();
                bytes[place] ^= change;
                let _ = decode(&bytes);
                let _ = decode_sealed(bytes);
            }
        });
    }
}

#[test]
fn random_mutations_are_rejected_or_decode() {
    let files = [small_files(), large_files()].concat();
    let (pictures, deep) = (AtomicUsize::new(0), AtomicUsize::new(0));
    (0..MUTATIONS).into_par_iter().for_each(|index| {
        let mut rng = ChaCha8Rng::seed_from_u64(0xAE2);
        rng.set_stream(index);
        let bytes = mutate(&files, &mut rng);
        let decoded = if rng.random_ratio(7, 8) { decode_sealed(bytes) } else { decode(&bytes) };
        match decoded {
            Ok(_) => pictures.fetch_add(1, Ordering::Relaxed),
            // The checksum was correct, but not what it covers.
            Err(Error::Damaged(what)) if !what.contains("checksum") => deep.fetch_add(1, Ordering::Relaxed),
            Err(_) => 0,
        };
    });
    // Many mutations must get past the header and the checksum.
    let (pictures, deep) = (pictures.into_inner(), deep.into_inner());
    assert!(pictures > 5_000 && deep > 20_000, "{pictures} decoded, {deep} failed after the checksum");
}

/// One of the files after one to four random changes: flipped bits, overwritten, deleted or inserted bytes, parts of other files.
fn mutate(files: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = files[rng.random_range(0..files.len())].clone();
    for _ in 0..rng.random_range(1..=4) {
        let place = rng.random_range(0..=bytes.len());
        let length = rng.random_range(0..=(bytes.len() - place).min(8));
        match rng.random_range(0..5) {
            0 if place < bytes.len() => bytes[place] ^= 1 << rng.random_range(0..8),
            1 => bytes[place..place + length].fill_with(|| rng.random()),
            2 => drop(bytes.drain(place..place + length)),
            3 => {
                let new: Vec<u8> = (0..rng.random_range(1..=8)).map(|_| rng.random()).collect();
                bytes.splice(place..place + length, new);
            }
            _ => {
                let other = &files[rng.random_range(0..files.len())];
                let from = rng.random_range(0..other.len());
                let to = rng.random_range(from..=other.len());
                bytes.splice(place..place + length, other[from..to].iter().copied());
            }
        }
    }
    bytes
}
