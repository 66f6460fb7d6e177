//! The bytes of a preview: one string of the range coder, which contains its own check.

use super::{MAX_BYTES, alpha::AlphaGrid, shape::Aspect};
use crate::{
    container::{Family, ModelId},
    entropy::{Frequencies, RangeDecoder, RangeEncoder},
    error::{Error, Result},
    symbols::{Quality, Shape, Symbols},
    tiled::TiledModel,
};

/// Weights of the flags for gray and alpha: both are rare.
const RARE: [u32; 2] = [15, 1];
/// Previews use every fourth quality; lambda is chosen in between.
const QUALITY_STEP: u8 = 4;

/// The content of a preview before the symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub aspect: Aspect,
    pub gray: bool,
    pub alpha: Option<AlphaGrid>,
}

impl Head {
    /// Codes the content.
    pub fn write(&self, encoder: &mut RangeEncoder) {
        self.aspect.write(encoder);
        encoder.put(self.gray.into(), &rare());
        encoder.put(self.alpha.is_some().into(), &rare());
        if let Some(alpha) = &self.alpha {
            alpha.write(encoder);
        }
    }

    fn read(decoder: &mut RangeDecoder<'_>) -> Result<Self> {
        let aspect = Aspect::read(decoder)?;
        let mut flag = || Ok::<_, Error>(decoder.take(&rare())? == 1);
        let (gray, has_alpha) = (flag()?, flag()?);
        let alpha = has_alpha.then(|| AlphaGrid::read(decoder)).transpose()?;
        Ok(Self { aspect, gray, alpha })
    }
}

/// The qualities that a preview can have, from the lowest.
pub fn qualities() -> impl Iterator<Item = Quality> {
    (1..=100 / QUALITY_STEP).filter_map(|index| Quality::new(index * QUALITY_STEP).ok())
}

/// An encoder after the head and the quality of a preview of the tiled family; the symbols follow.
pub fn begin(head: &Head, quality: Quality) -> RangeEncoder {
    let mut encoder = RangeEncoder::new();
    head.write(&mut encoder);
    encoder.put((quality.get() / QUALITY_STEP).into(), &quality_frequencies());
    encoder
}

/// Decodes the bytes of a preview of the tiled family.
pub fn read_tiled(bytes: &[u8], model: &TiledModel) -> Result<(Head, Quality, Symbols)> {
    let (head, (quality, symbols)) = read(bytes, Family::TILED, model.id(), |decoder, _| {
        let quality = Quality::new(decoder.take(&quality_frequencies())? as u8 * QUALITY_STEP)?;
        let shape = Shape { rows: 1, columns: 1, channels: model.latents() as u32 };
        Ok((quality, decoder.take_symbols(shape, &model.prior().at(quality))?))
    })?;
    Ok((head, quality, symbols))
}

/// Decodes the bytes of a preview: checks them, and decodes the head and then `content`.
pub fn read<T>(
    bytes: &[u8],
    family: Family,
    model: ModelId,
    content: impl FnOnce(&mut RangeDecoder<'_>, &Head) -> Result<T>,
) -> Result<(Head, T)> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::Preview(format!("it has {} bytes, more than {MAX_BYTES}", bytes.len())));
    }
    if family_of(bytes) != family {
        return Err(Error::Preview(format!(
            "its check fails: it is damaged, or was made with a model of the family {}, and model {model} is of the family {family}",
            family_of(bytes)
        )));
    }
    if !check(bytes, family, model) {
        return Err(Error::Preview(format!(
            "its check fails for model {model}: it is damaged, or was made with another model"
        )));
    }
    let read_checked = || {
        let mut decoder = RangeDecoder::new(bytes);
        let head = Head::read(&mut decoder)?;
        let content = content(&mut decoder, &head)?;
        decoder.finish()?;
        Ok((head, content))
    };
    read_checked().map_err(|error| match error {
        Error::Damaged(what) => Error::Preview(what),
        other => other,
    })
}

fn rare() -> Frequencies {
    Frequencies::of(0, &RARE)
}

/// Of the quality divided by [`QUALITY_STEP`].
fn quality_frequencies() -> Frequencies {
    Frequencies::of(1, &[1; (100 / QUALITY_STEP) as usize])
}

/// The family of the model that bytes were made with: those of the preview family have an even number of one bits, the others an odd
/// number.
pub fn family_of(bytes: &[u8]) -> Family {
    match bytes.iter().map(|byte| byte.count_ones()).sum::<u32>() % 2 {
        0 => Family::PREVIEW,
        _ => Family::TILED,
    }
}

/// Whether bytes are a preview of a model: they have its family, and the CRC-8 of its id and the bytes is 0 or 1. A CRC of this
/// polynomial has as many one bits, modulo 2, as what it is computed from, so that only one of the two is possible: all eight bits check
/// for damage. The encoder achieves that by its choice among nearly equal symbols, and neither check nor family take any bytes.
pub fn check(bytes: &[u8], family: Family, model: ModelId) -> bool {
    !bytes.is_empty() && family_of(bytes) == family && crc8(model.0.iter().chain(bytes)) <= 1
}

/// CRC-8/SMBUS: polynomial 0x07, most significant bit first, initial value 0. It detects every error within 8 consecutive bits, and
/// so any single wrong character.
fn crc8<'a>(bytes: impl Iterator<Item = &'a u8>) -> u8 {
    bytes.fold(0, |crc, &byte| {
        (0..8).fold(crc ^ byte, |crc, _| crc << 1 ^ if crc >> 7 == 1 { 0x07 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For every model, each text has one family, and passes one value of the check.
    #[test]
    fn one_text_in_256_passes_and_of_one_family() {
        for id in [[0; 4], [1, 0, 0, 0], [0x84, 0xD2, 0x74, 0xA1], [0xFF; 4]].map(ModelId) {
            for family in [Family::TILED, Family::PREVIEW] {
                let passed = |&number: &u16| check(&number.to_be_bytes(), family, id);
                let all: Vec<u16> = (0..=u16::MAX).filter(passed).collect();
                assert_eq!(all.len(), 256, "{id} {family}");
                // Two of them differ in more than one byte.
                assert!(all.iter().zip(&all[1..]).all(|(a, b)| a >> 8 != b >> 8), "{id} {family}");
            }
        }
    }

    #[test]
    fn catalogued_check_value() {
        assert_eq!(crc8(b"123456789".iter()), 0xF4);
    }

    /// The bytes were computed by another program, written from the specification.
    #[test]
    fn heads_are_coded_as_documented() {
        let code = |aspect, gray, alpha, quality| {
            begin(&Head { aspect, gray, alpha }, Quality::new(quality).unwrap()).finish()
        };
        assert_eq!(code(Aspect::of(3, 2).unwrap(), false, None, 52), [0xBB]);
        let alpha = AlphaGrid { fineness: 1, cells: vec![0, 0, 1, 0, 3, 3, 2, 3, 0] };
        let coded = code(Aspect::of(3, 4).unwrap(), true, Some(alpha), 100);
        assert_eq!(coded, [0x68, 0x87, 0x21, 0x08, 0x42, 0x73]);
    }

    #[test]
    fn qualities_are_spaced_evenly_up_to_the_best() {
        let all: Vec<u8> = qualities().map(Quality::get).collect();
        assert_eq!((all[0], all[1], all[24], all.len()), (4, 8, 100, 25));
    }
}
