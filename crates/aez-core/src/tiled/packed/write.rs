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
    part_of_rows,
    transform::{Cosines, principal_axes},
};
use crate::{
    entropy::Prior,
    error::Result,
    nn::{InstructionSet, linear::Linear},
    parallel::*,
    tiled::{Array, Parameters, Quantizer},
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
    centres: &'a [f32],
    prepared: BTreeMap<&'a str, Prepared>,
    /// Step of the decoder's linear bias at the scale 1.
    bias_step: f32,
}

impl<'a> Packer<'a> {
    /// Transforms the arrays that are to be packed.
    pub fn new(parameters: &'a Parameters, quantizer: &'a Quantizer, prior: &Prior) -> Self {
        let deviations: Vec<f32> =
            prior.deviations().zip(quantizer.steps()).map(|(d, step)| d * step).collect();
        let [encoder, decoder] =
            ["encoder", "decoder"].map(|half| parameters.get(&format!("{half}.linear.weight")));
        let bottom = parameters.config.bottom() as f32;
        let rows = decoder.chunks_exact(bottom as usize).zip(&deviations);
        let output =
            (rows.map(|(row, deviation)| squares(row) * deviation * deviation).sum::<f32>() / bottom).sqrt();
        let input = (squares(&deviations) / squares(encoder)).sqrt();
        let bias_step = DECODER_LINEAR * output;
        let largest = parameters.arrays.iter().filter(|a| a.shape.len() == 4).map(|a| a.values.len()).max();
        let steps = |array: &Array, rows: usize| -> Vec<f32> {
            match &*array.name {
                "encoder.linear.weight" => {
                    quantizer.steps().iter().map(|step| ENCODER_LINEAR * step / input).collect()
                }
                "decoder.linear.weight" => deviations.iter().map(|deviation| bias_step / deviation).collect(),
                name => {
                    let factor = if name.starts_with("encoder.") { ENCODER_CONV } else { DECODER_CONV };
                    let mean = array.values.iter().map(|x| x.abs()).sum::<f32>() / array.values.len() as f32;
                    let share = array.values.len() as f32 / largest.unwrap_or(1) as f32;
                    vec![factor * share * mean; rows]
                }
            }
        };
        let prepare = |array: &'a Array| {
            let grid = Grid::of(&parameters.config, &array.name, &array.shape)?;
            let is_packed = array.name.ends_with(".weight") && array.values.len() >= MIN_VALUES;
            is_packed.then(|| {
                (&*array.name, Prepared::new(array, grid, steps(array, grid.rows), grid.is_smooth()))
            })
        };
        let prepared = parameters.arrays.iter().filter_map(prepare).collect();
        Self { parameters, centres: quantizer.centres(), prepared, bias_step }
    }

    /// The tensors of all arrays of the network at a scale.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when there is not enough memory.
    pub fn tensors(&self, scale: f32) -> Result<BTreeMap<String, Stored>> {
        let mut tensors = BTreeMap::new();
        let bias = self.parameters.get(BIAS);
        let mut corrected = bias.to_vec();
        for (name, prepared) in &self.prepared {
            let packed = prepared.round(scale)?;
            if *name == "decoder.linear.weight" {
                let rows = self.parameters.get(name).chunks_exact(bias.len());
                for ((row, found), centre) in
                    rows.zip(packed.restore()?.chunks_exact(bias.len())).zip(self.centres)
                {
                    let errors = row.iter().zip(found).map(|(a, b)| a - b);
                    corrected.iter_mut().zip(errors).for_each(|(bias, error)| *bias += centre * error);
                }
            }
            tensors.extend(packed.into_tensors(name));
        }
        for array in &self.parameters.arrays {
            let is_bias = array.name == BIAS;
            let values = if is_bias { &corrected } else { &array.values };
            if is_bias && values.len() >= MIN_VALUES {
                let grid = Grid::of(&self.parameters.config, BIAS, &array.shape).expect("a grid of one row");
                let array = Array { values: corrected.clone(), ..array.clone() };
                let prepared = Prepared::new(&array, grid, vec![self.bias_step], false);
                tensors.extend(prepared.round(scale)?.into_tensors(BIAS));
            } else if !tensors.contains_key(&array.name) {
                tensors.insert(array.name.clone(), float_tensor(array.shape.clone(), values));
            }
        }
        Ok(tensors)
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
    fn new(array: &Array, grid: Grid, row_steps: Vec<f32>, has_axes: bool) -> Self {
        let row_steps: Vec<f32> = row_steps.into_iter().map(positive).collect();
        let slope = match (grid.is_smooth(), array.name.starts_with("encoder.")) {
            (false, _) => 0.0,
            (true, false) => DECODER_SLOPE,
            (true, true) => ENCODER_SLOPE,
        };
        let frequency = |place: usize| (1 + place / grid.edge + place % grid.edge) as f32;
        let place_steps: Vec<f32> =
            (0..grid.edge * grid.edge).map(|place| frequency(place).powf(slope)).collect();
        let cosines = grid.is_smooth().then(|| Cosines::new(grid.edge));
        let mut values = grid.to_rows(&array.values);
        values.par_chunks_exact_mut(grid.row_len()).zip(&row_steps).for_each(|(row, row_step)| {
            if let Some(cosines) = &cosines {
                cosines.forward(row);
            }
            for (values, place_step) in row.chunks_exact_mut(grid.channels).zip(&place_steps) {
                values.iter_mut().for_each(|value| *value /= row_step * place_step);
            }
        });
        let mut prepared = Self { grid, row_steps, place_steps, axes: None, values };
        if has_axes {
            prepared.turn();
        }
        prepared
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

    fn round(&self, scale: f32) -> Result<Packed<'static>> {
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
        let streams = (0..count).into_par_iter().map(stream).collect::<Result<_>>()?;
        let row_steps = row_steps.iter().map(|step| step * scale).collect();
        let (place_steps, axes) = (place_steps.clone(), axes.clone());
        Ok(Packed { grid: *grid, row_steps, place_steps, weights, axes, streams })
    }
}

fn squares(values: &[f32]) -> f32 {
    values.iter().map(|x| x * x).sum()
}

/// A step that can be divided by: weights of 0 have none.
fn positive(step: f32) -> f32 {
    if step.is_normal() { step } else { 1.0 }
}
