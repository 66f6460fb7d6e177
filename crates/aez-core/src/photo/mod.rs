//! The photo family: a pyramid of integer latents, a context model, and a small synthesis network.
//!
//! Level `i` of the pyramid has ceil(height / 2^i) x ceil(width / 2^i) positions with a few latents each. Levels are coded from the
//! coarsest to the finest. A context model predicts each latent from those before it, as a Laplace distribution, in four passes over
//! the positions of each channel; within a pass no latent depends on another. The synthesis network enlarges a picture from level to
//! level, and adds to it what the latents of the level say.
//!
//! There is no analysis network: the encoder finds latents by the gradient of the decoder, and training finds the weights beside the
//! latents of all training pictures.

mod adam;
mod codec;
mod coefficients;
mod config;
mod context;
mod decide;
mod fit;
mod float_model;
mod integer;
mod laplace;
mod layers;
mod linear;
mod masking;
mod model;
mod network;
mod objective;
mod quality;
mod quantize;
mod resample;
mod rows;
mod schedule;
mod scratch;
mod state;
mod synthesis;
mod target;
#[cfg(test)]
mod tests;
mod train;

pub use config::{Config, Level};
pub use fit::{Fitted, fit, render};
pub use float_model::read_float;
pub use integer::IntegerNetwork;
pub use model::{PhotoModel, Training};
pub use network::Network;
pub use quality::lambda;
pub use target::Target;
pub use train::{Progress, Recipe, Trainer};

/// The built-in model for photographs.
pub static MODEL_FILE: &[u8] = include_bytes!("../../models/photo.safetensors");
