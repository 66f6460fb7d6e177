//! The layers on NVIDIA GPUs: convolutions by cuDNN, other operations by candle's kernels.
//!
//! Tensors are stored channels last, as on the CPU, but cuDNN expects filters as `[low][3][3][high]`: weights are
//! transposed before a convolution, and their gradient after it, which takes little time compared with the convolution.
//! The algorithm and the size of its workspace are requested from cuDNN once for each layer and resolution. Reduced
//! precision (TF32) follows [`candle_core::cuda::gemm_reduced_precision_f32`], so that one switch controls matrix products
//! and convolutions.

use std::{
    cell::{RefCell, RefMut},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

use candle_core::{
    CudaDevice, CudaStorage, DType, Error, Layout, Result, Shape,
    backend::{BackendDevice, BackendStorage},
    cuda::DeviceId,
    op,
};
use cudarc::{
    cudnn::{
        ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnError,
        FilterDescriptor, ReduceTensor, TensorDescriptor,
        sys::{
            cudnnConvolutionBwdDataAlgo_t as BackwardDataAlgorithm,
            cudnnConvolutionBwdFilterAlgo_t as BackwardFilterAlgorithm,
            cudnnConvolutionFwdAlgo_t as ForwardAlgorithm, cudnnConvolutionMode_t, cudnnMathType_t,
            cudnnNanPropagation_t, cudnnReduceTensorOp_t, cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
        },
    },
    driver::{CudaSlice, CudaView},
};

use super::parts::LinearMap;
use aez_core::nn::conv::{ConvShape, Direction, Extent};

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
    let shape = map.output_shape();
    let mut output = uninitialized(device, &shape)?;
    // cuDNN adds its result to `scale` times the previous values, here the bias at every pixel.
    let scale = if let Some((bias, layout)) = bias {
        bias.copy_strided_src(&mut output, 0, &layout.broadcast_as(shape.clone())?)?;
        1.0
    } else {
        0.0
    };
    let filter = transposed(weights, 9 * map.shape.high, map.shape.low)?;
    let engine = Engine::of(device)?;
    let key = Key::new(map.shape, map.high());
    let (filter, target) = (filter.as_cuda_slice()?, output.as_cuda_slice_mut()?);
    match map.direction {
        Direction::Forward => engine.forward(key, &values_of(input)?, filter, scale, target)?,
        Direction::Adjoint => engine.backward_data(key, &values_of(input)?, filter, scale, target)?,
    }
    if relu { output.unary_impl::<op::Relu>(&Layout::contiguous(shape)) } else { Ok(output) }
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
    let target = filter.as_cuda_slice_mut()?;
    Engine::of(device)?.backward_filter(
        Key::new(shape, extent),
        &values_of(high)?,
        &values_of(low)?,
        target,
    )?;
    transposed((&filter, &Layout::contiguous(filter_shape)), shape.low, 9 * shape.high)
}

/// The gradient of the input of ReLU, from the gradient of its output and the output.
pub(super) fn relu_gradient(gradient: Tensor<'_>, output: Tensor<'_>) -> Result<CudaStorage> {
    let active = output.0.unary_impl::<op::Sign>(output.1)?;
    gradient.0.binary_impl::<op::Mul>(&active, gradient.1, &Layout::contiguous(output.1.shape()))
}

