//! Latents to bytes, and bytes to latents and pixels.

use super::{
    super::{
        config::PASSES,
        layers::{ContextNet, ContextPlanes},
        rows::Rows,
    },
    layer::{LATENT_LIMIT, narrow},
    network::{ContextLayers, IntegerNetwork},
    run::{RELU, Reader, SIGNED},
    synthesis::{self, Coarser},
    tables::{SCALES, Tables},
};
use crate::{
    entropy::{RangeDecoder, RangeEncoder},
    error::{Error, Result},
    limits::Limits,
    nn::taps::LANES,
    parallel::*,
};

/// Rows that one thread predicts at a time.
const BAND: usize = 8;

/// One latent with its prediction.
pub(super) struct Position {
    pub level: usize,
    /// Place in the level's latents, `[channel][row][column]`.
    pub place: usize,
    /// In sixteenths.
    pub location: i32,
    pub scale: usize,
}

impl IntegerNetwork {
    /// Codes the latents of a picture, for each level `[channel][row][column]`, the finest level first. Returns the bytes and the
    /// pixels that they decode to, red, green and blue of each. `multiplier` is the factor of the network's steps, in units of 2^-12.
    ///
    /// # Errors
    /// [`Error::Misuse`] for latents that are not those of a picture of this size, or out of range.
    pub fn encode(
        &self,
        height: u32,
        width: u32,
        multiplier: u32,
        latents: &[Vec<i32>],
    ) -> Result<(Vec<u8>, Vec<u8>)> {
        let sizes = self.sizes(height, width);
        let is_complete = latents.len() == sizes.len()
            && sizes
                .iter()
                .zip(latents)
                .zip(&self.config().levels)
                .all(|((size, latents), level)| latents.len() == size.0 * size.1 * level.channels);
        if !is_complete || latents.iter().flatten().any(|latent| latent.abs() > LATENT_LIMIT) {
            return Err(Error::Misuse(format!("not the latents of a picture of {width}x{height} pixels")));
        }
        let tables = Tables::get();
        let mut encoder = RangeEncoder::new();
        let pixels = self.run(&sizes, multiplier, |at| {
            let latent = latents[at.level][at.place];
            tables.put(&mut encoder, latent, at.location, at.scale);
            Ok(latent as i16)
        })?;
        Ok((encoder.finish(), pixels))
    }

