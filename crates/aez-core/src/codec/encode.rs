//! A picture to the bytes of an `.aez` file.

use std::borrow::Cow;

use super::{Analysis, Payload, Settings, Tune};
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
    tune: Tune,
    effort: Option<u8>,
    keep_metadata: bool,
    exact: bool,
}

impl<'m> Encoder<'m> {
    /// An encoder with the default quality and effort.
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        let settings = Settings::new(Quality::default());
        Self { model, settings, tune: Tune::Psnr, effort: None, keep_metadata: true, exact: false }
    }

    /// Sets the quality. Default [`Quality::REFERENCE`].
    #[must_use]
    pub fn quality(mut self, quality: Quality) -> Self {
        self.settings.quality = quality;
        self
    }

    /// Sets how long the encoder searches for a better representation of each picture, from 0 to 9. Larger values
    /// are taken as 9.
    ///
    /// In the tiled family, effort `n` computes the decoder's gradient `3 n²` times for each tile; the default is 0, no search. In the
    /// photo family, it computes it `16 + 16 n²` times, but 20 times for effort 0, and up to three times as often for small pictures;
    /// the default is 3.
    #[must_use]
    pub fn effort(mut self, effort: u8) -> Self {
        self.effort = Some(effort.min(9));
        self
    }

    /// Sets the measure of quality that the encoder aims at. Default [`Tune::Psnr`]. The tiled family knows no other.
    #[must_use]
    pub fn tune(mut self, tune: Tune) -> Self {
        self.tune = tune;
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

    pub(super) fn effective_effort(&self) -> u8 {
        self.effort.unwrap_or_else(|| self.model.codec().default_effort())
    }

    /// Encodes a picture.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a picture that is empty, inconsistent, or exceeds the format, and for a measure that the model's family cannot
    /// encode for; [`Error::Backend`].
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
        let analysis = self.model.codec().analyse(self.colours(picture)?, self.tune)?;
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
        match self.encoder.effective_effort() {
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

    /// What a search encodes, if the family has something faster than analysis and refinement.
    pub(super) fn for_search(&self) -> Option<Box<dyn Analysis + '_>> {
        self.analysis.for_search(self.encoder.effective_effort())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Decoder,
        container::Container,
        info::FileInfo,
        limits::Limits,
        picture::{mse, psnr},
        testing,
    };

    /// Smooth colours, of which those outside of a disc are hidden: there they are replaced by `hidden`.
    fn cutout(hidden: [u8; 3]) -> Picture {
        let (width, height) = (50u32, 40u32);
        let is_inside = |i: u32| (i % width).abs_diff(16).pow(2) + (i / width).abs_diff(14).pow(2) < 150;
        let wave = |i: u32, c: u32| {
            (127.0 + 80.0 * ((i % width + 2 * (i / width)) as f32 * 0.1 + c as f32).sin()) as u8
        };
        let pixel = |i: u32| if is_inside(i) { [0, 1, 2].map(|c| wave(i, c)) } else { hidden };
        let alpha = (0..width * height).map(|i| if is_inside(i) { 200 } else { 0 }).collect();
        Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
            .with_alpha(Some(alpha))
    }

    #[test]
    fn hidden_colours_change_neither_file_nor_quality() {
        let model = testing::tiny();
        for encoder in [Encoder::new(&model), Encoder::new(&model).effort(2)] {
            let files = [[0; 3], [255, 0, 255]].map(|hidden| encoder.encode(&cutout(hidden)).unwrap());
            assert_eq!(files[0], files[1]);
            let reached =
                [[0; 3], [255, 0, 255]].map(|hidden| encoder.encode_to_psnr(&cutout(hidden), 20.0).unwrap());
            assert_eq!(reached[0], reached[1]);
            let decoded = Decoder::new(&model).decode(&reached[0].0).unwrap();
            assert_eq!(psnr(&cutout([9; 3]), &decoded).unwrap(), reached[0].1);
            assert_eq!(decoded.alpha, cutout([0; 3]).alpha);
        }
    }

    #[test]
    fn exact_encoders_keep_hidden_colours() {
        let model = testing::tiny();
        let original = cutout([250, 20, 20]);
        let all = original.clone().with_alpha(None);
        let error = |exact: bool| {
            let file = Encoder::new(&model).exact(exact).encode(&original).unwrap();
            mse(&all, &Decoder::new(&model).decode(&file).unwrap()).unwrap()
        };
        assert!(error(true) < 0.2 * error(false), "{} {}", error(true), error(false));
    }

    #[test]
    fn an_opaque_alpha_plane_takes_no_bytes() {
        let model = testing::tiny();
        let plain = cutout([1; 3]).with_alpha(None);
        // Not by `with_alpha`, which drops it.
        let opaque = Picture { alpha: Some(vec![255; 2000]), ..plain.clone() };
        assert_eq!(plain.clone().with_alpha(opaque.alpha.clone()), plain);
        let file = Encoder::new(&model).encode(&opaque).unwrap();
        assert_eq!(file, Encoder::new(&model).encode(&plain).unwrap());
        // Older encoders stored it.
        let stored =
            Container { alpha: opaque.alpha, ..Container::parse(&file, &Limits::default()).unwrap() };
        let decoded = Decoder::new(&model).decode(&stored.to_bytes().unwrap()).unwrap();
        assert_eq!(decoded, Decoder::new(&model).decode(&file).unwrap());
    }

    #[test]
    fn an_xmp_packet_is_kept_unless_metadata_are_left_out() {
        let model = testing::tiny();
        let packet = Some(b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>\xff</x:xmpmeta>".to_vec());
        let picture = cutout([1; 3]).with_xmp(packet.clone());
        let file = Encoder::new(&model).encode(&picture).unwrap();
        assert_eq!(Decoder::new(&model).decode(&file).unwrap().xmp, packet);
        let info = FileInfo::read(&file).unwrap();
        assert!(info.xmp_bytes > 0 && info.unknown_bytes == 0);
        let bare = Encoder::new(&model).keep_metadata(false).encode(&picture).unwrap();
        assert_eq!(Decoder::new(&model).decode(&bare).unwrap().xmp, None);
    }
}
