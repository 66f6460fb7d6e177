//! 3x3 convolutions with padding 1, and their adjoints.
//!
//! A [`ConvShape`] describes a linear map from a high-resolution side with `high` channels to a
//! low-resolution side with `low` channels. With stride 1 both sides have the same resolution, with stride 2
//! the low side has half of it. A convolution layer applies the map, a transposed convolution layer applies
//! its adjoint, and the gradient of either layer with respect to its input is the other map with the same
//! weights (see [`Direction::reversed`]).
//!
//! Weights are stored as `[3][3][high][low]` for both directions. Tensors are stored channels last:
//! `[batch][rows][columns][channels]`.
//!
//! Three algorithms compute a layer: Winograd's minimal filtering for stride 1 and many channels
//! (`winograd`), a matrix product over all taps for few output channels (`narrow`), and direct sums for the
//! rest (`direct`). The choice depends only on the shape and the direction.

use super::{
    direct::DirectConv,
    narrow::{self, NarrowConv},
    simd::InstructionSet,
    winograd::{self, WinogradConv},
};

pub use super::gradient::weight_gradient;

/// Numbers of channels and stride of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Channels on the high-resolution side: the input of a convolution, the output of a transposed
    /// convolution.
    pub high: usize,
    /// Channels on the low-resolution side.
    pub low: usize,
    /// 1 or 2.
    pub stride: usize,
}

impl ConvShape {
    /// Number of weights: `3 * 3 * high * low`.
    ///
    /// # Panics
    /// If the number does not fit in a `usize`.
    #[must_use]
    pub fn weights(&self) -> usize {
        let filter = self.high.checked_mul(self.low);
        filter
            .and_then(|filter| filter.checked_mul(9))
            .unwrap_or_else(|| panic!("{self:?} has too many weights"))
    }

    /// Numbers of input and output channels.
    #[must_use]
    pub fn channels(&self, direction: Direction) -> (usize, usize) {
        match direction {
            Direction::Forward => (self.high, self.low),
            Direction::Adjoint => (self.low, self.high),
        }
    }

    /// Number of rows or columns on the low side if the high side has `high` of them: `high / stride`,
    /// rounded up.
    #[must_use]
    pub fn low_edge(&self, high: usize) -> usize {
        high.div_ceil(self.stride)
    }

    /// Extent of a layer's output for a given input. For an adjoint of stride 2, which can have an odd or an
    /// even number of output rows and columns, this is the even number.
    #[must_use]
    pub fn output(&self, direction: Direction, input: Extent) -> Extent {
        let edge = |edge: usize| match direction {
            Direction::Forward => self.low_edge(edge),
            Direction::Adjoint => edge * self.stride,
        };
        Extent { batch: input.batch, rows: edge(input.rows), columns: edge(input.columns) }
    }

    /// Panics if the shape is not supported.
    pub(super) fn check(&self) {
        assert!(self.high > 0 && self.low > 0 && matches!(self.stride, 1 | 2), "unsupported {self:?}");
    }
}

/// Direction in which a [`PackedConv`] applies its map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the high side to the low side: a convolution.
    Forward,
    /// From the low side to the high side: a transposed convolution.
    Adjoint,
}

impl Direction {
    /// The opposite direction, which maps gradients of the output to gradients of the input.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Adjoint,
            Self::Adjoint => Self::Forward,
        }
    }
}

/// Batch size and resolution of a tensor. The number of channels is given by the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Number of pictures.
    pub batch: usize,
    /// Rows of each picture.
    pub rows: usize,
    /// Columns of each picture.
    pub columns: usize,
}

