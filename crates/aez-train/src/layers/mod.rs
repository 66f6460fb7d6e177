//! Convolution layers as candle operations with gradients: on CPUs by the kernels of [`aez_core::nn`], on NVIDIA GPUs by
//! cuDNN with the cargo feature `cuda`.

#[cfg(feature = "cuda")]
#[allow(unsafe_code)]
mod cuda;
#[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
#[allow(unsafe_code)]
mod deferred;
#[cfg(feature = "cuda")]
#[allow(unsafe_code)]
pub(crate) mod kernels;
mod op;
mod parts;

#[cfg(test)]
mod op_tests;

pub(crate) use op::ConvOp;
pub(crate) use parts::floats;

use crate::{Error, Result};
use candle_core::Device;

/// Opens an NVIDIA GPU by its ordinal, from 0.
///
/// # Errors
/// [`aez_core::Error::Misuse`] if there is no such GPU, if its driver or libraries cannot be loaded, or if the crate was
/// built without the feature `cuda`.
pub fn cuda_device(ordinal: usize) -> Result<Device> {
    let failed = |reason: String| Error::misuse(format!("cannot use CUDA device {ordinal}: {reason}"));
    #[cfg(all(feature = "cuda", target_os = "linux", target_arch = "x86_64"))]
    deferred::load().map_err(failed)?;
    let device = Device::new_cuda(ordinal).map_err(|e| failed(e.to_string()))?;
    #[cfg(feature = "cuda")]
    cuda::keep_memory(ordinal).map_err(|e| failed(e.to_string()))?;
    Ok(device)
}
