//! The context model in floating point: bits of latents, and derivatives with respect to latents, weights and features.

use std::ops::Range;

use super::{
    config::PASSES,
    laplace,
    layers::{ContextNet, Layer, Layers},
    linear::{Sums, add_totals, mask, offsets, places},
    resample::add_scaled,
    rows::{MARGIN, Rows},
    scratch::{Lent, Scratch},
};
use crate::{
    nn::taps::{LANES, Map, RowsMut, Start, map},
    parallel::*,
};

/// Rows of positions that are computed together. At least twice the distance of the taps, so that only neighbouring bands
/// add to the same gradients.
const BAND: usize = 32;

/// The inputs of the context model at one level: latents of each phase and of the coarser level, and features of the coarser level.
/// All have the size of the coarser level.
pub(super) struct Context<'a> {
    scratch: &'a Scratch,
    pub layers: &'a Layers,
    pub parameters: &'a [f32],
    pub level: usize,
    /// Rows and columns of the level.
    pub size: (usize, usize),
    pub inputs: Lent<'a>,
}

/// The bits of a level with derivatives.
pub(super) struct Rate<'a> {
    pub bits: f64,
    /// With respect to [`Context::inputs`].
    pub inputs: Lent<'a>,
}

impl<'a> Context<'a> {
    /// Gathers the inputs. `latents` are those of the level and of the coarser one, `[channel][row][column]`; `features` those of the
    /// coarser level.
    pub fn new(
        layers: &'a Layers,
        parameters: &'a [f32],
        level: usize,
        size: (usize, usize),
        latents: (&[f32], Option<&[f32]>),
        features: Option<&Rows>,
        scratch: &'a Scratch,
    ) -> Self {
        let planes = layers.planes[level];
        let mut inputs = scratch.zeros(planes.count, size.0.div_ceil(2), size.1.div_ceil(2));
        let (rows, columns) = size;
        let (row_step, step, place) = (inputs.row_step(), inputs.step, inputs.in_row(0));
        inputs.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
            for (channel, plane) in latents.0.chunks_exact(rows * columns).enumerate() {
                for (pass, (dy, dx)) in
                    PASSES.into_iter().enumerate().filter(|(_, (dy, _))| 2 * y + dy < rows)
                {
                    let line = &plane[(2 * y + dy) * columns..][..columns];
                    let to = &mut row[place + (channel * PASSES.len() + pass) * step..];
                    for (to, from) in to.iter_mut().zip(line[dx.min(columns)..].iter().step_by(2)) {
                        *to = *from;
                    }
                }
            }
        });
        let (rows, columns) = (inputs.rows, inputs.columns);
        for (channel, plane) in latents.1.unwrap_or(&[]).chunks_exact(rows * columns).enumerate() {
            for (y, line) in plane.chunks_exact(columns).enumerate() {
                inputs.row_mut(planes.coarser + channel, y).copy_from_slice(line);
            }
        }
        if let Some(features) = features {
            for guide in planes.guides..planes.count {
                for y in 0..rows {
                    inputs.row_mut(guide, y).copy_from_slice(features.row(guide - planes.guides, y));
                }
            }
        }
        Self { scratch, layers, parameters, level, size, inputs }
    }

    /// Adds the derivatives with respect to the inputs to those of the latents and features.
    pub fn spread(
        &self,
        gradient: &Rows,
        own: &mut [f32],
        coarser: Option<&mut [f32]>,
        features: Option<&mut Rows>,
    ) {
        let planes = self.layers.planes[self.level];
        let (rows, columns) = self.size;
        own.par_chunks_mut(columns).enumerate().for_each(|(index, line)| {
            let (channel, y) = (index / rows, index % rows);
            for (pass, (_, dx)) in PASSES.into_iter().enumerate().filter(|(_, (dy, _))| *dy == y % 2) {
                let from = gradient.row(channel * PASSES.len() + pass, y / 2);
                for (to, from) in line[dx.min(columns)..].iter_mut().step_by(2).zip(from) {
                    *to += from;
                }
            }
        });
        let (rows, columns) = (gradient.rows, gradient.columns);
        for (channel, plane) in coarser.unwrap_or(&mut []).chunks_exact_mut(rows * columns).enumerate() {
            for (y, line) in plane.chunks_exact_mut(columns).enumerate() {
                let from = gradient.row(planes.coarser + channel, y);
                line.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
        if let Some(features) = features {
            for guide in planes.guides..planes.count {
                for y in 0..rows {
                    let to = features.row_mut(guide - planes.guides, y);
                    to.iter_mut().zip(gradient.row(guide, y)).for_each(|(to, from)| *to += from);
                }
            }
        }
    }

    /// The bits of all latents of the level.
    pub fn bits(&self) -> f64 {
        let bands = 0..self.inputs.rows.div_ceil(BAND);
        let bits: Vec<f64> = bands
            .into_par_iter()
            .map(|band| {
                let nets = self.layers.contexts[self.level].iter();
                nets.map(|net| Sweep::new(self, net).band(self.band(band), &mut None, false).bits).sum()
            })
            .collect();
        bits.into_iter().sum()
    }

    /// For each position of the level, the bits of its latents.
    pub fn bit_map(&self, map: &mut [f32]) {
        let width = self.size.1;
        map.par_chunks_mut(2 * BAND * width).enumerate().for_each(|(band, map)| {
            map.fill(0.0);
            for net in &self.layers.contexts[self.level] {
                let (dy, dx) = PASSES[net.pass];
                let mut sweep = Sweep::new(self, net);
                for (row, to) in map.chunks_exact_mut(width).skip(dy).step_by(2).enumerate() {
                    let y = band * BAND + row;
                    sweep.forward(y);
                    let (locations, scales) = sweep.out.split_at(sweep.step);
                    let latents = self.inputs.row(sweep.own(), y);
                    laplace::add_bits(latents, locations, scales, &mut to[dx.min(width)..]);
                }
            }
        });
    }

    /// The bits with derivatives. Those of the weights are added to `weights`, if it is given.
    pub fn rate(&self, weights: Option<&mut [f32]>) -> Rate<'a> {
        let Rows { planes, rows, columns, .. } = *self.inputs;
        let mut gradient = self.scratch.zeros(planes, rows, columns);
        let row_step = gradient.row_step();
        let count = self.inputs.rows.div_ceil(BAND);
        let mut results: Vec<Option<BandResult>> = (0..count).map(|_| None).collect();
        // A band adds to gradients of MARGIN rows around it. So the even bands run at the same time, then the odd ones.
        for parity in 0..2 {
            let start = (parity * BAND * row_step).min(gradient.values.len());
            let chunks = gradient.values[start..].par_chunks_mut(2 * BAND * row_step).enumerate();
            let done: Vec<(usize, BandResult)> = chunks
                .filter(|(index, _)| 2 * index + parity < count)
                .map(|(index, chunk)| {
                    let band = 2 * index + parity;
                    (band, self.band_rate(band, chunk, weights.is_some()))
                })
                .collect();
            for (band, result) in done {
                results[band] = Some(result);
            }
        }
        let mut bits = 0.0;
        let mut weights = weights;
        for result in results.into_iter().flatten() {
            bits += result.bits;
            if let Some(weights) = weights.as_deref_mut() {
                for (layer, totals) in
                    self.layers.contexts[self.level].iter().flat_map(layers_of).zip(&result.weights)
                {
                    add_totals(layer, totals, weights);
                }
            }
        }
        Rate { bits, inputs: gradient }
    }

    fn band(&self, band: usize) -> Range<usize> {
        band * BAND..((band + 1) * BAND).min(self.inputs.rows)
    }

    fn band_rate(&self, band: usize, chunk: &mut [f32], with_weights: bool) -> BandResult {
        let mut result = BandResult { bits: 0.0, weights: Vec::new() };
        // The chunk begins MARGIN rows before the band.
        let start = (band * BAND) * self.inputs.row_step();
        let mut gradient = Some(Part { values: chunk, start });
        for net in &self.layers.contexts[self.level] {
            let one = Sweep::new(self, net).band(self.band(band), &mut gradient, with_weights);
            result.bits += one.bits;
            result.weights.extend(one.weights);
        }
        result
    }
}

