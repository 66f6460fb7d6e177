//! Reading picture files, by the `image` crate, and writing any file as a whole.

use super::Picture;
use crate::{Error, Limits, Result};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, metadata::Orientation};
use std::{
    fs::{self, File},
    io::{Cursor, Read, Write},
    path::Path,
};

/// Reads a picture file of any supported format, recognized by its content or else by its extension. Of an
/// animation the first frame is read.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Limit`] when it asks for more than the limits,
/// [`Error::Picture`] with the file's name when it is not a readable picture.
pub fn read(path: &Path, limits: &Limits) -> Result<Picture> {
    let bytes = read_bytes(path, limits)?;
    decode_as(&bytes, ImageFormat::from_path(path).ok(), limits).map_err(|error| match error {
        Error::Picture(what) => Error::Picture(format!("cannot read {}: {what}", path.display())),
        other => other,
    })
}

/// Decodes the bytes of a picture file, whose format is recognized by its content.
///
/// # Errors
/// [`Error::Limit`] when it asks for more than the limits, [`Error::Picture`] when it is no readable picture.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    decode_as(bytes, None, limits)
}

/// The whole file, unless it is larger than the limit on memory.
fn read_bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let failed = |source| Error::io("cannot read", path, source);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long, also where its length is not known before.
    file.take(limits.max_memory.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    limits.check_memory(bytes.len() as u64)?;
    Ok(bytes)
}

fn decode_as(bytes: &[u8], hint: Option<ImageFormat>, limits: &Limits) -> Result<Picture> {
    let mut reader = ImageReader::new(Cursor::new(bytes));
    if let Some(format) = hint {
        reader.set_format(format);
    }
    let mut reader = reader.with_guessed_format().map_err(|e| unreadable(e.into()))?;
    let mut caps = image::Limits::no_limits();
    caps.max_alloc = Some(limits.max_memory);
    reader.limits(caps);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::Picture(format!("the picture is empty: {width}x{height} pixels")));
    }
    limits.check_size(width, height)?;
    limits.check_memory(peak_memory(&decoder))?;

    let color = decoder.color_type();
    let icc = decoder.icc_profile().map_err(unreadable)?;
    let mut exif = decoder.exif_metadata().map_err(unreadable)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if let Some(exif) = &mut exif {
        // The pixels are turned below; a viewer must not turn them a second time.
        let _ = Orientation::remove_from_exif_chunk(exif);
    }
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    pixels.apply_orientation(orientation);

    let gray = !color.has_color();
    let mut picture = Picture {
        width: pixels.width(),
        height: pixels.height(),
        gray,
        icc: icc.filter(|profile| profile_fits(profile, gray)),
        exif,
        ..Picture::default()
    };
    if color.has_alpha() {
        let rgba = pixels.into_rgba8().into_raw();
        picture.rgb = rgba.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        picture.alpha = Some(rgba.as_chunks::<4>().0.iter().map(|pixel| pixel[3]).collect());
    } else {
        picture.rgb = pixels.into_rgb8().into_raw();
    }
    Ok(picture)
}

/// Most bytes that [`decode_as`] holds at once: the pixels as the file has them, and beside them their
/// turned copy, or their copy of 8 bits a channel with the planes that this is parted into.
fn peak_memory(decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let raw = decoder.total_bytes();
    let copies = match decoder.color_type() {
        image::ColorType::Rgb8 => raw,
        _ => raw.max(8 * u64::from(width) * u64::from(height)),
    };
    raw.saturating_add(copies)
}

/// Whether a profile describes such pixels: its header names the colour space of the data. A CMYK profile,
/// for one, means nothing once the pixels have become RGB.
pub(super) fn profile_fits(profile: &[u8], gray: bool) -> bool {
    profile.get(16..20) == Some(if gray { b"GRAY" } else { b"RGB " })
}

fn unreadable(error: ImageError) -> Error {
    Error::Picture(match error {
        ImageError::Unsupported(_) => format!("not a picture of a supported format ({error})"),
        ImageError::Limits(_) => format!("the picture needs more memory than the limits allow ({error})"),
        _ => format!("damaged picture ({error})"),
    })
}

/// Writes a file as a whole or not at all: a temporary neighbour takes the bytes and then the name. What is
/// not a regular file, such as a device or a pipe, is written to directly.
///
/// # Errors
/// [`Error::Io`] names the file.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::io("cannot write", path, source);
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return fs::write(path, bytes).map_err(failed);
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// A temporary file that gets the permissions of an ordinary new file when it is kept; by default only its
/// owner could read it.
pub(crate) fn temporary_in(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".aez-").tempfile_in(folder)
}
