//! The operations that compose the gradient of a layer. Each is implemented for the CPU here and for CUDA in `cuda.rs`.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Result, Shape};
use rayon::prelude::*;

use aez_core::nn::{
    InstructionSet,
    conv::{ConvShape, Direction, Extent, PackedConv, weight_gradient},
};

/// The linear map of a layer: `(input [batch, rows, columns, channels], weights [3, 3, high, low])` to the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinearMap {
    pub shape: ConvShape,
    pub direction: Direction,
    /// Extent of the input.
    pub from: Extent,
    /// Extent of the output.
    pub to: Extent,
}

/// The gradient of the weights: `(high [batch, rows, columns, channels], low [batch, rows, columns, channels])` to
/// `[3, 3, high, low]`. One of the two is the input of the layer and the other the gradient of its output.
#[derive(Debug, Clone, Copy)]
pub(super) struct WeightGradient {
    pub shape: ConvShape,
}

/// The gradient of the input of ReLU: `(gradient of the output, output)` to the gradient, set to zero where the output is
/// zero.
pub(super) struct ReluGradient;

/// The gradient of the biases: the sum of each channel over all pixels.
pub(super) struct PixelSums;

impl LinearMap {
    /// The adjoint map, which maps gradients of the output to gradients of the input.
    pub fn reversed(&self) -> Self {
        Self { direction: self.direction.reversed(), from: self.to, to: self.from, ..*self }
    }

    pub fn output_shape(&self) -> Shape {
        let Extent { batch, rows, columns } = self.to;
        (batch, rows, columns, self.shape.channels(self.direction).1).into()
    }

    /// Extent of the high side.
    #[cfg(feature = "cuda")]
    pub fn high(&self) -> Extent {
        match self.direction {
            Direction::Forward => self.from,
            Direction::Adjoint => self.to,
        }
    }

    /// Returns an error if the shape of a tensor does not match the map.
    pub fn check(&self, input: &Layout, weights: &Layout, bias: Option<&Layout>) -> Result<()> {
        let (inputs, outputs) = self.shape.channels(self.direction);
        let Extent { batch, rows, columns } = self.from;
        expect("input", input, &[batch, rows, columns, inputs])?;
        expect("weights", weights, &[3, 3, self.shape.high, self.shape.low])?;
        bias.map_or(Ok(()), |bias| expect("biases", bias, &[outputs]))
    }

    /// Computes the layer on the CPU.
    pub fn run(&self, input: &[f32], weights: &[f32], bias: Option<&[f32]>, relu: bool) -> Vec<f32> {
        let set = InstructionSet::best();
        let layer = PackedConv::new(self.shape, self.direction, weights, bias, relu, set);
        let mut output = vec![0.0; self.output_shape().elem_count()];
        layer.run(input, self.from, &mut output, self.to);
        output
    }
}

impl CustomOp2 for LinearMap {
    fn name(&self) -> &'static str {
        "conv3x3-map"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.check(input_layout, weights_layout, None)?;
        let output = self.run(floats(input, input_layout)?, floats(weights, weights_layout)?, None, false);
        Ok((CpuStorage::F32(output), self.output_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weights: &CudaStorage,
        weights_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.check(input_layout, weights_layout, None)?;
        let output =
            super::cuda::linear_map(self, (input, input_layout), (weights, weights_layout), None, false)?;
        Ok((output, self.output_shape()))
    }
}

impl WeightGradient {
    /// Extent of the high side, if the shapes of the two tensors match.
    fn extent(&self, high: &Layout, low: &Layout) -> Result<Extent> {
        let (batch, rows, columns, _) = high.shape().dims4()?;
        expect("high side", high, &[batch, rows, columns, self.shape.high])?;
        let extent = Extent { batch, rows, columns };
        let Extent { rows, columns, .. } = self.shape.output(Direction::Forward, extent);
        expect("low side", low, &[batch, rows, columns, self.shape.low])?;
        Ok(extent)
    }

    fn output_shape(&self) -> Shape {
        (3, 3, self.shape.high, self.shape.low).into()
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv3x3-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        high: &CpuStorage,
        high_layout: &Layout,
        low: &CpuStorage,
        low_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let extent = self.extent(high_layout, low_layout)?;
        let (high, low) = (floats(high, high_layout)?, floats(low, low_layout)?);
        let gradient = weight_gradient(self.shape, high, low, extent, InstructionSet::best());
        Ok((CpuStorage::F32(gradient), self.output_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        high: &CudaStorage,
        high_layout: &Layout,
        low: &CudaStorage,
        low_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let extent = self.extent(high_layout, low_layout)?;
        let gradient =
            super::cuda::weight_gradient(self.shape, extent, (high, high_layout), (low, low_layout))?;
        Ok((gradient, self.output_shape()))
    }
}

impl CustomOp2 for ReluGradient {
    fn name(&self) -> &'static str {
        "relu-gradient"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        output: &CpuStorage,
        output_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        expect("output", output_layout, gradient_layout.dims())?;
        let (gradient, output) = (floats(gradient, gradient_layout)?, floats(output, output_layout)?);
        let pairs = gradient.par_iter().zip(output).with_min_len(1 << 14);
        let active = pairs.map(|(&g, &y)| if y > 0.0 { g } else { 0.0 }).collect();
        Ok((CpuStorage::F32(active), gradient_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
        output: &CudaStorage,
        output_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        expect("output", output_layout, gradient_layout.dims())?;
        let active = super::cuda::relu_gradient((gradient, gradient_layout), (output, output_layout))?;
        Ok((active, gradient_layout.shape().clone()))
    }
}

impl CustomOp1 for PixelSums {
    fn name(&self) -> &'static str {
        "pixel-sums"
    }

    fn cpu_fwd(&self, values: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, _, _, channels) = layout.shape().dims4()?;
        Ok((CpuStorage::F32(sum_pixels(floats(values, layout)?, channels)), channels.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, values: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (_, _, _, channels) = layout.shape().dims4()?;
        Ok((super::cuda::sum_pixels((values, layout))?, channels.into()))
    }
}

/// The sum of each channel over all pixels. The order of the additions depends only on the size, not on the threads.
fn sum_pixels(values: &[f32], channels: usize) -> Vec<f32> {
    const PIXELS: usize = 1024;
    let partial: Vec<Vec<f32>> = values
        .par_chunks(PIXELS * channels)
        .map(|chunk| {
            let mut sums = vec![0.0; channels];
            chunk.chunks_exact(channels).for_each(|pixel| add(&mut sums, pixel));
            sums
        })
        .collect();
    partial.into_iter().fold(vec![0.0; channels], |mut sums, part| {
        add(&mut sums, &part);
        sums
    })
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

fn expect(what: &str, found: &Layout, expected: &[usize]) -> Result<()> {
    if found.dims() == expected {
        Ok(())
    } else {
        candle_core::bail!("{what} of shape {:?} instead of {expected:?}", found.dims())
    }
}

/// The values of a contiguous tensor in host memory.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => Err(Error::RequiresContiguous { op: "conv3x3" }.bt()),
    }
}
