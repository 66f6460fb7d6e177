//! The five linear transforms of F(4x4, 3x3), on blocks of channels.
//!
//! Each is a small matrix that multiplies a square window from the left and, transposed, from the right. The
//! matrices interpolate polynomials at the points 0, `±P`, `±Q` and infinity.

use std::{mem::MaybeUninit, ops::Range};

use crate::nn::simd::{Simd, dispatch};

/// Rows and columns of outputs in a tile, and of the window of inputs that they depend on.
pub(super) const TILE: usize = 4;
pub(super) const WINDOW: usize = TILE + 2;

// Points below and above 1 keep the powers, and so the rounding errors, small: a third of what 1 and 2 give. Their
// squares and products are exact.
const P: f32 = 0.625;
const Q: f32 = 1.5;
const P2: f32 = P * P;
const Q2: f32 = Q * Q;
/// Divisors of the filter's values at 0, `±P` and `±Q`.
const N0: f32 = P2 * Q2;
const NP: f32 = 2.0 * P2 * (P2 - Q2);
const NQ: f32 = 2.0 * Q2 * (Q2 - P2);

/// One side of a transform: a matrix that maps `N` blocks to `M`.
trait Line<const N: usize, const M: usize> {
    unsafe fn apply<S: Simd>(x: [S::Block; N]) -> [S::Block; M];
}

/// `even + factor * odd` and `even - factor * odd`.
#[inline(always)]
unsafe fn plus_minus<S: Simd>(even: S::Block, factor: f32, odd: S::Block) -> [S::Block; 2] {
    unsafe { [S::mul_add(odd, factor, even), S::mul_add(odd, -factor, even)] }
}

/// From a window of inputs.
struct Input;

impl Line<WINDOW, WINDOW> for Input {
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

/// To a tile of outputs.
struct Output;

impl Line<WINDOW, TILE> for Output {
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

/// From a tile of the output's gradient: the transpose of [`Output`].
struct Gradient;

impl Line<TILE, WINDOW> for Gradient {
    #[inline(always)]
    unsafe fn apply<S: Simd>(x: [S::Block; TILE]) -> [S::Block; WINDOW] {
        unsafe {
            let [p, minus_p] = plus_minus::<S>(S::mul_add(x[2], P2, x[0]), P, S::mul_add(x[3], P2, x[1]));
            let [q, minus_q] = plus_minus::<S>(S::mul_add(x[2], Q2, x[0]), Q, S::mul_add(x[3], Q2, x[1]));
            [x[0], p, minus_p, q, minus_q, x[3]]
        }
    }
}

/// From a filter.
struct Filter;

impl Line<3, WINDOW> for Filter {
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

/// To a filter's gradient: the transpose of [`Filter`].
struct FilterGradient;

impl Line<WINDOW, 3> for FilterGradient {
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

/// A square of blocks to read. Blocks outside of the valid rows and columns are zero and not read.
#[derive(Clone)]
pub(super) struct Source {
    pub from: *const f32,
    pub row_step: usize,
    pub column_step: usize,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Where the next square begins, relative to this one, so that it is fetched into the cache meanwhile.
    pub next: usize,
}

impl Source {
    /// A square that is valid everywhere.
    pub fn all(from: *const f32, row_step: usize, column_step: usize) -> Self {
        Self { from, row_step, column_step, rows: 0..WINDOW, columns: 0..WINDOW, next: 0 }
    }

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

/// Where a transform puts its square of blocks.
trait Sink {
    unsafe fn store<S: Simd>(&self, offset: usize, y: usize, x: usize, block: S::Block);
}

/// Stores all of the square.
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

/// Stores those pixels that lie in the picture, with bias and ReLU.
pub(super) struct Pixels {
    pub square: Square,
    pub rows: usize,
    pub columns: usize,
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

/// The channels to transform: `chunks` runs of `length` floats, and where each run begins.
pub(super) struct Span {
    pub chunks: usize,
    pub length: usize,
    pub source_step: usize,
    pub sink_step: usize,
}

#[inline(always)]
unsafe fn transform<S: Simd, L: Line<N, M>, const N: usize, const M: usize>(
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
                    let column = L::apply::<S>(column);
                    for (row, block) in half.iter_mut().zip(&column) {
                        row[x].write(*block);
                    }
                }
                for (y, half) in half.iter().enumerate() {
                    let mut row = [S::splat(0.0); N];
                    for (block, half) in row.iter_mut().zip(half) {
                        *block = half.assume_init();
                    }
                    let row = L::apply::<S>(row);
                    for (x, block) in row.iter().enumerate() {
                        sink.store::<S>(to, y, x, *block);
                    }
                }
            }
        }
    }
}

/// Defines a transform that is compiled for every path.
macro_rules! transforms {
    ($($(#[$doc:meta])* $name:ident = $body:ident($line:ident, $from:expr, $to:expr, $sink:ty);)*) => {$(
        dispatch! {
            $(#[$doc])*
            ///
            /// # Safety
            /// The addresses that the arguments describe must be valid, the span's length must be a multiple of
            /// the path's block, and the path available.
            pub(super) fn $name = $body(source: &Source, sink: &$sink, span: &Span)
        }

        #[inline(always)]
        unsafe fn $body<S: Simd>(source: &Source, sink: &$sink, span: &Span) {
            unsafe { transform::<S, $line, { $from }, { $to }>(source, sink, span) }
        }
    )*};
}
transforms! {
    /// A 6x6 window of inputs to 6x6 coefficients.
    input = input_body(Input, WINDOW, WINDOW, Square);
    /// 6x6 coefficients to a tile of 4x4 outputs.
    output = output_body(Output, WINDOW, TILE, Pixels);
    /// A tile of 4x4 gradients of outputs to 6x6 coefficients.
    gradient = gradient_body(Gradient, TILE, WINDOW, Square);
    /// A filter to 6x6 coefficients.
    filter = filter_body(Filter, 3, WINDOW, Square);
    /// 6x6 coefficients to the gradient of a filter.
    filter_gradient = filter_gradient_body(FilterGradient, WINDOW, 3, Square);
}
