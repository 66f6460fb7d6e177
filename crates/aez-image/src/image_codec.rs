//! AEZ for programs that use the [`image`] crate: a decoder, an encoder, and hooks by which `image::open` reads `.aez` files.
//!
//! ```
//! # fn main() -> image::ImageResult<()> {
//! use aez_image::image_codec::{AezEncoder, register_model};
//! use image::{ImageEncoder, Rgb, RgbImage};
//!
//! // The crate `aez` has `register()`, which uses the built-in model.
//! let model: &'static aez_core::Model = Box::leak(Box::new(aez_core::testing::tiny()));
//! register_model(model);
//!
//! let picture = RgbImage::from_pixel(40, 30, Rgb([200, 90, 30]));
//! let mut file = Vec::new();
//! AezEncoder::new(&mut file, model).write_image(&picture, 40, 30, image::ExtendedColorType::Rgb8)?;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("picture.aez");
//! std::fs::write(&path, file)?;
//! let decoded = image::open(path)?;
//! assert_eq!((decoded.width(), decoded.height()), (40, 30));
//! # Ok(())
//! # }
//! ```

use std::io::{Read, Write};

use image::{
    ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageResult,
    error::{
        DecodingError, EncodingError, ImageFormatHint, LimitError, LimitErrorKind, ParameterError,
        ParameterErrorKind, UnsupportedError, UnsupportedErrorKind,
    },
    hooks,
};

use aez_core::{
    Decoder, Encoder, Error, LimitKind, Limits, Model, Picture, Quality,
    container::{File, Header, Layout},
};

use crate::file::read_bounded;

const EXTENSION: &str = "aez";
/// The magic number and version 1. The two bytes of the magic number are too few to recognize a format by.
const SIGNATURE: &[u8] = &[0xAE, 0x5A, 0x10];
const SIGNATURE_MASK: &[u8] = &[0xFF, 0xFF, 0xF0];

/// Makes the `image` crate read `.aez` files with this model in the whole process, recognized by their extension or their content.
/// Returns false, and changes nothing, if the extension is registered already.
pub fn register_model(model: &'static Model) -> bool {
    register_with(move |_| Ok(model))
}

/// As [`register_model`], with a function that returns the model for the bytes of a file.
pub fn register_with(
    model: impl Fn(&[u8]) -> aez_core::Result<&'static Model> + Send + Sync + 'static,
) -> bool {
    let hook: hooks::DecodingHook = Box::new(move |reader| {
        let limits = Limits::default();
        let bytes = read_within(reader, limits)?;
        let model = model(&bytes).map_err(decoding)?;
        Ok(Box::new(AezDecoder::from_bytes(bytes, model, limits)?))
    });
    let is_new = hooks::register_decoding_hook(EXTENSION.into(), hook);
    if is_new {
        hooks::register_format_detection_hook(EXTENSION.into(), SIGNATURE, Some(SIGNATURE_MASK));
    }
    is_new
}

/// Reads a whole file, which must fit into the memory of the limits.
fn read_within(reader: impl Read, limits: Limits) -> ImageResult<Vec<u8>> {
    let allowed = limits.max_memory;
    let too_large = Error::Limit { limit: LimitKind::Memory, found: allowed.saturating_add(1), allowed };
    read_bounded(reader, allowed)?.ok_or_else(|| decoding(too_large))
}

/// Decodes one `.aez` file.
///
/// Gray pictures are [`ColorType::L8`] or [`ColorType::La8`], others [`ColorType::Rgb8`] or [`ColorType::Rgba8`].
pub struct AezDecoder<'m> {
    bytes: Vec<u8>,
    header: Header,
    layout: Layout,
    model: &'m Model,
    limits: Limits,
}

