//! The layers of the network, fast on a processor, with gradients.

pub mod conv;
mod direct;
mod gradient;
mod kernel;
pub mod linear;
mod narrow;
pub mod op;
mod scratch;
mod simd;
mod winograd;

#[cfg(test)]
mod tests;

pub use simd::Path;