impl Extent {
    /// Number of pixels of the batch.
    ///
    /// # Panics
    /// If the number does not fit in a `usize`.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.values(1)
    }

    /// Number of values of a tensor with this extent and `channels` channels.
    ///
    /// # Panics
    /// If the number does not fit in a `usize`.
    #[must_use]
    pub fn values(&self, channels: usize) -> usize {
        let Self { batch, rows, columns } = *self;
        let values = [batch, rows, columns].into_iter().try_fold(channels, usize::checked_mul);
        values.unwrap_or_else(|| panic!("{self:?} with {channels} channels has too many values"))
    }
}

/// A convolution or transposed convolution with its weights packed in the order in which the kernels read
/// them.
pub struct PackedConv {
    algorithm: Algorithm,
    input_channels: usize,
    output_channels: usize,
    input_stride: usize,
    output_stride: usize,
}

enum Algorithm {
    Direct(DirectConv),
    Narrow(NarrowConv),
    Winograd(WinogradConv),
}

/// Operations on the sums of a layer before they are stored.
pub(super) struct Epilogue {
    /// One value for each output channel, padded with zeros to a multiple of the block.
    pub bias: Vec<f32>,
    pub relu: bool,
}

impl PackedConv {
    /// Packs `weights`, `[3][3][high][low]` for both directions. The layer adds `bias`, one value for each
    /// output channel, and applies ReLU if `relu` is set.
    ///
    /// # Panics
    /// If the shape has no channels or a stride other than 1 and 2, if the number of weights or biases does
    /// not match the shape, or if the CPU does not support `set`.
    #[must_use]
    pub fn new(
        shape: ConvShape,
        direction: Direction,
        weights: &[f32],
        bias: Option<&[f32]>,
        relu: bool,
        set: InstructionSet,
    ) -> Self {
        set.check();
        shape.check();
        assert_eq!(weights.len(), shape.weights(), "number of weights of {shape:?}");
        let (input_channels, output_channels) = shape.channels(direction);
        let mut padded = vec![0.0; output_channels.next_multiple_of(set.block())];
        if let Some(bias) = bias {
            assert_eq!(bias.len(), output_channels, "number of biases of {shape:?}");
            padded[..output_channels].copy_from_slice(bias);
        }
        let epilogue = Epilogue { bias: padded, relu };
        let algorithm = if winograd::supports(shape) {
            Algorithm::Winograd(WinogradConv::new(shape, direction, weights, epilogue, set))
        } else if narrow::supports(shape, direction) {
            Algorithm::Narrow(NarrowConv::new(shape, direction, weights, epilogue, set))
        } else {
            Algorithm::Direct(DirectConv::new(shape, direction, weights, epilogue, set))
        };
        let (input_stride, output_stride) = match direction {
            Direction::Forward => (shape.stride, 1),
            Direction::Adjoint => (1, shape.stride),
        };
        Self { algorithm, input_channels, output_channels, input_stride, output_stride }
    }

    /// Computes `output`, a tensor of extent `to`, from `input`, a tensor of extent `from`. The work is
    /// divided among the threads by picture and by groups of rows.
    ///
    /// # Panics
    /// If the length of a slice does not match its extent and the layer's channels, or if the layer does not
    /// map `from` to `to`.
    pub fn run(&self, input: &[f32], from: Extent, output: &mut [f32], to: Extent) {
        assert_eq!(input.len(), from.values(self.input_channels), "length of the input, {from:?}");
        assert_eq!(output.len(), to.values(self.output_channels), "length of the output, {to:?}");
        let (i, o) = (self.input_stride, self.output_stride);
        assert!(
            from.batch == to.batch
                && to.rows.div_ceil(o) == from.rows.div_ceil(i)
                && to.columns.div_ceil(o) == from.columns.div_ceil(i),
            "the layer does not map {from:?} to {to:?}"
        );
        if output.is_empty() {
            return;
        }
        match &self.algorithm {
            Algorithm::Direct(layer) => layer.run(input, from, output, to),
            Algorithm::Narrow(layer) => layer.run(input, from, output),
            Algorithm::Winograd(layer) => layer.run(input, from, output),
        }
    }
}
