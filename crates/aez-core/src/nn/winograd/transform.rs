//! The five linear transforms of F(4x4, 3x3), on blocks of channels.
//!
//! Each transform multiplies a square of blocks by a small matrix from the left and by its transpose from the
//! right. The matrices evaluate or interpolate polynomials at the points 0, `±P`, `±Q` and infinity.

use std::{mem::MaybeUninit, ops::Range};

use crate::nn::simd::{Simd, dispatch};

/// Edge of a tile of output pixels.
pub(super) const TILE: usize = 4;
/// Edge of the window of input pixels that a tile depends on.
pub(super) const WINDOW: usize = TILE + 2;

// With one point below and one above 1 the powers stay near 1, and rounding errors are a third of those with
// the usual points 1 and 2. The squares and products of these points are exact in `f32`.
const P: f32 = 0.625;
const Q: f32 = 1.5;
const P2: f32 = P * P;
const Q2: f32 = Q * Q;
// Divisors of the values of the filter at 0, `±P` and `±Q`.
const N0: f32 = P2 * Q2;
const NP: f32 = 2.0 * P2 * (P2 - Q2);
const NQ: f32 = 2.0 * Q2 * (Q2 - P2);

/// The matrix of a transform, which maps `N` blocks to `M`.
trait Matrix<const N: usize, const M: usize> {
    unsafe fn apply<S: Simd>(x: [S::Block; N]) -> [S::Block; M];
}

/// `even + factor * odd` and `even - factor * odd`.
#[inline(always)]
unsafe fn plus_minus<S: Simd>(even: S::Block, factor: f32, odd: S::Block) -> [S::Block; 2] {
    unsafe { [S::mul_add(odd, factor, even), S::mul_add(odd, -factor, even)] }
}

/// Transforms a window of inputs to coefficients.
struct Input;

impl Matrix<WINDOW, WINDOW> for Input {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Block; WINDOW]) -> [S::Block; WINDOW] {
        unsafe {
            let [p, minus_p] = plus_minus::<S>(S::mul_add(x[2], -Q2, x[4]), P, S::mul_add(x[1], -Q2, x[3]));
            let [q, minus_q] = plus_minus::<S>(S::mul_add(x[2], -P2, x[4]), Q, S::mul_add(x[1], -P2, x[3]));
            let first = S::mul_add(x[0], N0, S::mul_add(x[2], -(P2 + Q2), x[4]));
            let last = S::mul_add(x[1], N0, S::mul_add(x[3], -(P2 + Q2), x[5]));
            [first, p, minus_p, q, minus_q, last]
        }
    }
}

/// Transforms coefficients to a tile of outputs.
struct Output;

impl Matrix<WINDOW, TILE> for Output {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Block; WINDOW]) -> [S::Block; TILE] {
        unsafe {
            let (even_p, odd_p) = (S::add(x[1], x[2]), S::sub(x[1], x[2]));
            let (even_q, odd_q) = (S::add(x[3], x[4]), S::sub(x[3], x[4]));
            [
                S::add(x[0], S::add(even_p, even_q)),
                S::mul_add(odd_p, P, S::scale(odd_q, Q)),
                S::mul_add(even_p, P2, S::scale(even_q, Q2)),
                S::mul_add(odd_p, P2 * P, S::mul_add(odd_q, Q2 * Q, x[5])),
            ]
        }
    }
}

/// Transforms a tile of gradients of outputs to coefficients: the transpose of [`Output`].
struct Gradient;

impl Matrix<TILE, WINDOW> for Gradient {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Block; TILE]) -> [S::Block; WINDOW] {
        unsafe {
            let [p, minus_p] = plus_minus::<S>(S::mul_add(x[2], P2, x[0]), P, S::mul_add(x[3], P2, x[1]));
            let [q, minus_q] = plus_minus::<S>(S::mul_add(x[2], Q2, x[0]), Q, S::mul_add(x[3], Q2, x[1]));
            [x[0], p, minus_p, q, minus_q, x[3]]
        }
    }
}

/// Transforms a filter to coefficients.
struct Filter;

impl Matrix<3, WINDOW> for Filter {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Block; 3]) -> [S::Block; WINDOW] {
        unsafe {
            let even_p = S::mul_add(x[2], P2 / NP, S::scale(x[0], 1.0 / NP));
            let even_q = S::mul_add(x[2], Q2 / NQ, S::scale(x[0], 1.0 / NQ));
            let [p, minus_p] = plus_minus::<S>(even_p, P / NP, x[1]);
            let [q, minus_q] = plus_minus::<S>(even_q, Q / NQ, x[1]);
            [S::scale(x[0], 1.0 / N0), p, minus_p, q, minus_q, x[2]]
        }
    }
}

/// Transforms coefficients to the gradient of a filter: the transpose of [`Filter`].
struct FilterGradient;

impl Matrix<WINDOW, 3> for FilterGradient {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Block; WINDOW]) -> [S::Block; 3] {
        unsafe {
            let (even_p, odd_p) = (S::add(x[1], x[2]), S::sub(x[1], x[2]));
            let (even_q, odd_q) = (S::add(x[3], x[4]), S::sub(x[3], x[4]));
            [
                S::mul_add(x[0], 1.0 / N0, S::mul_add(even_p, 1.0 / NP, S::scale(even_q, 1.0 / NQ))),
                S::mul_add(odd_p, P / NP, S::scale(odd_q, Q / NQ)),
                S::mul_add(even_p, P2 / NP, S::mul_add(even_q, Q2 / NQ, x[5])),
            ]
        }
    }
}

