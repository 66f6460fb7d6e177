//! How the optimization of latents runs from its begin to its end.

use super::{
    adam::{Adam, Decay},
    quantize::Rounding,
};

/// Optimizations with fewer steps are [`Schedule::SHORT`].
const LONG_STEPS: usize = 48;
/// How far a latent moves at most in a step of a short optimization.
const LONGEST_MOVE: f32 = 0.5;

/// The settings of an optimization.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    /// The highest learning rate, in steps of the latents.
    rate: f32,
    /// How fast the averages of the optimizer forget.
    decay: Decay,
    /// The rounding at the begin, and how much of that is gone at the end.
    rounding: [Rounding; 2],
    /// Whether the averages of squares begin with the mean over a level. Otherwise, all latents of a level move equally far in the
    /// first step, although most of them should not move; with many steps this makes no difference.
    is_even: bool,
}

impl Schedule {
    /// With few steps, a short memory of the mean is better than the usual 0.9.
    pub const LONG: Self = Self {
        rate: 0.16,
        decay: Decay { mean: 0.6, square: 0.99 },
        rounding: [Rounding { temperature: 0.35, noise: 0.2 }, Rounding { temperature: 0.25, noise: 0.1 }],
        is_even: false,
    };
    /// For a few steps from a pyramid, from trials on crops of photographs; see `docs/photo.md`.
    const SHORT: Self = Self {
        rate: 0.2,
        decay: Decay { mean: 0.1, square: 0.94 },
        rounding: [Rounding { temperature: 0.42, noise: 0.19 }, Rounding { temperature: 0.27, noise: 0.13 }],
        is_even: true,
    };

    /// The schedule of an optimization from a pyramid.
    pub fn new(steps: usize) -> Self {
        if steps < LONG_STEPS { Self::SHORT } else { Self::LONG }
    }

    /// The rounding after a part of the optimization, 0 to 1.
    pub fn rounding(&self, part: f32) -> Rounding {
        let [begin, change] = self.rounding;
        Rounding {
            temperature: begin.temperature - part * change.temperature,
            noise: begin.noise - part * change.noise,
        }
    }

    /// Moves the latents of a level against their gradient, after a part of the optimization. `updates` is the number of earlier calls.
    pub fn update(&self, adam: &mut Adam, latents: &mut [f32], gradient: &[f32], part: f32, updates: u32) {
        let rate = self.rate * half_cosine(part) + 0.002;
        if !self.is_even {
            adam.update(latents, gradient, rate, self.decay, updates);
            return;
        }
        if updates == 0 {
            adam.begin_even(gradient);
        }
        adam.update_even(latents, gradient, rate, self.decay, updates, LONGEST_MOVE);
    }
}

/// Falls from 1 to 0.
pub(super) fn half_cosine(part: f32) -> f32 {
    0.5 + 0.5 * (std::f32::consts::PI * part).cos()
}
