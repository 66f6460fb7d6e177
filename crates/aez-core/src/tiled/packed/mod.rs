//! Packed arrays: the smallest form of weights in a model file.
//!
//! The values of an array are taken as rows of places with channels each ([`Grid`]). In linear layers, a row is a smooth picture: its
//! cosine transform over the places is stored, and the channels of the transform as coordinates along principal axes. The results
//! are rounded to multiples of steps, and the integers are range coded in several streams, so that several threads can read
//! them. See the section "Packed arrays" of `format-spec.md`.

mod coder;
mod grid;
#[cfg(test)]
mod tests;
mod transform;
mod write;

pub(super) use write::Packer;

use std::borrow::Cow;

use byteorder::{ByteOrder, LittleEndian};
use safetensors::Dtype;

use self::{
    coder::{CONTEXTS, TOKENS, Weights},
    grid::Grid,
    transform::Cosines,
};
use super::Config;
use crate::{
    entropy::Indexed,
    error::{Error, Result},
    nn::{InstructionSet, linear::Linear},
    parallel::*,
};

/// The value 1 of a principal axis.
const AXIS_UNIT: f32 = 32767.0;
/// Number of values that every array may have, and number of further values for each byte of its streams. It bounds the memory that
/// a short file can claim.
const FREE_VALUES: usize = 1 << 16;
const VALUES_PER_BYTE: usize = 1 << 8;

/// A tensor of a model file: its type, shape and bytes.
pub(super) type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// A tensor of floats.
pub(super) fn float_tensor(shape: Vec<usize>, values: &[f32]) -> Stored {
    (Dtype::F32, shape, values.iter().flat_map(|x| x.to_le_bytes()).collect())
}

/// A packed array whose structure was checked, but for the content of its streams.
#[derive(Debug, Clone)]
pub(super) struct Packed<'a> {
    grid: Grid,
    /// For each row, and for each place.
    row_steps: Vec<f32>,
    place_steps: Vec<f32>,
    /// One for each context, or one for all.
    weights: Vec<Weights>,
    /// Principal axes, `[axis][channel]`, if the array has any.
    axes: Option<Vec<i16>>,
    /// Each codes an equal part of the rows.
    streams: Vec<Cow<'a, [u8]>>,
}

impl<'a> Packed<'a> {
    /// Reads the packed array `name`. `tensor` returns the bytes of a tensor of a type, if the file has one of that name.
    ///
    /// # Errors
    /// [`Error::Model`] for a missing tensor, or one with invalid content; errors of `tensor`.
    pub fn read(
        config: &Config,
        name: &str,
        shape: &[usize],
        tensor: impl Fn(&str, Dtype) -> Result<Option<&'a [u8]>>,
    ) -> Result<Self> {
        let grid = Grid::of(config, name, shape)
            .ok_or_else(|| Error::Model(format!("{name} is packed, which this array cannot be")))?;
        let part = |part: &str, dtype| {
            let name = format!("{name}.{part}");
            tensor(&name, dtype)?.ok_or_else(|| Error::Model(format!("it has no tensor {name}")))
        };
        let bytes =
            tensor(name, Dtype::U8)?.ok_or_else(|| Error::Model(format!("it has no tensor {name}")))?;
        if !is_allowed(grid.len(), bytes.len()) {
            let (values, bytes) = (grid.len(), bytes.len());
            return Err(Error::Model(format!("{name} has {values} values in {bytes} bytes")));
        }
        let axes = tensor(&format!("{name}.axes"), Dtype::I16)?
            .map(|bytes| {
                check_count(name, "axes", bytes.len() / 2, grid.channels * grid.channels)?;
                Ok(bytes.chunks_exact(2).map(LittleEndian::read_i16).collect())
            })
            .transpose()?;
        Ok(Self {
            grid,
            row_steps: steps(name, "row_step", part("row_step", Dtype::F32)?, grid.rows)?,
            place_steps: steps(name, "place_step", part("place_step", Dtype::F32)?, grid.edge * grid.edge)?,
            weights: weights(name, part("weights", Dtype::U16)?)?,
            axes,
            streams: streams(name, bytes, part("lengths", Dtype::U32)?, grid.rows)?,
        })
    }

    /// The tensors of the array, by their names.
    pub fn into_tensors(self, name: &str) -> Vec<(String, Stored)> {
        let Self { grid, row_steps, place_steps, weights, axes, streams } = self;
        let lengths = streams.iter().flat_map(|stream| (stream.len() as u32).to_le_bytes()).collect();
        let bytes = streams.concat();
        let rows = weights.len();
        let weights = weights.iter().flatten().flat_map(|weight| weight.to_le_bytes()).collect();
        let part = |part: &str, stored| (format!("{name}.{part}"), stored);
        let mut tensors = vec![
            (name.to_owned(), (Dtype::U8, vec![bytes.len()], bytes)),
            part("lengths", (Dtype::U32, vec![streams.len()], lengths)),
            part("row_step", float_tensor(vec![grid.rows], &row_steps)),
            part("place_step", float_tensor(vec![grid.edge, grid.edge], &place_steps)),
            part("weights", (Dtype::U16, vec![rows, TOKENS], weights)),
        ];
        if let Some(axes) = axes {
            let bytes = axes.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push(part("axes", (Dtype::I16, vec![grid.channels, grid.channels], bytes)));
        }
        tensors
    }

