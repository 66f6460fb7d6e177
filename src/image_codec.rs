//! AEZ for programs that use the [`image`] crate: a decoder, an encoder, and hooks by which `image::open` reads `.aez`
//! files as it does PNG.
//!
//! ```
//! # fn main() -> image::ImageResult<()> {
//! use aez::image_codec::{AezEncoder, register_model};
//! use image::{ImageEncoder, Rgb, RgbImage};
//!
//! // A program would call `register()`, which takes the built-in model.
//! let model: &'static aez::model::Model = Box::leak(Box::new(aez::model::tiny()));
//! register_model(model);
//!
//! let picture = RgbImage::from_pixel(40, 30, Rgb([200, 90, 30]));
//! let mut file = Vec::new();
//! AezEncoder::new(&mut file, model).write_image(&picture, 40, 30, image::ExtendedColorType::Rgb8)?;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("picture.aez");
//! std::fs::write(&path, file)?;
//! let again = image::open(path)?;
//! assert_eq!((again.width(), again.height()), (40, 30));
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

use crate::{
    codec::{Decoder, Encoder},
    container::{Container, Header, Layout},
    error::Error,
    limits::Limits,
    model::Model,
    picture::Picture,
    symbols::Quality,
};

const EXTENSION: &str = "aez";
/// Magic number, and version 1 without its flags: two bytes alone would be mistaken for something else too easily.
const SIGNATURE: &[u8] = &[0xAE, 0x5A, 0x10];
const SIGNATURE_MASK: &[u8] = &[0xFF, 0xFF, 0xF0];

/// Makes the `image` crate of this process read `.aez` files that the built-in model coded, recognized by extension or
/// by content. Returns false, and changes nothing, where the extension is registered already.
pub fn register() -> bool {
    register_with(|| Model::builtin().map_err(decoding))
}

/// As [`register`], with another model.
pub fn register_model(model: &'static Model) -> bool {
    register_with(move || Ok(model))
}

fn register_with(model: impl Fn() -> ImageResult<&'static Model> + Send + Sync + 'static) -> bool {
    let hook: hooks::DecodingHook = Box::new(move |reader| Ok(Box::new(AezDecoder::new(reader, model()?)?)));
    let is_new = hooks::register_decoding_hook(EXTENSION.into(), hook);
    if is_new {
        hooks::register_format_detection_hook(EXTENSION.into(), SIGNATURE, Some(SIGNATURE_MASK));
    }
    is_new
}

/// Decodes one `.aez` file.
///
/// Gray pictures are [`ColorType::L8`] or [`ColorType::La8`], others [`ColorType::Rgb8`] or [`ColorType::Rgba8`].
pub struct AezDecoder<'m> {
    bytes: Vec<u8>,
    header: Header,
    has_alpha: bool,
    decoder: Decoder<'m>,
}

impl<'m> AezDecoder<'m> {
    /// Reads a whole file within the default [`Limits`], and checks all of it but the contents of its sections.
    ///
    /// # Errors
    /// [`ImageError::IoError`], [`ImageError::Limits`], [`ImageError::Unsupported`] for a later version of the format, and
    /// [`ImageError::Decoding`] with the [`Error`] that says what is wrong.
    pub fn new(reader: impl Read, model: &'m Model) -> ImageResult<Self> {
        Self::with_limits(reader, model, Limits::default())
    }

    /// As [`AezDecoder::new`], within other limits. [`ImageDecoder::set_limits`] can narrow them further.
    ///
    /// # Errors
    /// As for [`AezDecoder::new`].
    pub fn with_limits(reader: impl Read, model: &'m Model, limits: Limits) -> ImageResult<Self> {
        let mut bytes = Vec::new();
        reader.take(limits.max_memory.saturating_add(1)).read_to_end(&mut bytes)?;
        limits.check_memory(bytes.len() as u64).map_err(decoding)?;
        let (header, layout) = Layout::parse(&bytes, &limits).map_err(decoding)?;
        let decoder = Decoder { limits, ..Decoder::new(model) };
        Ok(Self { bytes, header, has_alpha: layout.alpha.is_some(), decoder })
    }

