//! Pictures cut into tiles, and the coefficients of the tiles.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    CHUNK, COEFFICIENTS, Shared,
    transform::{self, Source, Span, Square, TILE, WINDOW},
};
use crate::nn::{conv::Extent, simd::Path};

/// The tiles of a batch of pictures. The last row and column of tiles may reach out of the picture.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub extent: Extent,
    /// Rows of tiles a picture, and tiles a row.
    pub rows: usize,
    pub columns: usize,
}

impl Grid {
    pub fn new(extent: Extent) -> Self {
        Self { extent, rows: extent.rows.div_ceil(TILE), columns: extent.columns.div_ceil(TILE) }
    }

    /// What of a square of `edge` pixels, that begins `border` pixels before a tile, lies in the picture.
    /// `row` counts the rows of tiles of the whole batch.
    fn source(&self, pictures: &[f32], channels: usize, row: usize, column: usize, side: Side) -> Source {
        let Extent { rows, columns, .. } = self.extent;
        let (edge, border) = side.window();
        let valid = |tile: usize, end: usize| {
            let start = tile * TILE;
            border.saturating_sub(start)..edge.min(end + border - start)
        };
        let (picture, y, x) = (row / self.rows, row % self.rows * TILE, column * TILE);
        let pixel = (picture * rows + y) * columns + x;
        let (row_step, column_step) = (columns * channels, channels);
        Source {
            from: pictures
                .as_ptr()
                .wrapping_add(pixel * channels)
                .wrapping_sub(border * (row_step + column_step)),
            row_step,
            column_step,
            rows: valid(row % self.rows, rows),
            columns: valid(column, columns),
            next: TILE * channels,
        }
    }
}

/// Which side of a convolution the pictures are on, and so which transform they go through.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// Windows of inputs.
    Input,
    /// Gradients of outputs.
    Gradient,
}

impl Side {
    fn window(self) -> (usize, usize) {
        match self {
            Self::Input => (WINDOW, 1),
            Self::Gradient => (TILE, 0),
        }
    }
}

/// How the coefficients of some tiles lie in memory: `[coefficient][chunk][tile][CHUNK channels]`.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub tiles: usize,
    pub chunks: usize,
}

impl Layout {
    pub fn new(tiles: usize, channels: usize) -> Self {
        Self { tiles, chunks: channels / CHUNK }
    }

    /// Floats from a chunk to the next.
    pub fn chunk(&self) -> usize {
        self.tiles * CHUNK
    }

    /// Floats from a coefficient to the next: an odd number of cache lines, so that the coefficients of a tile do
    /// not all compete for the same few places in the cache.
    pub fn coefficient(&self) -> usize {
        const LINE: usize = 16;
        ((self.chunks * self.chunk() / LINE) | 1) * LINE
    }

    /// Floats altogether.
    pub fn len(&self) -> usize {
        COEFFICIENTS * self.coefficient()
    }

    /// Computes the coefficients of some rows of tiles.
    pub fn fill(
        &self,
        to: &mut [f32],
        grid: Grid,
        rows: Range<usize>,
        pictures: &[f32],
        side: Side,
        path: Path,
    ) {
        let channels = self.chunks * CHUNK;
        assert!(
            to.len() == self.len() && rows.len() * grid.columns == self.tiles,
            "place for {} tiles",
            self.tiles
        );
        assert!(
            rows.end <= grid.extent.batch * grid.rows && pictures.len() == grid.extent.pixels() * channels
        );
        let span = Span { chunks: self.chunks, length: CHUNK, source_step: CHUNK, sink_step: self.chunk() };
        let step = self.coefficient();
        let to = Shared(to.as_mut_ptr());
        rows.clone().into_par_iter().for_each(|row| {
            for column in 0..grid.columns {
                let tile = (row - rows.start) * grid.columns + column;
                let source = grid.source(pictures, channels, row, column, side);
                // SAFETY: the source's valid part lies in the picture; each tile has its own place in `to`.
                unsafe {
                    let sink = Square { to: to.at(tile * CHUNK), row_step: WINDOW * step, column_step: step };
                    match side {
                        Side::Input => transform::input(path, &source, &sink, &span),
                        Side::Gradient => transform::gradient(path, &source, &sink, &span),
                    }
                }
            }
        });
    }
}
