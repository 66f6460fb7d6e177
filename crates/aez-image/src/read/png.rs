//! What the `image` crate does not return of PNG files: how colours are declared, Exif blocks after the pixels, and whether the file is
//! whole.

use std::io::{self, Cursor};

use aez_core::{Limits, Result};
use png::{Decoder, DecodingError, Info};

use super::{Decoded, cut_short, damaged, unsupported};
use crate::color::ColorSpace;

/// The chunk with which Apple's variant begins, whose pixels are stored in another way.
const APPLE: &[u8] = b"CgBI";

/// Refuses variants that look like damaged files.
pub(super) fn check_variant(bytes: &[u8]) -> Result<()> {
    match bytes.get(12..16) {
        Some(APPLE) => Err(unsupported(
            "Apple's variant of PNG (CgBI); `pngcrush -revert-iphone-optimizations` converts it",
        )),
        _ => Ok(()),
    }
}

/// Reads the chunks of a file to its end, and adds to its picture what they say about it.
pub(super) fn with_properties(mut decoded: Decoded, bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let max = usize::try_from(limits.max_memory).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: max });
    decoder.set_ignore_text_chunk(true);
    let explain = |error| match error {
        DecodingError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            cut_short(bytes.len(), None)
        }
        other => damaged(other),
    };
    let mut reader = decoder.read_info().map_err(explain)?;
    reader.finish().map_err(explain)?;
    let info = reader.info();
    if decoded.exif.is_none() {
        decoded.exif = info.exif_metadata.as_ref().map(|exif| exif.to_vec());
    }
    // In the order of precedence of the third edition, section 4.3.
    decoded.space = match &info.coding_independent_code_points {
        Some(codes) => Some(ColorSpace::Codes {
            primaries: codes.color_primaries,
            transfer: codes.transfer_function,
            is_full_range: codes.is_video_full_range_image,
        }),
        None if info.icc_profile.is_some() || info.srgb.is_some() => None,
        None => gamma(info),
    };
    Ok(decoded)
}

fn gamma(info: &Info<'_>) -> Option<ColorSpace> {
    let gamma = info.gama_chunk.map(png::ScaledFloat::into_value);
    let chromaticities = info.chrm_chunk.map(|found| {
        [found.white, found.red, found.green, found.blue].map(|(x, y)| (x.into_value(), y.into_value()))
    });
    (gamma.is_some() || chromaticities.is_some()).then_some(ColorSpace::Gamma { gamma, chromaticities })
}
