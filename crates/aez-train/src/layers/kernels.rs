//! Our own kernels on NVIDIA GPUs, in `kernels.cu`: operations that would take several passes of candle's kernels.

use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, Error, InplaceOp1, Layout, Result, Tensor, backend::BackendStorage,
    cuda::cudarc,
};
use cudarc::driver::{CudaSlice, CudaView, LaunchConfig, PushKernelArg};
use std::cell::Cell;

/// PTX of `kernels.cu`, from the build script.
const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));

/// The name under which candle keeps the loaded kernels.
const MODULE: &str = "aez";
const BLOCK: usize = 256;
/// Number of threads of a kernel on a large array: about as many as a large GPU runs at once.
const MAX_THREADS: usize = 1 << 18;

/// Adds to each pixel the bias of its channel, and applies ReLU if `relu` is set.
pub(super) fn add_bias(
    device: &CudaDevice,
    values: &mut CudaSlice<f32>,
    bias: &CudaView<'_, f32>,
    relu: bool,
) -> Result<()> {
    let (count, channels) = (values.len(), bias.len() as u32);
    let threads = threads(count, bias.len());
    let (function, relu) = (device.get_or_load_custom_func("add_bias", MODULE, PTX)?, i32::from(relu));
    let mut call = function.builder();
    call.arg(values).arg(bias).arg(&count).arg(&channels).arg(&threads).arg(&relu);
    // SAFETY: the arguments are those of the kernel, whose accesses are below `count` and `channels`.
    unsafe { call.launch(grid(threads)) }.map_err(Error::wrap)?;
    Ok(())
}

/// Writes the gradient of the input of ReLU, from the gradient of its output and the output.
pub(super) fn relu_gradient(
    device: &CudaDevice,
    gradient: &CudaView<'_, f32>,
    output: &CudaView<'_, f32>,
    result: &mut CudaSlice<f32>,
) -> Result<()> {
    let count = result.len();
    let threads = threads(count, 1);
    assert!(gradient.len() == count && output.len() == count, "arrays of different lengths");
    let function = device.get_or_load_custom_func("relu_gradient", MODULE, PTX)?;
    let mut call = function.builder();
    call.arg(gradient).arg(output).arg(result).arg(&count).arg(&threads);
    // SAFETY: the arguments are those of the kernel, whose accesses are below `count`.
    unsafe { call.launch(grid(threads)) }.map_err(Error::wrap)?;
    Ok(())
}

