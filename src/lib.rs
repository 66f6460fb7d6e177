//! AEZ: an image codec made of a trained neural network.

pub mod codec;
pub mod container;
pub mod entropy;
pub mod error;
pub mod eval;
pub mod image_codec;
pub mod limits;
pub mod model;
pub mod nn;
pub mod picture;
pub mod symbols;
pub mod train;

pub use error::{Error, Result};
pub use limits::Limits;
pub use symbols::{Quality, Shape, Symbols};
