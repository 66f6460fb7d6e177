#[cfg(feature = "zstd")]
use proptest::prelude::*;

use super::*;
use crate::error::Error;

#[test]
fn content_of_any_length_survives_a_round_trip() {
    for content in [vec![], vec![7], vec![0; 100_000], (0..=255).collect::<Vec<u8>>()] {
        let frame = compress(&content).unwrap();
        assert_eq!(decompress(&frame, content.len() as u64).unwrap(), content);
    }
}

#[test]
fn only_the_exact_length_and_a_single_frame_are_accepted() {
    let frame = compress(&[1; 500]).unwrap();
    for wrong in [0, 1, 499, 501, 1 << 20] {
        assert!(matches!(decompress(&frame, wrong), Err(Error::Damaged(_))), "{wrong}");
    }
    let empty_second = [&frame[..], &MAGIC, &compress(&[]).unwrap()].concat();
    assert!(decompress(&empty_second, 500).is_err());
    let skippable_second = [&frame[..], &[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]].concat();
    assert!(decompress(&skippable_second, 500).is_err());
    for cut in 0..frame.len() {
        assert!(decompress(&frame[..cut], 500).is_err());
    }
}

/// A frame of one empty last block that declares a window of 2^41 bytes.
#[test]
fn a_large_window_takes_no_memory() {
    assert!(rust::decompress(&[0x00, 31 << 3, 0x01, 0x00, 0x00], 0).unwrap().is_empty());
}

#[cfg(feature = "zstd")]
/// Content of long matches, which refer far back.
fn repetitive(seed: u64, length: usize) -> Vec<u8> {
    let noise: Vec<u8> = (0..700_u64).map(|i| (((i * i + seed) * 0x9E37_79B9) >> 24) as u8).collect();
    noise.iter().cycle().enumerate().map(|(i, &byte)| byte ^ u8::from(i % 997 == 0)).take(length).collect()
}

#[cfg(feature = "zstd")]
#[test]
fn both_libraries_read_what_the_other_writes() {
    for length in [0, 1, 50, 1000, 5000, 300_000] {
        let content = repetitive(length as u64, length);
        assert_eq!(rust::decompress(&c::compress(&content).unwrap(), length as u64).unwrap(), content);
        assert_eq!(c::decompress(&rust::compress(&content).unwrap(), length as u64).unwrap(), content);
    }
}

#[cfg(feature = "zstd")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Damaged frames: neither library may return what the other one reads as something else.
    #[test]
    fn both_libraries_agree_about_damaged_frames(
        (length, seed) in (0_usize..3000, any::<u64>()),
        (at, byte, cut) in (any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>()),
        truncated in any::<bool>(),
    ) {
        let mut frame = c::compress(&repetitive(seed % 1000, length)).unwrap();
        let at = at.index(frame.len());
        frame[at] = byte;
        if truncated {
            frame.truncate(cut.index(frame.len()));
        }
        if let (Ok(a), Ok(b)) = (c::decompress(&frame, length as u64), rust::decompress(&frame, length as u64)) {
            prop_assert_eq!(a, b);
        }
    }
}
