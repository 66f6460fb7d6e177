//! Adam, an optimizer.

use crate::{nn::taps::vectorized, parallel::*};

/// The state of the optimizer for some numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adam {
    pub mean: Vec<f32>,
    pub square: Vec<f32>,
}

/// How fast the averages of Adam forget.
#[derive(Debug, Clone, Copy, PartialEq)]
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
        let scales = [rate / correction(decay.mean, updates), correction(decay.square, updates).recip()];
        self.step(values, gradient, scales, decay, f32::INFINITY);
    }

    /// As [`Adam::update`], for averages of squares that began with [`Adam::begin_even`]. No value moves further than `longest`.
    pub fn update_even(
        &mut self,
        values: &mut [f32],
        gradient: &[f32],
        rate: f32,
        decay: Decay,
        updates: u32,
        longest: f32,
    ) {
        self.step(values, gradient, [rate / correction(decay.mean, updates), 1.0], decay, longest);
    }

    /// Sets the averages of squares to the mean of squares of a gradient.
    pub fn begin_even(&mut self, gradient: &[f32]) {
        let chunks: Vec<f32> =
            gradient.par_chunks(CHUNK).map(|chunk| chunk.iter().map(|x| x * x).sum()).collect();
        self.square.fill(chunks.iter().sum::<f32>() / gradient.len().max(1) as f32);
    }

    /// `scales` are those of the means and of the squares.
    fn step(&mut self, values: &mut [f32], gradient: &[f32], scales: [f32; 2], decay: Decay, longest: f32) {
        let Self { mean, square } = self;
        let state = mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
        let values = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
        state.zip(values).for_each(|((mean, square), (values, gradient))| {
            step([mean, square, values], gradient, scales, decay, longest);
        });
    }
}

/// What an average that began with 0 is too small by.
fn correction(decay: f32, updates: u32) -> f32 {
    1.0 - decay.powi(updates.saturating_add(1).min(100_000) as i32)
}

/// Numbers that are updated together.
const CHUNK: usize = 1 << 15;

vectorized! {
    fn step(
        arrays: [&mut [f32]; 3],
        gradient: &[f32],
        scales: [f32; 2],
        decay: Decay,
        longest: f32,
    ) {
        let [mean, square, values] = arrays;
        let [scale, square_scale] = scales;
        let count = values.len();
        let (mean, square, gradient) = (&mut mean[..count], &mut square[..count], &gradient[..count]);
        for index in 0..count {
            let g = gradient[index];
            mean[index] += (1.0 - decay.mean) * (g - mean[index]);
            square[index] += (1.0 - decay.square) * (g * g - square[index]);
            let change = scale * mean[index] / ((square[index] * square_scale).sqrt() + 1e-10);
            values[index] -= change.clamp(-longest, longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Decay = Decay { mean: 0.5, square: 0.9 };

    #[test]
    fn the_first_step_has_one_length_or_follows_the_gradient() {
        let gradient = [1.0, -0.01, 0.0, 0.1];
        let mut values = [0.0; 4];
        Adam::new(4).update(&mut values, &gradient, 0.1, DECAY, 0);
        for (value, expected) in values.iter().zip([-0.1, 0.1, 0.0, -0.1]) {
            assert!((value - expected).abs() < 1e-5, "{values:?}");
        }
        let (mut adam, mut values) = (Adam::new(4), [0.0; 4]);
        adam.begin_even(&gradient);
        adam.update_even(&mut values, &gradient, 0.1, DECAY, 0, 0.15);
        // The root of the mean of squares is 0.5025; the average then goes a tenth of the way to the value's own square.
        assert!(adam.square[1] < adam.square[0] && adam.square.iter().all(|&square| square > 0.2));
        assert_eq!(values[0], -0.15, "the longest move");
        assert!((values[3] + 0.02).abs() < 0.002 && values[2] == 0.0, "{values:?}");
        assert!((values[1] - 0.002).abs() < 2e-4, "{values:?}");
    }
}
