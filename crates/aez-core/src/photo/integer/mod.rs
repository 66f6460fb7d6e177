//! The network in integer arithmetic: what decoders run. Pixels are the same on every machine.

mod coding;
#[cfg(test)]
mod direction_tests;
mod directions;
mod enlarge;
mod layer;
mod network;
mod partial;
mod plan;
mod predict;
mod synthesis;
mod tables;
#[cfg(test)]
pub(super) mod tests;
mod window;

pub(super) use directions::{COEFFICIENT_LIMIT, COEFFICIENT_UNITS, Directions};
pub(super) use layer::{IntegerLayer, LATENT_LIMIT};
pub use network::IntegerNetwork;
