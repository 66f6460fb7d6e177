//! Layers of neural networks on CPUs, with the parts that gradients need.
//!
//! The layers are 3x3 convolutions ([`conv`]) and fully connected layers ([`linear`]) in 32-bit floating
//! point. Their kernels exist for several instruction sets, of which [`InstructionSet::best`] picks one at
//! run time. For a given instruction set, the output for an picture is the same bit for bit for every batch
//! size and number of threads; instruction sets differ in rounding.
//!
//! All `unsafe` code of this crate is in this module.

#![allow(unsafe_code)]

pub mod conv;
mod direct;
mod gradient;
pub(crate) mod integer;
mod kernel;
pub mod linear;
mod narrow;
mod scratch;
mod simd;
pub(crate) mod taps;
mod winograd;

#[cfg(test)]
mod tests;

pub use simd::InstructionSet;
