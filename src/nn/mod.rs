//! The layers of the network, fast on a processor, with gradients.

pub mod conv;
mod kernel;
pub mod linear;
pub mod op;
mod simd;

#[cfg(test)]
mod tests;

pub use simd::Path;
