//! The synthesis network in floating point: latents to a picture, and back-propagation.

use super::{
    layers::SynthesisNet,
    linear::{add_weight_gradient, apply, input_gradient},
    network::Network,
    resample::{Cubic, Linear, enlarge, enlarge_adjoint},
    rows::{Rows, extend_row},
    scratch::{Lent, Scratch},
};
use crate::parallel::*;

/// What a level computed, as far as back-propagation needs it.
pub(super) struct LevelState<'s> {
    /// The latents in steps of the picture's values, then the three colours.
    input: Lent<'s>,
    first: Lent<'s>,
    /// The features.
    pub features: Lent<'s>,
}

/// The values of all levels, and the picture: luma and two chroma planes, with a mean of 0.
pub(super) struct Forward<'s> {
    pub levels: Vec<LevelState<'s>>,
    pub picture: Lent<'s>,
}

/// Latents of a level, `[channel][row][column]`, and the size of the level.
#[derive(Clone, Copy)]
pub(super) struct Grid<'a> {
    pub latents: &'a [f32],
    pub rows: usize,
    pub columns: usize,
}

/// The step of a level's latents.
pub(super) fn step(net: &SynthesisNet, parameters: &[f32], initial: f32) -> f32 {
    initial * parameters[net.gain].exp()
}

/// Runs the network on the latents of all levels.
pub(super) fn forward<'s>(network: &Network, grids: &[Grid<'_>], scratch: &'s Scratch) -> Forward<'s> {
    let Network { layers, parameters, steps, .. } = network;
    let mut levels = Vec::with_capacity(grids.len());
    let mut coarser: Option<(Lent<'s>, Lent<'s>)> = None;
    for (level, grid) in grids.iter().enumerate().rev() {
        let net = &layers.synthesis[level];
        let scale = step(net, parameters, steps[level]);
        let (state, picture) = run_level(net, parameters, scale, grid, coarser, scratch);
        if level == 0 {
            levels.push(state);
            levels.reverse();
            return Forward { levels, picture };
        }
        let mut carry = scratch.dirty(net.carry.outputs, grid.rows, grid.columns);
        apply(&net.carry, parameters, &state.features, &mut carry, false, false);
        coarser = Some((picture, carry));
        levels.push(state);
    }
    unreachable!("there is a finest level")
}

/// Runs one level on the picture and the carry of the coarser one, and returns its state and picture.
fn run_level<'s>(
    net: &SynthesisNet,
    parameters: &[f32],
    scale: f32,
    grid: &Grid<'_>,
    coarser: Option<(Lent<'s>, Lent<'s>)>,
    scratch: &'s Scratch,
) -> (LevelState<'s>, Lent<'s>) {
    let &Grid { latents, rows, columns } = grid;
    let channels = net.linear.len() / 3;
    let mut input = scratch.dirty(channels + 3, rows, columns);
    let mut first = scratch.dirty(net.first.outputs, rows, columns);
    let bias = &parameters[net.first.bias.clone()];
    match coarser {
        Some((picture, carry)) => {
            enlarge::<Cubic>(&picture, None, &mut input, channels);
            enlarge::<Linear>(&carry, Some(bias), &mut first, 0);
        }
        None => {
            input.values.fill(0.0);
            for y in 0..rows {
                bias.iter().enumerate().for_each(|(plane, &bias)| first.row_mut(plane, y).fill(bias));
            }
        }
    }
    let (row_step, step, place) = (input.row_step(), input.step, input.in_row(0));
    input.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
        let plane = |index: usize| place + index * step..place + index * step + columns;
        for channel in 0..channels {
            let line = &latents[(channel * rows + y) * columns..][..columns];
            let to = &mut row[plane(channel)];
            to.iter_mut().zip(line).for_each(|(to, latent)| *to = scale * latent);
            for (colour, weight) in parameters[net.linear.clone()][3 * channel..][..3].iter().enumerate() {
                let to = &mut row[plane(channels + colour)];
                to.iter_mut().zip(line).for_each(|(to, latent)| *to += weight * scale * latent);
            }
        }
        extend_row(row, step, columns);
    });
    input.extend_ends();
    apply(&net.first, parameters, &input, &mut first, true, true);
    let mut features = scratch.dirty(net.second.outputs, rows, columns);
    apply(&net.second, parameters, &first, &mut features, false, true);
    let mut picture = scratch.dirty(3, rows, columns);
    let (row_step, step, place) = (picture.row_step(), picture.step, picture.in_row(0));
    picture.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
        for (colour, bias) in parameters[net.output.bias.clone()].iter().enumerate() {
            let to = &mut row[place + colour * step..][..columns];
            to.iter_mut().zip(input.row(channels + colour, y)).for_each(|(to, from)| *to = from + bias);
        }
    });
    apply(&net.output, parameters, &features, &mut picture, true, false);
    (LevelState { input, first, features }, picture)
}

