//! The encoder's choice of levels for the alpha grid: near the opacities of each cell, and with their mean over the picture.
//!
//! Rounding alone would hide whatever is faint or small: a level is a third of full opacity, and what covers less than half of that
//! in every cell would vanish. The rounding error of a cell is passed on to the next ones instead (error diffusion; Floyd and
//! Steinberg, "An adaptive algorithm for spatial greyscale", 1976).

/// Number of levels of a cell.
pub const LEVELS: usize = 4;
/// The level of an opaque cell.
pub const OPAQUE: u8 = LEVELS as u8 - 1;
/// Opacity per level: 0, 85, 170, 255.
pub const LEVEL: u8 = 85;

/// Parts of the picture along an edge: a multiple of every number of cells, so that any grid is an exact sum of parts.
const PARTS: usize = 240;
/// A cell of at least this opacity is shown as opaque: passing on so small an error would make holes elsewhere.
const NEARLY_OPAQUE: f32 = 247.0;
/// A pixel of at least this opacity must not vanish.
const VISIBLE: u8 = 8;
/// The neighbours that a rounding error is passed on to: columns in the direction of the row, rows, and weight.
const NEIGHBOURS: [(isize, usize, f32); 4] = [(1, 0, 7.0), (-1, 1, 3.0), (0, 1, 5.0), (1, 1, 1.0)];

/// The mean opacities of `PARTS` x `PARTS` parts of a picture, row-major, from 0 to 255.
pub struct Opacities {
    parts: Vec<f32>,
    has_visible: bool,
}

impl Opacities {
    /// The opacities of an alpha plane with rows of `width` pixels.
    pub fn of(alpha: &[u8], width: usize) -> Self {
        let height = alpha.len() / width;
        let mut sums = vec![0u64; PARTS * PARTS];
        let mut line = [0u64; PARTS];
        for (y, row) in alpha.chunks_exact(width).enumerate() {
            line.fill(0);
            for (x, &opacity) in row.iter().enumerate().filter(|&(_, &opacity)| opacity > 0) {
                shares(x, width).for_each(|(part, share)| line[part] += share * u64::from(opacity));
            }
            for (part, share) in shares(y, height) {
                let sums = &mut sums[part * PARTS..(part + 1) * PARTS];
                sums.iter_mut().zip(&line).for_each(|(sum, value)| *sum += share * value);
            }
        }
        let area = alpha.len() as f64;
        let parts = sums.into_iter().map(|sum| (sum as f64 / area) as f32).collect();
        Self { parts, has_visible: alpha.iter().any(|&opacity| opacity >= VISIBLE) }
    }

    /// The levels of `edge` x `edge` cells, row-major.
    pub fn levels(&self, edge: usize) -> Vec<u8> {
        let wanted: Vec<f32> = self.cells(edge).iter().map(|opacity| opacity / f32::from(LEVEL)).collect();
        let mut levels = diffuse(&wanted, edge);
        balance(&wanted, &mut levels);
        if self.has_visible && levels.iter().all(|&level| level == 0) {
            let densest = (0..wanted.len()).max_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
            levels[densest.expect("a grid has cells")] = 1;
        }
        levels
    }

    /// The mean opacity of each cell.
    fn cells(&self, edge: usize) -> Vec<f32> {
        let size = PARTS / edge;
        let mut cells = vec![0f32; edge * edge];
        for (y, row) in self.parts.chunks_exact(PARTS).enumerate() {
            for (cell, parts) in cells[y / size * edge..].iter_mut().zip(row.chunks_exact(size)) {
                *cell += parts.iter().sum::<f32>() / (size * size) as f32;
            }
        }
        cells
    }
}

/// The parts that pixel `at` of `len` lies in, and how much of them it covers, in `1 / len` of a part.
fn shares(at: usize, len: usize) -> impl Iterator<Item = (usize, u64)> {
    let (start, end) = (at * PARTS, (at + 1) * PARTS);
    let share = move |part: usize| (end.min((part + 1) * len) - start.max(part * len)) as u64;
    (start / len..end.div_ceil(len)).map(move |part| (part, share(part)))
}

/// Whether a cell keeps its rounded level, so that nothing is visible in empty cells, and opaque ones have no holes.
fn is_firm(wanted: f32) -> bool {
    wanted <= 0.0 || wanted >= NEARLY_OPAQUE / f32::from(LEVEL)
}

fn nearest(wanted: f32) -> u8 {
    wanted.round().clamp(0.0, OPAQUE.into()) as u8
}

