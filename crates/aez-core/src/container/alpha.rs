//! The alpha section: a lossless plane of opacities. Each value is predicted from its neighbours by the median edge detector, as
//! in JPEG-LS, and zstd compresses the differences.

use crate::{entropy::frame, error::Result};

/// Compresses a plane of rows of `width` pixels.
pub fn pack(plane: &[u8], width: u32) -> Result<Vec<u8>> {
    let width = width as usize;
    let differences: Vec<u8> =
        plane.iter().enumerate().map(|(at, alpha)| alpha.wrapping_sub(predict(plane, at, width))).collect();
    frame::compress(&differences)
}

/// Decompresses a plane of `width * height` pixels. The caller has checked the size against its limits.
pub fn unpack(section: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut plane = frame::decompress(section, u64::from(width) * u64::from(height))?;
    for at in 0..plane.len() {
        plane[at] = plane[at].wrapping_add(predict(&plane, at, width as usize));
    }
    Ok(plane)
}

/// The prediction of the value at index `at` from its left, upper and upper left neighbours.
fn predict(plane: &[u8], at: usize, width: usize) -> u8 {
    match (at % width, at / width) {
        (0, 0) => 0,
        (_, 0) => plane[at - 1],
        (0, _) => plane[at - width],
        _ => {
            let (left, up, corner) = (plane[at - 1], plane[at - width], plane[at - width - 1]);
            let (low, high) = (left.min(up), left.max(up));
            // The plane through the three neighbours, clamped to the range of the two nearest.
            (i16::from(left) + i16::from(up) - i16::from(corner)).clamp(low.into(), high.into()) as u8
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Error;

    proptest! {
        #[test]
        fn any_plane_survives_a_round_trip(width in 1_u32..20, height in 1_u32..20, seed in any::<u64>()) {
            let plane: Vec<u8> = (0..u64::from(width * height))
                .map(|i| (i.wrapping_mul(seed) >> 32) as u8)
                .collect();
            let section = pack(&plane, width).unwrap();
            prop_assert_eq!(unpack(&section, width, height).unwrap(), plane);
        }
    }

    #[test]
    fn smooth_planes_and_masks_compress_well() {
        let gradient: Vec<u8> = (0..100 * 100_u32).map(|i| (i % 100 + i / 100) as u8).collect();
        // The encoder without C compresses less.
        let limits = if cfg!(feature = "zstd") { [40, 400] } else { [80, 800] };
        let size = pack(&gradient, 100).unwrap().len();
        assert!(size < limits[0], "gradient: {size} bytes");
        let disc: Vec<u8> = (0..100 * 100_i32)
            .map(|i| if (i % 100 - 50).pow(2) + (i / 100 - 50).pow(2) < 1600 { 255 } else { 0 })
            .collect();
        let size = pack(&disc, 100).unwrap().len();
        assert!(size < limits[1], "disc: {size} bytes");
    }

    #[test]
    fn another_size_is_an_error() {
        let section = pack(&[9; 12], 4).unwrap();
        for (width, height) in [(4, 4), (4, 2), (u32::MAX, u32::MAX)] {
            assert!(matches!(unpack(&section, width, height), Err(Error::Damaged(_) | Error::Io { .. })));
        }
    }
}
