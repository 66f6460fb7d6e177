//! The gradient of the network, for the encoder's search. Rounding and limits are left out.

use super::{
    dct::Step,
    layer::{Layer, Plan},
    network::{Network, PIXELS, Trace, input, pixel_of, shuffled_place},
    planes::{Grid, Planes},
};
use crate::nn::taps::vectorized;

impl Network {
    /// The gradient of half the sum of squared differences between the decoded pixels and `target`, with respect to the pixels before the
    /// network, all in 1/4096.
    pub fn gradient(&self, pixels: &[i16], step: Step, target: &[f32]) -> Vec<f32> {
        let trace = self.trace(&input(pixels, step), step);
        let difference = |at: usize| {
            let (channel, y, x) = shuffled_place(at);
            f32::from(pixels[at]) + f32::from(trace.added.at(channel, y, x)) - target[at]
        };
        let mut gradient: Vec<f32> = (0..pixels.len()).map(difference).collect();
        let added = Planes::from_fn(Grid::FINE, PIXELS, |c, y, x| gradient[pixel_of(c, y, x)]);
        let through = self.backward(&added, &trace);
        for (at, gradient) in gradient.iter_mut().enumerate() {
            let (channel, y, x) = shuffled_place(at);
            *gradient += through.at(channel, y, x);
        }
        gradient
    }

    /// The gradient with respect to the input, from that with respect to the output.
    fn backward(&self, added: &Planes<f32>, trace: &Trace) -> Planes<f32> {
        let mut fine = self.last.backward(added);
        mask(&mut fine, &trace.refined);
        let mut merged = self.middle.backward(&fine);
        mask(&mut merged, &trace.merged);
        sum(&mut fine, &merged);
        let mut x = self.up.backward(&merged.unshuffled(Grid::COARSE));
        for (block, hidden) in self.blocks.iter().zip(&trace.hidden).rev() {
            let mut inner = block.narrow.backward(&x);
            mask(&mut inner, hidden);
            sum(&mut x, &block.window.backward(&inner));
        }
        mask(&mut x, &trace.coarse);
        sum(&mut fine, &self.down.backward(&x).shuffled(Grid::FINE));
        mask(&mut fine, &trace.fine);
        self.first.backward(&fine)
    }
}

/// Sets the gradient to zero where a value was limited to zero.
fn mask(gradient: &mut Planes<f32>, values: &Planes) {
    for (gradient, &value) in gradient.values.iter_mut().zip(&values.values) {
        *gradient = if value > 0 { *gradient } else { 0.0 };
    }
}

fn sum(to: &mut Planes<f32>, other: &Planes<f32>) {
    to.values.iter_mut().zip(&other.values).for_each(|(sum, x)| *sum += x);
}

vectorized! {
    fn add_products(sums: &mut [f32], values: &[f32], factor: f32) {
        sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum += factor * x);
    }
}

impl Layer {
    /// The gradient with respect to the inputs, from that with respect to the outputs.
    fn backward(&self, output: &Planes<f32>) -> Planes<f32> {
        let Plan { inputs, window, .. } = self.plan;
        let grid = output.grid;
        let channels = if window == 2 { 4 * inputs } else { inputs };
        let mut input = Planes::zeros(grid, channels);
        let offsets = self.offsets(grid);
        let weights = self.weights.chunks_exact(channels * offsets.len());
        for ((gradient, weights), &shift) in
            output.values.chunks_exact(grid.step()).zip(weights).zip(&self.shifts)
        {
            let gradient = &gradient[grid.margin()..][..grid.len()];
            let unit = (-f32::from(shift)).exp2();
            let planes = input.values.chunks_exact_mut(grid.step());
            for (plane, weights) in planes.zip(weights.chunks_exact(offsets.len())) {
                for (&offset, &weight) in offsets.iter().zip(weights) {
                    let weight = f32::from(weight) * unit;
                    add_products(&mut plane[offset..][..grid.len()], gradient, weight);
                }
            }
        }
        input.clear_gaps();
        input
    }
}
