//! The two roads: a picture to the bytes of an `.aez` file, and back.
//!
//! ```text
//! Picture ─ cut ─> tiles ─ analysis ──> latents ─ quantize ───> symbols ─ entropy ─> coded latents ─> file
//! Picture <─ paste─ tiles <─ synthesis ─ latents <─ reconstruct ─ symbols <─ entropy ─ coded latents <─ file
//! ```
//!
//! Tiles pass through the network a few at a time, so that the memory needed beside the picture itself does not
//! grow with it. How many at a time, and on how many threads, changes no byte of a file.

mod decode;
mod encode;
pub mod preview;
pub mod quantize;
mod rate_control;
mod refine;

pub use decode::Decoder;
pub use encode::Encoder;
pub use refine::Refiner;

use crate::{
    error::{Error, Result},
    model::Model,
    picture::tiles::Grid,
    symbols::Shape,
};

/// Tiles that are handed to the network together unless told otherwise: enough for every thread to have work, few
/// enough for what they hold to stay within tens of megabytes.
pub const TILES_AT_ONCE: usize = 32;

/// The latents of a picture before quantization, or after it: one value a symbol, in the same order, in units
/// of the model's base steps around its centres (`u` in the format's specification).
#[derive(Debug, Clone, PartialEq)]
pub struct Latents {
    shape: Shape,
    values: Vec<f32>,
}

impl Latents {
    /// # Errors
    /// [`Error::Misuse`] when the number of values is not that of the shape.
    pub fn new(shape: Shape, values: Vec<f32>) -> Result<Self> {
        if shape.count() != Some(values.len() as u64) {
            return Err(Error::Misuse(format!("{} latents do not fill {shape:?}", values.len())));
        }
        Ok(Self { shape, values })
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// All values, cell after cell.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// How the model cuts a picture of that size into tiles.
fn grid(model: &Model, width: u32, height: u32) -> Grid {
    Grid { width, height, edge: model.tile() as u32 }
}

/// Values of one tile.
fn tile_len(model: &Model) -> usize {
    model.tile() * model.tile() * 3
}

/// The shape of the latents of a picture that is cut by `grid`.
fn latent_shape(grid: &Grid, model: &Model) -> Shape {
    Shape { rows: grid.rows(), columns: grid.columns(), channels: model.latents() as u32 }
}
