//! Adam, an optimizer.

use crate::{nn::taps::vectorized, parallel::*};

/// The state of the optimizer for some numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adam {
    pub mean: Vec<f32>,
    pub square: Vec<f32>,
}

/// How fast the averages of Adam forget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decay {
    pub mean: f32,
    pub square: f32,
}

impl Adam {
    pub fn new(count: usize) -> Self {
        Self { mean: vec![0.0; count], square: vec![0.0; count] }
    }

    /// Moves `values` against their gradient. `updates` is the number of earlier calls.
    pub fn update(&mut self, values: &mut [f32], gradient: &[f32], rate: f32, decay: Decay, updates: u32) {
        let correction = |decay: f32| 1.0 - decay.powi(updates.saturating_add(1).min(100_000) as i32);
        let scale = rate / correction(decay.mean);
        let square_scale = correction(decay.square).recip();
        let Self { mean, square } = self;
        let state = mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
        let values = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        state.zip(values).for_each(|((mean, square), (values, gradient))| {
            step([mean, square, values], gradient, [scale, square_scale], decay);
        });
    }
}

/// Numbers that are updated together.
const CHUNK: usize = 1 << 15;

vectorized! {
    fn step(arrays: [&mut [f32]; 3], gradient: &[f32], scales: [f32; 2], decay: Decay) {
        let [mean, square, values] = arrays;
        let [scale, square_scale] = scales;
        let count = values.len();
        let (mean, square, gradient) = (&mut mean[..count], &mut square[..count], &gradient[..count]);
        for index in 0..count {
            let g = gradient[index];
            mean[index] += (1.0 - decay.mean) * (g - mean[index]);
            square[index] += (1.0 - decay.square) * (g * g - square[index]);
            values[index] -= scale * mean[index] / ((square[index] * square_scale).sqrt() + 1e-10);
        }
    }
}
