//! Latents to bytes, and bytes to latents and pixels.

use std::borrow::Cow;

use super::{
    super::{config::PASSES, layers::ContextNet, rows::Rows},
    directions::COEFFICIENT_LIMIT,
    layer::LATENT_LIMIT,
    network::{ContextLayers, IntegerNetwork},
    predict::{self, CHUNK, predict},
    synthesis::{Coarser, Level},
    tables::{SCALES, Tables},
};
use crate::{
    entropy::{Frequencies, RangeDecoder, RangeEncoder},
    error::{Error, Result},
    limits::Limits,
    parallel::{join, on_pool},
};

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
    /// `coefficients`, in sixteenths, move the weights along the directions of the network: one for each, or none, as if all were 0.
    ///
    /// # Errors
    /// [`Error::Misuse`] for latents that are not those of a picture of this size, and for latents and coefficients out of range;
    /// [`Error::Damaged`] for coefficients that make weights or sums too large.
    pub fn encode(
        &self,
        height: u32,
        width: u32,
        multiplier: u32,
        latents: &[Vec<i32>],
        coefficients: &[i32],
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
        let directions = self.config().directions;
        let is_possible = coefficients.is_empty() || coefficients.len() == directions;
        if !is_possible || coefficients.iter().any(|c| c.abs() > COEFFICIENT_LIMIT) {
            return Err(Error::Misuse(format!("not the coefficients of {directions} directions")));
        }
        let network = self.moved(coefficients)?;
        let tables = Tables::get();
        let mut encoder = RangeEncoder::new();
        if directions > 0 {
            tables.put_coefficients(&mut encoder, coefficients);
        }
        let pixels = network.run(&sizes, multiplier, |at| {
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
        let sizes = self.checked_sizes(height, width, limits)?;
        let (tables, mut decoder) = (Tables::get(), RangeDecoder::new(bytes));
        let network = self.take_moved(|table, likely| decoder.take_near(table, likely))?;
        let pixels = network.run(&sizes, multiplier, |at| {
            tables.take(|table, likely| decoder.take_near(table, likely), at.location, at.scale)
        })?;
        decoder.finish()?;
        Ok(pixels)
    }

    /// Number of bytes that decoding a picture holds at most, including the pixels.
    #[must_use]
    pub fn memory(&self, height: u32, width: u32) -> u64 {
        let sizes = self.sizes(height, width);
        let inputs = |level: usize| match sizes.get(level) {
            Some(&(rows, columns)) => {
                Rows::<i16>::bytes(self.layers.planes[level].count, rows.div_ceil(2), columns.div_ceil(2))
            }
            None => 0,
        };
        let result = |level: usize| match sizes.get(level) {
            Some(&(rows, columns)) if level == 0 => (rows as u64).saturating_mul(3 * columns as u64),
            Some(&(rows, columns)) => {
                Rows::<i16>::bytes(Coarser::count(&self.synthesis[level], self.guides(level)), rows, columns)
            }
            None => 0,
        };
        let held = |(level, &(rows, columns)): (usize, &(usize, usize))| {
            let config = &self.config().levels[level];
            let (half_rows, half_columns) = (rows.div_ceil(2) as u64, columns.div_ceil(2));
            let coding = half_rows.saturating_mul(2 * half_columns as u64);
            let coding = coding.saturating_add(predict::memory(config.hidden, half_columns));
            let synthesis = Level::memory(&self.synthesis[level], config.channels, columns);
            let synthesis = synthesis.saturating_add(result(level));
            let now = inputs(level + 1).max(coding).max(synthesis);
            inputs(level).saturating_add(result(level + 1)).saturating_add(now)
        };
        let levels = sizes.iter().enumerate().map(held).max().unwrap_or(0);
        levels.saturating_add(self.moved_memory())
    }

    /// Number of features of a level that the context model of the finer level reads.
    fn guides(&self, level: usize) -> usize {
        let finer = level.checked_sub(1).map(|finer| self.layers.planes[finer]);
        finer.map_or(0, |planes| planes.count - planes.guides)
    }

    /// Rows and columns of each level.
    pub(super) fn sizes(&self, height: u32, width: u32) -> Vec<(usize, usize)> {
        let size =
            |level: usize| ((height as usize).div_ceil(1 << level), (width as usize).div_ceil(1 << level));
        (0..self.config().levels.len()).map(size).collect()
    }

    /// Rows and columns of each level, if the limits allow to decode them.
    pub(super) fn checked_sizes(
        &self,
        height: u32,
        width: u32,
        limits: &Limits,
    ) -> Result<Vec<(usize, usize)>> {
        limits.check_memory(self.memory(height, width))?;
        Ok(self.sizes(height, width))
    }

    /// Decodes what comes before all latents by `next`, as [`Tables::take`] does: the network that they are decoded with.
    pub(super) fn take_moved(
        &self,
        next: impl FnMut(&Frequencies, i32) -> Result<i32>,
    ) -> Result<Cow<'_, Self>> {
        match self.config().directions {
            0 => Ok(Cow::Borrowed(self)),
            count => self.moved(&Tables::get().take_coefficients(count, next)?),
        }
    }

    /// Runs the network, and returns the pixels. `latent` returns each latent, in the order in which they are coded.
    pub(super) fn run(
        &self,
        sizes: &[(usize, usize)],
        multiplier: u32,
        mut latent: impl FnMut(Position) -> Result<i16> + Send,
    ) -> Result<Vec<u8>> {
        on_pool(|| {
            let mut before: Option<(Rows<i16>, Coarser)> = None;
            for (level, &(rows, columns)) in sizes.iter().enumerate().rev() {
                let known = before.as_ref().map(|(latents, coarser)| (latents, coarser));
                let mut inputs = predict::inputs(self.layers.planes[level], (rows, columns), known);
                let coarser = before.map(|(_, coarser)| coarser);
                for (net, layers) in self.layers.contexts[level].iter().zip(&self.contexts[level]) {
                    code_pass(net, layers, (level, rows, columns), &mut inputs, &mut latent)?;
                }
                let synthesis = Level {
                    layers: &self.synthesis[level],
                    multiplier,
                    latents: &inputs,
                    channels: self.config().levels[level].channels,
                    rows,
                    columns,
                    coarser: coarser.as_ref(),
                };
                if level == 0 {
                    return Ok(synthesis.pixels());
                }
                let now = synthesis.run(self.guides(level));
                before = Some((inputs, now));
            }
            Ok(Vec::new())
        })
    }
}

