//! The prior: the scale of each coefficient from the step and the magnitudes before it, and the frequencies of magnitudes by scale.

use super::{COUNT, dct::Step, file::Tensors};
use crate::{
    entropy::{Frequencies, RangeDecoder, RangeEncoder},
    error::{Error, Result},
};

/// Number of scales, 6 for each factor of two.
pub const SCALES: usize = 64;
/// Magnitudes that have frequencies; the last one stands for itself and all larger ones.
pub const MAGNITUDES: usize = 16;
/// Numbers that the prior remembers.
const STATE: usize = 12;
/// Distance of the step indices for which the scales are given.
const KNOT_DISTANCE: i32 = 7;
const KNOTS: usize = 5;
/// Maximum number of bits after the highest bit of what exceeds the magnitudes.
const MAX_REST_BITS: u32 = 9;
/// The largest magnitude that can be coded.
pub const MAX_MAGNITUDE: i32 = MAGNITUDES as i32 - 2 + (2 << MAX_REST_BITS) - 1;
/// Maximum of the factors of what coefficients add to the state.
const MAX_GAIN: i16 = 1023;
/// `32 log2(1 + m)`, rounded.
const FEATURES: [i32; 64] = [
    0, 32, 51, 64, 74, 83, 90, 96, 101, 106, 111, 115, 118, 122, 125, 128, 131, 133, 136, 138, 141, 143, 145,
    147, 149, 150, 152, 154, 155, 157, 159, 160, 161, 163, 164, 165, 167, 168, 169, 170, 171, 173, 174, 175,
    176, 177, 178, 179, 180, 181, 182, 182, 183, 184, 185, 186, 187, 187, 188, 189, 190, 191, 191, 192,
];

/// The prior of a model.
pub struct Prior {
    /// For each coefficient its scales at the step indices 0, 7, 14, 21 and 28, in 1/16.
    knots: Vec<[i16; KNOTS]>,
    /// For each coefficient the weights of the state, and of its positive part.
    read: Vec<[i8; 2 * STATE]>,
    /// For each coefficient what it adds to the state.
    write: Vec<[i8; STATE]>,
    gain: [i16; SCALES],
    shift: u8,
    frequencies: Vec<Frequencies>,
    /// Code lengths of the magnitudes and signs in bits.
    lengths: Vec<[f32; MAGNITUDES]>,
}

/// Symbols, and the scales that the prior gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    pub symbols: Vec<i32>,
    pub scales: Vec<u8>,
}

impl Prior {
    /// Reads the prior of a model file. All sums fit in 32 bits, since [`MAX_GAIN`] bounds the state.
    pub fn read(tensors: &mut Tensors<'_>) -> Result<Self> {
        let gain = tensors.i16("prior.gain", &[SCALES])?;
        let shift = tensors.u8("prior.shift", &[1])?[0];
        let weights = tensors.u16("prior.weights", &[SCALES, MAGNITUDES])?;
        if !gain.iter().all(|gain| (0..=MAX_GAIN).contains(gain)) || shift > 24 {
            return Err(Error::Model("a gain or the shift of its prior is too large".into()));
        }
        let frequencies: Vec<Frequencies> = weights
            .as_chunks::<MAGNITUDES>()
            .0
            .iter()
            .map(|weights| Frequencies::from_weights(0, &weights.map(u32::from)))
            .collect::<Result<_>>()
            .map_err(|e| Error::Model(format!("its prior: {e}")))?;
        let sign = |magnitude: usize| if magnitude == 0 { 0.0 } else { 1.0 };
        let lengths =
            frequencies.iter().map(|table| std::array::from_fn(|m| table.bits(m as i32) + sign(m))).collect();
        Ok(Self {
            knots: tensors.i16("prior.knots", &[COUNT, KNOTS])?.as_chunks().0.to_vec(),
            read: tensors.i8("prior.read", &[COUNT, 2 * STATE])?.as_chunks().0.to_vec(),
            write: tensors.i8("prior.write", &[COUNT, STATE])?.as_chunks().0.to_vec(),
            gain: std::array::from_fn(|scale| gain[scale]),
            shift,
            frequencies,
            lengths,
        })
    }

