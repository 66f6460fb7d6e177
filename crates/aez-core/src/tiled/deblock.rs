//! The deblocking filter, which smooths the block boundaries between separately encoded tiles.

use super::TileGrid;
use std::{array::from_fn, ops::Range};

/// Number of pixels on each side of a boundary that the filter reads and changes.
pub const REACH: usize = 3;
/// Number of pixels across a boundary.
const ACROSS: usize = 2 * REACH;
/// Number of differences between consecutive pixels across a boundary.
const STEPS: usize = ACROSS - 1;
/// Number of values of which the change of a pixel is a weighted sum.
pub const REGRESSORS: usize = 2 * STEPS;

/// The fixed-point representation of 1 in the weights, and in an [`interpolation`].
pub const UNIT: i32 = 256;

/// The activities, in levels, for which there is a set of weights.
pub const ACTIVITIES: [i32; 3] = [0, 64, 320];
/// For each of [`ACTIVITIES`] and each distance from the boundary, the weights of the [`regressors`] in the change of a pixel, in
/// `1 / UNIT`. Fitted by least squares to decoded photographs: `examples/fit_deblocking.rs`.
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

/// Filters all block boundaries in a picture's interleaved bytes.
///
/// # Panics
/// When the picture has another number of bytes than the grid says.
pub fn filter(rgb: &mut [u8], grid: &TileGrid) {
    assert_eq!(rgb.len(), grid.width as usize * grid.height as usize * 3, "bytes of the picture");
    lines(grid).for_each(|line| line.filter(rgb));
}

/// All lines of pixels across block boundaries in the order in which they are filtered: first those across the boundaries between
/// columns of tiles, then those across the boundaries between rows.
pub fn lines(grid: &TileGrid) -> impl Iterator<Item = Line> + use<> {
    let (width, height, edge) = (grid.width as usize, grid.height as usize, grid.edge as usize);
    let (columns, rows) = (Axis { len: width, stride: 3 }, Axis { len: height, stride: 3 * width });
    [(columns, rows), (rows, columns)].into_iter().flat_map(move |(across, along)| {
        let boundaries = (edge..across.len).step_by(edge);
        boundaries.flat_map(move |boundary| {
            let tiles = boundary - edge..(boundary + edge).min(across.len);
            (0..along.len).map(move |line| Line::new(boundary, &tiles, across.stride, line * along.stride))
        })
    })
}

/// Number of columns or rows, and their distance in the bytes.
#[derive(Clone, Copy)]
struct Axis {
    len: usize,
    stride: usize,
}

/// A line of pixels across the boundary between two tiles, half of them on each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Position of each pixel in the bytes. Pixels beyond the two tiles are replaced by the nearest pixel within.
    pub pixels: [usize; ACROSS],
    /// Indices of the pixels within the two tiles.
    pub within: Range<usize>,
}

impl Line {
    /// A line across the boundary at position `boundary` of an axis on which the two tiles cover `tiles`.
    fn new(boundary: usize, tiles: &Range<usize>, stride: usize, start: usize) -> Self {
        let place = |pixel: usize| (boundary + pixel).saturating_sub(REACH).clamp(tiles.start, tiles.end - 1);
        Self {
            pixels: from_fn(|pixel| start + place(pixel) * stride),
            within: REACH - REACH.min(boundary - tiles.start)..REACH + REACH.min(tiles.end - boundary),
        }
    }

    /// The differences between consecutive pixels, in each channel.
    #[must_use]
    pub fn steps(&self, rgb: &[u8]) -> [[i32; 3]; STEPS] {
        let level = |pixel: usize, channel: usize| i32::from(rgb[self.pixels[pixel] + channel]);
        from_fn(|i| from_fn(|c| level(i + 1, c) - level(i, c)))
    }