impl<'m> AezDecoder<'m> {
    /// Reads a file within the default [`Limits`], and checks everything but the contents of its sections.
    ///
    /// # Errors
    /// [`ImageError::IoError`], [`ImageError::Limits`], [`ImageError::Unsupported`] for a later version of the format, and
    /// [`ImageError::Decoding`] with the [`Error`].
    pub fn new(reader: impl Read, model: &'m Model) -> ImageResult<Self> {
        Self::with_limits(reader, model, Limits::default())
    }

    /// As [`AezDecoder::new`] with other limits. [`ImageDecoder::set_limits`] can only reduce them.
    ///
    /// # Errors
    /// As for [`AezDecoder::new`].
    pub fn with_limits(reader: impl Read, model: &'m Model, limits: Limits) -> ImageResult<Self> {
        Self::from_bytes(read_within(reader, limits)?, model, limits)
    }

    fn from_bytes(bytes: Vec<u8>, model: &'m Model, limits: Limits) -> ImageResult<Self> {
        let File { header, layout, .. } =
            Decoder::new(model).limits(limits).parse(&bytes).map_err(decoding)?;
        Ok(Self { bytes, header, layout, model, limits })
    }

    /// The header of the file.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file, which was checked when this decoder was made.
    fn file(&self) -> File<'_> {
        File { bytes: &self.bytes, header: self.header, layout: self.layout.clone() }
    }

    /// A part of the file's metadata, if all of its sections fit into the limits.
    fn metadata<T>(&self, read: impl Fn(&File<'_>) -> aez_core::Result<T>) -> ImageResult<T> {
        let file = self.file();
        let checked = file.section_memory().and_then(|memory| self.limits.check_memory(memory));
        checked.and_then(|()| read(&file)).map_err(decoding)
    }
}

impl ImageDecoder for AezDecoder<'_> {
    fn dimensions(&self) -> (u32, u32) {
        (self.header.width, self.header.height)
    }

    fn color_type(&self) -> ColorType {
        match (self.header.gray, self.layout.alpha.is_some()) {
            (true, false) => ColorType::L8,
            (true, true) => ColorType::La8,
            (false, false) => ColorType::Rgb8,
            (false, true) => ColorType::Rgba8,
        }
    }

    fn icc_profile(&mut self) -> ImageResult<Option<Vec<u8>>> {
        self.metadata(|file| file.icc())
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        self.metadata(|file| file.exif())
    }

    fn xmp_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        self.metadata(|file| file.xmp())
    }

    /// The bytes of the file count as memory of the decoder.
    fn set_limits(&mut self, mut limits: image::Limits) -> ImageResult<()> {
        limits.check_support(&image::LimitSupport::default())?;
        limits.check_dimensions(self.header.width, self.header.height)?;
        limits.reserve_usize(self.bytes.len())?;
        if let Some(left) = limits.max_alloc {
            self.limits = self.limits.with_max_memory(left.min(self.limits.max_memory));
        }
        Ok(())
    }

    fn read_image(self, buf: &mut [u8]) -> ImageResult<()> {
        assert_eq!(buf.len() as u64, self.total_bytes(), "bytes of the picture");
        let decoder = Decoder::new(self.model).limits(self.limits);
        let picture = decoder.decode_parsed(&self.file()).map_err(decoding)?;
        interleave(&picture, self.layout.alpha.is_some(), buf);
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, buf: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(buf)
    }
}

/// Fills `buf` with interleaved pixels: one or three colour channels, and alpha if the file has it. The decoder drops an alpha plane
/// that is opaque.
fn interleave(picture: &Picture, has_alpha: bool, buf: &mut [u8]) {
    let colours = if picture.gray { 1 } else { 3 };
    let channels = colours + usize::from(has_alpha);
    for (place, (pixel, rgb)) in buf.chunks_exact_mut(channels).zip(picture.rgb.chunks_exact(3)).enumerate() {
        pixel[..colours].copy_from_slice(&rgb[..colours]);
        if has_alpha {
            pixel[colours] = picture.alpha.as_ref().map_or(u8::MAX, |alpha| alpha[place]);
        }
    }
}

