//! Writing picture files.

use std::{borrow::Cow, io::Cursor, path::Path};

use aez_core::{Error, Picture, Result};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        bmp::BmpEncoder,
        jpeg::JpegEncoder,
        pnm::{PnmEncoder, PnmSubtype, SampleEncoding},
        qoi::QoiEncoder,
        tga::TgaEncoder,
        tiff::TiffEncoder,
    },
};

use crate::{
    color::{profile_fits, to_srgb},
    exif::{JPEG_EXIF, JPEG_XMP},
};

/// A format in which a picture can be written. All but [`PictureFormat::Jpeg`] are lossless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PictureFormat {
    /// PNG, with fast compression: a tenth of the time for a quarter more bytes.
    #[default]
    Png,
    /// JPEG of quality 95, without alpha.
    Jpeg,
    /// Lossless WebP.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// Binary portable pixmap, in colour, without alpha.
    Ppm,
    /// Quite OK Image.
    Qoi,
    /// Truevision TGA.
    Tga,
    /// TIFF.
    Tiff,
}

const JPEG_QUALITY: u8 = 95;

impl PictureFormat {
    /// The format for the extension of a file, in upper or lower case; PNG where there is none.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the extension is not that of a format that can be written.
    pub fn from_path(path: &Path) -> Result<Self> {
        let Some(extension) = path.extension() else { return Ok(Self::Png) };
        Ok(match extension.to_string_lossy().to_ascii_lowercase().as_str() {
            "png" => Self::Png,
            "jpg" | "jpeg" => Self::Jpeg,
            "webp" => Self::WebP,
            "bmp" => Self::Bmp,
            "ppm" => Self::Ppm,
            "qoi" => Self::Qoi,
            "tga" => Self::Tga,
            "tif" | "tiff" => Self::Tiff,
            other => {
                return Err(Error::Misuse(format!(
                    "cannot write a picture of format {other:?} ({}): choose png, jpg, webp, bmp, ppm, qoi, tga or \
                     tiff",
                    path.display()
                )));
            }
        })
    }

    fn holds_alpha(self) -> bool {
        !matches!(self, Self::Jpeg | Self::Ppm)
    }

    /// Whether gray pictures, with or without alpha, are written with one colour channel. Otherwise they are written as RGB.
    fn holds_gray(self, with_alpha: bool) -> bool {
        match self {
            Self::Png | Self::Jpeg | Self::Tga => true,
            Self::Tiff => !with_alpha,
            Self::WebP | Self::Bmp | Self::Ppm | Self::Qoi => false,
        }
    }

    /// Maximum number of bytes of an ICC profile.
    fn max_profile(self) -> usize {
        match self {
            Self::Png | Self::WebP | Self::Tiff => CHUNK,
            // It is divided among at most 255 segments, each with a name, a number and the number of all.
            Self::Jpeg => 255 * (SEGMENT - 14),
            Self::Bmp | Self::Ppm | Self::Qoi | Self::Tga => 0,
        }
    }

    /// Maximum number of bytes of a block of metadata that has a prefix of `prefix` bytes in JPEG files.
    fn max_block(self, prefix: usize) -> usize {
        match self {
            Self::Png | Self::WebP => CHUNK,
            Self::Jpeg => SEGMENT - prefix,
            Self::Bmp | Self::Ppm | Self::Qoi | Self::Tga | Self::Tiff => 0,
        }
    }
}

/// Maximum number of bytes of a chunk in PNG and RIFF files, as far as anything is that long.
const CHUNK: usize = 1 << 30;
/// Maximum number of bytes of a JPEG segment.
const SEGMENT: usize = 65_533;
const PNG_XMP: &str = "XML:com.adobe.xmp";

/// The bytes of a picture file. The colour profile is kept where the format can hold it; elsewhere the colours are converted to sRGB.
/// Exif block and XMP packet are kept in PNG, JPEG and WebP, as far as they fit.
///
/// # Errors
/// [`Error::Misuse`] when the picture is not opaque and the format has no alpha, [`Error::Picture`] when the format cannot hold the
/// picture for another reason, such as its size.
pub fn encode(picture: &Picture, format: PictureFormat) -> Result<Vec<u8>> {
    encode_with_warnings(picture, format).map(|(bytes, _)| bytes)
}

/// As [`encode`], with remarks on what was left out. Each is a short text for users.
///
/// # Errors
/// As for [`encode`].
pub fn encode_with_warnings(picture: &Picture, format: PictureFormat) -> Result<(Vec<u8>, Vec<String>)> {
    let alpha = picture.alpha.as_deref().filter(|alpha| alpha.iter().any(|&opacity| opacity < 255));
    if alpha.is_some() && !format.holds_alpha() {
        return Err(Error::Misuse(format!(
            "the picture has an alpha channel, which {format:?} cannot hold: write it as PNG or WebP"
        )));
    }
    let mut warnings = Vec::new();
    let gray = picture.gray && format.holds_gray(alpha.is_some());
    let (picture, icc) = with_usable_profile(picture, format, gray, &mut warnings);
    let mut fitting = |block: Option<&[u8]>, name: &str, prefix: &[u8]| {
        let max = format.max_block(prefix.len());
        let block = block?;
        if block.len() > max {
            let room = if max == 0 { "no room for them".to_owned() } else { format!("room for {max}") };
            warnings
                .push(format!("{name} of {} bytes are left out: {format:?} files have {room}", block.len()));
            return None;
        }
        Some(block.to_vec())
    };
    let exif = fitting(picture.exif.as_deref(), "the EXIF data", JPEG_EXIF);
    let xmp = fitting(picture.xmp.as_deref(), "the XMP data", JPEG_XMP);
    let content = Content { picture: &picture, samples: samples(&picture, alpha, gray), icc, exif, xmp };
    let bytes = content
        .write(format)
        .map_err(|error| Error::Picture(format!("cannot write the picture as {format:?}: {error}")))?;
    Ok((bytes, warnings))
}

