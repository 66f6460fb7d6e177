//! The layers on NVIDIA GPUs: convolutions by cuDNN, other operations by candle's kernels.
//!
//! Tensors are stored channels last, as on the CPU, but cuDNN expects filters as `[low][3][3][high]`: weights are
//! transposed before a convolution, and their gradient after it, which takes little time compared with the convolution.
//! The algorithms of cuDNN are measured once for each layer and resolution. Reduced
//! precision (TF32) follows [`candle_core::cuda::gemm_reduced_precision_f32`], so that one switch controls matrix products
//! and convolutions.

use std::{
    cell::{RefCell, RefMut},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use candle_core::{
    CudaDevice, CudaStorage, DType, Error, Layout, Result, Shape,
    backend::{BackendDevice, BackendStorage},
    cuda::DeviceId,
};
use cudarc::{
    cudnn::{
        ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnError,
        FilterDescriptor, TensorDescriptor,
        sys::{
            cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdFilterAlgo_t, cudnnConvolutionFwdAlgo_t,
            cudnnConvolutionMode_t, cudnnMathType_t, cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
        },
    },
    driver::{self, CudaSlice, CudaView, DriverError},
};

use super::{kernels, parts::LinearMap};
use aez_core::nn::conv::{ConvShape, Direction, Extent};

/// Maximum size of the workspace of an algorithm in bytes.
const MAX_WORKSPACE: usize = 1 << 30;
/// Number of launches for which the time of an algorithm is measured.
const TRIALS: usize = 2;

/// A tensor: its storage, and the layout of its values in the storage.
pub(super) type Tensor<'a> = (&'a CudaStorage, &'a Layout);

/// The linear map of a layer, then its bias and its ReLU.
pub(super) fn linear_map(
    map: &LinearMap,
    input: Tensor<'_>,
    weights: Tensor<'_>,
    bias: Option<Tensor<'_>>,
    relu: bool,
) -> Result<CudaStorage> {
    let device = input.0.device();
    let mut output = uninitialized(device, &map.output_shape())?;
    let filter = transposed(weights, 9 * map.shape.high, map.shape.low)?;
    let engine = Engine::of(device)?;
    let key = Key::new(map.shape, map.high());
    let (input, filter) = (values_of(input)?, filter.as_cuda_slice()?.slice(..));
    let (from, target) = ([&input, &filter], output.as_cuda_slice_mut()?);
    match map.direction {
        Direction::Forward => engine.run(&engine.forward, key, from, target)?,
        Direction::Adjoint => engine.run(&engine.backward_data, key, from, target)?,
    }
    if let Some(bias) = bias {
        kernels::add_bias(device, target, &values_of(bias)?, relu)?;
    }
    Ok(output)
}

/// The gradient of the weights. `extent` is the extent of the high side.
pub(super) fn weight_gradient(
    shape: ConvShape,
    extent: Extent,
    high: Tensor<'_>,
    low: Tensor<'_>,
) -> Result<CudaStorage> {
    let device = high.0.device();
    let filter_shape = Shape::from((shape.low, 9 * shape.high));
    let mut filter = uninitialized(device, &filter_shape)?;
    let (engine, key) = (Engine::of(device)?, Key::new(shape, extent));
    let from = [&values_of(high)?, &values_of(low)?];
    engine.run(&engine.backward_filter, key, from, filter.as_cuda_slice_mut()?)?;
    transposed((&filter, &Layout::contiguous(filter_shape)), shape.low, 9 * shape.high)
}

/// The gradient of the input of ReLU, from the gradient of its output and the output.
pub(super) fn relu_gradient(gradient: Tensor<'_>, output: Tensor<'_>) -> Result<CudaStorage> {
    let device = gradient.0.device();
    let mut result = uninitialized(device, gradient.1.shape())?;
    kernels::relu_gradient(device, &values_of(gradient)?, &values_of(output)?, result.as_cuda_slice_mut()?)?;
    Ok(result)
}

/// The sum of each channel of `[batch, rows, columns, channels]` over all pixels.
pub(super) fn sum_pixels(values: Tensor<'_>) -> Result<CudaStorage> {
    let (_, _, _, channels) = values.1.shape().dims4()?;
    let device = values.0.device();
    let mut sums = uninitialized(device, &channels.into())?;
    kernels::sum_channels(device, &values_of(values)?, sums.as_cuda_slice_mut()?)?;
    Ok(sums)
}

/// The parameters for which an algorithm is chosen: the layer, the extent of its high side, and whether TF32 is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    shape: ConvShape,
    high: Extent,
    tf32: bool,
}

