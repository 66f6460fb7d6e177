//! Training of networks for the AEZ image codec, on CPUs and NVIDIA GPUs.
//!
//! A training run ([`run::train`]) takes a [data set](data::Dataset) and a [`recipe`](recipe::Recipe), and writes a model file
//! for [`aez_core::Model`] together with a log, loss curves and a checkpoint. A run can be interrupted at any time and resumed
//! from its checkpoint, with the same result.
//!
//! ```no_run
//! use aez_core::{Limits, tiled::Config};
//! use aez_train::{
//!     data::Dataset,
//!     recipe::Recipe,
//!     run::{self, Event, Options},
//! };
//!
//! fn main() -> aez_train::Result<()> {
//!     let config = Config::default();
//!     let data = Dataset::open(&["photos".parse()?], config.tile, &Limits::default())?;
//!     let options = Options::new(config, Recipe { epochs: 20.0, ..Recipe::tuned() }, "photos.aezm");
//!     run::train(&data, &options, &mut |event| {
//!         if let Event::Measured(row) = event {
//!             println!("epoch {:.2}: {:.2} dB", row.epoch, row.validation_psnr);
//!         }
//!     })
//! }
//! ```
//!
//! The network runs as [candle](candle_core) operations ([`graph::Graph`]). On CPUs, the convolutions and their gradients use the
//! kernels of [`aez_core::nn`]. With the cargo feature `cuda`, they use cuDNN on the GPU that [`cuda_device`] opens.
//! [`GraphBackend`] runs the network of an existing model on such a device, for encoding and decoding.
//!
//! Other modules compare variants of the network ([`experiment`]) and prepare data sets ([`stl10`], [`fetch`]).

#![deny(missing_docs)]

mod adam;
mod augment;
mod backend;
#[cfg(test)]
mod backend_tests;
pub mod checkpoint;
pub mod data;
mod error;
pub mod experiment;
pub mod fetch;
mod folder;
pub mod graph;
mod held_out;
mod host;
pub mod klt;
mod layers;
pub mod learner;
pub mod log;
pub mod loss;
mod measure;
mod muon;
pub mod optimizer;
mod options;
pub mod photo;
pub mod recipe;
pub mod run;
mod samples;
mod sources;
pub mod spec;
pub mod start;
pub mod stl10;

pub use backend::GraphBackend;
pub use error::{Error, Result};
pub use layers::cuda_device;
