//! Softening the borders between tiles, which were coded each on its own.

use super::tiles::Grid;

/// Parts of the step across a border, in 1/256, by which the pixels beside it approach each other: the nearest
/// first. Least squares over decoded photographs gave them.
const PARTS: [i32; 3] = [90, 35, 5];

/// Softens all borders between tiles in a picture's interleaved bytes: first those between columns of tiles, then those
/// between rows.
///
/// # Panics
/// When the picture has another number of bytes than the grid says.
pub fn soften(rgb: &mut [u8], grid: &Grid) {
    let (width, height, edge) = (grid.width as usize, grid.height as usize, grid.edge as usize);
    assert_eq!(rgb.len(), width * height * 3, "bytes of the picture");
    for row in rgb.chunks_exact_mut(width * 3) {
        for border in (edge..width).step_by(edge) {
            for at in border * 3..border * 3 + 3 {
                soften_line(row, at, 3, [edge, edge.min(width - border)]);
            }
        }
    }
    for border in (edge..height).step_by(edge) {
        for at in border * width * 3..(border + 1) * width * 3 {
            soften_line(rgb, at, width * 3, [edge, edge.min(height - border)]);
        }
    }
}

/// Softens the step between the values at `at - stride` and `at`; the two tiles have so many values before and beyond it.
fn soften_line(values: &mut [u8], at: usize, stride: usize, [before, beyond]: [usize; 2]) {
    let step = i32::from(values[at]) - i32::from(values[at - stride]);
    for (distance, part) in PARTS.into_iter().enumerate() {
        // Rounded to the nearest, halves away from zero, so that a mirrored picture gives the mirrored result.
        let change = step.signum() * ((step.abs() * part + 128) >> 8);
        if distance < before {
            shift(&mut values[at - (distance + 1) * stride], change);
        }
        if distance < beyond {
            shift(&mut values[at + distance * stride], -change);
        }
    }
}

fn shift(value: &mut u8, change: i32) {
    *value = (i32::from(*value) + change).clamp(0, 255) as u8;
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
        assert_eq!(row[..4], [100; 4]);
        assert_eq!(row[4..12], [100, 102, 114, 135, 165, 186, 198, 200]);
        let mut elsewhere = picture(4);
        soften(&mut elsewhere, &grid);
        assert_eq!(elsewhere, picture(4));
    }

    proptest! {
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
