//! Training of networks of the photo family: the weights are optimized together with the latents of random crops of pictures.
//!
//! A run trains one network, for one [quality](aez_core::Quality). It holds a number of crops at a time; after a fixed number of
//! updates of its latents, a crop is replaced by a new one.

mod checkpoint;
mod crops;
mod log;
mod recipe;
mod run;

pub use crops::Crops;
pub use log::Row;
pub use recipe::Recipe;
pub use run::{Event, Options, train};