/// Encodes one picture of 8 bits a channel to a writer.
///
/// ICC profile and Exif block are stored unchanged. The pixels must be upright.
pub struct AezEncoder<'m, W> {
    writer: W,
    encoder: Encoder<'m>,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
}

impl<'m, W: Write> AezEncoder<'m, W> {
    /// An encoder with quality [`Quality::REFERENCE`].
    pub fn new(writer: W, model: &'m Model) -> Self {
        Self { writer, encoder: Encoder::new(model), icc: None, exif: None }
    }

    /// An encoder with the given quality.
    pub fn new_with_quality(writer: W, model: &'m Model, quality: Quality) -> Self {
        let encoder = Encoder::new(model).quality(quality);
        Self { encoder, ..Self::new(writer, model) }
    }
}

impl<W: Write> ImageEncoder for AezEncoder<'_, W> {
    /// Accepts [`ExtendedColorType::L8`], `La8`, `Rgb8` and `Rgba8`. Convert others before, for example by `DynamicImage::to_rgb8`.
    fn write_image(
        mut self,
        buf: &[u8],
        width: u32,
        height: u32,
        color: ExtendedColorType,
    ) -> ImageResult<()> {
        let (gray, has_alpha) = match color {
            ExtendedColorType::L8 => (true, false),
            ExtendedColorType::La8 => (true, true),
            ExtendedColorType::Rgb8 => (false, false),
            ExtendedColorType::Rgba8 => (false, true),
            other => return Err(unsupported(UnsupportedErrorKind::Color(other))),
        };
        let colours = if gray { 1 } else { 3 };
        let channels = colours + usize::from(has_alpha);
        let expected = u64::from(width) * u64::from(height) * channels as u64;
        assert_eq!(buf.len() as u64, expected, "bytes of a {width}x{height} picture");
        if expected == 0 {
            return Err(ImageError::Parameter(ParameterError::from_kind(
                ParameterErrorKind::DimensionMismatch,
            )));
        }
        let pixels = buf.chunks_exact(channels);
        let rgb = pixels
            .clone()
            .flat_map(|pixel| if gray { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] });
        let alpha = has_alpha.then(|| pixels.map(|pixel| pixel[colours]).collect());
        let picture = Picture::from_rgb(width, height, rgb.collect())
            .with_gray(gray)
            .with_alpha(alpha)
            .with_icc(self.icc.take())
            .with_exif(self.exif.take());
        let failed = |error| ImageError::Encoding(EncodingError::new(hint(), error));
        let bytes = self.encoder.encode(&picture).map_err(failed)?;
        Ok(self.writer.write_all(&bytes)?)
    }

    fn set_icc_profile(&mut self, icc_profile: Vec<u8>) -> Result<(), UnsupportedError> {
        self.icc = Some(icc_profile);
        Ok(())
    }

    fn set_exif_metadata(&mut self, exif: Vec<u8>) -> Result<(), UnsupportedError> {
        self.exif = Some(exif);
        Ok(())
    }
}

fn hint() -> ImageFormatHint {
    ImageFormatHint::Name("AEZ".into())
}

fn unsupported(kind: UnsupportedErrorKind) -> ImageError {
    ImageError::Unsupported(UnsupportedError::from_format_and_kind(hint(), kind))
}

/// The error in the types of the `image` crate.
fn decoding(error: Error) -> ImageError {
    match error {
        Error::Io { source, .. } => ImageError::IoError(source),
        Error::Limit { limit: LimitKind::Memory, .. } => {
            ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory))
        }
        Error::Limit { .. } => ImageError::Limits(LimitError::from_kind(LimitErrorKind::DimensionError)),
        Error::UnsupportedVersion { .. } | Error::Unsupported(_) => {
            unsupported(UnsupportedErrorKind::GenericFeature(error.to_string()))
        }
        other => ImageError::Decoding(DecodingError::new(hint(), other)),
    }
}
