//! The synthesis network in integer arithmetic.

use super::{
    super::{quality::MULTIPLIER_BITS, rows::Rows},
    layer::IntegerLayer,
    network::{PICTURE, SynthesisLayers},
    run::{Plus, RELU, SIGNED, apply},
};

/// What a level passes to the finer one. The edges of all planes are extended.
pub(super) struct Coarser {
    pub features: Rows<i16>,
    picture: Rows<i16>,
    carry: Rows<i16>,
}

/// Latents in units of the picture, where the factor of the steps is in units of 2^-12.
fn scaled(layer: &IntegerLayer, multiplier: u32, latents: &Rows<i16>) -> Rows<i16> {
    let factor = i64::from(layer.weights[0]) * i64::from(multiplier);
    let shift = u32::from(layer.shifts[0]) + MULTIPLIER_BITS;
    let mut scaled = latents.clone();
    for value in &mut scaled.values {
        let exact = i64::from(*value) * factor + (1 << (shift - 1));
        *value = (exact >> shift).clamp(SIGNED.into(), 32_767) as i16;
    }
    scaled
}

/// Runs one level on its latents, whose edges are extended.
pub(super) fn run(
    layers: &SynthesisLayers,
    multiplier: u32,
    latents: &Rows<i16>,
    coarser: Option<&Coarser>,
) -> Coarser {
    let (enlarged, carried) = match coarser {
        Some(coarser) => (Plus::Cubic(&coarser.picture), Plus::Linear(&coarser.carry)),
        None => (Plus::Nothing, Plus::Nothing),
    };
    let latents = scaled(&layers.scale, multiplier, latents);
    let picture = apply(&layers.linear, &[&latents], enlarged, SIGNED);
    let first = apply(&layers.first, &[&latents, &picture], carried, RELU);
    let features = apply(&layers.second, &[&first], Plus::Nothing, RELU);
    let picture = apply(&layers.output, &[&features], Plus::Planes(&picture), SIGNED);
    let carry = apply(&layers.carry, &[&features], Plus::Nothing, SIGNED);
    Coarser { features, picture, carry }
}

/// Red, green and blue of luma and chroma, in units of 2^-13: `round(2^5 255 weight)`.
const TO_RGB: [[i32; 3]; 3] = [[8160, 0, 11_440], [8160, -2808, -5827], [8160, 14_460, 0]];

impl Coarser {
    /// The pixels of the finest level, red, green and blue of each.
    pub fn pixels(&self) -> Vec<u8> {
        const SHIFT: u32 = PICTURE + 5;
        let picture = &self.picture;
        let mut pixels = Vec::with_capacity(3 * picture.rows * picture.columns);
        for y in 0..picture.rows {
            let planes = [0, 1, 2].map(|plane| picture.row(plane, y));
            for x in 0..picture.columns {
                let colours = planes.map(|plane| i32::from(plane[x]));
                for weights in TO_RGB {
                    let sum: i32 = weights.iter().zip(colours).map(|(weight, colour)| weight * colour).sum();
                    let level = (sum + (255 << (SHIFT - 1)) + (1 << (SHIFT - 1))) >> SHIFT;
                    pixels.push(level.clamp(0, 255) as u8);
                }
            }
        }
        pixels
    }
}
