//! Reading picture files.

mod jpeg;
mod libjpeg;
mod png;
mod tiff;

use std::{
    error::Error as StdError,
    fmt::Display,
    fs::File,
    io::{self, Cursor},
    path::Path,
};

use aez_core::{Error, LimitKind, Limits, Picture, Result};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, error::UnsupportedErrorKind,
    metadata::Orientation,
};

use crate::{
    color::{self, ColorSpace, profile_fits},
    exif,
    file::read_bounded,
};

/// Reads a picture file of any supported format: PNG, JPEG, WebP, GIF, BMP, TIFF, ICO, PNM, QOI or TGA. The format is recognized by the
/// content, or else by the extension. Of an animation, the first frame is read. An Exif orientation is applied.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Limit`] when it exceeds the limits, [`Error::Picture`] with the file's name
/// when it is not a readable picture, or not a whole one.
pub fn read(path: &Path, limits: &Limits) -> Result<Picture> {
    read_with_warnings(path, limits).map(|(picture, _)| picture)
}

/// As [`read`], with remarks on what of the file could not be used, such as a colour profile. Each is a short text for users.
///
/// # Errors
/// As for [`read`].
pub fn read_with_warnings(path: &Path, limits: &Limits) -> Result<(Picture, Vec<String>)> {
    let bytes = read_bytes(path, limits)?;
    decode_as(&bytes, ImageFormat::from_path(path).ok(), limits).map_err(|error| match error {
        Error::Picture(what) => Error::Picture(format!("cannot read {}: {what}", path.display())),
        other => other,
    })
}

/// Decodes the bytes of a picture file, whose format is recognized by the content.
///
/// # Errors
/// [`Error::Limit`] when it exceeds the limits, [`Error::Picture`] when it is not a readable picture, or not a whole one.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    decode_with_warnings(bytes, limits).map(|(picture, _)| picture)
}

/// As [`decode`], with the remarks of [`read_with_warnings`].
///
/// # Errors
/// As for [`decode`].
pub fn decode_with_warnings(bytes: &[u8], limits: &Limits) -> Result<(Picture, Vec<String>)> {
    decode_as(bytes, None, limits)
}

/// The bytes of a file of at most the limit on memory.
fn read_bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let failed = |source| Error::io("cannot read", path, source);
    let (file, allowed) = (File::open(path).map_err(failed)?, limits.max_memory);
    let too_large = Error::Limit { limit: LimitKind::Memory, found: allowed.saturating_add(1), allowed };
    read_bounded(file, allowed).map_err(failed)?.ok_or(too_large)
}

/// A decoded file, with its pixels and metadata as they are stored.
#[derive(Default)]
struct Decoded {
    pixels: DynamicImage,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
    /// The colour space, if it is declared in another way than by a profile, or against it.
    space: Option<ColorSpace>,
    /// How the pixels must be turned, if there is no Exif block that says it.
    orientation: Option<Orientation>,
    warnings: Vec<String>,
}

fn decode_as(bytes: &[u8], hint: Option<ImageFormat>, limits: &Limits) -> Result<(Picture, Vec<String>)> {
    if bytes.is_empty() {
        return Err(Error::Picture("the file is empty".into()));
    }
    // All formats but this one begin with a signature.
    let hint = hint.filter(|&format| format == ImageFormat::Tga);
    let Some(format) = image::guess_format(bytes).ok().or(hint) else {
        return Err(Error::Picture("not a picture of a supported format".into()));
    };
    let decoded = match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, limits)?,
        ImageFormat::Png => {
            png::check_variant(bytes)?;
            png::with_properties(decode_by_image(bytes, format, limits)?, bytes, limits)?
        }
        ImageFormat::Tiff => tiff::decode(bytes, limits)?,
        // A RIFF file declares its length without the first eight bytes.
        ImageFormat::WebP if declared_len(bytes).is_some_and(|len| len > bytes.len() as u64 - 8) => {
            return Err(cut_short(bytes.len(), None));
        }
        ImageFormat::Bmp => {
            let icc = profile_in_bmp(bytes).map(<[u8]>::to_vec);
            Decoded { icc, ..decode_by_image(bytes, format, limits)? }
        }
        _ => decode_by_image(bytes, format, limits)?,
    };
    Ok(finish(decoded))
}

/// The length in the header of a RIFF file.
fn declared_len(riff: &[u8]) -> Option<u64> {
    riff.get(4..8)?.try_into().ok().map(|len| u32::from_le_bytes(len).into())
}

/// The ICC profile of a BMP file whose header, a `BITMAPV5HEADER` behind 14 bytes, says that there is one.
fn profile_in_bmp(bytes: &[u8]) -> Option<&[u8]> {
    let field =
        |at: usize| bytes.get(14 + at..)?.first_chunk().map(|field| u32::from_le_bytes(*field) as usize);
    let is_embedded = field(0)? >= 124 && field(56)? == 0x4D42_4544;
    let start = field(112)?.checked_add(14)?;
    bytes.get(start..start.checked_add(field(116)?)?).filter(|_| is_embedded)
}

