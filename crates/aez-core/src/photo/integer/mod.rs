//! The network in integer arithmetic: what decoders run. Pixels are the same on every machine.

mod coding;
mod enlarge;
mod layer;
mod network;
mod partial;
mod predict;
mod synthesis;
mod tables;
#[cfg(test)]
pub(super) mod tests;
mod window;

pub(super) use layer::{IntegerLayer, LATENT_LIMIT};
pub use network::IntegerNetwork;
