//! zstd frames of known content length, stored without the magic number that each would repeat.

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, compress_bound, find_frame_compressed_size},
};

use crate::{
    error::{Error, Result},
    limits,
};

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// The highest of the ordinary levels: what is packed here is small.
const LEVEL: i32 = 19;

/// Compresses `content` into one frame without magic number, content size, checksum or dictionary id.
///
/// # Errors
/// [`Error::Misuse`] with zstd's reason, such as a malformed dictionary.
pub fn compress(content: &[u8], dictionary: Option<&[u8]>) -> Result<Vec<u8>> {
    let compress = || {
        let mut compressor = Compressor::with_dictionary(LEVEL, dictionary.unwrap_or_default())?;
        for absent in [CParameter::ContentSizeFlag(false), CParameter::ChecksumFlag(false)] {
            compressor.set_parameter(absent)?;
        }
        compressor.set_parameter(CParameter::DictIdFlag(false))?;
        let mut frame = Vec::with_capacity(compress_bound(content.len()));
        compressor.compress_to_buffer(content, &mut frame)?;
        Ok(frame.split_off(MAGIC.len()))
    };
    compress().map_err(|e: std::io::Error| Error::Misuse(format!("zstd cannot compress: {e}")))
}

/// Decompresses one frame without magic number, whose content must be exactly `length` bytes and which must
/// fill `frame`. The caller has checked `length` against its limits.
///
/// # Errors
/// [`Error::Damaged`] when the frame is malformed, is followed by anything, or holds another length.
pub fn decompress(frame: &[u8], length: u64, dictionary: Option<&[u8]>) -> Result<Vec<u8>> {
    let whole = [&MAGIC, frame].concat();
    // zstd itself would go on to a second frame.
    match find_frame_compressed_size(&whole) {
        Ok(size) if size == whole.len() => {}
        Ok(size) => {
            let surplus = whole.len() - size;
            return Err(Error::damaged(format_args!("{surplus} bytes follow a zstd frame")));
        }
        Err(_) => return Err(Error::damaged("a zstd frame is malformed or cut short")),
    }
    let mut content = limits::allocate(length)?;
    Decompressor::with_dictionary(dictionary.unwrap_or_default())
        .and_then(|mut decompressor| decompressor.decompress_to_buffer(&whole, &mut content))
        .map_err(|e| Error::damaged(format_args!("a zstd frame that should hold {length} bytes: {e}")))?;
    if content.len() as u64 != length {
        let found = content.len();
        return Err(Error::damaged(format_args!("a zstd frame holds {found} bytes instead of {length}")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_of_any_length_returns() {
        for content in [vec![], vec![7], vec![0; 100_000], (0..=255).collect::<Vec<u8>>()] {
            let frame = compress(&content, None).unwrap();
            assert_eq!(decompress(&frame, content.len() as u64, None).unwrap(), content);
        }
    }

    #[test]
    fn only_the_exact_length_and_a_single_frame_are_accepted() {
        let frame = compress(&[1; 500], None).unwrap();
        for wrong in [0, 1, 499, 501, 1 << 20] {
            assert!(matches!(decompress(&frame, wrong, None), Err(Error::Damaged(_))), "{wrong}");
        }
        let empty_second = [&frame[..], &MAGIC, &compress(&[], None).unwrap()].concat();
        assert!(decompress(&empty_second, 500, None).is_err());
        let skippable_second = [&frame[..], &[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]].concat();
        assert!(decompress(&skippable_second, 500, None).is_err());
        for cut in 0..frame.len() {
            assert!(decompress(&frame[..cut], 500, None).is_err());
        }
    }

    #[test]
    fn a_dictionary_shortens_what_resembles_it_and_is_needed_again() {
        let dictionary: Vec<u8> = (0..400_u32).map(|i| (i * i % 251) as u8).collect();
        let content = &dictionary[50..300];
        let frame = compress(content, Some(&dictionary)).unwrap();
        assert!(frame.len() < 20 && compress(content, None).unwrap().len() > 200);
        assert_eq!(decompress(&frame, content.len() as u64, Some(&dictionary)).unwrap(), content);
        assert!(decompress(&frame, content.len() as u64, None).is_err());
    }
}
