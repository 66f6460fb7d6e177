//! Softening the borders between tiles, which were coded each on its own.

use super::tiles::Grid;
use std::{array::from_fn, ops::Range};

/// Pixels on either side of a border that are looked at, and that change.
pub const REACH: usize = 3;
/// Pixels across a border.
const ACROSS: usize = 2 * REACH;
/// Steps from pixel to pixel across a border.
const STEPS: usize = ACROSS - 1;
/// What the change of a pixel is a weighted sum of.
pub const REGRESSORS: usize = 2 * STEPS;

/// What counts as one among [`WEIGHTS`], and among the parts of an [`interpolation`].
pub const UNIT: i32 = 256;

/// How much happens across a border, in levels, where each set of [`WEIGHTS`] holds.
pub const ACTIVITIES: [i32; 3] = [0, 64, 320];
/// For each of [`ACTIVITIES`], and each distance from the border: what a pixel changes by, in `1 / UNIT` of the [`regressors`].
/// Least squares over decoded photographs gave them: `examples/fit_seams.rs`.
const WEIGHTS: [[[i32; REGRESSORS]; REACH]; ACTIVITIES.len()] = [
    [
        [-79, -55, -128, 79, 92, -28, 9, 5, -13, 27],
        [-77, -60, -129, -170, 86, -19, 11, 11, -3, 33],
        [-66, -71, -130, -165, -206, -14, 16, 15, 6, 40],
    ],
    [
        [-100, -237, -108, 237, 118, 38, 39, 1, -33, -37],
        [-89, -198, -93, 36, 147, 36, 35, 10, -39, -26],
        [-75, -167, -75, 55, 9, 28, 40, 14, -26, -16],
    ],
    [
        [27, -94, -64, 92, -19, 14, 4, -4, 2, -10],
        [15, -55, -27, 32, 1, 8, 6, 5, -2, -8],
        [0, -23, -4, 27, -4, 1, 9, 7, -6, -3],
    ],
];

/// Softens all borders between tiles in a picture's interleaved bytes.
///
/// # Panics
/// When the picture has another number of bytes than the grid says.
pub fn soften(rgb: &mut [u8], grid: &Grid) {
    assert_eq!(rgb.len(), grid.width as usize * grid.height as usize * 3, "bytes of the picture");
    crossings(grid).for_each(|crossing| crossing.soften(rgb));
}

/// All lines of pixels across borders, in the order in which they are softened: first those across the borders between columns of
/// tiles, then those across the borders between rows.
pub fn crossings(grid: &Grid) -> impl Iterator<Item = Crossing> + use<> {
    let (width, height, edge) = (grid.width as usize, grid.height as usize, grid.edge as usize);
    let (columns, rows) = (Axis { len: width, stride: 3 }, Axis { len: height, stride: 3 * width });
    [(columns, rows), (rows, columns)].into_iter().flat_map(move |(across, along)| {
        let borders = (edge..across.len).step_by(edge);
        borders.flat_map(move |border| {
            let tiles = border - edge..(border + edge).min(across.len);
            (0..along.len).map(move |line| Crossing::new(border, &tiles, across.stride, line * along.stride))
        })
    })
}

/// Columns or rows: how many, and how far apart in the bytes.
#[derive(Clone, Copy)]
struct Axis {
    len: usize,
    stride: usize,
}

/// A line of pixels across the border between two tiles, half of them on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// Where each pixel begins in the bytes. In the place of those beyond the two tiles stands the nearest within.
    pub pixels: [usize; ACROSS],
    /// Those that lie in the two tiles.
    pub within: Range<usize>,
}

impl Crossing {
    /// At place `border` of an axis on which the two tiles take up `tiles`.
    fn new(border: usize, tiles: &Range<usize>, stride: usize, start: usize) -> Self {
        let place = |pixel: usize| (border + pixel).saturating_sub(REACH).clamp(tiles.start, tiles.end - 1);
        Self {
            pixels: from_fn(|pixel| start + place(pixel) * stride),
            within: REACH - REACH.min(border - tiles.start)..REACH + REACH.min(tiles.end - border),
        }
    }

    /// What each pixel has more than the one before it, in each channel.
    #[must_use]
    pub fn steps(&self, rgb: &[u8]) -> [[i32; 3]; STEPS] {
        let level = |pixel: usize, channel: usize| i32::from(rgb[self.pixels[pixel] + channel]);
        from_fn(|i| from_fn(|c| level(i + 1, c) - level(i, c)))
    }

    fn soften(&self, rgb: &mut [u8]) {
        let steps = self.steps(rgb);
        let (set, part) = interpolation(&steps);
        let [quiet, busy] = [WEIGHTS[set], WEIGHTS[set + 1]];
        let weights: [[i32; REGRESSORS]; REACH] =
            from_fn(|distance| from_fn(|i| quiet[distance][i] * (UNIT - part) + busy[distance][i] * part));
        for channel in 0..3 {
            let seen = [false, true].map(|mirrored| regressors(&steps, channel, mirrored));
            for pixel in self.within.clone() {
                let (mirrored, distance) = side(pixel);
                let products = weights[distance].iter().zip(seen[usize::from(mirrored)]);
                let change: i32 = products.map(|(weight, value)| weight * value).sum();
                let level = &mut rgb[self.pixels[pixel] + channel];
                let change = (change + UNIT * UNIT / 2).div_euclid(UNIT * UNIT);
                *level = (i32::from(*level) + change).clamp(0, 255) as u8;
            }
        }
    }
}

