//! Packing the arrays of a network: the choice of the steps, and rounding.
//!
//! The steps are such that the error of each part changes the pixels about equally for the bytes that it saves. They are known up
//! to a common factor, the *scale*, which the caller chooses for the size of the file.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    AXIS_UNIT, Packed, Stored,
    coder::{self, CONTEXTS},
    float_tensor,
    grid::Grid,
    is_allowed, part_of_rows,
    transform::{Cosines, principal_axes},
};
use crate::{
    entropy::Prior,
    error::Result,
    nn::{InstructionSet, linear::Linear},
    parallel::*,
    tiled::{Array, Config, Parameters, Quantizer},
};

const BIAS: &str = "decoder.linear.bias";
/// Smaller arrays are stored as floats.
const MIN_VALUES: usize = 1 << 10;
/// Values of a stream, and the maximum number of streams: enough for many threads, few enough that contexts are seldom cut off.
const STREAM_VALUES: usize = 1 << 17;
const MAX_STREAMS: usize = 16;

// Steps at the scale 1, found by experiments with the built-in model: at twice the scale, it loses 0.01 dB.

/// Decoder's linear layer: step of a value times the deviation of its latent, in units of the deviation of the layer's output.
const DECODER_LINEAR: f32 = 0.0045;
/// Encoder's linear layer: error of a latent in base steps, for an input with the deviation that is estimated.
const ENCODER_LINEAR: f32 = 6e-4;
/// Largest convolution: step in units of the mean magnitude of its weights. Smaller convolutions act on more pixels with fewer
/// weights, and have smaller steps in proportion to their number of weights.
const DECODER_CONV: f32 = 0.06;
const ENCODER_CONV: f32 = 0.12;
/// The step at the frequency (u, v) is in proportion to 1 + u + v to this power, since inputs and rows have less at high ones.
const DECODER_SLOPE: f32 = 0.25;
const ENCODER_SLOPE: f32 = 0.5;

/// The arrays of a network, prepared for packing at any scale.
pub struct Packer<'a> {
    parameters: &'a Parameters,
    units: Units<'a>,
    prepared: BTreeMap<&'a str, Prepared>,
}

impl<'a> Packer<'a> {
    /// Transforms the arrays that are to be packed.
    pub fn new(parameters: &'a Parameters, quantizer: &'a Quantizer, prior: &Prior) -> Self {
        let units = Units::new(parameters, quantizer, prior);
        let weights = parameters.arrays.iter().filter(|array| array.name.ends_with(".weight"));
        let prepared =
            weights.filter_map(|array| Some((&*array.name, Prepared::new(array, &units)?))).collect();
        Self { parameters, units, prepared }
    }

    /// The tensors of all arrays of the network at a scale.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when there is not enough memory.
    pub fn tensors(&self, scale: f32) -> Result<BTreeMap<String, Stored>> {
        let mut packed = BTreeMap::new();
        for (name, prepared) in &self.prepared {
            packed.extend(prepared.round(scale)?.map(|array| (*name, array)));
        }
        let bias = self.corrected_bias(packed.get("decoder.linear.weight"))?;
        if let Some(prepared) = Prepared::new(&bias, &self.units) {
            packed.extend(prepared.round(scale)?.map(|array| (BIAS, array)));
        }
        let floats = self.parameters.arrays.iter().filter(|array| !packed.contains_key(&*array.name));
        let floats = floats.map(|array| if array.name == BIAS { &bias } else { array });
        let mut tensors: BTreeMap<String, Stored> = floats
            .map(|array| (array.name.clone(), float_tensor(array.shape.clone(), &array.values)))
            .collect();
        tensors.extend(packed.into_iter().flat_map(|(name, array)| array.into_tensors(name)));
        Ok(tensors)
    }

    /// The bias of the decoder's linear layer, plus what its rounded weights change in the output for the mean latents.
    fn corrected_bias(&self, weights: Option<&Packed>) -> Result<Array> {
        let bias = self
            .parameters
            .arrays
            .iter()
            .find(|array| array.name == BIAS)
            .expect("an array of every network");
        let mut bias = bias.clone();
        if let Some(weights) = weights {
            let (exact, rounded) = (self.parameters.get("decoder.linear.weight"), weights.restore()?);
            let count = bias.values.len();
            let rows = exact.chunks_exact(count).zip(rounded.chunks_exact(count));
            for ((exact, rounded), centre) in rows.zip(self.units.quantizer.centres()) {
                let errors = exact.iter().zip(rounded).map(|(a, b)| a - b);
                bias.values.iter_mut().zip(errors).for_each(|(bias, error)| *bias += centre * error);
            }
        }
        Ok(bias)
    }
}

/// What the steps depend on.
struct Units<'a> {
    config: Config,
    quantizer: &'a Quantizer,
    /// Deviation of each latent.
    deviations: Vec<f32>,
    /// Deviation of the inputs of the encoder's linear layer, as far as it can be estimated without pictures.
    input: f32,
    /// Deviation of the outputs of the decoder's linear layer, without ReLU.
    output: f32,
    /// Number of weights of the largest convolution.
    largest: usize,
}

