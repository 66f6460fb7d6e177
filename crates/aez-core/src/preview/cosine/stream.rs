//! The bytes of a preview of this model: the head, the step and the symbols.

use super::{COUNT, PreviewModel, dct::Step, prior::Coded};
use crate::{
    container::Family,
    entropy::{Frequencies, RangeEncoder},
    error::Result,
    preview::stream::{self, Head},
};

/// Weights of the steps, from the smallest.
const STEP_WEIGHTS: [u32; 15] = [2, 5, 8, 8, 8, 8, 6, 4, 2, 1, 1, 1, 1, 1, 1];

/// An encoder after the head and the step; the symbols follow.
pub fn begin(head: &Head, step: Step) -> RangeEncoder {
    let mut encoder = RangeEncoder::new();
    head.write(&mut encoder);
    encoder.put(step.position(), &Frequencies::of(0, &STEP_WEIGHTS));
    encoder
}

/// The bytes of symbols, without regard to the check. Of gray pictures, the colours are not coded.
pub fn write(mut encoder: RangeEncoder, model: &PreviewModel, gray: bool, coded: &Coded) -> Vec<u8> {
    for at in (0..COUNT).filter(|&at| !gray || model.channel(at) == 0) {
        model.prior.put(&mut encoder, coded.scales[at], coded.symbols[at]);
    }
    encoder.finish()
}

/// Decodes the bytes of a preview.
pub fn read(bytes: &[u8], model: &PreviewModel) -> Result<(Head, Step, Coded)> {
    stream::read(bytes, Family::PREVIEW, model.id(), |decoder, head| {
        let step = Step::at(decoder.take(&Frequencies::of(0, &STEP_WEIGHTS))? as usize);
        let coded = model.prior.visit(step, |at, scale| match head.gray && model.channel(at) > 0 {
            true => Ok(0),
            false => model.prior.take(decoder, scale),
        })?;
        Ok((step, coded))
    })
    .map(|(head, (step, coded))| (head, step, coded))
}
