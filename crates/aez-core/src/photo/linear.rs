//! Layers on planes, and their adjoints.

use std::ops::Range;

use super::{
    layers::Layer,
    rows::{MARGIN, Rows, clear_row, extend_row, fold_row},
};
use crate::{
    nn::taps::{LANES, Map, Products, RowsMut, Start, add_lanes, add_products, map, vectorized},
    parallel::*,
};

/// Rows of which the gradients of weights are summed at once.
const BAND: usize = 16;

/// Applies a layer to all positions, and extends the edges of the outputs. These begin with the biases, or with what they hold if `add`
/// is set, in which case the biases must be part of that.
pub(super) fn apply(
    layer: &Layer,
    parameters: &[f32],
    input: &Rows,
    output: &mut Rows,
    add: bool,
    relu: bool,
) {
    if layer.outputs == 0 {
        return;
    }
    let taps = offsets(layer, input);
    let bias = &parameters[layer.bias.clone()];
    let start = match (add, bias.is_empty()) {
        (true, _) => Start::Output,
        (false, false) => Start::Bias(bias),
        (false, true) => Start::Zero,
    };
    let (row_step, step, place) = (output.row_step(), output.step, output.in_row(0));
    let columns = output.columns;
    output.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
        let taps = places(&taps, input.place(0, y as isize, 0));
        let weights = &parameters[layer.weights.clone()];
        let layer_map = Map {
            input: &input.values,
            taps: &taps,
            weights,
            tap_step: layer.outputs,
            output_step: 1,
            columns,
        };
        let mut outputs = RowsMut { values: &mut row[place..], step, count: layer.outputs };
        map(&layer_map, start, relu, &mut outputs);
        extend_row(row, step, columns);
    });
    output.extend_ends();
}

/// The distances of a layer's taps from the first plane at the position.
pub(super) fn offsets(layer: &Layer, input: &Rows) -> Vec<isize> {
    layer.taps.iter().map(|tap| input.offset(tap.plane, tap.row, tap.column)).collect()
}

/// The places of taps.
pub(super) fn places(offsets: &[isize], position: usize) -> Vec<usize> {
    offsets.iter().map(|&offset| position.wrapping_add_signed(offset)).collect()
}

/// Adds the gradient of a layer's weights and biases. `outputs` is the gradient of its outputs, planes `first..`, which is 0 outside of
/// the columns.
pub(super) fn add_weight_gradient(
    layer: &Layer,
    input: &Rows,
    (outputs, first): (&Rows, usize),
    gradient: &mut [f32],
) {
    if layer.outputs == 0 {
        return;
    }
    let taps = offsets(layer, input);
    let bands: Vec<Range<usize>> =
        (0..outputs.rows).step_by(BAND).map(|y| y..(y + BAND).min(outputs.rows)).collect();
    let sums: Vec<Vec<f32>> = bands
        .into_par_iter()
        .map(|band| {
            let mut sums = Sums::new(layer);
            for y in band {
                let taps = places(&taps, input.place(0, y as isize, 0));
                let place = outputs.place(first, y as isize, 0);
                let gradients = (&outputs.values[place..], outputs.step);
                sums.add(&input.values, &taps, gradients, outputs.columns);
            }
            sums.totals()
        })
        .collect();
    for totals in sums {
        add_totals(layer, &totals, gradient);
    }
}

/// Sums of the gradient of one layer's weights, then of its biases.
pub(super) struct Sums {
    lanes: Vec<f32>,
    weights: usize,
    outputs: usize,
    has_bias: bool,
}

impl Sums {
    pub fn new(layer: &Layer) -> Self {
        let count = layer.weights.len() + layer.bias.len();
        Self {
            lanes: vec![0.0; count * LANES],
            weights: layer.weights.len() * LANES,
            outputs: layer.outputs,
            has_bias: !layer.bias.is_empty(),
        }
    }

    /// Adds a row. The gradients of the outputs begin a step apart.
    pub fn add(&mut self, input: &[f32], taps: &[usize], (outputs, step): (&[f32], usize), columns: usize) {
        let (weights, biases) = self.lanes.split_at_mut(self.weights);
        let products = Products { input, taps, outputs, step, count: self.outputs, columns };
        add_products(&products, weights);
        if self.has_bias {
            let width = columns.next_multiple_of(LANES);
            for (output, lanes) in biases.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                add_groups(&outputs[output * step..][..width], lanes);
            }
        }
    }

    pub fn totals(&self) -> Vec<f32> {
        let mut totals = vec![0.0; self.lanes.len() / LANES];
        add_lanes(&self.lanes, &mut totals);
        totals
    }
}

