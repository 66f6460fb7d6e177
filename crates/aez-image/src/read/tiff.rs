//! What the `image` crate does not read of TIFF files: palettes, gray with alpha, gray of 2 and 4 bits, premultiplied colours.

use std::io::{self, Cursor};

use aez_core::{Error, Limits, Result};
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageFormat, RgbImage, metadata::Orientation};
use tiff::{
    TiffError,
    decoder::{Decoder, DecodingResult},
    tags::Tag,
};

use super::{Decoded, cut_short, damaged, unsupported};
use crate::ifd;

const WHITE_IS_ZERO: u16 = 0;
const BLACK_IS_ZERO: u16 = 1;
const PALETTE: u16 = 3;
const ASSOCIATED_ALPHA: u16 = 1;
const XMP: Tag = Tag::Unknown(700);

type TiffDecoder<'a> = Decoder<Cursor<&'a [u8]>>;

/// Decodes a file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let mut decoder = open(bytes, limits)?;
    let mut decoded = match pixels(&mut decoder, bytes, limits)? {
        Some(pixels) => Decoded { pixels, ..Decoded::default() },
        None => super::decode_by_image(bytes, ImageFormat::Tiff, limits)?,
    };
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(|e| explain(e, bytes))?;
    if extra.unwrap_or_default().first() == Some(&ASSOCIATED_ALPHA) {
        decoded.pixels = unpremultiplied(decoded.pixels);
    }
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    decoded.orientation = orientation.and_then(Orientation::from_exif);
    // The `image` crate limits metadata to the size of the pixels, which is little for thumbnails.
    decoded.icc = decoder.get_tag_u8_vec(Tag::IccProfile).ok();
    decoded.xmp = decoder.get_tag_u8_vec(XMP).ok();
    Ok(decoded)
}

/// How the samples of a file are to be understood.
struct Layout {
    photometric: u16,
    samples: u16,
    bits: u16,
    /// For each channel the values of all indices, of 16 bits.
    palette: Vec<u16>,
}

/// The pixels of a file that the `image` crate does not read, or `None` for the others.
fn pixels(decoder: &mut TiffDecoder<'_>, bytes: &[u8], limits: &Limits) -> Result<Option<DynamicImage>> {
    let (width, height) = decoder.dimensions().map_err(|e| explain(e, bytes))?;
    let Some(layout) = Layout::read(decoder).map_err(|e| explain(e, bytes))? else { return Ok(None) };
    limits.check_size(width, height)?;
    let count = u64::from(width) * u64::from(height);
    limits.check_memory((bytes.len() as u64).saturating_add(8 * count))?;

    // The decoder knows none of these interpretations, but decodes the same samples as levels of gray.
    let mut plain = bytes.to_vec();
    if !ifd::set(&mut plain, Tag::PhotometricInterpretation.to_u16(), BLACK_IS_ZERO.into()) {
        return Err(unsupported("BigTIFF with a palette or with gray and alpha"));
    }
    let samples = match open(&plain, limits)?.read_image().map_err(|e| explain(e, bytes))? {
        DecodingResult::U8(packed) if layout.bits < 8 => unpacked(&packed, width as usize, layout.bits),
        DecodingResult::U8(samples) => samples,
        DecodingResult::U16(deep) => {
            deep.iter().map(|&sample| ((u32::from(sample) + 128) / 257) as u8).collect()
        }
        _ => return Err(unsupported("TIFF with samples that are not whole numbers")),
    };
    let image = match (layout.photometric, layout.samples) {
        (PALETTE, _) => RgbImage::from_raw(width, height, layout.colours(&samples)?).map(DynamicImage::from),
        (_, 2) => GrayAlphaImage::from_raw(width, height, layout.levels(samples)).map(DynamicImage::from),
        _ => GrayImage::from_raw(width, height, layout.levels(samples)).map(DynamicImage::from),
    };
    image.map(Some).ok_or_else(|| damaged("its TIFF data are shorter than its size says"))
}