    /// Visits the coefficients in order. `next` maps the number of a coefficient and its scale to its symbol.
    pub fn visit(&self, step: Step, mut next: impl FnMut(usize, u8) -> Result<i32>) -> Result<Coded> {
        let mut state = [0i32; STATE];
        let mut coded = Coded { symbols: Vec::with_capacity(COUNT), scales: Vec::with_capacity(COUNT) };
        for at in 0..COUNT {
            let offset = self.offset(at, step);
            let scale = rounded(offset + (self.sum(at, &state) >> self.shift));
            let symbol = next(at, scale as u8)?;
            let magnitude = symbol.unsigned_abs() as usize;
            if magnitude > 0 {
                let gain = i32::from(self.gain[rounded(offset)]);
                let feature = (FEATURES[magnitude.min(FEATURES.len() - 1)] * gain) >> 5;
                for (sum, &write) in state.iter_mut().zip(&self.write[at]) {
                    *sum += i32::from(write) * feature;
                }
            }
            coded.symbols.push(symbol);
            coded.scales.push(scale as u8);
        }
        Ok(coded)
    }

    /// The scale without the state, in 1/16, linear between the knots.
    fn offset(&self, at: usize, step: Step) -> i32 {
        let knot = (step.index() / KNOT_DISTANCE).min(KNOTS as i32 - 2);
        let rest = step.index() - KNOT_DISTANCE * knot;
        let [low, high] = [knot, knot + 1].map(|knot| i32::from(self.knots[at][knot as usize]));
        (low * (KNOT_DISTANCE - rest) + high * rest).div_euclid(KNOT_DISTANCE)
    }

    fn sum(&self, at: usize, state: &[i32; STATE]) -> i32 {
        let (read, read_positive) = self.read[at].split_at(STATE);
        let limited = state.map(|sum| (sum >> 3).clamp(i16::MIN.into(), i16::MAX.into()));
        let terms = limited.iter().zip(read).zip(read_positive);
        terms.map(|((&x, &a), &b)| i32::from(a) * x + i32::from(b) * x.max(0)).sum()
    }

    /// Code length of a symbol in bits.
    pub fn bits(&self, scale: u8, magnitude: i32) -> f32 {
        let last = MAGNITUDES as i32 - 1;
        let bits = self.lengths[usize::from(scale)][magnitude.min(last) as usize];
        match magnitude - last {
            rest @ 0.. => bits + (2 * (rest + 1).ilog2() + 1) as f32,
            _ => bits,
        }
    }

    /// Codes a symbol, whose magnitude is at most [`MAX_MAGNITUDE`].
    pub fn put(&self, encoder: &mut RangeEncoder, scale: u8, symbol: i32) {
        let (magnitude, last) = (symbol.abs(), MAGNITUDES as i32 - 1);
        encoder.put(magnitude.min(last), &self.frequencies[usize::from(scale)]);
        if magnitude >= last {
            let rest = (magnitude - last + 1) as u32;
            let count = rest.ilog2();
            (0..count).for_each(|_| encoder.put_bits(1, 1));
            encoder.put_bits(0, 1);
            if count > 0 {
                encoder.put_bits(rest - (1 << count), count);
            }
        }
        if magnitude > 0 {
            encoder.put_bits((symbol < 0).into(), 1);
        }
    }

    /// Decodes what [`Prior::put`] codes.
    pub fn take(&self, decoder: &mut RangeDecoder<'_>, scale: u8) -> Result<i32> {
        let mut magnitude = decoder.take(&self.frequencies[usize::from(scale)])?;
        if magnitude == MAGNITUDES as i32 - 1 {
            let mut count = 0;
            while decoder.take_bits(1)? == 1 {
                count += 1;
                if count > MAX_REST_BITS {
                    return Err(Error::damaged("a coefficient is too large"));
                }
            }
            let rest = if count > 0 { decoder.take_bits(count)? } else { 0 };
            magnitude += (rest + (1 << count)) as i32 - 1;
        }
        let negative = magnitude > 0 && decoder.take_bits(1)? == 1;
        Ok(if negative { -magnitude } else { magnitude })
    }
}

/// The scale nearest to sixteenths of scales.
fn rounded(sixteenths: i32) -> usize {
    ((sixteenths + 8) >> 4).clamp(0, SCALES as i32 - 1) as usize
}
