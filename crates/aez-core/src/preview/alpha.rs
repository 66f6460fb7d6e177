//! Approximate opacities: a square grid of four levels over the whole picture, as fine as its share of the bytes allows.

use super::opacity::{LEVEL, LEVELS, OPAQUE, Opacities};
use crate::{
    entropy::{Frequencies, RangeDecoder, RangeEncoder},
    error::Result,
    picture::{
        Picture, is_opaque,
        resample::{self, Filter, Window},
    },
};

/// Numbers of cells along an edge of the grid.
const EDGES: [usize; 8] = [2, 3, 4, 5, 6, 8, 12, 16];
/// Weight of a level by its distance from that of a neighbour.
const WEIGHTS: [u32; LEVELS] = [8, 3, 2, 1];

/// A grid of levels from 0, transparent, to 3, opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlphaGrid {
    /// Index in [`EDGES`].
    pub fineness: usize,
    /// The levels, row-major.
    pub cells: Vec<u8>,
}

impl AlphaGrid {
    /// The finest grid that takes at most `bytes` bytes, or else the coarsest; `None` for a picture that is opaque, or nearly so.
    pub fn of(picture: &Picture, bytes: usize) -> Option<Self> {
        let alpha = picture.alpha.as_ref().filter(|alpha| !is_opaque(alpha))?;
        let opacities = Opacities::of(alpha, picture.width as usize);
        let grids = (0..EDGES.len()).rev().map(|fineness| Self::new(&opacities, fineness));
        let fits = |grid: &Self| {
            let mut encoder = RangeEncoder::new();
            grid.write(&mut encoder);
            encoder.finish().len() <= bytes
        };
        let grid = grids.clone().find(fits).unwrap_or_else(|| Self::new(&opacities, 0));
        match grid.uniform_level() {
            Some(OPAQUE) => None,
            // Cells that are all equal need not be many.
            Some(level) => Some(Self { fineness: 0, cells: vec![level; EDGES[0] * EDGES[0]] }),
            None => Some(grid),
        }
    }

    fn new(opacities: &Opacities, fineness: usize) -> Self {
        Self { fineness, cells: opacities.levels(EDGES[fineness]) }
    }

    fn uniform_level(&self) -> Option<u8> {
        let first = self.cells[0];
        self.cells.iter().all(|&level| level == first).then_some(first)
    }

    /// The plane of opacities for a picture, interpolated between the cells.
    pub fn plane(&self, width: u32, height: u32) -> Vec<u8> {
        let edge = EDGES[self.fineness];
        let size = (width as usize, height as usize);
        let opacities: Vec<u8> = self.cells.iter().map(|level| level * LEVEL).collect();
        let whole = Window { x: 0, y: 0, width: edge, height: edge };
        let mut plane = vec![0f32; size.0 * size.1];
        resample::resample::<1>(&opacities, edge, whole, Filter::Triangle, size, &mut plane);
        plane.iter().map(|opacity| opacity.round() as u8).collect()
    }

    pub fn write(&self, encoder: &mut RangeEncoder) {
        encoder.put(self.fineness as i32, &fineness_frequencies());
        for (at, &level) in self.cells.iter().enumerate() {
            encoder.put(level.into(), &level_frequencies(&self.cells[..at], EDGES[self.fineness]));
        }
    }

    pub fn read(decoder: &mut RangeDecoder<'_>) -> Result<Self> {
        let fineness = decoder.take(&fineness_frequencies())? as usize;
        let edge = EDGES[fineness];
        let mut cells = Vec::with_capacity(edge * edge);
        for _ in 0..edge * edge {
            cells.push(decoder.take(&level_frequencies(&cells, edge))? as u8);
        }
        Ok(Self { fineness, cells })
    }
}

fn fineness_frequencies() -> Frequencies {
    Frequencies::of(0, &[1; EDGES.len()])
}

