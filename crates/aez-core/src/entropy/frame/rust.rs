//! zstd frames without C.

use std::io::Read;

use ruzstd::{
    decoding::StreamingDecoder,
    encoding::{CompressionLevel, FrameCompressor},
};

use super::MAGIC;
use crate::{
    error::{Error, Result},
    limits,
};

/// Bit 5 of a frame's first byte: the window is the whole content, and no window descriptor follows.
const SINGLE_SEGMENT: u8 = 1 << 5;
/// The smallest window, 2^10 bytes.
const MIN_WINDOW_LOG: u32 = 10;

#[allow(clippy::unnecessary_wraps, reason = "the same signature as with the C library")]
pub(super) fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    let mut compressor = FrameCompressor::new(CompressionLevel::Fastest);
    compressor.set_source(content);
    compressor.set_drain(&mut frame);
    compressor.compress();
    drop(compressor);
    Ok(frame.split_off(MAGIC.len()))
}

pub(super) fn decompress(frame: &[u8], length: u64) -> Result<Vec<u8>> {
    let mut whole = [&MAGIC, frame].concat();
    let max_window = limit_window(&mut whole, length);
    let malformed = |e: &dyn std::fmt::Display| {
        Error::damaged(format_args!("a zstd frame that should hold {length} bytes is malformed: {e}"))
    };
    let mut decoder =
        StreamingDecoder::new_with_max_window_size(&whole[..], max_window).map_err(|e| malformed(&e))?;
    let mut content = limits::allocate(length)?;
    decoder.by_ref().take(length).read_to_end(&mut content).map_err(|e| malformed(&e))?;
    let surplus = decoder.read(&mut [0]).map_err(|e| malformed(&e))?;
    if content.len() as u64 != length || surplus > 0 {
        return Err(Error::damaged(format_args!("a zstd frame does not hold {length} bytes")));
    }
    match decoder.into_inner().len() {
        0 => Ok(content),
        surplus => Err(Error::damaged(format_args!("{surplus} bytes follow a zstd frame"))),
    }
}

/// Reduces the window that the frame declares to what its content can use, because the decoder allocates all of it, and returns
/// its maximum size in bytes.
fn limit_window(whole: &mut [u8], length: u64) -> u64 {
    let log = (MIN_WINDOW_LOG..63).find(|log| 1 << log >= length).unwrap_or(63);
    if let Some([descriptor, window, ..]) = whole.get_mut(MAGIC.len()..)
        && *descriptor & SINGLE_SEGMENT == 0
        && u32::from(*window >> 3) + MIN_WINDOW_LOG >= log
    {
        *window = ((log - MIN_WINDOW_LOG).min(31) as u8) << 3;
    }
    1 << log
}