/// Propagates the gradient of the picture back. `features` are gradients with respect to the features of each level that come from
/// elsewhere, or empty; `latents` are increased by those of the latents, and `weights`, if given, by those of the parameters.
pub(super) fn backward<'s>(
    network: &Network,
    forward: &Forward<'s>,
    picture: Lent<'s>,
    features: Vec<Lent<'s>>,
    latents: &mut [Vec<f32>],
    mut weights: Option<&mut [f32]>,
    scratch: &'s Scratch,
) {
    let Network { layers, parameters, steps, .. } = network;
    let mut picture = picture;
    let mut carry = None;
    let mut features = features.into_iter();
    for (level, state) in forward.levels.iter().enumerate() {
        let net = &layers.synthesis[level];
        let back = Backward { net, parameters, state, scratch };
        let (colours, first) = back.run(&picture, carry.as_deref(), features.next(), weights.as_deref_mut());
        let scale = step(net, parameters, steps[level]);
        back.spread(&colours, scale, &mut latents[level], weights.as_deref_mut());
        let Some(coarser) = forward.levels.get(level + 1) else { return };
        let (rows, columns) = (coarser.input.rows, coarser.input.columns);
        let channels = net.linear.len() / 3;
        picture = scratch.dirty(3, rows, columns);
        enlarge_adjoint::<Cubic>(&colours, channels, &mut picture);
        let mut coarser_carry = scratch.dirty(net.first.outputs, rows, columns);
        enlarge_adjoint::<Linear>(&first, 0, &mut coarser_carry);
        carry = Some(coarser_carry);
    }
}

/// Back-propagation through one level.
struct Backward<'a, 's> {
    net: &'a SynthesisNet,
    parameters: &'a [f32],
    state: &'a LevelState<'s>,
    scratch: &'s Scratch,
}

impl<'s> Backward<'_, 's> {
    /// From the gradients of the level's picture, carry and features to those of the inputs and of the first layer.
    fn run(
        &self,
        picture: &Rows,
        carry: Option<&Rows>,
        features: Option<Lent<'s>>,
        weights: Option<&mut [f32]>,
    ) -> (Lent<'s>, Lent<'s>) {
        let Self { net, parameters, state, scratch } = *self;
        let has_features = features.is_some();
        let mut features = features.unwrap_or_else(|| scratch.like(&state.features));
        let channels = net.linear.len() / 3;
        let to_features = (&mut *features, has_features);
        let relu: Option<&Rows> = Some(&state.features);
        match carry {
            Some(carry) => {
                input_gradient(&net.output, parameters, (picture, 0), to_features, None);
                input_gradient(&net.carry, parameters, (carry, 0), (&mut features, true), relu);
            }
            None => input_gradient(&net.output, parameters, (picture, 0), to_features, relu),
        }
        let mut first = scratch.like(&state.first);
        input_gradient(&net.second, parameters, (&features, 0), (&mut first, false), Some(&state.first));
        let mut input = scratch.like(&state.input);
        input_gradient(&net.first, parameters, (&first, 0), (&mut input, false), None);
        let (row_step, step, place) = (input.row_step(), input.step, input.in_row(channels));
        input.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
            for colour in 0..3 {
                let to = row[place + colour * step..].iter_mut();
                to.zip(picture.row(colour, y)).for_each(|(to, from)| *to += from);
            }
        });
        if let Some(weights) = weights {
            add_weight_gradient(&net.output, &state.features, (picture, 0), weights);
            if let Some(carry) = carry {
                add_weight_gradient(&net.carry, &state.features, (carry, 0), weights);
            }
            add_weight_gradient(&net.second, &state.first, (&features, 0), weights);
            add_weight_gradient(&net.first, &state.input, (&first, 0), weights);
        }
        (input, first)
    }

    /// From the gradient of the level's inputs to those of the latents, the linear map and the step.
    fn spread(&self, gradient: &Rows, scale: f32, latents: &mut [f32], weights: Option<&mut [f32]>) {
        let channels = self.net.linear.len() / 3;
        let (rows, columns) = (gradient.rows, gradient.columns);
        let linear = &self.parameters[self.net.linear.clone()];
        // The gradient of a row of latents, in the picture's values.
        let row = |channel: usize, y: usize| {
            let mut line = gradient.row(channel, y).to_vec();
            for colour in 0..3 {
                let weight = linear[3 * channel + colour];
                let from = gradient.row(channels + colour, y);
                line.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
            }
            line
        };
        latents.par_chunks_mut(columns).enumerate().for_each(|(index, to)| {
            let line = row(index / rows, index % rows);
            to.iter_mut().zip(&line).for_each(|(to, from)| *to += scale * from);
        });
        let Some(weights) = weights else { return };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        for channel in 0..channels {
            for y in 0..rows {
                let values = self.state.input.row(channel, y);
                for colour in 0..3 {
                    weights[self.net.linear.start + 3 * channel + colour] +=
                        dot(gradient.row(channels + colour, y), values);
                }
                weights[self.net.gain] += dot(&row(channel, y), values);
            }
        }
    }
}