    fn filter(&self, rgb: &mut [u8]) {
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

/// Whether a pixel of a line lies before the boundary, and the number of pixels between it and the boundary.
#[must_use]
pub fn side(pixel: usize) -> (bool, usize) {
    if pixel < REACH { (true, REACH - 1 - pixel) } else { (false, pixel - REACH) }
}

/// The two sets of weights to interpolate for such differences, as the index of the first, and the part of the second, from 0 to
/// [`UNIT`].
#[must_use]
pub fn interpolation(steps: &[[i32; 3]; STEPS]) -> (usize, i32) {
    let activity = steps.as_flattened().iter().map(|step| step.abs()).sum::<i32>().min(ACTIVITIES[2]);
    let set = usize::from(activity >= ACTIVITIES[1]);
    let (from, to) = (ACTIVITIES[set], ACTIVITIES[set + 1]);
    (set, (activity - from) * UNIT / (to - from))
}

/// The differences between consecutive pixels in one channel, and their sums over the channels, in the order for a pixel after the
/// boundary or, `mirrored`, for one before it.
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
    fn a_step_at_a_boundary_is_smoothed_and_one_elsewhere_is_not() {
        let grid = TileGrid { width: 16, height: 1, edge: 8 };
        let picture =
            |edge: usize| (0..48).map(|i| if i / 3 < edge { 100 } else { 200 }).collect::<Vec<u8>>();
        let mut stepped = picture(8);
        filter(&mut stepped, &grid);
        let row: Vec<u8> = stepped.iter().step_by(3).copied().collect();
        assert_eq!((&row[..5], &row[11..]), (&[100; 5][..], &[200; 5][..]));
        assert!(row[7] > 120 && row[8] < 180 && row[7..9].is_sorted(), "{row:?}");
        let mut elsewhere = picture(4);
        filter(&mut elsewhere, &grid);
        assert_eq!(elsewhere, picture(4));
    }

    #[test]
    fn sets_of_weights_are_interpolated() {
        let with = |activity: i32| interpolation(&[[activity, 0, 0], [0; 3], [0; 3], [0; 3], [0; 3]]);
        assert_eq!(
            [0, 1, 63, 64, 192, 320, 765].map(with),
            [(0, 0), (0, 4), (0, 252), (1, 0), (1, 128), (1, 256), (1, 256)]
        );
    }

    proptest! {
        #[test]
        fn gray_stays_gray_and_flat_stays_flat(levels in prop::collection::vec(any::<u8>(), 48), level: u8) {
            let grid = TileGrid { width: 16, height: 3, edge: 8 };
            let mut gray: Vec<u8> = levels.iter().flat_map(|&level| [level; 3]).collect();
            filter(&mut gray, &grid);
            prop_assert!(gray.as_chunks::<3>().0.iter().all(|pixel| *pixel == [pixel[0]; 3]));
            let mut flat = vec![level; 144];
            filter(&mut flat, &grid);
            prop_assert_eq!(flat, vec![level; 144]);
        }

        /// For any size and any bytes, including tiles narrower than the filter.
        #[test]
        fn rows_and_columns_are_filtered_alike(size in 1u32..30, edge in 1u32..9, seed: u8) {
            let bytes: Vec<u8> = (0..size * 3).map(|i| (i * 37 + u32::from(seed)) as u8).collect();
            let (mut wide, mut high) = (bytes.clone(), bytes);
            filter(&mut wide, &TileGrid { width: size, height: 1, edge });
            filter(&mut high, &TileGrid { width: 1, height: size, edge });
            prop_assert_eq!(wide, high);
        }

        #[test]
        fn a_mirrored_picture_gives_the_mirrored_result(tiles in 1usize..4, seed: u8) {
            let width = tiles * 8;
            let bytes: Vec<u8> = (0..width * 3).map(|i| (i * i * 37 + usize::from(seed)) as u8).collect();
            let grid = TileGrid { width: width as u32, height: 1, edge: 8 };
            let mirror = |row: &[u8]| row.chunks_exact(3).rev().flatten().copied().collect::<Vec<u8>>();
            let (mut plain, mut mirrored) = (bytes.clone(), mirror(&bytes));
            filter(&mut plain, &grid);
            filter(&mut mirrored, &grid);
            prop_assert_eq!(mirror(&plain), mirrored);
        }
    }
}