/// Rounds in serpentine order, and passes the error of each cell on to the next ones that are not firm.
fn diffuse(wanted: &[f32], edge: usize) -> Vec<u8> {
    let mut values = wanted.to_vec();
    let mut levels = vec![0; wanted.len()];
    for y in 0..edge {
        let direction = if y.is_multiple_of(2) { 1 } else { -1 };
        for step in 0..edge {
            let x = if direction == 1 { step } else { edge - 1 - step };
            let at = y * edge + x;
            levels[at] = nearest(values[at]);
            if is_firm(wanted[at]) {
                continue;
            }
            let error = values[at] - f32::from(levels[at]);
            let place = |(dx, dy, weight): (isize, usize, f32)| {
                let x = x.checked_add_signed(dx * direction).filter(|&x| x < edge && y + dy < edge)?;
                let at = (y + dy) * edge + x;
                (!is_firm(wanted[at])).then_some((at, weight))
            };
            let takers = || NEIGHBOURS.into_iter().filter_map(place);
            let total: f32 = takers().map(|(_, weight)| weight).sum();
            takers().for_each(|(at, weight)| values[at] += error * weight / total);
        }
    }
    levels
}

/// Changes the levels that suit it best until the sum is right, where errors had no cell left to go to.
fn balance(wanted: &[f32], levels: &mut [u8]) {
    let free: Vec<usize> = (0..wanted.len()).filter(|&at| !is_firm(wanted[at])).collect();
    let error = |levels: &[u8], at: usize| wanted[at] - f32::from(levels[at]);
    let mut excess: f32 = free.iter().map(|&at| error(levels, at)).sum();
    while excess.abs() > 0.5 {
        let change = excess.signum();
        let has_room = |&&at: &&usize| levels[at] != if change > 0.0 { OPAQUE } else { 0 };
        let suits = |at: usize| change * error(levels, at);
        let best = free.iter().filter(has_room).max_by(|&&a, &&b| suits(a).total_cmp(&suits(b)));
        let Some(&at) = best else { break };
        levels[at] = levels[at].saturating_add_signed(change as i8);
        excess -= change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, opacity: impl Fn(usize, usize) -> u8) -> Opacities {
        let alpha: Vec<u8> = (0..width * height).map(|i| opacity(i % width, i / width)).collect();
        Opacities::of(&alpha, width)
    }

    fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
        let count = values.len() as f32;
        values.sum::<f32>() / count
    }

    #[test]
    fn parts_have_the_mean_of_the_plane_at_any_size() {
        for (width, height) in [(1, 1), (3, 2), (7, 300), (239, 241), (500, 33)] {
            let opacity = |x: usize, y: usize| (x * 37 + y * 91) as u8;
            let expected = mean((0..width * height).map(|i| f32::from(opacity(i % width, i / width))));
            for edge in [2, 5, 16] {
                let found = mean(plane(width, height, opacity).cells(edge).into_iter());
                assert!((found - expected).abs() < 0.1, "{width}x{height}, {edge}: {found} of {expected}");
            }
        }
    }

    #[test]
    fn the_mean_of_the_levels_is_that_of_the_plane() {
        for opacity in 0..=255 {
            for edge in [2, 3, 8, 16] {
                let levels = plane(20, 30, |_, _| opacity).levels(edge);
                let found = mean(levels.iter().map(|&level| f32::from(level * LEVEL)));
                let most = 0.5 * f32::from(LEVEL) / (edge * edge) as f32 + 0.1;
                let most = if f32::from(opacity) >= NEARLY_OPAQUE { 8.0 } else { most };
                // A pixel that is just visible is shown by a whole cell.
                let most =
                    if opacity < 16 { most.max(f32::from(LEVEL) / (edge * edge) as f32) } else { most };
                assert!((found - f32::from(opacity)).abs() <= most, "{opacity}, {edge}: {found}");
            }
        }
    }

    #[test]
    fn errors_do_not_leave_the_object() {
        let levels = plane(160, 160, |x, y| if x < 80 && y < 80 { 60 } else { 0 }).levels(16);
        for (at, &level) in levels.iter().enumerate() {
            assert!(level == 0 || (at % 16 < 8 && at / 16 < 8), "cell {at}");
        }
        let levels = plane(160, 160, |x, y| if x < 80 && y < 80 { 200 } else { 255 }).levels(16);
        assert!(
            levels.iter().enumerate().all(|(at, &level)| level == OPAQUE || (at % 16 < 8 && at / 16 < 8))
        );
    }
}
