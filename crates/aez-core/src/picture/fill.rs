//! Colours for fully transparent pixels: a smooth continuation of the visible ones.
//!
//! What is hidden behind opacity 0 is often noise, stripes, or a cut-out photograph. It would take bytes, and change the visible
//! pixels of the same block. The continuation is made by a pyramid (push and pull: Gortler et al., "The lumigraph", 1996): averages
//! of the visible pixels on ever coarser grids, from which the gaps of the finer ones are interpolated.

use std::borrow::Cow;

use super::Picture;
use crate::{error::Result, limits};

impl Picture {
    /// The colours, with those of fully transparent pixels replaced by a smooth continuation of the others. They do not depend on what
    /// was hidden there. Where nothing is visible, they are black.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when there is not enough memory: about 5 bytes for each pixel.
    ///
    /// # Panics
    /// When the buffers do not have the picture's size.
    pub fn visible_rgb(&self) -> Result<Cow<'_, [u8]>> {
        match &self.alpha {
            Some(alpha) if alpha.contains(&0) => {
                extend(&self.rgb, alpha, self.width as usize).map(Cow::Owned)
            }
            _ => Ok(Cow::Borrowed(&self.rgb)),
        }
    }
}

/// A colour and its weight, which is 0 where nothing is visible.
type Cell = [u8; 4];

/// A grid of averages, row-major.
struct Level {
    width: usize,
    height: usize,
    cells: Vec<Cell>,
}

fn extend(rgb: &[u8], alpha: &[u8], width: usize) -> Result<Vec<u8>> {
    let (pixels, height) = (rgb.as_chunks::<3>().0, alpha.len() / width);
    let pixel = |x: usize, y: usize| {
        let [r, g, b] = pixels[y * width + x];
        [r, g, b, if alpha[y * width + x] > 0 { u8::MAX } else { 0 }]
    };
    let mut levels = vec![Level::halved(width, height, pixel)?];
    while let Some(finest) = levels.last().filter(|level| level.width.max(level.height) > 1) {
        let at = |x, y| finest.cells[y * finest.width + x];
        levels.push(Level::halved(finest.width, finest.height, at)?);
    }
    let mut filled = levels.pop().expect("at least one level");
    while let Some(mut finer) = levels.pop() {
        finer.fill_gaps(&filled);
        filled = finer;
    }
    let mut extended = limits::allocate(rgb.len() as u64)?;
    for (at, (pixel, &opacity)) in pixels.iter().zip(alpha).enumerate() {
        extended.extend(if opacity > 0 { *pixel } else { filled.between(at % width, at / width) });
    }
    Ok(extended)
}

impl Level {
    /// The averages of 2 x 2 cells of a finer grid, of which an odd last row or column is averaged alone.
    fn halved(width: usize, height: usize, at: impl Fn(usize, usize) -> Cell) -> Result<Self> {
        let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
        let mut cells = limits::allocate((columns * rows) as u64)?;
        for y in 0..rows {
            let lower = (2 * y + 1).min(height - 1);
            for x in 0..columns {
                let right = (2 * x + 1).min(width - 1);
                let four = [at(2 * x, 2 * y), at(right, 2 * y), at(2 * x, lower), at(right, lower)];
                cells.push(average(four));
            }
        }
        Ok(Self { width: columns, height: rows, cells })
    }

    fn fill_gaps(&mut self, coarser: &Self) {
        for (at, cell) in self.cells.iter_mut().enumerate().filter(|(_, cell)| cell[3] == 0) {
            let [r, g, b] = coarser.between(at % self.width, at / self.width);
            *cell = [r, g, b, 0];
        }
    }

    /// The colour at a place of the next finer grid, interpolated bilinearly.
    fn between(&self, x: usize, y: usize) -> [u8; 3] {
        let beside = |at: usize, len: usize| {
            let near = at / 2;
            let far = if at.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(len - 1) };
            (near, far)
        };
        let ((x, far_x), (y, far_y)) = (beside(x, self.width), beside(y, self.height));
        let [a, b, c, d] = [(x, y), (far_x, y), (x, far_y), (far_x, far_y)]
            .map(|(x, y)| self.cells[y * self.width + x].map(u32::from));
        std::array::from_fn(|k| ((9 * a[k] + 3 * b[k] + 3 * c[k] + d[k] + 8) / 16) as u8)
    }
}

/// The average of the visible parts. The weight is 0 only where nothing is visible.
fn average(cells: [Cell; 4]) -> Cell {
    let total: u32 = cells.iter().map(|cell| u32::from(cell[3])).sum();
    let mean = |channel: usize| {
        let sum: u32 = cells.iter().map(|cell| u32::from(cell[channel]) * u32::from(cell[3])).sum();
        (sum + total / 2).checked_div(total).unwrap_or(0) as u8
    };
    [mean(0), mean(1), mean(2), total.div_ceil(4) as u8]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn visible_pixels_stay_and_hidden_ones_do_not_matter(
            (width, height) in (1usize..40, 1usize..40),
            seed in any::<u32>(),
        ) {
            let noise = |i: usize, salt: u32| ((i as u32 + salt).wrapping_mul(seed | 1).wrapping_mul(2_654_435_761) >> 24) as u8;
            let alpha: Vec<u8> = (0..width * height).map(|i| noise(i, 1).saturating_sub(150)).collect();
            let rgb = |salt: u32| -> Vec<u8> {
                let value = |i: usize| noise(i, if alpha[i / 3] > 0 { 2 } else { salt });
                (0..3 * width * height).map(value).collect()
            };
            let filled = extend(&rgb(3), &alpha, width).unwrap();
            prop_assert_eq!(&filled, &extend(&rgb(4), &alpha, width).unwrap());
            for ((found, original), &opacity) in filled.chunks(3).zip(rgb(3).chunks(3)).zip(&alpha) {
                prop_assert!(opacity == 0 || found == original);
            }
        }
    }

    #[test]
    fn gaps_continue_their_surroundings() {
        let (width, height) = (64, 48);
        let wanted = |i: usize| [(i % width * 3) as u8, 200 - (i / width * 2) as u8, 77];
        let is_hidden = |i: usize| (20..40).contains(&(i % width)) && (10..30).contains(&(i / width));
        let rgb: Vec<u8> =
            (0..width * height).flat_map(|i| if is_hidden(i) { [0, 255, 255] } else { wanted(i) }).collect();
        let alpha: Vec<u8> = (0..width * height).map(|i| if is_hidden(i) { 0 } else { 255 }).collect();
        let filled = extend(&rgb, &alpha, width).unwrap();
        for (i, pixel) in filled.chunks(3).enumerate() {
            for (found, wanted) in pixel.iter().zip(wanted(i)) {
                assert!(found.abs_diff(wanted) < 30, "pixel {i}: {found} instead of {wanted}");
            }
        }
    }

    #[test]
    fn a_picture_of_which_nothing_is_visible_becomes_flat() {
        assert_eq!(extend(&[9, 8, 7, 6, 5, 4], &[0, 0], 2).unwrap(), [0; 6]);
        let picture = Picture::from_rgb(2, 1, vec![1; 6]);
        assert!(matches!(picture.visible_rgb().unwrap(), Cow::Borrowed(_)));
    }
}