/// Frequencies of the level of the cell after `cells`: levels near those of its left and upper neighbours are more frequent.
fn level_frequencies(cells: &[u8], edge: usize) -> Frequencies {
    let left = cells.last().filter(|_| !cells.len().is_multiple_of(edge));
    let above = cells.len().checked_sub(edge).map(|at| &cells[at]);
    let neighbours = [left, above];
    let weight = |level: i32| -> u32 {
        let near = |&other: &u8| WEIGHTS[level.abs_diff(other.into()) as usize];
        neighbours.into_iter().flatten().map(near).product()
    };
    Frequencies::of(0, &std::array::from_fn::<_, LEVELS, _>(|level| weight(level as i32)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picture(width: u32, height: u32, opacity: impl Fn(u32, u32) -> u8) -> Picture {
        let alpha = (0..width * height).map(|i| opacity(i % width, i / width)).collect();
        Picture::from_rgb(width, height, vec![9; (width * height * 3) as usize]).with_alpha(Some(alpha))
    }

    fn disc(x: u32, y: u32) -> u8 {
        if x.abs_diff(50).pow(2) + y.abs_diff(50).pow(2) < 1600 { 255 } else { 0 }
    }

    proptest! {
        #[test]
        fn any_grid_survives_a_round_trip(fineness in 0..EDGES.len(), seed in any::<[u8; 32]>()) {
            let edge = EDGES[fineness];
            let cells = (0..edge * edge).map(|i| (seed[i % 32] >> (i / 32 % 7)) & 3).collect();
            let grid = AlphaGrid { fineness, cells };
            let mut encoder = RangeEncoder::new();
            grid.write(&mut encoder);
            let bytes = encoder.finish();
            let mut decoder = RangeDecoder::new(&bytes);
            prop_assert_eq!(AlphaGrid::read(&mut decoder).unwrap(), grid);
            decoder.finish().unwrap();
        }
    }

    #[test]
    fn more_bytes_make_better_opacities() {
        let original = picture(100, 100, disc);
        let mut last = f64::INFINITY;
        for bytes in [4, 8, 25, 50] {
            let plane = AlphaGrid::of(&original, bytes).unwrap().plane(100, 100);
            let difference = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b));
            let error = original.alpha.iter().flatten().zip(&plane).map(difference).sum::<f64>() / 1e4;
            println!("{bytes} bytes: mean absolute error {error:.1}");
            assert!(error < last);
            last = error;
        }
        assert!(last < 20.0);
    }

    #[test]
    fn an_opaque_plane_has_no_grid() {
        assert_eq!(AlphaGrid::of(&picture(9, 5, |_, _| 255), 9), None);
        assert_eq!(AlphaGrid::of(&picture(9, 5, |_, _| 254), 9), None);
        assert!(AlphaGrid::of(&picture(9, 5, |_, _| 220), 9).is_some());
    }

    /// Planes in which rounding alone hides something, or all.
    fn faint_and_small() -> Vec<(&'static str, Picture)> {
        let of = |opacity: fn(u32, u32) -> u8| picture(100, 80, opacity);
        vec![
            ("faint", of(|_, _| 30)),
            ("nearly opaque", of(|_, _| 235)),
            ("lines", of(|x, y| if x % 12 == 0 || y % 25 == 0 { 255 } else { 0 })),
            ("dots", of(|x, y| if x % 31 < 2 && y % 29 < 2 { 255 } else { 0 })),
            ("one dot", of(|x, y| if (x, y) == (70, 20) { 255 } else { 0 })),
            ("frame", of(|x, y| if x == 0 || y == 0 || x == 99 || y == 79 { 255 } else { 0 })),
            ("gradient", of(|x, _| (x * 255 / 99) as u8)),
            ("faint disc", of(|x, y| disc(x, y) / 9)),
            ("holes", of(|x, y| if x % 31 < 3 && y % 29 < 3 { 0 } else { 255 })),
        ]
    }

    #[test]
    fn faint_and_small_parts_stay_visible_with_their_mean_opacity() {
        for (name, original) in faint_and_small() {
            let mean = |plane: &[u8]| plane.iter().map(|&x| f64::from(x)).sum::<f64>() / plane.len() as f64;
            let expected = mean(original.alpha.as_deref().unwrap());
            for bytes in (4..=50).step_by(2) {
                let found = AlphaGrid::of(&original, bytes).map_or(255.0, |grid| mean(&grid.plane(100, 80)));
                // The coarsest grid has steps of 85 / 4.
                assert!(
                    (found - expected).abs() < 11.0,
                    "{name}, {bytes} bytes: {found:.1} of {expected:.1}"
                );
                assert!(found > 0.2, "{name}, {bytes} bytes: nothing is visible");
                assert!(
                    bytes < 15 || (found - expected).abs() < 4.5,
                    "{name}, {bytes} bytes: {found:.1} of {expected:.1}"
                );
            }
        }
    }
}