    /// The header of the file.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn container(&self) -> ImageResult<Container> {
        Container::parse(&self.bytes, &self.decoder.limits).map_err(decoding)
    }
}

impl ImageDecoder for AezDecoder<'_> {
    fn dimensions(&self) -> (u32, u32) {
        (self.header.width, self.header.height)
    }

    fn color_type(&self) -> ColorType {
        match (self.header.gray, self.has_alpha) {
            (true, false) => ColorType::L8,
            (true, true) => ColorType::La8,
            (false, false) => ColorType::Rgb8,
            (false, true) => ColorType::Rgba8,
        }
    }

    fn icc_profile(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.container()?.icc)
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.container()?.exif)
    }

    /// The bytes of the file itself count as memory of the decoder.
    fn set_limits(&mut self, mut limits: image::Limits) -> ImageResult<()> {
        limits.check_support(&image::LimitSupport::default())?;
        limits.check_dimensions(self.header.width, self.header.height)?;
        limits.reserve_usize(self.bytes.len())?;
        if let Some(left) = limits.max_alloc {
            let own = &mut self.decoder.limits.max_memory;
            *own = left.min(*own);
        }
        Ok(())
    }

    fn read_image(self, buf: &mut [u8]) -> ImageResult<()> {
        assert_eq!(buf.len() as u64, self.total_bytes(), "bytes of the picture");
        let picture = self.decoder.decode(&self.bytes).map_err(decoding)?;
        interleave(&picture, buf);
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, buf: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(buf)
    }
}

/// Fills `buf` with whole pixels: one or three colours, and the opacity where there is any.
fn interleave(picture: &Picture, buf: &mut [u8]) {
    let colours = if picture.gray { 1 } else { 3 };
    let channels = colours + usize::from(picture.alpha.is_some());
    for (place, (pixel, rgb)) in buf.chunks_exact_mut(channels).zip(picture.rgb.chunks_exact(3)).enumerate() {
        pixel[..colours].copy_from_slice(&rgb[..colours]);
        if let Some(alpha) = &picture.alpha {
            pixel[colours] = alpha[place];
        }
    }
}

/// Encodes one picture of 8 bits a channel to a writer.
///
/// The profile and the EXIF block that it is given are kept as they are; give it pixels that are upright.
pub struct AezEncoder<'m, W> {
    writer: W,
    encoder: Encoder<'m>,
    icc: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
}

impl<'m, W: Write> AezEncoder<'m, W> {
    /// An encoder of [`Quality::REFERENCE`].
    pub fn new(writer: W, model: &'m Model) -> Self {
        Self { writer, encoder: Encoder::new(model), icc: None, exif: None }
    }

    /// An encoder of that quality.
    pub fn new_with_quality(writer: W, model: &'m Model, quality: Quality) -> Self {
        let encoder = Encoder { quality, ..Encoder::new(model) };
        Self { encoder, ..Self::new(writer, model) }
    }
}

impl<W: Write> ImageEncoder for AezEncoder<'_, W> {
    /// Takes [`ExtendedColorType::L8`], `La8`, `Rgb8` and `Rgba8`. Others are an error: convert them before, such as by
    /// `DynamicImage::to_rgb8`.
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
        let picture = Picture {
            width,
            height,
            rgb: rgb.collect(),
            alpha: has_alpha.then(|| pixels.map(|pixel| pixel[colours]).collect()),
            gray,
            icc: self.icc.take(),
            exif: self.exif.take(),
        };
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

/// The same error in the terms of the `image` crate.
fn decoding(error: Error) -> ImageError {
    match error {
        Error::Io { source, .. } => ImageError::IoError(source),
        Error::Limit { what: "memory use", .. } => {
            ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory))
        }
        Error::Limit { .. } => ImageError::Limits(LimitError::from_kind(LimitErrorKind::DimensionError)),
        Error::UnsupportedVersion { .. } | Error::Unsupported(_) => {
            unsupported(UnsupportedErrorKind::GenericFeature(error.to_string()))
        }
        other => ImageError::Decoding(DecodingError::new(hint(), other)),
    }
}