/// Writes the sum of each channel of pixels with interleaved channels.
pub(super) fn sum_channels(
    device: &CudaDevice,
    values: &CudaView<'_, f32>,
    sums: &mut CudaSlice<f32>,
) -> Result<()> {
    let (count, channels) = (values.len(), sums.len());
    let threads = threads(count, channels);
    // SAFETY: the first kernel writes all values, and the second one reads them.
    let mut partial = unsafe { device.alloc::<f32>(threads as usize) }?;
    let function = device.get_or_load_custom_func("sum_values", MODULE, PTX)?;
    let mut call = function.builder();
    call.arg(values).arg(&mut partial).arg(&count).arg(&threads);
    // SAFETY: the arguments are those of the kernel, whose accesses are below `count` and `threads`.
    unsafe { call.launch(grid(threads)) }.map_err(Error::wrap)?;

    let (rows, columns) = (threads / channels as u32, channels as u32);
    let function = device.get_or_load_custom_func("sum_columns", MODULE, PTX)?;
    let mut call = function.builder();
    call.arg(&partial).arg(sums).arg(&rows).arg(&columns);
    let grid =
        LaunchConfig { grid_dim: (columns, 1, 1), block_dim: (BLOCK as u32, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the arguments are those of the kernel, and the matrix has `rows * columns` values.
    unsafe { call.launch(grid) }.map_err(Error::wrap)?;
    Ok(())
}

/// The coefficients of a step of Adam.
pub(crate) struct AdamStep {
    /// Factor on the gradients.
    pub scale: f32,
    /// Decays of the averages of the gradients and of their squares.
    pub betas: [f32; 2],
    /// Learning rate, divided by the bias correction of the mean.
    pub rate: f32,
    /// Bias correction of the root of the squared gradients.
    pub root: f32,
    /// Added to this root.
    pub epsilon: f32,
}

/// Takes a step of Adam in place. The tensors have the same number of values and do not share storage.
pub(crate) fn adam(
    values: &Tensor,
    gradient: &Tensor,
    mean: &Tensor,
    square: &Tensor,
    step: &AdamStep,
) -> Result<()> {
    let &AdamStep { scale, betas: [beta1, beta2], rate, root, epsilon } = step;
    let gradient = gradient.contiguous()?;
    modify(values, |device, values| {
        modify(mean, |_, means| {
            modify(square, |_, squares| {
                read(&gradient, |gradients| {
                    let count = values.len();
                    let lengths = [gradients.len(), means.len(), squares.len()];
                    assert!(lengths == [count; 3], "arrays of different lengths");
                    let threads = threads(count, 1);
                    let function = device.get_or_load_custom_func("adam", MODULE, PTX)?;
                    let mut call = function.builder();
                    call.arg(values).arg(gradients).arg(means).arg(squares).arg(&count).arg(&threads);
                    call.arg(&scale).arg(&beta1).arg(&beta2).arg(&rate).arg(&root).arg(&epsilon);
                    // SAFETY: the arguments are those of the kernel, whose accesses are below `count`.
                    unsafe { call.launch(grid(threads)) }.map_err(Error::wrap)?;
                    Ok(())
                })
            })
        })
    })
}

/// Updates a moving average in place: `decay * average + (1 - decay) * value`. The tensors do not share storage.
pub(crate) fn move_average(average: &Tensor, value: &Tensor, decay: f32) -> Result<()> {
    modify(average, |device, averages| {
        read(value, |values| {
            let count = averages.len();
            assert_eq!(values.len(), count, "arrays of different lengths");
            let threads = threads(count, 1);
            let function = device.get_or_load_custom_func("move_average", MODULE, PTX)?;
            let mut call = function.builder();
            call.arg(averages).arg(values).arg(&count).arg(&threads).arg(&decay);
            // SAFETY: the arguments are those of the kernel, whose accesses are below `count`.
            unsafe { call.launch(grid(threads)) }.map_err(Error::wrap)?;
            Ok(())
        })
    })
}

/// Number of threads for `count` values: a multiple of the number of channels.
fn threads(count: usize, channels: usize) -> u32 {
    let most = count.min(MAX_THREADS);
    (most / channels * channels).max(channels) as u32
}

fn grid(threads: u32) -> LaunchConfig {
    let blocks = threads.div_ceil(BLOCK as u32);
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK as u32, 1, 1), shared_mem_bytes: 0 }
}

/// Calls `with` on the values of a contiguous tensor on a GPU.
fn read<T>(tensor: &Tensor, with: impl FnOnce(&CudaView<'_, f32>) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cuda(storage) => with(&super::cuda::values_of((storage, layout))?),
        _ => candle_core::bail!("a tensor is not on a GPU"),
    }
}

/// Calls `change` on the values of a tensor on a GPU that fills its storage, and changes them in place.
fn modify(
    tensor: &Tensor,
    change: impl FnOnce(&CudaDevice, &mut CudaSlice<f32>) -> Result<()>,
) -> Result<()> {
    tensor.inplace_op1(&Modify(Cell::new(Some(change))))
}

/// An in-place operation that runs once.
struct Modify<F>(Cell<Option<F>>);

impl<F: FnOnce(&CudaDevice, &mut CudaSlice<f32>) -> Result<()>> InplaceOp1 for Modify<F> {
    fn name(&self) -> &'static str {
        "modify-on-gpu"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        candle_core::bail!("a tensor is not on a GPU")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = storage.device().clone();
        let values = storage.as_cuda_slice_mut::<f32>()?;
        if layout.contiguous_offsets() != Some((0, values.len())) {
            return Err(Error::RequiresContiguous { op: "modify-on-gpu" }.bt());
        }
        let change = self.0.take().expect("an operation that runs once");
        change(&device, values)
    }
}
