//! Reading picture files.

use std::{fs::File, io::Cursor, path::Path};

use aez_core::{Error, LimitKind, Limits, Picture, Result};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, metadata::Orientation};

use crate::file::read_bounded;

/// Reads a picture file of any supported format: PNG, JPEG, WebP, GIF, BMP, TIFF, PNM, QOI or TGA. The format is recognized by the
/// content, or else by the extension. Of an animation, the first frame is read. An Exif orientation is applied.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Limit`] when it exceeds the limits, [`Error::Picture`] with the file's name
/// when it is not a readable picture.
pub fn read(path: &Path, limits: &Limits) -> Result<Picture> {
    let bytes = read_bytes(path, limits)?;
    decode_as(&bytes, ImageFormat::from_path(path).ok(), limits).map_err(|error| match error {
        Error::Picture(what) => Error::Picture(format!("cannot read {}: {what}", path.display())),
        other => other,
    })
}

/// Decodes the bytes of a picture file, whose format is recognized by the content.
///
/// # Errors
/// [`Error::Limit`] when it exceeds the limits, [`Error::Picture`] when it is not a readable picture.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    decode_as(bytes, None, limits)
}

/// The bytes of a file of at most the limit on memory.
fn read_bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let failed = |source| Error::io("cannot read", path, source);
    let (file, allowed) = (File::open(path).map_err(failed)?, limits.max_memory);
    let too_large = Error::Limit { limit: LimitKind::Memory, found: allowed.saturating_add(1), allowed };
    read_bounded(file, allowed).map_err(failed)?.ok_or(too_large)
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
    let is_gif = reader.format() == Some(ImageFormat::Gif);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Error::Picture(format!("the picture is empty: {width}x{height} pixels")));
    }
    limits.check_size(width, height)?;
    limits.check_memory(peak_memory(&decoder))?;

    let color = decoder.color_type();
    let icc = decoder.icc_profile().map_err(unreadable)?;
    let mut exif = decoder.exif_metadata().map_err(unreadable)?.map(without_prefix);
    let orientation = match &mut exif {
        // The orientation is applied to the pixels below, and must not be applied again by a viewer.
        Some(exif) => Orientation::remove_from_exif_chunk(exif),
        None => decoder.orientation().ok(),
    };
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    pixels.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));

    let gray = !color.has_color();
    let (width, height) = (pixels.width(), pixels.height());
    let (rgb, alpha) = if color.has_alpha() {
        let rgba = pixels.into_rgba8().into_raw();
        let rgb = rgba.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        let alpha: Vec<u8> = rgba.as_chunks::<4>().0.iter().map(|pixel| pixel[3]).collect();
        // The decoder of GIF reports an alpha channel for every file.
        let present = !is_gif || alpha.iter().any(|&value| value < 255);
        (rgb, present.then_some(alpha))
    } else {
        (pixels.into_rgb8().into_raw(), None)
    };
    let icc = icc.filter(|profile| profile_fits(profile, gray));
    Ok(Picture::from_rgb(width, height, rgb).with_gray(gray).with_alpha(alpha).with_icc(icc).with_exif(exif))
}

/// Some programs put the prefix that Exif blocks have in JPEG files into PNG and WebP files.
fn without_prefix(exif: Vec<u8>) -> Vec<u8> {
    exif.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec).unwrap_or(exif)
}

/// Maximum number of bytes that [`decode_as`] holds at once: the pixels as they are in the file, and a rotated copy, or a copy of 8
/// bits per channel with its separate planes.
fn peak_memory(decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let raw = decoder.total_bytes();
    let copies = match decoder.color_type() {
        image::ColorType::Rgb8 => raw,
        _ => raw.max(8 * u64::from(width) * u64::from(height)),
    };
    raw.saturating_add(copies)
}

