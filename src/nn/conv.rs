//! 3x3 convolutions with padding 1, and their adjoints.
//!
//! One linear map does for the entire network. [`ConvShape`] maps a picture of `high` channels to one of `low`
//! channels, at the same resolution or at half of it; its adjoint maps back. A convolution layer is the map, a
//! transposed convolution is the adjoint, and the gradient of either with respect to its input is the other.
//! Weights are stored `[3][3][high][low]` for both, pictures are channels-last: `[batch][rows][columns][channels]`.
//!
//! Wide layers of stride 1 are computed by Winograd's method (`winograd`), those with few outputs with their taps side
//! by side (`narrow`), all others as plain sums (`direct`). Which way a layer goes depends on its shape alone, so that
//! a picture gives the same bits whatever the batch and the number of threads.

use super::{
    direct::Direct,
    narrow::{self, Narrow},
    simd::Path,
    winograd::{self, Winograd},
};

pub use super::gradient::weight_gradient;

/// Channels on both sides of a convolution, and its stride (1 or 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvShape {
    pub high: usize,
    pub low: usize,
    pub stride: usize,
}

impl ConvShape {
    /// Number of weights, `3 * 3 * high * low`.
    #[must_use]
    pub fn weights(&self) -> usize {
        9 * self.high * self.low
    }

    /// Input and output channels.
    #[must_use]
    pub fn channels(&self, direction: Direction) -> (usize, usize) {
        match direction {
            Direction::Forward => (self.high, self.low),
            Direction::Adjoint => (self.low, self.high),
        }
    }

    /// Rows or columns on the low side for `high` of them on the high side.
    #[must_use]
    pub fn low_edge(&self, high: usize) -> usize {
        high.div_ceil(self.stride)
    }

    /// Batch and resolution of what a layer makes of an input; a transposed convolution makes even sizes of stride 2.
    #[must_use]
    pub fn output(&self, direction: Direction, input: Extent) -> Extent {
        let edge = |edge: usize| match direction {
            Direction::Forward => self.low_edge(edge),
            Direction::Adjoint => edge * self.stride,
        };
        Extent { batch: input.batch, rows: edge(input.rows), columns: edge(input.columns) }
    }
}

/// Which way a [`Packed`] layer maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// High to low: a convolution.
    Forward,
    /// Low to high: a transposed convolution.
    Adjoint,
}

impl Direction {
    /// The way back.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Adjoint,
            Self::Adjoint => Self::Forward,
        }
    }
}

/// Batch and resolution of a picture tensor; the channels are the layer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    pub batch: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Extent {
    /// Number of pixels.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.batch * self.rows * self.columns
    }
}

/// A layer ready to run: weights in the order in which the kernels read them.
pub struct Packed {
    method: Method,
    input_channels: usize,
    output_channels: usize,
    input_stride: usize,
    output_stride: usize,
}

enum Method {
    Direct(Direct),
    Narrow(Narrow),
    Winograd(Winograd),
}

/// What is done to the sums of a layer.
pub(super) struct Finish {
    /// A value for each output channel, to a whole number of blocks.
    pub bias: Vec<f32>,
    pub relu: bool,
}

impl Packed {
    /// # Panics
    /// When the number of weights or biases is not that of the shape.
    #[must_use]
    pub fn new(
        shape: ConvShape,
        direction: Direction,
        weights: &[f32],
        bias: Option<&[f32]>,
        relu: bool,
        path: Path,
    ) -> Self {
        assert_eq!(weights.len(), shape.weights(), "weights of {shape:?}");
        let (input_channels, output_channels) = shape.channels(direction);
        let mut padded = vec![0.0; output_channels.next_multiple_of(path.block())];
        if let Some(bias) = bias {
            padded[..output_channels].copy_from_slice(bias);
        }
        let finish = Finish { bias: padded, relu };
        let method = if winograd::suits(shape) {
            Method::Winograd(Winograd::new(shape, direction, weights, finish, path))
        } else if narrow::suits(shape, direction) {
            Method::Narrow(Narrow::new(shape, direction, weights, finish, path))
        } else {
            Method::Direct(Direct::new(shape, direction, weights, finish, path))
        };
        let (input_stride, output_stride) = match direction {
            Direction::Forward => (shape.stride, 1),
            Direction::Adjoint => (1, shape.stride),
        };
        Self { method, input_channels, output_channels, input_stride, output_stride }
    }

    /// Runs the layer. Work is split over the threads of rayon's current pool by picture and by band of rows.
    ///
    /// # Panics
    /// When a slice does not have the length that its extent and the layer's channels give, or the two extents do
    /// not belong together.
    pub fn run(&self, input: &[f32], from: Extent, output: &mut [f32], to: Extent) {
        assert_eq!(input.len(), from.pixels() * self.input_channels, "input of {from:?}");
        assert_eq!(output.len(), to.pixels() * self.output_channels, "output of {to:?}");
        let (i, o) = (self.input_stride, self.output_stride);
        assert!(
            from.batch == to.batch
                && to.rows.div_ceil(o) == from.rows.div_ceil(i)
                && to.columns.div_ceil(o) == from.columns.div_ceil(i),
            "{from:?} does not map to {to:?}"
        );
        if to.pixels() == 0 {
            return;
        }
        match &self.method {
            Method::Direct(layer) => layer.run(input, from, output, to),
            Method::Narrow(layer) => layer.run(input, from, output),
            Method::Winograd(layer) => layer.run(input, from, output),
        }
    }
}
