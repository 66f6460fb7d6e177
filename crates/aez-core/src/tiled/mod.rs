//! The tiled family: a convolutional autoencoder that maps square tiles of the picture to a few hundred numbers each.
//!
//! The picture is cut into tiles of 96x96 pixels. The analysis network maps a tile to 200 latents, which are quantized and entropy
//! coded. The synthesis network maps the latents back to a tile, and a deblocking filter smooths the block boundaries between tiles.

mod backend;
mod backward;
mod calibrate;
mod codec;
mod config;
mod correct;
pub mod deblock;
mod file;
mod grid;
pub mod init;
mod model;
pub mod network;
mod packed;
mod parameters;
pub mod quantize;
mod quantizer;
mod refine;
mod sensitivity;
mod weights;

pub use backend::{Backend, processor};
pub use calibrate::{Calibration, calibrate};
pub use config::{Config, ConvLayer};
pub use grid::TileGrid;
pub use model::{Provenance, TiledModel};
pub use parameters::{Array, Parameters};
pub use quantizer::Quantizer;
pub use weights::Storage;