impl Layout {
    /// The layout of a file that the `image` crate does not read.
    fn read(decoder: &mut TiffDecoder<'_>) -> Result<Option<Self>, TiffError> {
        let photometric = decoder.find_tag_unsigned(Tag::PhotometricInterpretation)?.unwrap_or(BLACK_IS_ZERO);
        let samples = decoder.find_tag_unsigned(Tag::SamplesPerPixel)?.unwrap_or(1);
        let bits = decoder.find_tag_unsigned_vec::<u16>(Tag::BitsPerSample)?;
        let bits = bits.and_then(|bits| bits.first().copied()).unwrap_or(1);
        let is_wanted = match (photometric, samples) {
            (PALETTE, 1) => matches!(bits, 1 | 2 | 4 | 8),
            (WHITE_IS_ZERO | BLACK_IS_ZERO, 2) => matches!(bits, 8 | 16),
            (WHITE_IS_ZERO | BLACK_IS_ZERO, 1) => matches!(bits, 2 | 4),
            _ => false,
        };
        let palette = decoder.find_tag_unsigned_vec(Tag::ColorMap)?.unwrap_or_default();
        Ok(is_wanted.then_some(Self { photometric, samples, bits, palette }))
    }

    /// The colours of indices.
    fn colours(&self, indices: &[u8]) -> Result<Vec<u8>> {
        let entries = 1usize << self.bits;
        if self.palette.len() < 3 * entries {
            return Err(damaged("its TIFF palette is incomplete"));
        }
        // Some programs write values of 8 bits.
        let shift = if self.palette.iter().all(|&value| value < 256) { 0 } else { 8 };
        let colour =
            |&index: &u8| [0, 1, 2].map(|c| (self.palette[c * entries + usize::from(index)] >> shift) as u8);
        Ok(indices.iter().flat_map(colour).collect())
    }

    /// Samples as levels from 0, black, to 255, each followed by the opacity if there is one.
    fn levels(&self, mut samples: Vec<u8>) -> Vec<u8> {
        let scale = if self.bits < 8 { 255 / ((1u8 << self.bits) - 1) } else { 1 };
        for level in samples.iter_mut().step_by(self.samples.into()) {
            *level *= scale;
            if self.photometric == WHITE_IS_ZERO {
                *level = 255 - *level;
            }
        }
        samples
    }
}

/// One sample per byte, from rows of packed samples that begin at a byte, the first in the highest bits.
fn unpacked(packed: &[u8], width: usize, bits: u16) -> Vec<u8> {
    let per_byte = usize::from(8 / bits);
    let row_len = width.div_ceil(per_byte);
    let sample = |row: &[u8], x: usize| {
        let shift = 8 - bits as usize * (x % per_byte + 1);
        row[x / per_byte] >> shift & ((1u16 << bits) - 1) as u8
    };
    packed.chunks_exact(row_len).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

/// Divides the colours of a picture by its opacity. Samples become 8 or 16 bits.
fn unpremultiplied(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageRgba8(mut rgba) => {
            rgba.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 255));
            rgba.into()
        }
        DynamicImage::ImageLumaA8(mut gray) => {
            gray.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 255));
            gray.into()
        }
        DynamicImage::ImageLumaA16(mut gray) => {
            gray.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 65_535));
            gray.into()
        }
        other if other.color().has_alpha() => {
            let mut rgba = other.into_rgba16();
            rgba.pixels_mut().for_each(|pixel| divide(&mut pixel.0, 65_535));
            rgba.into()
        }
        opaque => opaque,
    }
}

/// Divides the first values by the last, the opacity. A colour above its opacity is taken as the brightest.
fn divide<T: Copy + Into<u64> + TryFrom<u64>>(pixel: &mut [T], max: u64) {
    let Some((&mut alpha, colours)) = pixel.split_last_mut() else { return };
    let alpha: u64 = alpha.into();
    for value in colours {
        if let Some(divided) = ((*value).into() * max + alpha / 2).checked_div(alpha) {
            *value = T::try_from(divided.min(max)).unwrap_or(*value);
        }
    }
}

fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<TiffDecoder<'a>> {
    let max = usize::try_from(limits.max_memory).unwrap_or(usize::MAX);
    let mut allowed = tiff::decoder::Limits::default();
    (allowed.decoding_buffer_size, allowed.intermediate_buffer_size) = (max, max);
    // No value is longer than the file.
    allowed.ifd_value_size = bytes.len().min(max);
    Ok(Decoder::new(Cursor::new(bytes)).map_err(|e| explain(e, bytes))?.with_limits(allowed))
}

fn explain(error: TiffError, bytes: &[u8]) -> Error {
    match error {
        TiffError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            cut_short(bytes.len(), None)
        }
        TiffError::UnsupportedError(what) => unsupported(&format!("TIFF: {what}")),
        TiffError::LimitsExceeded => {
            Error::Picture("the picture needs more memory than the limits allow".into())
        }
        other => damaged(other),
    }
}
