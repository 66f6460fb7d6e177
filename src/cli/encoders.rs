//! The models that `aez compress` encodes with: one, or for each picture the better one of the built-in models.

use aez::models;
use aez_core::{Decoder, Encoder, Error, Limits, Model, Picture, Result, container::Family, picture::psnr};

use super::{
    common::{Common, Device, TuneArgs},
    failure::Failure,
};

/// What the encoder aims at.
#[derive(Clone, Copy)]
pub enum Aim {
    /// The encoder's quality.
    Quality,
    /// The best quality of at most this many bytes.
    Bytes(u64),
    /// The smallest file of at least this many decibels.
    Psnr(f64),
}

/// What the encoder of the photo family holds for each pixel, about.
const PHOTO_BYTES_PER_PIXEL: u64 = 560;

/// A file, and its PSNR where that was measured.
pub struct Encoded {
    pub bytes: Vec<u8>,
    pub psnr: Option<f64>,
}

/// One encoder, or several of which the better file counts.
pub struct Encoders {
    encoders: Vec<(&'static Model, Encoder<'static>)>,
}

impl Encoders {
    /// The encoders of `--model`, with the same settings.
    pub fn new(
        common: &Common,
        tune: &TuneArgs,
        set: impl Fn(Encoder<'static>) -> Encoder<'static>,
    ) -> std::result::Result<Self, Failure> {
        let models = match common.is_auto() && common.device == Device::Cpu {
            true => vec![models::tile()?, models::photo()?],
            false => vec![common.load_model()?],
        };
        let tune = tune.tune(&models)?;
        let encoder = |model| (model, set(Encoder::new(model).tune(tune)));
        Ok(Self { encoders: models.into_iter().map(encoder).collect() })
    }

    /// Whether a picture may be out of reach of these encoders, but not of the built-in model for photographs.
    pub fn lack_photo(&self) -> bool {
        self.encoders.iter().all(|(model, _)| model.family() != Family::PHOTO)
    }

    /// Bytes that encoding a picture holds, for the [gate](super::gate::Gate): no bound where there is nothing to gain from encoding
    /// several pictures at a time, since one occupies all threads.
    pub fn memory(&self, picture: &Picture) -> u64 {
        let pixels = u64::from(picture.width) * u64::from(picture.height);
        match self.encoders.as_slice() {
            [(model, _)] if model.family() == Family::PHOTO => PHOTO_BYTES_PER_PIXEL * pixels,
            _ => u64::MAX,
        }
    }

    /// Encodes a picture.
    pub fn encode(&self, picture: &Picture, aim: Aim) -> Result<Encoded> {
        let [tile, photo] = self.encoders.as_slice() else { return run(&self.encoders[0], picture, aim) };
        match aim {
            Aim::Quality => {
                let first = run(photo, picture, aim)?;
                let shown = shown(photo, picture, &first)?;
                // The tiled family has another scale of qualities. A file of it that is as good may be smaller.
                Ok(smaller(first, run(tile, picture, Aim::Psnr(shown))))
            }
            Aim::Psnr(_) => match (run(photo, picture, aim), run(tile, picture, aim)) {
                (Ok(first), second) => Ok(smaller(first, second)),
                (Err(Error::PsnrUnreachable { .. }), Ok(second)) => Ok(second),
                (Err(error), _) => Err(error),
            },
            Aim::Bytes(_) => match (run(photo, picture, aim), run(tile, picture, aim)) {
                (Ok(first), Ok(second)) => {
                    let is_better = shown(tile, picture, &second)? > shown(photo, picture, &first)?;
                    Ok(if is_better { second } else { first })
                }
                (Ok(only), Err(Error::SizeUnreachable { .. }))
                | (Err(Error::SizeUnreachable { .. }), Ok(only)) => Ok(only),
                // The smallest files are those of the tiled family.
                (_, Err(error)) | (Err(error), _) => Err(error),
            },
        }
    }
}

fn run((_, encoder): &(&Model, Encoder<'_>), picture: &Picture, aim: Aim) -> Result<Encoded> {
    match aim {
        Aim::Quality => Ok(Encoded { bytes: encoder.encode(picture)?, psnr: None }),
        Aim::Bytes(target) => Ok(Encoded { bytes: encoder.encode_to_bytes(picture, target)?, psnr: None }),
        Aim::Psnr(target) => {
            let (bytes, psnr) = encoder.encode_to_psnr(picture, target)?;
            Ok(Encoded { bytes, psnr: Some(psnr) })
        }
    }
}

/// The PSNR of a file.
fn shown((model, _): &(&Model, Encoder<'_>), picture: &Picture, file: &Encoded) -> Result<f64> {
    psnr(picture, &Decoder::new(model).limits(Limits::NONE).decode(&file.bytes)?)
}

/// The smaller of two files, if there is a second one.
fn smaller(first: Encoded, second: Result<Encoded>) -> Encoded {
    match second {
        Ok(second) if second.bytes.len() < first.bytes.len() => second,
        _ => first,
    }
}
