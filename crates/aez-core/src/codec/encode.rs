//! A picture to the bytes of an `.aez` file.

use std::borrow::Cow;

use super::{Analysis, Payload, Settings};
use crate::{
    container::{Header, Metadata, Sections},
    error::{Error, Result},
    model::Model,
    picture::{Picture, is_opaque},
    symbols::Quality,
};

/// Encodes pictures with one model.
///
/// ```
/// use aez_core::{Encoder, Picture, Quality};
/// # fn main() -> aez_core::Result<()> {
/// let model = aez_core::testing::tiny(); // Model::from_bytes(file)?
/// let picture = Picture::from_rgb(40, 30, vec![90; 40 * 30 * 3]);
/// let file = Encoder::new(&model).quality(Quality::new(60)?).encode(&picture)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Encoder<'m> {
    model: &'m Model,
    settings: Settings,
    effort: u8,
    keep_metadata: bool,
    exact: bool,
}

impl<'m> Encoder<'m> {
    /// An encoder with the default quality and no effort.
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        let settings = Settings::new(Quality::default());
        Self { model, settings, effort: 0, keep_metadata: true, exact: false }
    }

    /// Sets the quality. Default [`Quality::REFERENCE`].
    #[must_use]
    pub fn quality(mut self, quality: Quality) -> Self {
        self.settings.quality = quality;
        self
    }

    /// Sets how long the encoder searches for a better representation of each picture, from 0 (no search, the default) to 9. Larger
    /// values are taken as 9.
    ///
    /// In the tiled family, effort `n` computes the decoder's gradient `3 n²` times for each tile.
    #[must_use]
    pub fn effort(mut self, effort: u8) -> Self {
        self.effort = effort.min(9);
        self
    }

    /// Sets whether the metadata are stored: ICC profile, Exif block and XMP packet. Default true.
    #[must_use]
    pub fn keep_metadata(mut self, keep: bool) -> Self {
        self.keep_metadata = keep;
        self
    }

    /// Sets whether the colours of fully transparent pixels are encoded like all others. Default false: they are replaced by colours that
    /// take few bytes, so that the file depends on what is visible only.
    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Sets the weight of the rate when the encoder chooses between rate and distortion, relative to the default of 1: see
    /// [`Settings::rate_weight`].
    #[must_use]
    pub fn rate_weight(mut self, weight: f32) -> Self {
        self.settings.rate_weight = weight;
        self
    }

    pub(super) fn searches(&self) -> bool {
        self.effort > 0
    }

    /// Encodes a picture.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a picture that is empty, inconsistent, or exceeds the format, and [`Error::Backend`].
    pub fn encode(&self, picture: &Picture) -> Result<Vec<u8>> {
        self.analyse(picture)?.encode()
    }

    /// Analyses a picture, so that it can be encoded at several qualities.
    ///
    /// # Errors
    /// As for [`Encoder::encode`].
    pub fn analyse<'a>(&self, picture: &'a Picture) -> Result<Analysed<'a>>
    where
        'm: 'a,
    {
        check_picture(picture)?;
        let metadata = |bytes: &'a Option<Vec<u8>>| bytes.as_deref().filter(|_| self.keep_metadata);
        let metadata = Metadata {
            icc: metadata(&picture.icc),
            exif: metadata(&picture.exif),
            xmp: metadata(&picture.xmp),
        };
        let alpha = picture.alpha.as_deref().filter(|alpha| !is_opaque(alpha));
        let sections = Sections::pack(alpha, picture.width, metadata)?;
        let analysis = self.model.codec().analyse(self.colours(picture)?)?;
        Ok(Analysed { encoder: *self, picture, sections, analysis })
    }

    /// The picture that is given to the family: one of which all pixels matter, or one whose hidden colours are replaced.
    fn colours<'a>(&self, picture: &'a Picture) -> Result<Cow<'a, Picture>> {
        let &Picture { width, height, gray, .. } = picture;
        let of = |rgb| Picture::from_rgb(width, height, rgb).with_gray(gray);
        match &picture.alpha {
            Some(alpha) if alpha.contains(&0) => Ok(Cow::Owned(if self.exact {
                of(picture.rgb.clone())
            } else {
                of(picture.visible_rgb()?.into_owned()).with_alpha(Some(alpha.clone()))
            })),
            _ => Ok(Cow::Borrowed(picture)),
        }
    }
}

