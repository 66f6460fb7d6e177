//! The checksum of a file: CRC-16 in the smallest files, CRC-32 in all others.

use std::ops::Range;

/// The checksum of all bytes except those at `place`, where it is stored: CRC-16 for a place of 2 bytes, CRC-32 for 4,
/// little-endian.
pub fn compute(bytes: &[u8], place: Range<usize>) -> Vec<u8> {
    let (before, after) = (&bytes[..place.start], &bytes[place.end..]);
    if place.len() == 2 {
        crc16(before.iter().chain(after)).to_le_bytes().to_vec()
    } else {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(before);
        hasher.update(after);
        hasher.finalize().to_le_bytes().to_vec()
    }
}

/// CRC-16/IBM-3740: polynomial 0x1021, most significant bit first, initial value 0xFFFF. It detects every error within 16
/// consecutive bits.
fn crc16<'a>(bytes: impl Iterator<Item = &'a u8>) -> u16 {
    bytes.fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| crc << 1 ^ if crc >> 15 == 1 { 0x1021 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogued_check_values() {
        assert_eq!(compute(b"1234??56789", 4..6), 0x29B1_u16.to_le_bytes());
        assert_eq!(compute(b"1234????56789", 4..8), 0xCBF4_3926_u32.to_le_bytes());
    }
}