/// Adds what [`Sums::totals`] returns to the gradient of all parameters.
pub(super) fn add_totals(layer: &Layer, totals: &[f32], gradient: &mut [f32]) {
    let (weights, biases) = totals.split_at(layer.weights.len());
    for (range, totals) in [(&layer.weights, weights), (&layer.bias, biases)] {
        gradient[range.clone()].iter_mut().zip(totals).for_each(|(to, from)| *to += from);
    }
}

/// The gradient of a layer's input, whose first planes have windows of 3x3 taps, and those after them one tap each. It replaces what is
/// in the planes, or is added to it if `add` is set. `outputs` is the gradient of the outputs, planes `first..`, and 0 in the margins, as
/// the result is. If `relu` is given, the input is the output of a ReLU, and the gradient that of the ReLU's input.
pub(super) fn input_gradient(
    layer: &Layer,
    parameters: &[f32],
    (outputs, first): (&Rows, usize),
    (gradient, add): (&mut Rows, bool),
    relu: Option<&Rows>,
) {
    let count = layer.outputs;
    let start = if add { Start::Output } else { Start::Zero };
    let windows = layer.taps.iter().filter(|tap| tap.row == -1 && tap.column == -1).count();
    let centers = layer.taps.len() - 9 * windows;
    let weights = &parameters[layer.weights.clone()];
    let (row_step, step, place) = (gradient.row_step(), gradient.step, gradient.in_row(0));
    let columns = outputs.columns;
    if !add {
        gradient.clear_ends();
    }
    // The output at the other side of the position has this position as its tap.
    let around: Vec<isize> = (-1..=1)
        .flat_map(|row| (-1..=1).map(move |column| (row, column)))
        .flat_map(|(row, column)| (0..count).map(move |output| (output, row, column)))
        .map(|(output, row, column)| outputs.offset(first + output, -row, -column))
        .collect();
    let same: Vec<isize> = (0..count).map(|output| outputs.offset(first + output, 0, 0)).collect();
    let before = 1 - MARGIN as isize;
    let end = row_step + (outputs.rows + 2) * row_step;
    gradient.values[row_step..end].par_chunks_mut(row_step).enumerate().for_each(|(index, row)| {
        let y = index as isize + before;
        let mut run =
            |offsets: &[isize], from: isize, weights, planes: Range<usize>, taps: usize, columns| {
                let taps_at = places(offsets, outputs.place(0, y, from));
                let first = place.wrapping_add_signed(from) + planes.start * step;
                let layer_map = Map {
                    input: &outputs.values,
                    taps: &taps_at,
                    weights,
                    tap_step: 1,
                    output_step: taps * count,
                    columns,
                };
                let mut rows = RowsMut { values: &mut row[first..], step, count: planes.len() };
                map(&layer_map, start, false, &mut rows);
            };
        if windows > 0 {
            run(&around, -1, weights, 0..windows, 9, columns + 2);
        }
        if centers > 0 && (0..outputs.rows as isize).contains(&y) {
            run(&same, 0, &weights[9 * windows * count..], windows..windows + centers, 1, columns);
        }
        // The columns beside the first and the last are part of the result of windows only.
        if windows > 0 {
            fold_row(&mut row[..windows * step], step, columns, 1);
        }
        clear_row(&mut row[windows * step..], step, columns);
        if let Some(relu) = relu.filter(|_| (0..outputs.rows as isize).contains(&y)) {
            mask(&relu.values[relu.place(0, y, 0) - relu.in_row(0)..][..row_step], row);
        }
    });
    gradient.fold_ends();
    if let Some(relu) = relu {
        // What has been added to the outer rows has not gone through the ReLU.
        for y in [0, outputs.rows - 1] {
            let start = gradient.place(0, y as isize, 0) - gradient.in_row(0);
            mask(&relu.values[start..][..row_step], &mut gradient.values[start..][..row_step]);
        }
    }
}

vectorized! {
    fn add_groups(values: &[f32], lanes: &mut [f32; LANES]) {
        for group in values.as_chunks::<LANES>().0 {
            for (lane, value) in lanes.iter_mut().zip(group) {
                *lane += value;
            }
        }
    }

    /// Sets gradients to 0 where the output of a ReLU is 0.
    pub(super) fn mask(outputs: &[f32], gradients: &mut [f32]) {
        for (gradient, output) in gradients.iter_mut().zip(outputs) {
            let factor = if *output > 0.0 { 1.0 } else { 0.0 };
            *gradient *= factor;
        }
    }
}
