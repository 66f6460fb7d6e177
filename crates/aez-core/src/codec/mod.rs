//! Encoding and decoding of pictures, and the interface that a family of models implements.
//!
//! ```text
//! encode:  picture ──> Codec::analyse ──> Analysis::encode ──> payload ──> container
//! decode:  container ──> payload ──> Codec::decode ──> picture
//! ```
//!
//! [`Encoder`] and [`Decoder`] do what is common to all families: alpha and metadata, the container, limits, and the search for a
//! target size or quality. A family implements [`Codec`] and [`Analysis`]: pixels to a payload, and back.

mod bracket;
mod decode;
mod encode;
mod rate_control;

pub use decode::{Decoder, PartialPicture};
pub(crate) use encode::check_picture;
pub use encode::{Analysed, Encoder};

use std::borrow::Cow;

use crate::{
    container::{Family, Header, ModelId},
    entropy::Coder,
    error::{Error, Result},
    limits::Limits,
    picture::Picture,
    symbols::Quality,
};

/// A model of some family: what turns pixels into the payload of a file, and back.
pub trait Codec: Send + Sync {
    /// The family, which is stored in the header of files.
    fn family(&self) -> Family;

    /// The id of the model, which is stored in the header of files. Two models with the same id must decode alike.
    fn id(&self) -> ModelId;

    /// Properties of the model for people, as a JSON object.
    fn info(&self) -> serde_json::Value;

    /// Width and height of the blocks that are encoded separately, in pixels, or `None` where the family has none.
    fn block_edge(&self) -> Option<u32> {
        None
    }

    /// The effort of an [`Encoder`] that was given none.
    fn default_effort(&self) -> u8 {
        0
    }

    /// Analyses a picture: the part of encoding that does not depend on the settings. Alpha and metadata are encoded by the caller.
    /// Pixels with an opacity of 0 may be decoded to any colours; the caller has given them such that take few bytes. The picture is not
    /// empty.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a measure that the family cannot encode for, and [`Error::Backend`] when the device that runs the network
    /// fails.
    fn analyse<'a>(&'a self, picture: Cow<'a, Picture>, tune: Tune) -> Result<Box<dyn Analysis + 'a>>;

    /// Number of bytes that [`Codec::decode`] holds at once, including the pixels that it returns.
    fn memory(&self, header: &Header) -> u64;

    /// Decodes a payload to `width * height * 3` bytes: rows from the top, pixels from the left, each red, green, blue. For a gray
    /// picture the three are equal. The caller has checked the size of the picture and [`Codec::memory`] against `limits`, whose
    /// memory is what is left for this call.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a payload that no encoder writes, [`Error::Limit`] before an
    /// allocation above the limits, [`Error::Backend`].
    fn decode(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<Vec<u8>>;

    /// Number of levels of a payload: parts that follow each other, each of which adds detail to the picture of those before it. 1
    /// where the family has no levels.
    fn levels(&self, header: &Header) -> usize {
        let _ = header;
        1
    }

    /// Decodes the beginning of a payload, of which any number of bytes at the end are missing, to pixels of the whole picture. Returns
    /// them with the number of levels that are complete. The conditions are those of [`Codec::decode`].
    ///
    /// # Errors
    /// [`Error::Misuse`] where the family decodes whole payloads only, [`Error::Limit`], [`Error::Backend`].
    fn decode_cut(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize)> {
        let _ = (payload, limits);
        Err(Error::Misuse(format!("files of the {} family are decoded as a whole only", header.family)))
    }

    /// Number of bytes of a complete payload that each level takes, the first level first. They sum to the length of the payload.
    ///
    /// # Errors
    /// As for [`Codec::decode`].
    fn level_bytes(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<Vec<usize>> {
        let _ = (header, limits);
        Ok(vec![payload.len()])
    }
}

/// A picture after [`Codec::analyse`], which can be encoded with any settings.
pub trait Analysis {
    /// Encodes the picture.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a picture that the family cannot encode.
    fn encode(&self, settings: &Settings) -> Result<Payload>;

    /// Searches for a better representation of the picture for these settings, with an effort from 1 to 9. `None` where the family
    /// has no such search.
    ///
    /// # Errors
    /// [`Error::Backend`].
    fn refine(&self, settings: &Settings, effort: u8) -> Result<Option<Box<dyn Analysis + '_>>> {
        let _ = (settings, effort);
        Ok(None)
    }

    /// What a search for a target size or quality encodes, with an effort from 0 to 9, instead of this and what [`Analysis::refine`]
    /// returns. `None` where nothing is faster.
    fn for_search(&self, effort: u8) -> Option<Box<dyn Analysis + '_>> {
        let _ = effort;
        None
    }

    /// The largest [`Settings::rate_weight`] that a search needs to try between two qualities.
    fn max_rate_weight(&self) -> f32 {
        640.0
    }

    /// The pixels that decoding would give without quantization, `width * height * 3` bytes. `None` where the family has no such
    /// thing.
    ///
    /// # Errors
    /// [`Error::Backend`].
    fn unquantized(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// The measure of quality that an encoder aims at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tune {
    /// The peak signal-to-noise ratio: all pixels count alike.
    #[default]
    Psnr,
    /// Structural similarity, as people see it: pixels in busy places count less.
    Ssim,
}

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The quality.
    pub quality: Quality,
    /// Weight of the rate when the encoder chooses between rate and distortion, relative to the family's default: from 0, the
    /// smallest distortion at this quality. Default 1.
    pub rate_weight: f32,
}

impl Settings {
    /// The default settings at a quality.
    #[must_use]
    pub fn new(quality: Quality) -> Self {
        Self { quality, rate_weight: 1.0 }
    }

    /// The same settings with another [`Settings::rate_weight`].
    #[must_use]
    pub fn with_rate_weight(self, rate_weight: f32) -> Self {
        Self { rate_weight, ..self }
    }
}

/// Encoded colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The entropy coder, which is stored in the header. Families with only one use [`Coder::Range`].
    pub coder: Coder,
    /// The bytes, whose meaning the family defines.
    pub bytes: Vec<u8>,
}
