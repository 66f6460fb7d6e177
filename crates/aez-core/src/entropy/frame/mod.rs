//! Bare zstd frames: frames of RFC 8878 without their magic number, whose content has a known length.
//!
//! With the feature `zstd` the C library does the work, otherwise the crate `ruzstd`. Both write valid frames and accept the same
//! ones; the C library's are smaller.

#[cfg(feature = "zstd")]
mod c;
#[cfg(any(not(feature = "zstd"), test))]
mod rust;

#[cfg(feature = "zstd")]
use c as library;
#[cfg(not(feature = "zstd"))]
use rust as library;

use crate::error::Result;

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Compresses `content` into one frame without magic number, content size, checksum or dictionary id.
///
/// # Errors
/// [`Error::Misuse`](crate::Error::Misuse) with the reason of the C library, such as a lack of memory.
pub fn compress(content: &[u8]) -> Result<Vec<u8>> {
    library::compress(content)
}

/// Decompresses one frame, whose content must have exactly `length` bytes and which must fill `frame`. The caller has checked
/// `length` against its limits; memory use is `length` and at most half a megabyte more.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged) when the frame is malformed, is followed by other bytes, or holds another length.
pub fn decompress(frame: &[u8], length: u64) -> Result<Vec<u8>> {
    library::decompress(frame, length)
}

#[cfg(test)]
mod tests;
