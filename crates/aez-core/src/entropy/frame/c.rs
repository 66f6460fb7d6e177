//! zstd frames by the C library.

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, compress_bound, find_frame_compressed_size},
};

use super::MAGIC;
use crate::{
    error::{Error, Result},
    limits,
};

/// The highest level that does not need extra memory for decompression: contents are small.
const LEVEL: i32 = 19;

pub(super) fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let compress = || {
        let mut compressor = Compressor::new(LEVEL)?;
        for absent in [
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ] {
            compressor.set_parameter(absent)?;
        }
        let mut frame = Vec::with_capacity(compress_bound(content.len()));
        compressor.compress_to_buffer(content, &mut frame)?;
        Ok(frame.split_off(MAGIC.len()))
    };
    compress().map_err(|e: std::io::Error| Error::Misuse(format!("zstd cannot compress: {e}")))
}

pub(super) fn decompress(frame: &[u8], length: u64) -> Result<Vec<u8>> {
    let whole = [&MAGIC, frame].concat();
    // The library would continue with a second frame.
    match find_frame_compressed_size(&whole) {
        Ok(size) if size == whole.len() => {}
        Ok(size) => {
            let surplus = whole.len() - size;
            return Err(Error::damaged(format_args!("{surplus} bytes follow a zstd frame")));
        }
        Err(_) => return Err(Error::damaged("a zstd frame is malformed or cut short")),
    }
    let mut content = limits::allocate(length)?;
    Decompressor::new()
        .and_then(|mut decompressor| decompressor.decompress_to_buffer(&whole, &mut content))
        .map_err(|e| Error::damaged(format_args!("a zstd frame that should hold {length} bytes: {e}")))?;
    if content.len() as u64 != length {
        let found = content.len();
        return Err(Error::damaged(format_args!("a zstd frame holds {found} bytes instead of {length}")));
    }
    Ok(content)
}
