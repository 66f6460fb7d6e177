//! The sizes of a network of the photo family.

use serde::{Deserialize, Serialize};

/// The phases of the 2x2 positions, in the order in which they are coded: row and column modulo 2.
pub(super) const PASSES: [(usize, usize); 4] = [(0, 0), (1, 1), (0, 1), (1, 0)];

/// Sizes of one level of the pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Latents at each position, 1 to 8. The first three begin as luma and chroma, the others without a meaning.
    pub channels: usize,
    /// Feature channels of the synthesis network.
    pub features: usize,
    /// Whether the second layer of the synthesis network has a window of 3x3 instead of one pixel.
    pub wide: bool,
    /// Whether the first layer of the synthesis network has a window of 3x3 on chroma instead of one pixel.
    pub wide_chroma: bool,
    /// Values in each hidden layer of the context model.
    pub hidden: usize,
    /// Inputs of the context model: the nearest latents of the same channel that are known, up to 12.
    pub neighbours: usize,
    /// Inputs of the context model: latents of the channel before at the position and its neighbours, up to 5.
    pub before: usize,
    /// Inputs of the context model: latents of the coarser level at the position and its neighbours, up to 5.
    pub coarser: usize,
    /// Inputs of the context model: the first features of the coarser level, none in the coarsest.
    pub guides: usize,
}

/// The sizes of a network, which decide its arrays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Levels from the finest to the coarsest. Level `i` has ceil(height / 2^i) rows and ceil(width / 2^i) columns.
    pub levels: Vec<Level>,
    /// Directions in which each file can move the weights of the finer levels, up to 16. Ids of networks without them do not depend
    /// on this field.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub directions: usize,
}

/// The largest number of directions.
const MAX_DIRECTIONS: usize = 16;

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Default for Config {
    fn default() -> Self {
        let coarse = Level {
            channels: 3,
            features: 16,
            wide: true,
            wide_chroma: true,
            hidden: 16,
            neighbours: 12,
            before: 5,
            coarser: 5,
            guides: 0,
        };
        let finest = Level {
            channels: 1,
            features: 6,
            wide: true,
            wide_chroma: false,
            hidden: 8,
            neighbours: 8,
            before: 0,
            coarser: 1,
            guides: 0,
        };
        let second =
            Level { channels: 2, features: 10, hidden: 12, neighbours: 8, before: 3, coarser: 3, ..coarse };
        Self { levels: vec![finest, second, coarse, coarse, coarse, coarse, coarse], directions: 0 }
    }
}

impl Config {
    /// Whether a network of these sizes exists.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let within = |level: &Level| {
            (1..=8).contains(&level.channels)
                && (1..=32).contains(&level.features)
                && (1..=32).contains(&level.hidden)
                && level.neighbours <= 12
                && level.before <= 5
                && level.coarser <= 5
        };
        let guided = |pair: &[Level]| pair[0].guides <= pair[1].features;
        let is_unguided = self.levels.last().is_some_and(|coarsest| coarsest.guides == 0);
        (2..=10).contains(&self.levels.len())
            && self.directions <= MAX_DIRECTIONS
            && self.levels.iter().all(within)
            && self.levels.windows(2).all(guided)
            && is_unguided
    }

    /// Multiplications that the decoder needs for each pixel, on average: of the context model, and of the synthesis network.
    #[must_use]
    pub fn multiplications(&self) -> (f64, f64) {
        let layers = super::layers::Layers::new(self);
        let sum = |cost: &dyn Fn(usize) -> f64| -> f64 {
            (0..self.levels.len()).map(|level| cost(level) / 4f64.powi(level as i32)).sum()
        };
        (sum(&|level| layers.context_cost(level)), sum(&|level| layers.synthesis_cost(level)))
    }
}