/// The picture with its profile, if the format can hold it. Otherwise the picture is converted to sRGB.
fn with_usable_profile<'a>(
    picture: &'a Picture,
    format: PictureFormat,
    gray: bool,
    warnings: &mut Vec<String>,
) -> (Cow<'a, Picture>, Option<Vec<u8>>) {
    let Some(profile) = &picture.icc else { return (Cow::Borrowed(picture), None) };
    if profile_fits(profile, gray) && profile.len() <= format.max_profile() {
        return (Cow::Borrowed(picture), Some(profile.clone()));
    }
    let (converted, is_converted) = to_srgb(picture.clone());
    if !is_converted {
        warnings.push("the colour profile is left out: the colours cannot be converted by it".into());
    }
    (Cow::Owned(converted), None)
}

/// Interleaved samples, and what they are.
fn samples<'a>(picture: &'a Picture, alpha: Option<&[u8]>, gray: bool) -> (Cow<'a, [u8]>, ExtendedColorType) {
    let colours = picture.rgb.as_chunks::<3>().0;
    match (alpha, gray) {
        (None, false) => (Cow::Borrowed(&picture.rgb), ExtendedColorType::Rgb8),
        (None, true) => (colours.iter().map(|colour| colour[0]).collect(), ExtendedColorType::L8),
        (Some(alpha), false) => {
            let pixels = colours.iter().zip(alpha).flat_map(|(&[r, g, b], &a)| [r, g, b, a]);
            (pixels.collect(), ExtendedColorType::Rgba8)
        }
        (Some(alpha), true) => {
            let pixels = colours.iter().zip(alpha).flat_map(|(colour, &a)| [colour[0], a]);
            (pixels.collect(), ExtendedColorType::La8)
        }
    }
}

/// What is written into a file.
struct Content<'a> {
    picture: &'a Picture,
    samples: (Cow<'a, [u8]>, ExtendedColorType),
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
}

type Failure = Box<dyn std::error::Error>;