/// A square of blocks to read. Blocks outside of the valid rows and columns count as zero and are not read.
///
/// All steps count floats.
#[derive(Clone)]
pub(super) struct Source {
    /// First block of the square, which may be outside of the valid rows and columns.
    pub from: *const f32,
    pub row_step: usize,
    pub column_step: usize,
    /// Valid rows and columns of the square.
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Offset of the square that is read next, which is prefetched.
    pub next: usize,
}

impl Source {
    /// A square whose rows and columns are all valid.
    pub fn all(from: *const f32, row_step: usize, column_step: usize) -> Self {
        Self { from, row_step, column_step, rows: 0..WINDOW, columns: 0..WINDOW, next: 0 }
    }

    /// Loads the block at row `y` and column `x` of the square, of the channels that begin at `offset`.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, offset: usize, y: usize, x: usize) -> S::Block {
        unsafe {
            if self.rows.contains(&y) && self.columns.contains(&x) {
                let from = self.from.wrapping_add(offset + y * self.row_step + x * self.column_step);
                S::prefetch(from.wrapping_add(self.next));
                S::load(from)
            } else {
                S::splat(0.0)
            }
        }
    }
}

/// Destination of a transform.
trait Sink {
    /// Stores the block at row `y` and column `x` of the square, of the channels that begin at `offset`.
    unsafe fn store<S: Simd>(&self, offset: usize, y: usize, x: usize, block: S::Block);
}

/// A square of blocks to write, all of which are stored. All steps count floats.
pub(super) struct Square {
    pub to: *mut f32,
    pub row_step: usize,
    pub column_step: usize,
}

impl Sink for Square {
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, offset: usize, y: usize, x: usize, block: S::Block) {
        unsafe { S::store(block, self.to.add(offset + y * self.row_step + x * self.column_step)) }
    }
}

/// A square of output pixels to write, to which bias and ReLU are applied. Pixels outside of the picture are
/// not stored.
pub(super) struct Pixels {
    pub square: Square,
    /// Rows and columns of the square that are inside the picture.
    pub rows: usize,
    pub columns: usize,
    /// One float for each channel.
    pub bias: *const f32,
    pub relu: bool,
}

impl Sink for Pixels {
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, offset: usize, y: usize, x: usize, block: S::Block) {
        if y < self.rows && x < self.columns {
            unsafe {
                let block = S::add(block, S::load(self.bias.add(offset)));
                let block = if self.relu { S::relu(block) } else { block };
                self.square.store::<S>(offset, y, x, block);
            }
        }
    }
}

/// The channels to transform: `chunks` runs of `length` floats. The steps count the floats from a run to the
/// next.
pub(super) struct Span {
    pub chunks: usize,
    pub length: usize,
    pub source_step: usize,
    pub sink_step: usize,
}

/// Applies the matrix `A` to the columns and rows of the source.
#[inline(always)]
unsafe fn transform<S: Simd, A: Matrix<N, M>, const N: usize, const M: usize>(
    source: &Source,
    sink: &impl Sink,
    span: &Span,
) {
    for chunk in 0..span.chunks {
        for block in (0..span.length).step_by(S::WIDTH) {
            let from = chunk * span.source_step + block;
            let to = chunk * span.sink_step + block;
            unsafe {
                let mut half = [[MaybeUninit::<S::Block>::uninit(); N]; M];
                for x in 0..N {
                    let mut column = [S::splat(0.0); N];
                    for (y, block) in column.iter_mut().enumerate() {
                        *block = source.load::<S>(from, y, x);
                    }
                    let column = A::apply::<S>(column);
                    for (row, block) in half.iter_mut().zip(&column) {
                        row[x].write(*block);
                    }
                }
                for (y, half) in half.iter().enumerate() {
                    let mut row = [S::splat(0.0); N];
                    for (block, half) in row.iter_mut().zip(half) {
                        *block = half.assume_init();
                    }
                    let row = A::apply::<S>(row);
                    for (x, block) in row.iter().enumerate() {
                        sink.store::<S>(to, y, x, *block);
                    }
                }
            }
        }
    }
}

/// Defines transforms, compiled for every instruction set.
macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident = $body:ident($matrix:ident, $from:expr, $to:expr, $sink:ty);)*) => {$(
        dispatch! {
            $(#[$doc])*
            ///
            /// # Safety
            /// All memory that the arguments describe must be valid, the length of the span must be a multiple of the
            /// block, and the CPU must support the instruction set.
            pub(super) fn $name = $body(source: &Source, sink: &$sink, span: &Span)
        }

        #[inline(always)]
        unsafe fn $body<S: Simd>(source: &Source, sink: &$sink, span: &Span) {
            unsafe { transform::<S, $matrix, { $from }, { $to }>(source, sink, span) }
        }
    )*};
}
transforms! {
    /// Transforms 6x6 windows of inputs to 6x6 coefficients.
    input = input_body(Input, WINDOW, WINDOW, Square);
    /// Transforms 6x6 coefficients to tiles of 4x4 outputs.
    output = output_body(Output, WINDOW, TILE, Pixels);
    /// Transforms tiles of 4x4 gradients of outputs to 6x6 coefficients.
    gradient = gradient_body(Gradient, TILE, WINDOW, Square);
    /// Transforms 3x3 filters to 6x6 coefficients.
    filter = filter_body(Filter, 3, WINDOW, Square);
    /// Transforms 6x6 coefficients to the gradients of 3x3 filters.
    filter_gradient = filter_gradient_body(FilterGradient, WINDOW, 3, Square);
}