/// A picture that was analysed by an [`Encoder`], and can be encoded at any quality.
pub struct Analysed<'a> {
    encoder: Encoder<'a>,
    picture: &'a Picture,
    sections: Sections,
    analysis: Box<dyn Analysis + 'a>,
}

impl Analysed<'_> {
    /// Encodes the picture at the encoder's quality.
    ///
    /// # Errors
    /// As for [`Encoder::encode`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.encode_at(self.encoder.settings.quality)
    }

    /// Encodes the picture at another quality than the encoder's.
    ///
    /// # Errors
    /// As for [`Encoder::encode`].
    pub fn encode_at(&self, quality: Quality) -> Result<Vec<u8>> {
        let settings = Settings { quality, ..self.encoder.settings };
        match self.refined(&settings)? {
            Some(refined) => self.file(&settings, refined.as_ref()),
            None => self.file(&settings, self.analysis.as_ref()),
        }
    }

    /// The picture that decoding would give without quantization, without alpha and metadata; `None` for families of models that
    /// have no such thing.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn unquantized(&self) -> Result<Option<Picture>> {
        let &Picture { width, height, gray, .. } = self.picture;
        let picture = |rgb| Picture::from_rgb(width, height, rgb).with_gray(gray);
        Ok(self.analysis.unquantized()?.map(picture))
    }

    /// A better representation for these settings, if the encoder has an effort and the family a search.
    pub(super) fn refined(&self, settings: &Settings) -> Result<Option<Box<dyn Analysis + '_>>> {
        match self.encoder.effort {
            0 => Ok(None),
            effort => self.analysis.refine(settings, effort),
        }
    }

    fn file(&self, settings: &Settings, analysis: &dyn Analysis) -> Result<Vec<u8>> {
        let payload = analysis.encode(settings)?;
        self.assemble(settings, &payload)
    }

    pub(super) fn assemble(&self, settings: &Settings, payload: &Payload) -> Result<Vec<u8>> {
        self.sections.assemble(&self.header(settings, payload), &payload.bytes)
    }

    pub(super) fn header(&self, settings: &Settings, payload: &Payload) -> Header {
        let &Picture { width, height, gray, .. } = self.picture;
        let (family, model) = (self.encoder.model.family(), self.encoder.model.id());
        Header { family, width, height, gray, quality: settings.quality, coder: payload.coder, model }
    }

    /// The settings of the encoder.
    pub(super) fn settings(&self) -> Settings {
        self.encoder.settings
    }

    pub(super) fn analysis(&self) -> &dyn Analysis {
        self.analysis.as_ref()
    }

    pub(super) fn picture(&self) -> &Picture {
        self.picture
    }

    /// The opacities of the pixels, if those of opacity 0 do not matter.
    pub(super) fn opacities(&self) -> Option<&[u8]> {
        self.picture.alpha.as_deref().filter(|_| !self.encoder.exact)
    }

    pub(super) fn model(&self) -> &Model {
        self.encoder.model
    }
}

/// Checks that the buffers of a picture have the sizes that its fields declare.
pub(crate) fn check_picture(picture: &Picture) -> Result<()> {
    let &Picture { width, height, .. } = picture;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Error::Misuse(format!("a picture of {width}x{height} pixels cannot be encoded")));
    }
    let wrong_alpha = picture.alpha.as_ref().is_some_and(|alpha| alpha.len() as u64 != pixels);
    if picture.rgb.len() as u64 != 3 * pixels || wrong_alpha {
        return Err(Error::Misuse(format!("the buffers of a picture do not have {width}x{height} pixels")));
    }
    Ok(())
}