impl<'a> Units<'a> {
    fn new(parameters: &Parameters, quantizer: &'a Quantizer, prior: &Prior) -> Self {
        let config = parameters.config;
        let deviations: Vec<f32> =
            prior.deviations().zip(quantizer.steps()).map(|(d, step)| d * step).collect();
        let rows = parameters.get("decoder.linear.weight").chunks_exact(config.bottom()).zip(&deviations);
        let output: f32 = rows.map(|(row, deviation)| squares(row) * deviation * deviation).sum();
        let input = squares(&deviations) / squares(parameters.get("encoder.linear.weight"));
        let convolutions = parameters.arrays.iter().filter(|array| array.shape.len() == 4);
        Self {
            config,
            quantizer,
            deviations,
            input: input.sqrt(),
            output: (output / config.bottom() as f32).sqrt(),
            largest: convolutions.map(|array| array.values.len()).max().unwrap_or(1),
        }
    }

    /// The steps of the rows of an array at the scale 1.
    fn row_steps(&self, array: &Array, rows: usize) -> Vec<f32> {
        let steps: Vec<f32> = match &*array.name {
            "encoder.linear.weight" => {
                self.quantizer.steps().iter().map(|step| ENCODER_LINEAR * step / self.input).collect()
            }
            "decoder.linear.weight" => {
                self.deviations.iter().map(|deviation| DECODER_LINEAR * self.output / deviation).collect()
            }
            BIAS => vec![DECODER_LINEAR * self.output],
            name => {
                let factor = if name.starts_with("encoder.") { ENCODER_CONV } else { DECODER_CONV };
                let sum: f32 = array.values.iter().map(|x| x.abs()).sum();
                vec![factor * sum / self.largest as f32; rows]
            }
        };
        // Steps by which values can be divided: weights of 0 have none.
        steps.into_iter().map(|step| if step.is_normal() { step } else { 1.0 }).collect()
    }
}

/// An array before rounding.
struct Prepared {
    grid: Grid,
    /// At the scale 1.
    row_steps: Vec<f32>,
    place_steps: Vec<f32>,
    axes: Option<Vec<i16>>,
    /// What is rounded to symbols, in steps at the scale 1.
    values: Vec<f32>,
}

impl Prepared {
    /// Prepares an array, unless it must be stored as floats: a small one, or one that training has spoilt.
    fn new(array: &Array, units: &Units) -> Option<Self> {
        let grid = Grid::of(&units.config, &array.name, &array.shape)?;
        if grid.len() < MIN_VALUES || array.values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let slope = match (grid.is_smooth(), array.name.starts_with("encoder.")) {
            (false, _) => 0.0,
            (true, false) => DECODER_SLOPE,
            (true, true) => ENCODER_SLOPE,
        };
        let frequency = |place: usize| (1 + place / grid.edge + place % grid.edge) as f32;
        let place_steps = (0..grid.edge * grid.edge).map(|place| frequency(place).powf(slope)).collect();
        let row_steps = units.row_steps(array, grid.rows);
        let values = grid.to_rows(&array.values);
        let mut prepared = Self { grid, row_steps, place_steps, axes: None, values };
        prepared.transform();
        if array.name.ends_with("linear.weight") {
            prepared.turn();
        }
        Some(prepared)
    }

    /// Divides the cosine transform of smooth rows, or other rows, by the steps.
    fn transform(&mut self) {
        let Self { grid, row_steps, place_steps, values, .. } = self;
        let cosines = grid.is_smooth().then(|| Cosines::new(grid.edge));
        values.par_chunks_exact_mut(grid.row_len()).zip(row_steps).for_each(|(row, row_step)| {
            if let Some(cosines) = &cosines {
                cosines.forward(row);
            }
            for (values, place_step) in row.chunks_exact_mut(grid.channels).zip(&*place_steps) {
                values.iter_mut().for_each(|value| *value /= *row_step * place_step);
            }
        });
    }

    /// Replaces the channels by coordinates along their principal axes.
    fn turn(&mut self) {
        let channels = self.grid.channels;
        let axes = principal_axes(&self.values, channels);
        let to_axes = Linear::transposed(&axes, channels, InstructionSet::best());
        let vectors = std::mem::take(&mut self.values);
        self.values = vec![0.0; vectors.len()];
        to_axes.run(&vectors, &mut self.values);
        self.axes = Some(axes.iter().map(|x| (x * AXIS_UNIT).round() as i16).collect());
    }

    /// Rounds the array at a scale. `None` if so many symbols are 0 that a reader may reject it.
    fn round(&self, scale: f32) -> Result<Option<Packed<'static>>> {
        let Self { grid, row_steps, place_steps, axes, values } = self;
        let largest = values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let scale = scale.max(largest / coder::MAX_MAGNITUDE as f32);
        let symbols: Vec<i32> = values.iter().map(|value| (value / scale).round() as i32).collect();
        let weights = coder::count(&symbols, *grid, if grid.is_smooth() { CONTEXTS } else { 1 })?;
        let tables = coder::tables(&weights)?;
        let count = (grid.len() / STREAM_VALUES).clamp(1, MAX_STREAMS.min(grid.rows));
        let stream = |index| {
            let rows = part_of_rows(grid.rows, index, count);
            let symbols = &symbols[rows.start * grid.row_len()..rows.end * grid.row_len()];
            coder::encode(symbols, *grid, &tables).map(Cow::Owned)
        };
        let streams: Vec<Cow<'_, [u8]>> = (0..count).into_par_iter().map(stream).collect::<Result<_>>()?;
        if !is_allowed(grid.len(), streams.iter().map(|stream| stream.len()).sum()) {
            return Ok(None);
        }
        let row_steps = row_steps.iter().map(|step| step * scale).collect();
        let (place_steps, axes) = (place_steps.clone(), axes.clone());
        Ok(Some(Packed { grid: *grid, row_steps, place_steps, weights, axes, streams }))
    }
}

fn squares(values: &[f32]) -> f32 {
    values.iter().map(|x| x * x).sum()
}