impl Key {
    fn new(shape: ConvShape, high: Extent) -> Self {
        Self { shape, high, tf32: candle_core::cuda::gemm_reduced_precision_f32() }
    }
}

/// The descriptors of a convolution.
struct Convolution {
    conv: ConvDescriptor<f32>,
    high: TensorDescriptor<f32>,
    low: TensorDescriptor<f32>,
    filter: FilterDescriptor<f32>,
}

/// A convolution or one of its two gradients: a function of two arrays.
trait Operation {
    type Algorithm: Copy + 'static;
    /// The algorithms of cuDNN for tensors with channels last.
    const ALGORITHMS: &'static [Self::Algorithm];

    /// Size of the workspace in bytes.
    fn workspace(of: &Convolution, algorithm: Self::Algorithm) -> std::result::Result<usize, CudnnError>;

    /// Writes the result to `to`.
    ///
    /// # Safety
    /// The arrays have the sizes of the descriptors, and the workspace has the size that the algorithm requests.
    unsafe fn launch(
        of: &Convolution,
        algorithm: Self::Algorithm,
        workspace: &mut CudaSlice<u8>,
        from: [&CudaView<'_, f32>; 2],
        to: &mut CudaSlice<f32>,
    ) -> std::result::Result<(), CudnnError>;
}

/// Implements [`Operation`] by one of cudarc's structures.
macro_rules! operation {
    ($name:ident = $task:ident { $($field:ident: $descriptor:ident),* }
    |$first:ident, $second:ident, $to:ident| ($($argument:ident),*), $algorithm:ident: $($variant:ident)*) => {
        struct $name;

        impl Operation for $name {
            type Algorithm = $algorithm;
            const ALGORITHMS: &'static [$algorithm] = &[$($algorithm::$variant),*];

            fn workspace(of: &Convolution, algorithm: $algorithm) -> std::result::Result<usize, CudnnError> {
                $task::<f32, f32, f32> { conv: &of.conv, $($field: &of.$descriptor),* }.get_workspace_size(algorithm)
            }

            unsafe fn launch(
                of: &Convolution,
                algorithm: $algorithm,
                workspace: &mut CudaSlice<u8>,
                [$first, $second]: [&CudaView<'_, f32>; 2],
                $to: &mut CudaSlice<f32>,
            ) -> std::result::Result<(), CudnnError> {
                let task = $task::<f32, f32, f32> { conv: &of.conv, $($field: &of.$descriptor),* };
                // SAFETY: promised by the caller.
                unsafe { task.launch(algorithm, Some(workspace), (1.0, 0.0), $($argument),*) }
            }
        }
    };
}

operation! { Forward = ConvForward { x: high, w: filter, y: low }
    |high, filter, low| (high, filter, low), cudnnConvolutionFwdAlgo_t:
    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM
}

operation! { BackwardData = ConvBackwardData { dx: high, w: filter, dy: low }
    |low, filter, high| (high, filter, low), cudnnConvolutionBwdDataAlgo_t:
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_1 CUDNN_CONVOLUTION_BWD_DATA_ALGO_0
}

operation! { BackwardFilter = ConvBackwardFilter { x: high, dw: filter, dy: low }
    |high, low, filter| (high, filter, low), cudnnConvolutionBwdFilterAlgo_t:
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1 CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0
}

/// A convolution that is ready to run.
struct Plan<O: Operation> {
    convolution: Convolution,
    algorithm: O::Algorithm,
    /// Size of the workspace in bytes.
    workspace: usize,
}

/// The plans of an operation.
struct Plans<O: Operation> {
    plans: RefCell<HashMap<Key, Rc<Plan<O>>>>,
    /// The fastest algorithm for each key with a batch of 0: it is measured once for each layer and resolution.
    fastest: RefCell<HashMap<Key, O::Algorithm>>,
}

impl<O: Operation> Default for Plans<O> {
    fn default() -> Self {
        Self { plans: RefCell::default(), fastest: RefCell::default() }
    }
}

/// A cuDNN handle for one device and one thread.
struct Engine {
    device: CudaDevice,
    cudnn: Arc<Cudnn>,
    forward: Plans<Forward>,
    backward_data: Plans<BackwardData>,
    backward_filter: Plans<BackwardFilter>,
    /// Shared by all operations: the device runs them one after another.
    workspace: RefCell<CudaSlice<u8>>,
}

thread_local! {
    static ENGINES: RefCell<HashMap<DeviceId, Rc<Engine>>> = RefCell::default();
}

impl Engine {
    fn of(device: &CudaDevice) -> Result<Rc<Self>> {
        ENGINES.with_borrow_mut(|engines| {
            if let Some(engine) = engines.get(&device.id()) {
                return Ok(engine.clone());
            }
            let engine = Rc::new(Self {
                device: device.clone(),
                cudnn: Cudnn::new(device.cuda_stream()).map_err(Error::wrap)?,
                forward: Plans::default(),
                backward_data: Plans::default(),
                backward_filter: Plans::default(),
                workspace: RefCell::new(device.alloc_zeros(1)?),
            });
            engines.insert(device.id(), engine.clone());
            Ok(engine)
        })
    }

    /// Runs an operation. The arrays have the sizes that `key` gives.
    fn run<O: Operation>(
        &self,
        plans: &Plans<O>,
        key: Key,
        from: [&CudaView<'_, f32>; 2],
        to: &mut CudaSlice<f32>,
    ) -> Result<()> {
        let known = plans.plans.borrow().get(&key).cloned();
        let plan = match known {
            Some(plan) => plan,
            None => self.plan(plans, key, from, to)?,
        };
        let mut workspace = self.workspace(plan.workspace)?;
        // SAFETY: the arrays of the callers have the lengths that the key's descriptors give.
        unsafe { O::launch(&plan.convolution, plan.algorithm, &mut workspace, from, to) }.map_err(Error::wrap)
    }

    /// Makes a plan and keeps it. Arrays as for [`Engine::run`], for measurements.
    fn plan<O: Operation>(
        &self,
        plans: &Plans<O>,
        key: Key,
        from: [&CudaView<'_, f32>; 2],
        to: &mut CudaSlice<f32>,
    ) -> Result<Rc<Plan<O>>> {
        let convolution = self.describe(key)?;
        let layer = Key { high: Extent { batch: 0, ..key.high }, ..key };
        let known = plans.fastest.borrow().get(&layer).copied();
        let supported = known.filter(|&algorithm| O::workspace(&convolution, algorithm).is_ok());
        let algorithm = match supported {
            Some(algorithm) => algorithm,
            None => self.fastest::<O>(&convolution, from, to)?,
        };
        plans.fastest.borrow_mut().insert(layer, algorithm);
        let workspace = O::workspace(&convolution, algorithm).map_err(Error::wrap)?;
        let plan = Rc::new(Plan { convolution, algorithm, workspace });
        plans.plans.borrow_mut().insert(key, plan.clone());
        Ok(plan)
    }

    /// The fastest algorithm that supports the convolution and needs at most [`MAX_WORKSPACE`].
    fn fastest<O: Operation>(
        &self,
        convolution: &Convolution,
        from: [&CudaView<'_, f32>; 2],
        to: &mut CudaSlice<f32>,
    ) -> Result<O::Algorithm> {
        let mut best = None;
        for &algorithm in O::ALGORITHMS {
            let Ok(size) = O::workspace(convolution, algorithm) else { continue };
            if size > MAX_WORKSPACE {
                continue;
            }
            let mut workspace = self.workspace(size)?;
            // SAFETY: as in `run`.
            let mut launch =
                || unsafe { O::launch(convolution, algorithm, &mut workspace, from, to) }.is_ok();
            // The first launch also loads the kernel.
            if !launch() {
                continue;
            }
            self.device.synchronize()?;
            let start = Instant::now();
            if !(0..TRIALS).all(|_| launch()) {
                continue;
            }
            self.device.synchronize()?;
            let time = start.elapsed();
            if best.is_none_or(|(least, _)| time < least) {
                best = Some((time, algorithm));
            }
        }
        best.map(|(_, algorithm)| algorithm)
            .ok_or_else(|| Error::msg("cuDNN has no algorithm for a convolution"))
    }

    fn describe(&self, Key { shape, high, tf32 }: Key) -> Result<Convolution> {
        let stride = [shape.stride as i32; 2];
        let mode = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut conv = self.cudnn.create_conv2d::<f32>([1; 2], stride, [1; 2], mode).map_err(Error::wrap)?;
        // The default of cuDNN allows TF32.
        let math = if tf32 { cudnnMathType_t::CUDNN_DEFAULT_MATH } else { cudnnMathType_t::CUDNN_FMA_MATH };
        conv.set_math_type(math).map_err(Error::wrap)?;
        let low = shape.output(Direction::Forward, high);
        let filter = [dimension(shape.low)?, dimension(shape.high)?, 3, 3];
        Ok(Convolution {
            conv,
            high: self.tensor(high, shape.high)?,
            low: self.tensor(low, shape.low)?,
            filter: self.cudnn.create_4d_filter(CUDNN_TENSOR_NHWC, filter).map_err(Error::wrap)?,
        })
    }

    fn tensor(&self, extent: Extent, channels: usize) -> Result<TensorDescriptor<f32>> {
        let Extent { batch, rows, columns } = extent;
        let dims = [dimension(batch)?, dimension(channels)?, dimension(rows)?, dimension(columns)?];
        self.cudnn.create_4d_tensor(CUDNN_TENSOR_NHWC, dims).map_err(Error::wrap)
    }

    fn workspace(&self, bytes: usize) -> Result<RefMut<'_, CudaSlice<u8>>> {
        let mut workspace = self.workspace.borrow_mut();
        if workspace.len() < bytes {
            *workspace = self.device.alloc_zeros(bytes)?;
        }
        Ok(workspace)
    }
}

/// Lets the device's memory pool keep memory that is freed. By default, each synchronization returns it to the driver, and allocating it
/// again takes long.
pub(super) fn keep_memory(ordinal: usize) -> std::result::Result<(), DriverError> {
    let device = driver::result::device::get(dimension(ordinal).unwrap_or(i32::MAX))?;
    let mut all = u64::MAX;
    let threshold = driver::sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device is one that the driver returned, and the value has the type of the attribute.
    unsafe {
        let pool = driver::result::device::get_default_mem_pool(device)?;
        driver::result::mem_pool::set_attribute(pool, threshold, (&raw mut all).cast())
    }
}

fn dimension(size: usize) -> Result<i32> {
    i32::try_from(size).map_err(|_| Error::msg(format!("a dimension of {size} exceeds the range of cuDNN")))
}

fn uninitialized(device: &CudaDevice, shape: &Shape) -> Result<CudaStorage> {
    // SAFETY: every caller writes all values before they are read.
    unsafe { device.alloc_uninit(shape, DType::F32) }
}

/// The transpose of a matrix, in a new allocation.
fn transposed(matrix: Tensor<'_>, rows: usize, columns: usize) -> Result<CudaStorage> {
    let (storage, layout) = matrix;
    let (start, _) = contiguous(layout)?;
    let mut result = uninitialized(storage.device(), &(columns, rows).into())?;
    let turned = Layout::contiguous_with_offset((rows, columns), start).transpose(0, 1)?;
    storage.copy_strided_src(&mut result, 0, &turned)?;
    Ok(result)
}

pub(super) fn values_of<'a>((storage, layout): Tensor<'a>) -> Result<CudaView<'a, f32>> {
    let (start, end) = contiguous(layout)?;
    Ok(storage.as_cuda_slice::<f32>()?.slice(start..end))
}

fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    layout.contiguous_offsets().ok_or_else(|| Error::RequiresContiguous { op: "conv3x3" }.bt())
}
