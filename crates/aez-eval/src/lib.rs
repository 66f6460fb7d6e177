//! Measurements for AEZ: how large files are and how good the decoded pictures are, over many pictures and several codecs.
//!
//! - [`Sweep`] encodes and decodes a picture with an AEZ model at several qualities; [`external`] does the same with the programs of
//!   other codecs.
//! - [`Results`] averages over pictures, compares codecs by [Bjøntegaard delta rate](bd_rate), and serializes to JSON.
//! - [`metrics`] has MS-SSIM; PSNR is in [`aez_core::picture`].
//! - [`plot`], [`gallery`] and [`page`] make rate-distortion charts, sample pictures and a report in one HTML file. [`anchors`] reads
//!   published curves for comparison. [`chart`] draws line charts in general.
//!
//! All sizes are those of whole files, headers included. Pictures for the comparison of codecs should have neither an alpha channel nor
//! metadata, as not all codecs keep them.
//!
//! # Example
//!
//! Measure a model at three qualities and print the results as a table:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use aez_core::{Limits, Model, Quality};
//! use aez_eval::{Results, Sweep};
//!
//! # fn main() -> aez_core::Result<()> {
//! let model = Model::from_bytes(std::fs::read("model.safetensors").unwrap())?;
//! let qualities = vec![Quality::new(25)?, Quality::new(50)?, Quality::new(75)?];
//! let sweep = Sweep::new(&model, qualities);
//!
//! let mut pictures = Vec::new();
//! for path in ["boat.png", "lighthouse.png"] {
//!     let picture = aez_image::read(Path::new(path), &Limits::default())?;
//!     pictures.push(sweep.measure(path, &picture)?);
//! }
//! print!("{}", Results::new(pictures).table());
//! # Ok(())
//! # }
//! ```

pub mod anchors;
pub mod bd_rate;
pub mod chart;
mod compare;
mod distortion;
pub mod external;
pub mod gallery;
pub mod metrics;
pub mod page;
pub mod plot;
mod results;
mod sweep;

pub use compare::Comparison;
pub use distortion::{BlockBoundary, Distortion, MAX_PSNR};
pub use results::{PictureResults, Point, Results, Row};
pub use sweep::{RoundTrip, Sweep, SweepResult};

/// Name of AEZ in results.
pub const CODEC: &str = "aez";

/// The average of some values, NaN of none.
fn average(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}
