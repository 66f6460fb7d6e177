//! The layers of the network, fast on a processor, with gradients; on NVIDIA GPUs with the cargo feature `cuda`.

pub mod conv;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
mod deferred;
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
    let failed = |reason: String| Error::Misuse(format!("cannot use CUDA device {ordinal}: {reason}"));
    #[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
    deferred::load().map_err(failed)?;
    Device::new_cuda(ordinal).map_err(|e| failed(e.to_string()))
}