impl Content<'_> {
    fn write(self, format: PictureFormat) -> Result<Vec<u8>, Failure> {
        let mut out = Cursor::new(Vec::new());
        match format {
            PictureFormat::Png => self.write_png(&mut out)?,
            PictureFormat::Jpeg => return self.jpeg(),
            PictureFormat::WebP => self.write_webp(&mut out)?,
            PictureFormat::Bmp => self.write_by_image(BmpEncoder::new(&mut out))?,
            PictureFormat::Ppm => {
                let ppm = PnmEncoder::new(&mut out).with_subtype(PnmSubtype::Pixmap(SampleEncoding::Binary));
                self.write_by_image(ppm)?;
            }
            PictureFormat::Qoi => self.write_by_image(QoiEncoder::new(&mut out))?,
            PictureFormat::Tga => self.write_by_image(TgaEncoder::new(&mut out))?,
            PictureFormat::Tiff => self.write_by_image(TiffEncoder::new(&mut out))?,
        }
        Ok(out.into_inner())
    }

    fn write_by_image(&self, mut encoder: impl ImageEncoder) -> Result<(), Failure> {
        if let Some(profile) = &self.icc {
            encoder.set_icc_profile(profile.clone())?;
        }
        let (samples, kind) = &self.samples;
        Ok(encoder.write_image(samples, self.picture.width, self.picture.height, *kind)?)
    }

    fn write_png(self, out: &mut Cursor<Vec<u8>>) -> Result<(), Failure> {
        let mut info = png::Info::with_size(self.picture.width, self.picture.height);
        info.icc_profile = self.icc.map(Cow::Owned);
        info.exif_metadata = self.exif.map(Cow::Owned);
        let mut encoder = png::Encoder::with_info(out, info)?;
        let (samples, kind) = self.samples;
        encoder.set_color(match kind {
            ExtendedColorType::L8 => png::ColorType::Grayscale,
            ExtendedColorType::La8 => png::ColorType::GrayscaleAlpha,
            ExtendedColorType::Rgba8 => png::ColorType::Rgba,
            _ => png::ColorType::Rgb,
        });
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        encoder.set_filter(png::Filter::Adaptive);
        if let Some(xmp) = self.xmp {
            encoder.add_itxt_chunk(PNG_XMP.into(), String::from_utf8_lossy(&xmp).into_owned())?;
        }
        encoder.write_header()?.write_image_data(&samples)?;
        Ok(())
    }

    fn write_webp(self, out: &mut Cursor<Vec<u8>>) -> Result<(), Failure> {
        let mut encoder = image_webp::WebPEncoder::new(out);
        self.icc.into_iter().for_each(|profile| encoder.set_icc_profile(profile));
        self.exif.into_iter().for_each(|exif| encoder.set_exif_metadata(exif));
        self.xmp.into_iter().for_each(|xmp| encoder.set_xmp_metadata(xmp));
        let (samples, kind) = self.samples;
        let kind = if kind == ExtendedColorType::Rgba8 {
            image_webp::ColorType::Rgba8
        } else {
            image_webp::ColorType::Rgb8
        };
        Ok(encoder.encode(&samples, self.picture.width, self.picture.height, kind)?)
    }

    /// The encoder of the `image` crate writes the profile. The other segments are inserted behind the JFIF segment, with which it begins.
    fn jpeg(self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.write_by_image(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
        // The start of the file, the marker of the segment, and its length, which includes itself.
        let jfif_end = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let mut segments = Vec::new();
        for (prefix, block) in [(JPEG_EXIF, &self.exif), (JPEG_XMP, &self.xmp)] {
            if let Some(block) = block {
                let len = u16::try_from(2 + prefix.len() + block.len())?;
                segments.extend([0xFF, 0xE1]);
                segments.extend(len.to_be_bytes());
                segments.extend([prefix, block].concat());
            }
        }
        bytes.splice(jfif_end..jfif_end, segments);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::Limits;

    use crate::{decode, read};

    const ALL: [PictureFormat; 8] = [
        PictureFormat::Png,
        PictureFormat::Jpeg,
        PictureFormat::WebP,
        PictureFormat::Bmp,
        PictureFormat::Ppm,
        PictureFormat::Qoi,
        PictureFormat::Tga,
        PictureFormat::Tiff,
    ];

    /// A picture of each kind: gray or not, with alpha or not.
    fn kinds() -> impl Iterator<Item = Picture> {
        let (width, height) = (5, 3);
        [(false, false), (false, true), (true, false), (true, true)].into_iter().map(
            move |(gray, with_alpha)| {
                let step = if gray { 0 } else { 50 };
                let rgb = (0..width * height)
                    .flat_map(|i| [i * 9, i * 9 + step, i * 9 + 2 * step])
                    .map(|v| v as u8);
                let alpha = with_alpha.then(|| (0..width * height).map(|i| 255 - i as u8 * 3).collect());
                Picture::from_rgb(width, height, rgb.collect()).with_gray(gray).with_alpha(alpha)
            },
        )
    }

    #[test]
    fn lossless_formats_keep_every_byte() {
        for format in ALL.into_iter().filter(|&format| format != PictureFormat::Jpeg) {
            for picture in kinds() {
                if picture.alpha.is_some() && !format.holds_alpha() {
                    assert!(matches!(encode(&picture, format), Err(Error::Misuse(_))), "{format:?}");
                    continue;
                }
                let found = decode_as(&encode(&picture, format).unwrap(), format);
                let gray = picture.gray && format.holds_gray(picture.alpha.is_some());
                assert_eq!(found, picture.with_gray(gray), "{format:?}");
            }
        }
    }

    /// TGA has no magic number: it is recognized by the extension only.
    fn decode_as(bytes: &[u8], format: PictureFormat) -> Picture {
        if format != PictureFormat::Tga {
            return decode(bytes, &Limits::default()).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.tga"), bytes).unwrap();
        read(&dir.path().join("x.tga"), &Limits::default()).unwrap()
    }

    #[test]
    fn jpeg_stays_close_and_gray() {
        for picture in kinds().filter(|picture| picture.alpha.is_none()) {
            let flat = Picture::from_rgb(picture.width, picture.height, vec![90; picture.rgb.len()])
                .with_gray(picture.gray);
            let found = decode_as(&encode(&flat, PictureFormat::Jpeg).unwrap(), PictureFormat::Jpeg);
            assert_eq!(found.gray, flat.gray);
            assert!(found.rgb.iter().all(|value| value.abs_diff(90) <= 2), "{:?}", found.rgb);
        }
    }

    #[test]
    fn extensions_select_formats() {
        let of = |path: &str| PictureFormat::from_path(Path::new(path));
        assert_eq!(of("a/b.JPeG").unwrap(), PictureFormat::Jpeg);
        assert_eq!(of("plain").unwrap(), PictureFormat::Png);
        assert_eq!(of("x.tif").unwrap(), PictureFormat::Tiff);
        let refused = of("x.gif").unwrap_err().to_string();
        assert!(refused.contains("x.gif") && refused.contains("png"), "{refused}");
    }

    #[test]
    fn what_a_format_cannot_hold_is_an_error() {
        let wide = Picture::from_rgb(70_000, 1, vec![0; 210_000]);
        for format in [PictureFormat::Jpeg, PictureFormat::WebP, PictureFormat::Tga] {
            assert!(matches!(encode(&wide, format), Err(Error::Picture(_))), "{format:?}");
        }
    }
}