    /// Decodes the pixels of a picture, red, green and blue of each.
    ///
    /// # Errors
    /// [`Error::Damaged`] for bytes that no encoder writes, [`Error::Limit`] before an allocation above the limits.
    pub fn decode(
        &self,
        height: u32,
        width: u32,
        multiplier: u32,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Vec<u8>> {
        limits.check_memory(self.memory(height, width))?;
        let tables = Tables::get();
        let mut decoder = RangeDecoder::new(bytes);
        let pixels = self.run(&self.sizes(height, width), multiplier, |at| {
            tables.take(|table| decoder.take(table), at.location, at.scale)
        })?;
        decoder.finish()?;
        Ok(pixels)
    }

    /// Number of bytes that decoding a picture holds at most, including the pixels.
    #[must_use]
    pub fn memory(&self, height: u32, width: u32) -> u64 {
        let planes = |level: usize| {
            let sizes = &self.config().levels[level];
            // Latents, picture twice, both layers of features, and the carry; the context model has half of the rows and columns.
            let fine =
                sizes.channels + 3 + 3 + 2 * sizes.features + self.layers.synthesis[level].carry.outputs;
            (4 * fine + self.layers.planes[level].count + 2) as u64
        };
        let level = |(level, size): (usize, &(usize, usize))| {
            // Planes of half the size, with their margins.
            let (rows, columns) = (size.0 as u64 / 2 + 6, size.1 as u64 / 2 + 34);
            rows.saturating_mul(columns).saturating_mul(2 * planes(level))
        };
        let sizes = self.sizes(height, width);
        let pixels = u64::from(height).saturating_mul(u64::from(width)).saturating_mul(3);
        sizes.iter().enumerate().map(level).fold(pixels, u64::saturating_add)
    }

    /// Rows and columns of each level.
    pub(super) fn sizes(&self, height: u32, width: u32) -> Vec<(usize, usize)> {
        let size =
            |level: usize| ((height as usize).div_ceil(1 << level), (width as usize).div_ceil(1 << level));
        (0..self.config().levels.len()).map(size).collect()
    }

    /// Runs the network. `latent` returns each latent, in the order in which they are coded.
    pub(super) fn run(
        &self,
        sizes: &[(usize, usize)],
        multiplier: u32,
        mut latent: impl FnMut(Position) -> Result<i16>,
    ) -> Result<Vec<u8>> {
        let mut before: Option<(Rows<i16>, Coarser)> = None;
        for (level, &size) in sizes.iter().enumerate().rev() {
            let planes = self.layers.planes[level];
            let mut inputs = context_inputs(planes, size, before.as_ref());
            for (net, layers) in self.layers.contexts[level].iter().zip(&self.contexts[level]) {
                let predictions = predict(layers, &inputs);
                code_pass(net, level, size, &predictions, &mut inputs, &mut latent)?;
            }
            let latents = interleave(&inputs, size, self.config().levels[level].channels);
            drop(inputs);
            let coarser = before.as_ref().map(|(_, coarser)| coarser);
            let now = synthesis::run(&self.synthesis[level], multiplier, &latents, coarser);
            before = Some((latents, now));
        }
        Ok(before.map(|(_, finest)| finest.pixels()).unwrap_or_default())
    }
}

/// The known inputs of the context model of a level: latents and features of the coarser level.
fn context_inputs(
    planes: ContextPlanes,
    (rows, columns): (usize, usize),
    coarser: Option<&(Rows<i16>, Coarser)>,
) -> Rows<i16> {
    let mut inputs = Rows::<i16>::new(planes.count, rows.div_ceil(2), columns.div_ceil(2));
    if let Some((latents, Coarser { features, .. })) = coarser {
        for y in 0..inputs.rows {
            for plane in planes.coarser..planes.guides {
                inputs.row_mut(plane, y).copy_from_slice(latents.row(plane - planes.coarser, y));
            }
            for plane in planes.guides..planes.count {
                inputs.row_mut(plane, y).copy_from_slice(features.row(plane - planes.guides, y));
            }
        }
    }
    inputs
}

/// The locations and scales of all latents of a channel and phase.
fn predict(layers: &ContextLayers, inputs: &Rows<i16>) -> Rows<i16> {
    let columns = inputs.columns;
    let mut predictions = Rows::<i16>::new(2, inputs.rows, columns);
    let (row_step, step, first) = (predictions.row_step(), predictions.step, predictions.in_row(0));
    let group = columns.next_multiple_of(LANES);
    let hidden = layers.first.layer.outputs;
    predictions.inner_mut().par_chunks_mut(BAND * row_step).enumerate().for_each(|(band, rows)| {
        let mut sums = Vec::new();
        let [mut one, mut two] = [(); 2].map(|()| Rows::<i16>::new(hidden, 1, columns));
        for (y, row) in (band * BAND..).zip(rows.chunks_exact_mut(row_step)) {
            Reader::new(&layers.first, &[inputs]).sums(|_| y, columns, &mut sums);
            store(&sums, &layers.first.layer.shifts, &mut one);
            Reader::new(&layers.second, &[&one]).sums(|_| 0, columns, &mut sums);
            store(&sums, &layers.second.layer.shifts, &mut two);
            let output = Reader::new(&layers.output, &[&two, inputs]);
            output.sums(|part| if part == 0 { 0 } else { y }, columns, &mut sums);
            for (plane, sums) in sums.chunks_exact(group).enumerate() {
                let to = &mut row[plane * step + first..][..columns];
                narrow(sums, layers.output.layer.shifts[plane], &[], SIGNED, to);
            }
        }
    });
    predictions
}

/// Writes the only row of hidden values.
fn store(sums: &[i32], shifts: &[u8], hidden: &mut Rows<i16>) {
    let group = hidden.columns.next_multiple_of(LANES);
    for (plane, (sums, &shift)) in sums.chunks_exact(group).zip(shifts).enumerate() {
        narrow(sums, shift, &[], RELU, hidden.row_mut(plane, 0));
    }
}

/// Codes the latents of a channel and phase, and enters them in the inputs of the context model.
fn code_pass(
    net: &ContextNet,
    level: usize,
    (rows, columns): (usize, usize),
    predictions: &Rows<i16>,
    inputs: &mut Rows<i16>,
    latent: &mut impl FnMut(Position) -> Result<i16>,
) -> Result<()> {
    let (dy, dx) = PASSES[net.pass];
    let own = net.channel * PASSES.len() + net.pass;
    for (y, row) in (dy..rows).step_by(2).enumerate() {
        let (locations, scales) = (predictions.row(0, y), predictions.row(1, y));
        let to = inputs.row_mut(own, y);
        for (x, column) in (dx..columns).step_by(2).enumerate() {
            let scale = usize::from(scales[x].clamp(0, SCALES as i16 - 1).unsigned_abs());
            let place = (net.channel * rows + row) * columns + column;
            to[x] = latent(Position { level, place, location: locations[x].into(), scale })?;
        }
    }
    Ok(())
}

/// The latents of a level from those of each phase. The edges are extended.
fn interleave(inputs: &Rows<i16>, (rows, columns): (usize, usize), channels: usize) -> Rows<i16> {
    let mut latents = Rows::<i16>::new(channels, rows, columns);
    for channel in 0..channels {
        for (pass, (dy, dx)) in PASSES.into_iter().enumerate() {
            for (y, row) in (dy..rows).step_by(2).enumerate() {
                let from = inputs.row(channel * PASSES.len() + pass, y);
                let to = latents.row_mut(channel, row);
                to.iter_mut().skip(dx).step_by(2).zip(from).for_each(|(to, from)| *to = *from);
            }
        }
    }
    latents.extend_edges();
    latents
}
