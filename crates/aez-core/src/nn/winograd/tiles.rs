//! Division of pictures into tiles, and the memory layout of the coefficients of tiles.

use std::ops::Range;

use super::{
    CHUNK, COEFFICIENTS, SharedMut,
    transform::{self, Source, Span, Square, TILE, WINDOW},
};
use crate::{
    nn::{conv::Extent, simd::InstructionSet},
    parallel::*,
};

/// The tiles of a batch of pictures. The last row and column of tiles may extend beyond the picture.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub extent: Extent,
    /// Rows of tiles in a picture.
    pub rows: usize,
    /// Tiles in a row.
    pub columns: usize,
}

impl Grid {
    pub fn new(extent: Extent) -> Self {
        Self { extent, rows: extent.rows.div_ceil(TILE), columns: extent.columns.div_ceil(TILE) }
    }

    /// The pixels that the transform of a tile reads: its window for [`Side::Input`], the tile itself for
    /// [`Side::Gradient`]. `row` counts the rows of tiles of the whole batch.
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

/// Side of a convolution that pictures are on, which determines their transform.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// Inputs, transformed by window.
    Input,
    /// Gradients of outputs, transformed by tile.
    Gradient,
}

impl Side {
    /// Edge of the square that the transform of a tile reads, and by how many pixels it begins before the
    /// tile.
    fn window(self) -> (usize, usize) {
        match self {
            Self::Input => (WINDOW, 1),
            Self::Gradient => (TILE, 0),
        }
    }
}

/// Memory layout of the coefficients of some tiles: `[coefficient][chunk][tile][CHUNK channels]`.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Number of tiles.
    pub tiles: usize,
    /// Number of chunks of channels.
    pub chunks: usize,
}

impl Layout {
    pub fn new(tiles: usize, channels: usize) -> Self {
        Self { tiles, chunks: channels / CHUNK }
    }

    /// Floats from a chunk to the next.
    pub fn chunk_step(&self) -> usize {
        self.tiles * CHUNK
    }

    /// Floats from a coefficient to the next: an odd number of cache lines, so that the coefficients of a
    /// tile are in different sets of the cache.
    pub fn coefficient_step(&self) -> usize {
        const LINE: usize = 16;
        ((self.chunks * self.chunk_step() / LINE) | 1) * LINE
    }

    /// Total number of floats.
    pub fn len(&self) -> usize {
        COEFFICIENTS * self.coefficient_step()
    }

    /// Computes the coefficients of the given rows of tiles of a batch.
    ///
    /// # Panics
    /// If the length of a slice or the number of tiles does not match.
    pub fn fill(
        &self,
        to: &mut [f32],
        grid: Grid,
        rows: Range<usize>,
        pictures: &[f32],
        side: Side,
        set: InstructionSet,
    ) {
        let channels = self.chunks * CHUNK;
        assert!(to.len() == self.len() && rows.len() * grid.columns == self.tiles, "number of tiles");
        assert!(rows.end <= grid.extent.batch * grid.rows, "rows of tiles");
        assert_eq!(pictures.len(), grid.extent.values(channels), "length of the pictures");
        let span =
            Span { chunks: self.chunks, length: CHUNK, source_step: CHUNK, sink_step: self.chunk_step() };
        let step = self.coefficient_step();
        let to = SharedMut(to.as_mut_ptr());
        rows.clone().into_par_iter().for_each(|row| {
            for column in 0..grid.columns {
                let tile = (row - rows.start) * grid.columns + column;
                let source = grid.source(pictures, channels, row, column, side);
                // SAFETY: the valid part of the source is inside the picture, and no two tiles have the same
                // offset in `to`. The caller checked the instruction set.
                unsafe {
                    let sink = Square { to: to.at(tile * CHUNK), row_step: WINDOW * step, column_step: step };
                    match side {
                        Side::Input => transform::input(set, &source, &sink, &span),
                        Side::Gradient => transform::gradient(set, &source, &sink, &span),
                    }
                }
            }
        });
    }
}