    /// The values of the array, row-major.
    ///
    /// # Errors
    /// [`Error::Damaged`] for invalid streams, [`Error::Model`] when a value is not finite, [`Error::Io`] when there is not enough
    /// memory.
    pub fn restore(&self) -> Result<Vec<f32>> {
        let tables = coder::tables(&self.weights)?;
        let axes = self.axes.as_ref().map(|axes| {
            let axes: Vec<f32> = axes.iter().map(|&x| f32::from(x) / AXIS_UNIT).collect();
            Linear::new(&axes, self.grid.channels, None, false, InstructionSet::best())
        });
        let cosines = self.grid.is_smooth().then(|| Cosines::new(self.grid.edge));
        let part = |index| {
            let mut values = self.scaled(index, &tables)?;
            if let Some(axes) = &axes {
                let coordinates = values;
                values = vec![0.0; coordinates.len()];
                axes.run(&coordinates, &mut values);
            }
            if let Some(cosines) = &cosines {
                values.chunks_exact_mut(self.grid.row_len()).for_each(|row| cosines.inverse(row));
            }
            Ok(values)
        };
        let parts: Vec<Vec<f32>> =
            (0..self.streams.len()).into_par_iter().map(part).collect::<Result<_>>()?;
        let rows: Vec<&[f32]> =
            parts.iter().flat_map(|part| part.chunks_exact(self.grid.row_len())).collect();
        let array = self.grid.to_array(&rows);
        match array.iter().all(|value| value.is_finite()) {
            true => Ok(array),
            false => Err(Error::Model("its steps are too large".into())),
        }
    }

    /// The symbols of a stream times their steps.
    fn scaled(&self, index: usize, tables: &[Indexed]) -> Result<Vec<f32>> {
        let rows = part_of_rows(self.grid.rows, index, self.streams.len());
        let symbols = coder::decode(&self.streams[index], rows.len(), self.grid, tables)?;
        let steps = self.row_steps[rows].iter().flat_map(|row| self.place_steps.iter().map(move |x| row * x));
        let mut values = Vec::with_capacity(symbols.len());
        for (symbols, step) in symbols.chunks_exact(self.grid.channels).zip(steps) {
            values.extend(symbols.iter().map(|&symbol| symbol as f32 * step));
        }
        Ok(values)
    }
}

/// Whether streams of `bytes` bytes may have so many values.
fn is_allowed(values: usize, bytes: usize) -> bool {
    values <= FREE_VALUES.saturating_add(bytes.saturating_mul(VALUES_PER_BYTE))
}

/// The rows that stream `index` of `count` codes.
fn part_of_rows(rows: usize, index: usize, count: usize) -> std::ops::Range<usize> {
    rows * index / count..rows * (index + 1) / count
}

fn check_count(name: &str, part: &str, found: usize, expected: usize) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(Error::Model(format!("{name}.{part} has {found} values instead of {expected}"))),
    }
}

fn steps(name: &str, part: &str, bytes: &[u8], count: usize) -> Result<Vec<f32>> {
    check_count(name, part, bytes.len() / 4, count)?;
    let steps: Vec<f32> = bytes.chunks_exact(4).map(LittleEndian::read_f32).collect();
    match steps.iter().find(|step| !(step.is_finite() && **step >= 0.0)) {
        Some(step) => Err(Error::Model(format!("{name}.{part} contains {step}"))),
        None => Ok(steps),
    }
}

fn weights(name: &str, bytes: &[u8]) -> Result<Vec<Weights>> {
    let values: Vec<u16> = bytes.chunks_exact(2).map(LittleEndian::read_u16).collect();
    let (weights, rest) = values.as_chunks::<TOKENS>();
    if !(rest.is_empty() && [1, CONTEXTS].contains(&weights.len())) {
        let count = values.len();
        return Err(Error::Model(format!("{name}.weights has {count} values: 1 or 16 tables were expected")));
    }
    if coder::tables(weights).is_err() {
        return Err(Error::Model(format!("{name}.weights contains 0 or has too large a sum")));
    }
    Ok(weights.to_vec())
}

/// The streams, which must take up all of `bytes`.
fn streams<'a>(name: &str, mut bytes: &'a [u8], lengths: &[u8], rows: usize) -> Result<Vec<Cow<'a, [u8]>>> {
    let count = lengths.len() / 4;
    if !(1..=rows).contains(&count) {
        return Err(Error::Model(format!("{name}.lengths has {count} values for {rows} rows")));
    }
    let mut streams = Vec::with_capacity(count);
    for length in lengths.chunks_exact(4).map(LittleEndian::read_u32) {
        let (stream, rest) = bytes
            .split_at_checked(length as usize)
            .ok_or_else(|| Error::Model(format!("a stream of {name} ends beyond its bytes")))?;
        streams.push(Cow::Borrowed(stream));
        bytes = rest;
    }
    match bytes.is_empty() {
        true => Ok(streams),
        false => Err(Error::Model(format!("{} bytes follow the streams of {name}", bytes.len()))),
    }
}