/// Decodes a file by the `image` crate.
fn decode_by_image(bytes: &[u8], format: ImageFormat, limits: &Limits) -> Result<Decoded> {
    let explain = |error| unreadable(error, format, bytes.len());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut caps = image::Limits::no_limits();
    caps.max_alloc = Some(limits.max_memory);
    reader.limits(caps);
    let mut decoder = reader.into_decoder().map_err(explain)?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::Picture(format!("the picture is empty: {width}x{height} pixels")));
    }
    limits.check_size(width, height)?;
    limits.check_memory(peak_memory(&decoder))?;

    let icc = decoder.icc_profile().map_err(explain)?;
    let exif = decoder.exif_metadata().map_err(explain)?;
    let xmp = decoder.xmp_metadata().ok().flatten();
    let orientation = decoder.orientation().ok();
    let pixels = DynamicImage::from_decoder(decoder).map_err(explain)?;
    Ok(Decoded { pixels, icc, exif, xmp, orientation, ..Decoded::default() })
}

/// Maximum number of bytes that are held at once: the pixels as they are in the file, and a rotated copy, or a copy of 8 bits per
/// channel with its separate planes.
fn peak_memory(decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let raw = decoder.total_bytes();
    let copies = match decoder.color_type() {
        image::ColorType::Rgb8 => raw,
        _ => raw.max(8 * u64::from(width) * u64::from(height)),
    };
    raw.saturating_add(copies)
}

/// Makes a picture upright, with 8 bits per channel, and with metadata that match it.
fn finish(decoded: Decoded) -> (Picture, Vec<String>) {
    let Decoded { mut pixels, icc, exif, mut xmp, space, orientation, mut warnings } = decoded;
    let mut exif = exif.map(without_prefix);
    let stored = exif.as_deref().and_then(exif::orientation).or(orientation);
    let orientation = stored.unwrap_or(Orientation::NoTransforms);
    pixels.apply_orientation(orientation);
    let (width, height) = (pixels.width(), pixels.height());
    if orientation != Orientation::NoTransforms {
        // A viewer must not apply the orientation again.
        exif.iter_mut().for_each(|exif| exif::set_upright(exif, width, height));
        xmp.iter_mut().for_each(|xmp| exif::set_upright_in_xmp(xmp));
    }

    let gray = !pixels.color().has_color();
    let (rgb, alpha) = planes(pixels);
    let is_adobe_rgb = !gray && icc.is_none() && exif.as_deref().is_some_and(exif::declares_adobe_rgb);
    let space = space.or(is_adobe_rgb.then_some(ColorSpace::AdobeRgb));
    let mut profile = icc.filter(|profile| {
        let fits = profile_fits(profile, gray);
        if !fits {
            warnings
                .push("its colour profile is for other colours than its pixels have, and is left out".into());
        }
        fits
    });
    if let Some(space) = space {
        match color::profile_of(space, gray) {
            Ok(declared) => profile = declared,
            Err(_) => {
                warnings.push("its colours are declared in an unknown way, and are taken as sRGB".into())
            }
        }
    }
    let picture = Picture::from_rgb(width, height, rgb).with_gray(gray).with_alpha(alpha);
    (picture.with_icc(profile).with_exif(exif).with_xmp(xmp), warnings)
}

/// The colours, and the opacity if there is an alpha channel.
fn planes(pixels: DynamicImage) -> (Vec<u8>, Option<Vec<u8>>) {
    if !pixels.color().has_alpha() {
        return (pixels.into_rgb8().into_raw(), None);
    }
    let rgba = pixels.into_rgba8().into_raw();
    let rgb = rgba.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    let alpha = rgba.iter().skip(3).step_by(4).copied().collect();
    (rgb, Some(alpha))
}

/// Some programs put the prefix that Exif blocks have in JPEG files into PNG and WebP files.
fn without_prefix(exif: Vec<u8>) -> Vec<u8> {
    exif.strip_prefix(exif::JPEG_EXIF).map(<[u8]>::to_vec).unwrap_or(exif)
}

/// The error for a file that ends before its picture does: of `len` bytes, and where it is known with the numbers of rows of pixels that
/// were read, and that there should be.
fn cut_short(len: usize, rows: Option<(usize, usize)>) -> Error {
    let rows = rows.map(|(read, all)| format!(" and {read} of {all} rows of pixels")).unwrap_or_default();
    Error::Picture(format!("the file is cut short: it ends after {len} bytes{rows}"))
}

fn damaged(what: impl Display) -> Error {
    Error::Picture(format!("damaged picture ({what})"))
}

fn unsupported(what: &str) -> Error {
    Error::Picture(format!("not supported: {what}"))
}

fn unreadable(error: ImageError, format: ImageFormat, len: usize) -> Error {
    match error {
        _ if ends_early(&error) => cut_short(len, None),
        ImageError::Unsupported(error) => match error.kind() {
            UnsupportedErrorKind::GenericFeature(feature) => unsupported(&format!("{format:?}: {feature}")),
            _ => unsupported(&error.to_string()),
        },
        ImageError::Limits(_) => {
            Error::Picture(format!("the picture needs more memory than the limits allow ({error})"))
        }
        _ => damaged(error),
    }
}

/// Whether an error, or one of its causes, is that the data end early.
fn ends_early(error: &ImageError) -> bool {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(error) = cause {
        let is_end =
            error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof);
        // Some decoders keep only the text of the error.
        let text = error.to_string().to_lowercase();
        if is_end || ["unexpected end", "fill whole buffer"].iter().any(|part| text.contains(part)) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
