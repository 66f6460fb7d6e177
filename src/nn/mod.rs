//! The layers of the network, fast on a processor, with gradients; on NVIDIA GPUs with the cargo feature `cuda`.

pub mod conv;
#[cfg(feature = "cuda")]
mod cuda;
mod direct;
mod gradient;
mod kernel;
pub mod linear;
mod narrow;
pub mod op;
mod parts;
mod scratch;
mod simd;
mod winograd;

#[cfg(test)]
mod op_tests;
#[cfg(test)]
mod tests;

pub use simd::Path;

use crate::error::{Error, Result};
use candle_core::Device;

/// Opens the NVIDIA GPU of that number.
///
/// # Errors
/// [`Error::Misuse`] when there is none, when its driver cannot be used, or without the cargo feature `cuda`.
pub fn cuda_device(ordinal: usize) -> Result<Device> {
    Device::new_cuda(ordinal).map_err(|e| {
        Error::Misuse(format!("cannot use CUDA device {ordinal}: {e}. `nvidia-smi -L` lists the devices; the processor needs none"))
    })
}