/// Whether the colour space in a profile's header is that of the pixels. A CMYK profile does not apply to pixels that were converted to
/// RGB.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use crate::{PictureFormat, encode};
    use flate2::{Compression, write::ZlibEncoder};
    use proptest::prelude::*;

    /// A TIFF structure, little-endian, of one entry: the orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
        [b"II*\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat()
    }

    /// A PNG file with chunks that the encoder does not write.
    fn png(width: u32, height: u32, kind: [u8; 2], extra: &[(&[u8; 4], &[u8])], rows: &[u8]) -> Vec<u8> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(rows).unwrap();
        let (data, [depth, color]) = (zlib.finish().unwrap(), kind);
        let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, color, 0, 0, 0]].concat();
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        let last: [(&[u8; 4], &[u8]); 2] = [(b"IDAT", &data), (b"IEND", &[])];
        for (name, body) in [(b"IHDR", &head[..])].iter().chain(extra).chain(&last) {
            let named = [&name[..], body].concat();
            out.extend((body.len() as u32).to_be_bytes());
            out.extend(&named);
            out.extend(crc32fast::hash(&named).to_be_bytes());
        }
        out
    }

    fn decoded(bytes: &[u8]) -> Picture {
        decode(bytes, &Limits::default()).unwrap()
    }

    #[test]
    fn palettes_become_colours_and_alpha() {
        let palette = [255, 0, 0, 0, 255, 0, 0, 0, 255];
        // Two rows of two pixels, each row after its filter byte; four bits per pixel.
        let rows = [0, 0x01, 0, 0x20];
        let opaque = decoded(&png(2, 2, [4, 3], &[(b"PLTE", &palette)], &rows));
        assert_eq!(opaque.rgb, [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 0, 0]);
        assert!(opaque.alpha.is_none() && !opaque.gray);
        let clear = decoded(&png(2, 2, [4, 3], &[(b"PLTE", &palette), (b"tRNS", &[0, 128])], &rows));
        assert_eq!((clear.rgb, clear.alpha), (opaque.rgb, Some(vec![0, 128, 255, 0])));
    }

    #[test]
    fn deep_and_gray_pictures_become_bytes() {
        let deep = decoded(&png(2, 1, [16, 0], &[], &[0, 0xff, 0xff, 0x80, 0x80]));
        assert_eq!((deep.rgb, deep.gray), (vec![255, 255, 255, 128, 128, 128], true));
        let with_alpha = decoded(&png(1, 1, [16, 4], &[], &[0, 0x40, 0x40, 0x10, 0x10]));
        assert_eq!((with_alpha.rgb, with_alpha.alpha, with_alpha.gray), (vec![64; 3], Some(vec![16]), true));
        let bits = decoded(&png(3, 1, [1, 0], &[], &[0, 0b1010_0000]));
        assert_eq!(bits.rgb, [255, 255, 255, 0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn pictures_are_turned_upright_once() {
        let lying = Picture::from_rgb(2, 1, vec![10, 10, 10, 200, 200, 200]).with_exif(Some(exif(6)));
        for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::WebP] {
            let upright = decoded(&encode(&lying, format).unwrap());
            assert_eq!((upright.width, upright.height), (1, 2), "{format:?}");
            assert!(upright.rgb[0] < 20 && upright.rgb[3] > 190, "{format:?}: {:?}", upright.rgb);
            assert_eq!(upright.exif, Some(exif(1)), "{format:?}");
            let again = decoded(&encode(&upright, PictureFormat::Png).unwrap());
            assert_eq!(again, upright, "{format:?}");
        }
    }

    #[test]
    fn profiles_of_other_colour_spaces_are_dropped() {
        let profile = |space: &[u8; 4]| [&[0; 16], &space[..], &[0; 108]].concat();
        let picture = Picture::from_rgb(1, 1, vec![1, 2, 3]).with_icc(Some(profile(b"RGB ")));
        assert_eq!(decoded(&encode(&picture, PictureFormat::Png).unwrap()), picture);
        assert!(!profile_fits(&profile(b"CMYK"), false) && !profile_fits(&profile(b"RGB "), true));
        assert!(profile_fits(&profile(b"GRAY"), true) && !profile_fits(b"RGB ", false));
    }

    #[test]
    fn opaque_gif_has_no_alpha() {
        for (alpha, expected) in [(255, None), (0, Some(vec![0]))] {
            let mut gif = Vec::new();
            let pixel = image::Frame::new(image::RgbaImage::from_pixel(1, 1, image::Rgba([9, 9, 9, alpha])));
            image::codecs::gif::GifEncoder::new(&mut gif).encode_frame(pixel).unwrap();
            assert_eq!(decoded(&gif).alpha, expected);
        }
    }

    #[test]
    fn limits_come_before_the_pixels() {
        let huge = png(60_000, 50_000, [8, 2], &[], &[]);
        assert!(matches!(decode(&huge, &Limits::default()), Err(Error::Limit { found: 3_000_000_000, .. })));
        let wide = png(70_000, 1, [8, 2], &[], &[]);
        assert!(matches!(decode(&wide, &Limits::default()), Err(Error::Limit { found: 70_000, .. })));
        let fat = png(10_000, 10_000, [16, 6], &[], &[]);
        assert!(matches!(
            decode(&fat, &Limits::default()),
            Err(Error::Limit { limit: LimitKind::Memory, .. })
        ));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.png"), &wide).unwrap();
        let tight = Limits::default().with_max_memory(20);
        assert!(matches!(read(&dir.path().join("x.png"), &tight), Err(Error::Limit { found: 21, .. })));
    }

    #[test]
    fn errors_name_the_file_and_the_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.png");
        let fault = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path, &Limits::default()).unwrap_err().to_string()
        };
        for bytes in [b"".as_slice(), b"Hello", &png(3, 3, [8, 2], &[], &[0; 5])] {
            let message = fault(bytes);
            assert!(message.contains("text.png") && message.contains("damaged"), "{message}");
        }
        assert!(decode(b"Hello", &Limits::default()).unwrap_err().to_string().contains("supported"));
        let missing = read(&dir.path().join("missing.png"), &Limits::default()).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("missing.png"));
    }

    proptest! {
        #[test]
        fn damaged_files_do_no_harm(kind in 0usize..8, cut in 0usize..400, at in 0usize..400, bits: u8) {
            use PictureFormat::*;
            let format = [Png, Jpeg, WebP, Bmp, Ppm, Qoi, Tga, Tiff][kind];
            let picture = Picture::from_rgb(9, 7, (0..9 * 7 * 3).collect());
            let mut bytes = encode(&picture, format).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= bits;
            let _ = decode(&bytes, &Limits::default());
            bytes.truncate(cut);
            let _ = decode(&bytes, &Limits::default());
        }
    }
}