/// Codes the latents of a channel and phase of a level with the given rows and columns, and enters them in the inputs of the context
/// model. While some rows are coded, the next ones are predicted.
fn code_pass(
    net: &ContextNet,
    layers: &ContextLayers,
    (level, rows, columns): (usize, usize, usize),
    inputs: &mut Rows<i16>,
    latent: &mut (impl FnMut(Position) -> Result<i16> + Send),
) -> Result<()> {
    let (dy, dx) = PASSES[net.pass];
    let (count, width) = ((rows + 1 - dy) / 2, (columns + 1 - dx) / 2);
    let mut latents = vec![0; count * width];
    let [mut now, mut next] = [(); 2].map(|()| predict::predictions(inputs.columns));
    predict(layers, inputs, 0, &mut now);
    for (first, latents) in (0..).step_by(CHUNK).zip(latents.chunks_mut((CHUNK * width).max(1))) {
        let code = || -> Result<()> {
            for (y, row) in latents.chunks_exact_mut(width).enumerate() {
                let start = (net.channel * rows + 2 * (first + y) + dy) * columns + dx;
                let predictions = now.row(0, y).iter().zip(now.row(1, y));
                for (x, (to, (&location, &scale))) in row.iter_mut().zip(predictions).enumerate() {
                    let scale = usize::from(scale.clamp(0, SCALES as i16 - 1).unsigned_abs());
                    *to = latent(Position { level, place: start + 2 * x, location: location.into(), scale })?;
                }
            }
            Ok(())
        };
        let (coded, ()) = join(code, || predict(layers, inputs, first + CHUNK, &mut next));
        coded?;
        std::mem::swap(&mut now, &mut next);
    }
    let own = net.channel * PASSES.len() + net.pass;
    for (y, row) in latents.chunks_exact(width.max(1)).enumerate() {
        inputs.row_mut(own, y)[..width].copy_from_slice(row);
    }
    Ok(())
}