const _: () = assert!(BAND >= 2 * MARGIN);

/// A part of [`Rows::values`] from the place `start`.
struct Part<'a> {
    values: &'a mut [f32],
    start: usize,
}

/// Bits of a band, and for each layer of each network the gradient of its weights and biases.
struct BandResult {
    bits: f64,
    weights: Vec<Vec<f32>>,
}

fn layers_of(net: &ContextNet) -> [&Layer; 4] {
    [&net.first, &net.second, &net.output, &net.bypass]
}

/// The work of one network in a band, with memory for a row of each of its values.
struct Sweep<'a> {
    context: &'a Context<'a>,
    net: &'a ContextNet,
    taps: Vec<isize>,
    step: usize,
    /// Places of the rows of hidden values.
    hidden: Vec<usize>,
    one: Vec<f32>,
    two: Vec<f32>,
    out: Vec<f32>,
}

/// Gradients of a row.
struct Backward {
    latents: Vec<f32>,
    out: Vec<f32>,
    two: Vec<f32>,
    one: Vec<f32>,
    taps: Vec<f32>,
}

impl Backward {
    fn new(sweep: &Sweep<'_>) -> Self {
        Self {
            latents: vec![0.0; sweep.step],
            out: vec![0.0; sweep.out.len()],
            two: vec![0.0; sweep.two.len()],
            one: vec![0.0; sweep.one.len()],
            taps: vec![0.0; sweep.taps.len() * sweep.step],
        }
    }
}

