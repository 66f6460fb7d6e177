//! Writing picture files.

use std::{borrow::Cow, io::Cursor, path::Path};

use aez_core::{Error, Picture, Result};
use image::{
    ExtendedColorType, ImageEncoder, ImageError,
    codecs::{
        bmp::BmpEncoder,
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
        pnm::{PnmEncoder, PnmSubtype, SampleEncoding},
        qoi::QoiEncoder,
        tga::TgaEncoder,
        tiff::TiffEncoder,
        webp::WebPEncoder,
    },
};

use crate::read::profile_fits;

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
}

/// The bytes of a picture file. ICC profile and Exif block are written where the format and its encoder can hold them: PNG, JPEG,
/// WebP; in TIFF the profile only.
///
/// # Errors
/// [`Error::Misuse`] when the picture has alpha and the format does not, [`Error::Picture`] when the format cannot hold the picture
/// for another reason, such as its size.
pub fn encode(picture: &Picture, format: PictureFormat) -> Result<Vec<u8>> {
    if picture.alpha.is_some() && !format.holds_alpha() {
        return Err(Error::Misuse(format!(
            "the picture has an alpha channel, which {format:?} cannot hold: write it as PNG or WebP"
        )));
    }
    let gray = picture.gray && format.holds_gray(picture.alpha.is_some());
    let mut out = Cursor::new(Vec::new());
    match format {
        PictureFormat::Png => {
            let png = PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive);
            write(png, picture, gray)
        }
        PictureFormat::Jpeg => write(JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY), picture, gray),
        PictureFormat::WebP => write(WebPEncoder::new_lossless(&mut out), picture, gray),
        PictureFormat::Bmp => write(BmpEncoder::new(&mut out), picture, gray),
        PictureFormat::Ppm => {
            let ppm = PnmEncoder::new(&mut out).with_subtype(PnmSubtype::Pixmap(SampleEncoding::Binary));
            write(ppm, picture, gray)
        }
        PictureFormat::Qoi => write(QoiEncoder::new(&mut out), picture, gray),
        PictureFormat::Tga => write(TgaEncoder::new(&mut out), picture, gray),
        PictureFormat::Tiff => write(TiffEncoder::new(&mut out), picture, gray),
    }
    .map_err(|error| Error::Picture(format!("cannot write the picture as {format:?}: {error}")))?;
    Ok(out.into_inner())
}

fn write(mut encoder: impl ImageEncoder, picture: &Picture, gray: bool) -> Result<(), ImageError> {
    // Encoders of formats without metadata return an error; the file is then written without them.
    if let Some(profile) = picture.icc.as_ref().filter(|profile| profile_fits(profile, gray)) {
        let _ = encoder.set_icc_profile(profile.clone());
    }
    if let Some(exif) = &picture.exif {
        let _ = encoder.set_exif_metadata(exif.clone());
    }
    let colors = picture.rgb.as_chunks::<3>().0;
    let (bytes, kind): (Cow<[u8]>, _) = match (&picture.alpha, gray) {
        (None, false) => ((&picture.rgb).into(), ExtendedColorType::Rgb8),
        (None, true) => (colors.iter().map(|color| color[0]).collect(), ExtendedColorType::L8),
        (Some(alpha), false) => {
            let pixels = colors.iter().zip(alpha).flat_map(|(&[r, g, b], &a)| [r, g, b, a]);
            (pixels.collect(), ExtendedColorType::Rgba8)
        }
        (Some(alpha), true) => {
            let pixels = colors.iter().zip(alpha).flat_map(|(color, &a)| [color[0], a]);
            (pixels.collect(), ExtendedColorType::La8)
        }
    };
    encoder.write_image(&bytes, picture.width, picture.height, kind)
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
