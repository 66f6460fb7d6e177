//! The synthesis network in floating point: latents to a picture, and back-propagation.

use super::{
    layers::SynthesisNet,
    linear::{add_input_gradient, add_weight_gradient, apply, through_relu},
    network::Network,
    resample::{Cubic, Linear, enlarge, enlarge_adjoint},
    rows::Rows,
};
use crate::parallel::*;

/// What a level computed, as far as back-propagation needs it.
pub(super) struct LevelState {
    /// The latents in steps of the picture's values, then the three colours.
    input: Rows,
    first: Rows,
    /// The features.
    pub features: Rows,
}

/// The values of all levels, and the picture: luma and two chroma planes, with a mean of 0.
pub(super) struct Forward {
    pub levels: Vec<LevelState>,
    pub picture: Rows,
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
pub(super) fn forward(network: &Network, grids: &[Grid<'_>]) -> Forward {
    let Network { layers, parameters, steps, .. } = network;
    let mut levels = Vec::with_capacity(grids.len());
    let mut coarser: Option<(Rows, Rows)> = None;
    for (level, grid) in grids.iter().enumerate().rev() {
        let net = &layers.synthesis[level];
        let scale = step(net, parameters, steps[level]);
        let (state, mut picture) = run_level(net, parameters, scale, grid, coarser);
        if level == 0 {
            levels.push(state);
            levels.reverse();
            return Forward { levels, picture };
        }
        let mut carry = Rows::new(net.carry.outputs, grid.rows, grid.columns);
        apply(&net.carry, parameters, &state.features, (&mut carry, 0), false, false);
        picture.extend_edges();
        carry.extend_edges();
        coarser = Some((picture, carry));
        levels.push(state);
    }
    unreachable!("there is a finest level")
}

/// Runs one level on the picture and the carry of the coarser one, and returns its state and picture.
fn run_level(
    net: &SynthesisNet,
    parameters: &[f32],
    scale: f32,
    grid: &Grid<'_>,
    coarser: Option<(Rows, Rows)>,
) -> (LevelState, Rows) {
    let &Grid { latents, rows, columns } = grid;
    let channels = net.linear.len() / 3;
    let mut input = Rows::new(channels + 3, rows, columns);
    let mut first = Rows::new(net.first.outputs, rows, columns);
    let bias = &parameters[net.first.bias.clone()];
    match coarser {
        Some((picture, carry)) => {
            enlarge::<Cubic>(&picture, None, &mut input, channels);
            enlarge::<Linear>(&carry, Some(bias), &mut first, 0);
        }
        None => {
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
    });
    input.extend_edges();
    apply(&net.first, parameters, &input, (&mut first, 0), true, true);
    first.extend_edges();
    let mut features = Rows::new(net.second.outputs, rows, columns);
    apply(&net.second, parameters, &first, (&mut features, 0), false, true);
    features.extend_edges();
    let mut picture = Rows::new(3, rows, columns);
    for y in 0..rows {
        for (colour, bias) in parameters[net.output.bias.clone()].iter().enumerate() {
            let from = input.row(channels + colour, y);
            picture.row_mut(colour, y).iter_mut().zip(from).for_each(|(to, from)| *to = from + bias);
        }
    }
    apply(&net.output, parameters, &features, (&mut picture, 0), true, false);
    picture.clear_sides();
    (LevelState { input, first, features }, picture)
}

/// Propagates the gradient of the picture back. `features` are gradients with respect to the features of each level that come from
/// elsewhere; `latents` are increased by those of the latents, and `weights`, if given, by those of the parameters.
pub(super) fn backward(
    network: &Network,
    forward: &Forward,
    picture: Rows,
    features: Vec<Rows>,
    latents: &mut [Vec<f32>],
    mut weights: Option<&mut [f32]>,
) {
    let Network { layers, parameters, steps, .. } = network;
    let mut picture = picture;
    let mut carry = Rows::new(0, 0, 0);
    for (level, (state, features)) in forward.levels.iter().zip(features).enumerate() {
        let net = &layers.synthesis[level];
        let back = Backward { net, parameters, state };
        let (colours, first) = back.run(picture, carry, features, weights.as_deref_mut());
        let scale = step(net, parameters, steps[level]);
        back.spread(&colours, scale, &mut latents[level], weights.as_deref_mut());
        let Some(coarser) = forward.levels.get(level + 1) else { return };
        let (rows, columns) = (coarser.input.rows, coarser.input.columns);
        let channels = net.linear.len() / 3;
        picture = Rows::new(3, rows, columns);
        enlarge_adjoint::<Cubic>(&colours, channels, &mut picture);
        carry = Rows::new(net.first.outputs, rows, columns);
        enlarge_adjoint::<Linear>(&first, 0, &mut carry);
    }
}

/// Back-propagation through one level.
struct Backward<'a> {
    net: &'a SynthesisNet,
    parameters: &'a [f32],
    state: &'a LevelState,
}

impl Backward<'_> {
    /// From the gradients of the level's picture, carry and features to those of the inputs and of the first layer.
    fn run(&self, picture: Rows, carry: Rows, features: Rows, weights: Option<&mut [f32]>) -> (Rows, Rows) {
        let Self { net, parameters, state } = *self;
        let mut features = features;
        let channels = net.linear.len() / 3;
        add_input_gradient(&net.output, parameters, (&picture, 0), &mut features);
        add_input_gradient(&net.carry, parameters, (&carry, 0), &mut features);
        features.fold_edges();
        through_relu(&state.features, &mut features);
        let mut first = state.first.zeros_like();
        add_input_gradient(&net.second, parameters, (&features, 0), &mut first);
        first.fold_edges();
        through_relu(&state.first, &mut first);
        let mut input = state.input.zeros_like();
        add_input_gradient(&net.first, parameters, (&first, 0), &mut input);
        input.fold_edges();
        let (row_step, step, place) = (input.row_step(), input.step, input.in_row(channels));
        input.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
            for colour in 0..3 {
                let to = row[place + colour * step..].iter_mut();
                to.zip(picture.row(colour, y)).for_each(|(to, from)| *to += from);
            }
        });
        if let Some(weights) = weights {
            add_weight_gradient(&net.output, &state.features, (&picture, 0), weights);
            add_weight_gradient(&net.carry, &state.features, (&carry, 0), weights);
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
