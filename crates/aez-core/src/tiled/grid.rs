//! Cutting a picture into square tiles and joining them, one tile at a time, so that memory use does not grow with the picture.

/// The tiles of `edge` x `edge` pixels that cover a picture, in rows from the top, each from the left. Where tiles exceed the right
/// or lower edge of the picture, the last column or row is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileGrid {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Width and height of a tile in pixels, at least 1.
    pub edge: u32,
}

impl TileGrid {
    /// Number of tiles per row.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.width.div_ceil(self.edge)
    }

    /// Number of rows of tiles.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.height.div_ceil(self.edge)
    }

    /// Number of tiles.
    ///
    /// # Panics
    /// When the number exceeds `usize`, which is impossible for a picture in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        let tiles = u64::from(self.columns()) * u64::from(self.rows());
        usize::try_from(tiles).expect("the tiles of a picture in memory can be counted")
    }

    /// Whether the picture has no pixels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies tile `index` from the picture's interleaved bytes into `out`: `edge * edge * 3` values in [0, 1],
    /// channels last.
    ///
    /// # Panics
    /// When there is no such tile, or a slice has another length than the grid says.
    pub fn cut(&self, rgb: &[u8], index: usize, out: &mut [f32]) {
        let (left, top) = self.corner(index);
        self.check(rgb, out.len());
        let (edge, width, height) = (self.edge as usize, self.width as usize, self.height as usize);
        let inside = edge.min(width - left);
        for (y, line) in out.chunks_exact_mut(edge * 3).enumerate() {
            let start = ((top + y).min(height - 1) * width + left) * 3;
            let (copied, beyond) = line.split_at_mut(inside * 3);
            for (value, &byte) in copied.iter_mut().zip(&rgb[start..]) {
                *value = f32::from(byte) / 255.0;
            }
            let last: [f32; 3] = std::array::from_fn(|c| copied[(inside - 1) * 3 + c]);
            beyond.as_chunks_mut::<3>().0.fill(last);
        }
    }

    /// For each pixel of a tile, whether it matters: whether it lies within the picture, and its opacity, if there are opacities, is
    /// not 0.
    ///
    /// # Panics
    /// When there is no such tile, or the plane does not have the picture's size.
    pub fn visible(&self, alpha: Option<&[u8]>, index: usize) -> impl Iterator<Item = bool> {
        let (left, top) = self.corner(index);
        let (edge, width, height) = (self.edge as usize, self.width as usize, self.height as usize);
        (top..top + edge).flat_map(move |y| {
            (left..left + edge)
                .map(move |x| x < width && y < height && alpha.is_none_or(|alpha| alpha[y * width + x] > 0))
        })
    }

    /// Copies the part of tile `index` within the picture to its position in the interleaved bytes. Values are clamped to [0, 1] and
    /// rounded to the nearest level; NaN becomes 0.
    ///
    /// # Panics
    /// As for [`TileGrid::cut`].
    pub fn paste(&self, tile: &[f32], index: usize, rgb: &mut [u8]) {
        let (left, top) = self.corner(index);
        self.check(rgb, tile.len());
        let (edge, width, height) = (self.edge as usize, self.width as usize, self.height as usize);
        let inside = edge.min(width - left);
        for (y, line) in tile.chunks_exact(edge * 3).enumerate().take(height - top) {
            let start = ((top + y) * width + left) * 3;
            for (byte, &value) in rgb[start..start + inside * 3].iter_mut().zip(line) {
                // The cast truncates, and saturates below 0, above 255 and for NaN.
                *byte = (value * 255.0 + 0.5) as u8;
            }
        }
    }

    /// Column and row of the upper left pixel of a tile.
    fn corner(&self, index: usize) -> (usize, usize) {
        assert!(index < self.len(), "tile {index} of {}", self.len());
        let (columns, edge) = (self.columns() as usize, self.edge as usize);
        (index % columns * edge, index / columns * edge)
    }

    fn check(&self, rgb: &[u8], values: usize) {
        assert_eq!(rgb.len(), self.width as usize * self.height as usize * 3, "bytes of the picture");
        assert_eq!(values, self.edge as usize * self.edge as usize * 3, "values of a tile");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(width: u32, height: u32) -> Vec<u8> {
        (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    proptest! {
        #[test]
        fn cut_tiles_join_to_the_same_picture(width in 1u32..40, height in 1u32..40, edge in 1u32..20) {
            let grid = TileGrid { width, height, edge };
            let rgb = noise(width, height);
            let mut joined = vec![0; rgb.len()];
            let mut tile = vec![0.0; (edge * edge * 3) as usize];
            for index in 0..grid.len() {
                grid.cut(&rgb, index, &mut tile);
                grid.paste(&tile, index, &mut joined);
            }
            prop_assert_eq!(rgb, joined);
        }
    }

    #[test]
    fn edges_repeat_the_last_row_and_column() {
        let grid = TileGrid { width: 3, height: 3, edge: 2 };
        assert_eq!((grid.columns(), grid.rows(), grid.len()), (2, 2, 4));
        let rgb: Vec<u8> = (0..9).flat_map(|i| [i * 10, i * 10 + 1, i * 10 + 2]).collect();
        let mut tile = vec![0.0; 12];
        let mut cut = |index| {
            grid.cut(&rgb, index, &mut tile);
            tile.as_chunks::<3>().0.iter().map(|p| (p[0] * 255.0).round() as u8).collect::<Vec<_>>()
        };
        assert_eq!(cut(0), [0, 10, 30, 40]);
        assert_eq!(cut(1), [20, 20, 50, 50]);
        assert_eq!(cut(2), [60, 70, 60, 70]);
        assert_eq!(cut(3), [80, 80, 80, 80]);
    }

    #[test]
    fn pasted_values_are_rounded_and_clamped() {
        let grid = TileGrid { width: 2, height: 1, edge: 2 };
        let mut rgb = [7; 6];
        let values = [-0.1, f32::NAN, 1.1, 0.5, 0.4999 / 255.0, f32::INFINITY];
        let tile: Vec<f32> = values.into_iter().chain([9.0; 6]).collect();
        grid.paste(&tile, 0, &mut rgb);
        assert_eq!(rgb, [0, 0, 255, 128, 0, 255]);
    }
}