impl<'a> Sweep<'a> {
    fn new(context: &'a Context<'a>, net: &'a ContextNet) -> Self {
        let step = context.inputs.columns.next_multiple_of(LANES);
        let hidden = net.first.outputs;
        Self {
            context,
            net,
            taps: offsets(&net.first, &context.inputs),
            step,
            hidden: (0..hidden).map(|row| row * step).collect(),
            one: vec![0.0; hidden * step],
            two: vec![0.0; hidden * step],
            out: vec![0.0; 2 * step],
        }
    }

    fn band(
        &mut self,
        rows: Range<usize>,
        gradient: &mut Option<Part<'_>>,
        with_weights: bool,
    ) -> BandResult {
        let net = self.net;
        let (dy, dx) = PASSES[net.pass];
        let (height, width) = self.context.size;
        let columns = (width - dx.min(width)).div_ceil(2);
        let mut sums = with_weights.then(|| layers_of(net).map(Sums::new));
        let mut bits = 0.0;
        let mut back = Backward::new(self);
        for y in rows.filter(|y| 2 * y + dy < height) {
            let taps = self.forward(y);
            bits += f64::from(self.score(y, columns, &mut back));
            let Some(part) = gradient else { continue };
            self.backward(&taps, &mut back, sums.as_mut());
            let own = self.context.inputs.place(self.own(), y as isize, 0) - part.start;
            add_scaled(&back.latents[..columns], 1.0, &mut part.values[own..]);
            for (tap, place) in back.taps.chunks_exact(self.step).zip(&taps) {
                add_scaled(&tap[..columns], 1.0, &mut part.values[place - part.start..]);
            }
        }
        let weights = sums.iter().flatten().map(Sums::totals).collect();
        BandResult { bits, weights }
    }

    /// The plane of the latents that the network predicts.
    fn own(&self) -> usize {
        self.net.channel * PASSES.len() + self.net.pass
    }

    /// The bits of a row that was computed, of which `columns` exist, and their derivatives.
    fn score(&self, y: usize, columns: usize, back: &mut Backward) -> f32 {
        let (locations, scales) = self.out.split_at(self.step);
        let (location_gradients, scale_gradients) = back.out.split_at_mut(self.step);
        let mut row = laplace::Row {
            latents: &self.context.inputs.row(self.own(), y)[..columns],
            locations,
            scales,
            latent_gradients: &mut back.latents,
            location_gradients,
            scale_gradients,
            bits: 0.0,
        };
        laplace::rate(&mut row);
        row.bits
    }

    /// Computes a row, and returns the places of its taps.
    fn forward(&mut self, y: usize) -> Vec<usize> {
        let Self { context, net, step, .. } = *self;
        let parameters = context.parameters;
        let taps = places(&self.taps, context.inputs.place(0, y as isize, 0));
        let columns = context.inputs.columns;
        let run = |layer: &Layer, input: &[f32], taps: &[usize], start, relu, values: &mut [f32]| {
            let weights = &parameters[layer.weights.clone()];
            let layer_map = Map { input, taps, weights, tap_step: layer.outputs, output_step: 1, columns };
            map(&layer_map, start, relu, &mut RowsMut { values, step, count: layer.outputs });
        };
        let bias = |layer: &Layer| Start::Bias(&parameters[layer.bias.clone()]);
        let inputs = &context.inputs.values;
        run(&net.first, inputs, &taps, bias(&net.first), true, &mut self.one);
        run(&net.second, &self.one, &self.hidden, bias(&net.second), true, &mut self.two);
        run(&net.output, &self.two, &self.hidden, bias(&net.output), false, &mut self.out);
        run(&net.bypass, inputs, &taps, Start::Output, false, &mut self.out);
        taps
    }

    /// Computes the gradients of a row from that of its outputs.
    fn backward(&self, taps: &[usize], back: &mut Backward, sums: Option<&mut [Sums; 4]>) {
        let Self { context, net, step, .. } = *self;
        let columns = context.inputs.columns;
        let output_rows = [0, step];
        let run = |layer: &Layer, input: &[f32], rows: &[usize], start, values: &mut [f32]| {
            let weights = &context.parameters[layer.weights.clone()];
            let layer_map =
                Map { input, taps: rows, weights, tap_step: 1, output_step: layer.outputs, columns };
            map(&layer_map, start, false, &mut RowsMut { values, step, count: layer.taps.len() });
        };
        run(&net.output, &back.out, &output_rows, Start::Zero, &mut back.two);
        mask(&self.two, &mut back.two);
        run(&net.second, &back.two, &self.hidden, Start::Zero, &mut back.one);
        mask(&self.one, &mut back.one);
        run(&net.first, &back.one, &self.hidden, Start::Zero, &mut back.taps);
        run(&net.bypass, &back.out, &output_rows, Start::Output, &mut back.taps);
        if let Some([first, second, output, bypass]) = sums {
            let inputs = &context.inputs.values;
            first.add(inputs, taps, (&back.one, step), columns);
            second.add(&self.one, &self.hidden, (&back.two, step), columns);
            output.add(&self.two, &self.hidden, (&back.out, step), columns);
            bypass.add(inputs, taps, (&back.out, step), columns);
        }
    }
}