/// Whether a pixel lies before the border, and how many lie between it and the border.
#[must_use]
pub fn side(pixel: usize) -> (bool, usize) {
    if pixel < REACH { (true, REACH - 1 - pixel) } else { (false, pixel - REACH) }
}

/// Which two sets of weights hold where such steps are, the first of them and the one after it, and how much the second counts, from 0 to
/// [`UNIT`].
#[must_use]
pub fn interpolation(steps: &[[i32; 3]; STEPS]) -> (usize, i32) {
    let activity = steps.as_flattened().iter().map(|step| step.abs()).sum::<i32>().min(ACTIVITIES[2]);
    let set = usize::from(activity >= ACTIVITIES[1]);
    let (from, to) = (ACTIVITIES[set], ACTIVITIES[set + 1]);
    (set, (activity - from) * UNIT / (to - from))
}

/// The steps from pixel to pixel in one channel, and the sums over the channels of these steps: as a pixel beyond the border sees
/// them, or, `mirrored`, one before it.
#[must_use]
pub fn regressors(steps: &[[i32; 3]; STEPS], channel: usize, mirrored: bool) -> [i32; REGRESSORS] {
    from_fn(|i| {
        let step = if mirrored { steps[STEPS - 1 - i % STEPS].map(|level| -level) } else { steps[i % STEPS] };
        if i < STEPS { step[channel] } else { step.iter().sum() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_step_at_a_border_becomes_a_slope_and_one_elsewhere_stays() {
        let grid = Grid { width: 16, height: 1, edge: 8 };
        let picture =
            |border: usize| (0..48).map(|i| if i / 3 < border { 100 } else { 200 }).collect::<Vec<u8>>();
        let mut stepped = picture(8);
        soften(&mut stepped, &grid);
        let row: Vec<u8> = stepped.iter().step_by(3).copied().collect();
        assert_eq!((&row[..5], &row[11..]), (&[100; 5][..], &[200; 5][..]));
        assert!(row[7] > 120 && row[8] < 180 && row[7..9].is_sorted(), "{row:?}");
        let mut elsewhere = picture(4);
        soften(&mut elsewhere, &grid);
        assert_eq!(elsewhere, picture(4));
    }

    #[test]
    fn sets_of_weights_pass_into_each_other() {
        let with = |activity: i32| interpolation(&[[activity, 0, 0], [0; 3], [0; 3], [0; 3], [0; 3]]);
        assert_eq!(
            [0, 1, 63, 64, 192, 320, 765].map(with),
            [(0, 0), (0, 4), (0, 252), (1, 0), (1, 128), (1, 256), (1, 256)]
        );
    }

    proptest! {
        #[test]
        fn gray_stays_gray_and_flat_stays_flat(levels in prop::collection::vec(any::<u8>(), 48), level: u8) {
            let grid = Grid { width: 16, height: 3, edge: 8 };
            let mut gray: Vec<u8> = levels.iter().flat_map(|&level| [level; 3]).collect();
            soften(&mut gray, &grid);
            prop_assert!(gray.as_chunks::<3>().0.iter().all(|pixel| *pixel == [pixel[0]; 3]));
            let mut flat = vec![level; 144];
            soften(&mut flat, &grid);
            prop_assert_eq!(flat, vec![level; 144]);
        }

        /// Any size and any bytes, tiles narrower than the reach included; transposing the picture transposes what
        /// happens at borders of one direction.
        #[test]
        fn rows_and_columns_are_softened_alike(size in 1u32..30, edge in 1u32..9, seed: u8) {
            let bytes: Vec<u8> = (0..size * 3).map(|i| (i * 37 + u32::from(seed)) as u8).collect();
            let (mut wide, mut high) = (bytes.clone(), bytes);
            soften(&mut wide, &Grid { width: size, height: 1, edge });
            soften(&mut high, &Grid { width: 1, height: size, edge });
            prop_assert_eq!(wide, high);
        }

        #[test]
        fn a_mirrored_picture_gives_the_mirrored_result(tiles in 1usize..4, seed: u8) {
            let width = tiles * 8;
            let bytes: Vec<u8> = (0..width * 3).map(|i| (i * i * 37 + usize::from(seed)) as u8).collect();
            let grid = Grid { width: width as u32, height: 1, edge: 8 };
            let mirror = |row: &[u8]| row.chunks_exact(3).rev().flatten().copied().collect::<Vec<u8>>();
            let (mut plain, mut mirrored) = (bytes.clone(), mirror(&bytes));
            soften(&mut plain, &grid);
            soften(&mut mirrored, &grid);
            prop_assert_eq!(mirror(&plain), mirrored);
        }
    }
}
