//! Loading of CUDA's libraries when a GPU is first requested.
//!
//! candle links these libraries dynamically, so that the program would not start on a machine without the driver. This
//! module defines each of their functions that the program uses as a jump to an address, which is set when the libraries
//! are loaded. The linker resolves the functions to these definitions and omits the libraries, from which nothing is
//! needed any more. If a function is missing from the list below, its library is linked as usual.

use libloading::Library;
use std::{
    arch::global_asm,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, Ordering},
    },
};

/// The result of every function until its library is loaded: `CUDA_ERROR_NO_DEVICE`, an error code in all the libraries.
const NO_DEVICE: i32 = 100;

extern "C" fn missing() -> i32 {
    NO_DEVICE
}

/// Name of a function with a terminating zero, and the address that it jumps to.
type Function = (&'static str, &'static AtomicPtr<()>);

macro_rules! jumps {
    ($table:ident: $($name:ident)*) => {
        $(
            #[allow(non_snake_case)]
            mod $name {
                use super::{AtomicPtr, global_asm, missing};

                pub static TARGET: AtomicPtr<()> = AtomicPtr::new(missing as *mut ());

                global_asm!(
                    concat!(".globl ", stringify!($name)),
                    concat!(".type ", stringify!($name), ", @function"),
                    concat!(stringify!($name), ":"),
                    "jmp *{target}(%rip)",
                    target = sym TARGET,
                    options(att_syntax)
                );
            }
        )*
        static $table: &[Function] = &[$((concat!(stringify!($name), "\0"), &$name::TARGET)),*];
    };
}

jumps! { DRIVER:
    cuCtxDestroy_v2 cuCtxGetCurrent cuCtxSetCurrent cuDeviceGet cuDeviceGetAttribute cuDeviceGetDefaultMemPool
    cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxRetain cuEventCreate cuEventDestroy_v2 cuEventRecord
    cuGetErrorString cuInit cuLaunchKernel cuMemAllocAsync cuMemAlloc_v2 cuMemFreeAsync cuMemFree_v2 cuMemPoolSetAttribute
    cuMemcpyDtoDAsync_v2 cuMemcpyDtoHAsync_v2 cuMemcpyHtoDAsync_v2 cuMemcpyPeerAsync cuMemsetD8Async
    cuModuleGetFunction cuModuleLoad cuModuleLoadData cuModuleUnload cuStreamDestroy_v2 cuStreamIsCapturing
    cuStreamSynchronize cuStreamWaitEvent
}

jumps! { CUBLAS:
    cublasCreate_v2 cublasDestroy_v2 cublasDgemmStridedBatched cublasGemmStridedBatchedEx cublasSetStream_v2
}

jumps! { CUDNN:
    cudnnConvolutionBackwardData cudnnConvolutionBackwardFilter cudnnConvolutionForward cudnnCreate
    cudnnCreateConvolutionDescriptor cudnnCreateFilterDescriptor cudnnCreateTensorDescriptor cudnnDestroy cudnnDestroyConvolutionDescriptor cudnnDestroyFilterDescriptor
    cudnnDestroyTensorDescriptor
    cudnnGetConvolutionBackwardDataAlgorithm_v7 cudnnGetConvolutionBackwardDataWorkspaceSize
    cudnnGetConvolutionBackwardFilterAlgorithm_v7 cudnnGetConvolutionBackwardFilterWorkspaceSize
    cudnnGetConvolutionForwardAlgorithm_v7 cudnnGetConvolutionForwardWorkspaceSize
    cudnnSetConvolution2dDescriptor
    cudnnSetConvolutionMathType cudnnSetFilter4dDescriptor cudnnSetStream
    cudnnSetTensor4dDescriptor
}

jumps! { CURAND:
    curandCreateGenerator curandDestroyGenerator curandSetPseudoRandomGeneratorSeed curandSetStream
}

// Only candle's kernels for quantized language models use the CUDA runtime. They register themselves when the program
// starts, but never run here, so the library is not needed and these functions are never loaded.
jumps! { RUNTIME:
    __cudaGetKernel __cudaLaunchKernel_ptsz __cudaPopCallConfiguration __cudaPushCallConfiguration
    __cudaRegisterFatBinary __cudaRegisterFatBinaryEnd __cudaRegisterFunction __cudaRegisterVar
    __cudaUnregisterFatBinary cudaDeviceGetAttribute cudaFree cudaFreeAsync_ptsz cudaFuncGetAttributes
    cudaFuncSetAttribute cudaGetDevice cudaGetDeviceCount cudaGetErrorName cudaGetErrorString
    cudaGetLastError cudaMalloc cudaMallocAsync_ptsz cudaMemsetAsync_ptsz
    cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags cudaPeekAtLastError cudaSetDevice
    cudaStreamSynchronize_ptsz
}

/// File names of each library, newest first, and its functions.
// `used` keeps the jumps in programs that never load the libraries.
#[used]
static LIBRARIES: [(&[&str], &[Function]); 5] = [
    (&["libcuda.so.1"], DRIVER),
    (&["libcublas.so.13", "libcublas.so.12"], CUBLAS),
    (&["libcudnn.so.9"], CUDNN),
    (&["libcurand.so.10"], CURAND),
    (&[], RUNTIME),
];

/// Loads the libraries. The error names the library that is missing.
pub(super) fn load() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(|| LIBRARIES.iter().try_for_each(|(names, functions)| bind(names, functions))).clone()
}

fn bind(names: &[&str], functions: &[Function]) -> Result<(), String> {
    let mut opened = names.iter().map(|name| open(name));
    let Some(newest) = opened.next() else { return Ok(()) };
    let library = newest.or_else(|reason| opened.find_map(Result::ok).ok_or(reason))?;
    for (name, target) in functions {
        // SAFETY: the address is only called as the function with this name.
        let function = unsafe { library.get::<*mut ()>(name.as_bytes()) }.map_err(|e| cause(&e))?;
        target.store(*function, Ordering::Release);
    }
    // The functions are called until the end of the process.
    std::mem::forget(library);
    Ok(())
}

fn open(name: &str) -> Result<Library, String> {
    // SAFETY: NVIDIA's libraries may be loaded at any time.
    unsafe { Library::new(name) }.map_err(|e| cause(&e))
}

/// The message of the dynamic loader, which libloading reports as the source of its error.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_functions_are_found_or_the_error_names_the_missing_library() {
        match load() {
            Ok(()) => {
                let bound = |(_, target): &Function| target.load(Ordering::Acquire) != missing as *mut ();
                let needed = LIBRARIES.iter().filter(|(names, _)| !names.is_empty());
                assert!(needed.flat_map(|(_, functions)| *functions).all(bound));
            }
            Err(reason) => assert!(reason.contains("lib") && reason.contains(".so"), "{reason}"),
        }
    }
}