/// The sum of each channel of `[batch, rows, columns, channels]` over all pixels.
pub(super) fn sum_pixels(values: Tensor<'_>) -> Result<CudaStorage> {
    let (batch, rows, columns, channels) = values.1.shape().dims4()?;
    let device = values.0.device();
    let mut sums = uninitialized(device, &channels.into())?;
    let target = sums.as_cuda_slice_mut::<f32>()?;
    let engine = Engine::of(device)?;
    let from = engine.tensor(Extent { batch, rows, columns }, channels)?;
    let to = engine.tensor(Extent { batch: 1, rows: 1, columns: 1 }, channels)?;
    let add = engine.cudnn.create_reduction_no_indices::<f32>(
        cudnnReduceTensorOp_t::CUDNN_REDUCE_TENSOR_ADD,
        cudnnNanPropagation_t::CUDNN_PROPAGATE_NAN,
    );
    let add = add.map_err(Error::wrap)?;
    let sum = ReduceTensor { reduce: &add, a: &from, c: &to };
    let mut workspace = engine.workspace(sum.get_workspace_size().map_err(Error::wrap)?)?;
    // SAFETY: the descriptors have the sizes of the slice that `values_of` returns and of `sums`.
    unsafe { sum.launch(&mut *workspace, (1.0, 0.0), &values_of(values)?, target) }.map_err(Error::wrap)?;
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

/// The descriptors of a convolution, and the algorithm that cuDNN chose for it.
struct Plan<A> {
    conv: ConvDescriptor<f32>,
    high: TensorDescriptor<f32>,
    low: TensorDescriptor<f32>,
    filter: FilterDescriptor<f32>,
    algorithm: A,
    /// Size of the workspace in bytes.
    workspace: usize,
}

type Plans<A> = RefCell<HashMap<Key, Rc<Plan<A>>>>;

/// A cuDNN handle for one device and one thread.
struct Engine {
    device: CudaDevice,
    cudnn: Arc<Cudnn>,
    forward: Plans<ForwardAlgorithm>,
    backward_data: Plans<BackwardDataAlgorithm>,
    backward_filter: Plans<BackwardFilterAlgorithm>,
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

    fn forward(
        &self,
        key: Key,
        high: &CudaView<'_, f32>,
        filter: &CudaSlice<f32>,
        scale: f32,
        low: &mut CudaSlice<f32>,
    ) -> Result<()> {
        fn task<A>(plan: &Plan<A>) -> ConvForward<'_, f32, f32, f32> {
            ConvForward { conv: &plan.conv, x: &plan.high, w: &plan.filter, y: &plan.low }
        }
        let plan = self.plan(&self.forward, key, |plan| {
            let algorithm = task(plan).pick_algorithm()?;
            Ok((algorithm, task(plan).get_workspace_size(algorithm)?))
        })?;
        let mut workspace = self.workspace(plan.workspace)?;
        // SAFETY: the slices of the callers have the lengths that the key's descriptors give.
        unsafe { task(&plan).launch(plan.algorithm, Some(&mut *workspace), (1.0, scale), high, filter, low) }
            .map_err(Error::wrap)
    }

    fn backward_data(
        &self,
        key: Key,
        low: &CudaView<'_, f32>,
        filter: &CudaSlice<f32>,
        scale: f32,
        high: &mut CudaSlice<f32>,
    ) -> Result<()> {
        fn task<A>(plan: &Plan<A>) -> ConvBackwardData<'_, f32, f32, f32> {
            ConvBackwardData { conv: &plan.conv, dx: &plan.high, w: &plan.filter, dy: &plan.low }
        }
        let plan = self.plan(&self.backward_data, key, |plan| {
            let algorithm = task(plan).pick_algorithm()?;
            Ok((algorithm, task(plan).get_workspace_size(algorithm)?))
        })?;
        let mut workspace = self.workspace(plan.workspace)?;
        // SAFETY: as in `forward`.
        unsafe { task(&plan).launch(plan.algorithm, Some(&mut *workspace), (1.0, scale), high, filter, low) }
            .map_err(Error::wrap)
    }

    fn backward_filter(
        &self,
        key: Key,
        high: &CudaView<'_, f32>,
        low: &CudaView<'_, f32>,
        filter: &mut CudaSlice<f32>,
    ) -> Result<()> {
        fn task<A>(plan: &Plan<A>) -> ConvBackwardFilter<'_, f32, f32, f32> {
            ConvBackwardFilter { conv: &plan.conv, x: &plan.high, dw: &plan.filter, dy: &plan.low }
        }
        let plan = self.plan(&self.backward_filter, key, |plan| {
            let algorithm = task(plan).pick_algorithm()?;
            Ok((algorithm, task(plan).get_workspace_size(algorithm)?))
        })?;
        let mut workspace = self.workspace(plan.workspace)?;
        // SAFETY: as in `forward`.
        unsafe { task(&plan).launch(plan.algorithm, Some(&mut *workspace), (1.0, 0.0), high, filter, low) }
            .map_err(Error::wrap)
    }

    /// The cached plan, or a new one with the algorithm and workspace size that `choose` requests from cuDNN.
    fn plan<A: Copy>(
        &self,
        plans: &Plans<A>,
        key: Key,
        choose: impl FnOnce(&Plan<()>) -> std::result::Result<(A, usize), CudnnError>,
    ) -> Result<Rc<Plan<A>>> {
        if let Some(plan) = plans.borrow().get(&key) {
            return Ok(plan.clone());
        }
        let described = self.describe(key)?;
        let (algorithm, workspace) = choose(&described).map_err(Error::wrap)?;
        let Plan { conv, high, low, filter, .. } = described;
        let plan = Rc::new(Plan { conv, high, low, filter, algorithm, workspace });
        plans.borrow_mut().insert(key, plan.clone());
        Ok(plan)
    }

    fn describe(&self, Key { shape, high, tf32 }: Key) -> Result<Plan<()>> {
        let stride = [shape.stride as i32; 2];
        let mode = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut conv = self.cudnn.create_conv2d::<f32>([1; 2], stride, [1; 2], mode).map_err(Error::wrap)?;
        // The default of cuDNN allows TF32.
        let math = if tf32 { cudnnMathType_t::CUDNN_DEFAULT_MATH } else { cudnnMathType_t::CUDNN_FMA_MATH };
        conv.set_math_type(math).map_err(Error::wrap)?;
        let low = shape.output(Direction::Forward, high);
        let filter = [dimension(shape.low)?, dimension(shape.high)?, 3, 3];
        Ok(Plan {
            conv,
            high: self.tensor(high, shape.high)?,
            low: self.tensor(low, shape.low)?,
            filter: self.cudnn.create_4d_filter(CUDNN_TENSOR_NHWC, filter).map_err(Error::wrap)?,
            algorithm: (),
            workspace: 0,
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

fn values_of<'a>((storage, layout): Tensor<'a>) -> Result<CudaView<'a, f32>> {
    let (start, end) = contiguous(layout)?;
    Ok(storage.as_cuda_slice::<f32>()?.slice(start..end))
}

fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    layout.contiguous_offsets().ok_or_else(|| Error::RequiresContiguous { op: "conv3x3" }.bt())
}
