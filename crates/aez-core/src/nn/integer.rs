//! Small linear maps of rows of 16-bit integers, exact on every machine.
//!
//! They work like those of [`taps`](super::taps), but their taps come in pairs, because CPUs multiply pairs of 16-bit integers and add
//! the products at once.

use super::taps::LANES;

/// The taps of a map at one row, and its weights.
#[derive(Clone, Copy)]
pub(crate) struct IntegerMap<'a> {
    pub input: &'a [i16],
    /// For each tap the place in `input` of its first column. Their number is even.
    pub taps: &'a [usize],
    /// For each pair of taps and each output the two weights.
    pub weights: &'a [[i16; 2]],
    pub columns: usize,
}

/// Rows of sums that begin `step` apart.
pub(crate) struct SumsMut<'a> {
    pub values: &'a mut [i32],
    pub step: usize,
    pub count: usize,
}

/// Adds the outputs of a map to sums. Whole groups of [`LANES`] columns are computed. The sums wrap around; the caller knows that they
/// are small enough.
///
/// # Panics
/// When a row, with whole groups of columns, or a weight lies outside of its array.
pub(crate) fn accumulate(map: &IntegerMap<'_>, sums: &mut SumsMut<'_>) {
    let columns = map.columns.next_multiple_of(LANES);
    let SumsMut { step, count, .. } = *sums;
    if count == 0 || columns == 0 {
        return;
    }
    assert!(map.taps.iter().all(|tap| tap.saturating_add(columns) <= map.input.len()), "a tap lies outside");
    assert!(
        map.taps.len().is_multiple_of(2) && map.weights.len() == map.taps.len() / 2 * count,
        "number of weights"
    );
    assert!((count - 1) * step + columns <= sums.values.len(), "a sum lies outside");
    #[cfg(target_arch = "x86_64")]
    if super::taps::has_avx2() {
        // SAFETY: all rows and weights lie in their arrays, as checked above, and the CPU supports AVX2.
        unsafe { avx2::accumulate(map, columns, sums) };
        return;
    }
    portable(map, columns, sums);
}

/// The reference for other versions.
fn portable(map: &IntegerMap<'_>, columns: usize, sums: &mut SumsMut<'_>) {
    let SumsMut { step, count, .. } = *sums;
    for output in 0..count {
        for first in (0..columns).step_by(LANES) {
            let to = &mut sums.values[output * step + first..][..LANES];
            for (taps, weights) in map.taps.as_chunks::<2>().0.iter().zip(map.weights.chunks_exact(count)) {
                for (&tap, weight) in taps.iter().zip(weights[output]) {
                    let from = &map.input[tap + first..][..LANES];
                    for (sum, &value) in to.iter_mut().zip(from) {
                        *sum = sum.wrapping_add(i32::from(weight) * i32::from(value));
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{IntegerMap, LANES, SumsMut};

    /// As the portable version, for at most six outputs at once, whose sums stay in registers.
    ///
    /// # Safety
    /// All rows, with `columns` columns, and weights must lie in their arrays.
    #[target_feature(enable = "avx2")]
    pub unsafe fn accumulate(map: &IntegerMap<'_>, columns: usize, sums: &mut SumsMut<'_>) {
        let tiles = sums.count.div_ceil(6);
        for tile in 0..tiles {
            let (first, end) = (tile * sums.count / tiles, (tile + 1) * sums.count / tiles);
            for column in (0..columns).step_by(LANES) {
                // SAFETY: the caller guarantees that all rows are valid.
                unsafe {
                    let to = sums.values.as_mut_ptr().add(first * sums.step + column);
                    let one = Tile { map, to, step: sums.step, count: sums.count, first, column };
                    match end - first {
                        1 => one.run::<1>(),
                        2 => one.run::<2>(),
                        3 => one.run::<3>(),
                        4 => one.run::<4>(),
                        5 => one.run::<5>(),
                        _ => one.run::<6>(),
                    }
                }
            }
        }
    }

    struct Tile<'a> {
        map: &'a IntegerMap<'a>,
        /// Sums of the first output and column.
        to: *mut i32,
        step: usize,
        count: usize,
        first: usize,
        column: usize,
    }

    impl Tile<'_> {
        #[inline]
        #[target_feature(enable = "avx2")]
        unsafe fn run<const N: usize>(&self) {
            unsafe {
                // The low halves of both 128-bit lanes in one register, the high halves in the other, as unpacking gives them.
                let mut sums = [[_mm256_setzero_si256(); 2]; N];
                for (o, pair) in sums.iter_mut().enumerate() {
                    let from = self.to.add(o * self.step).cast::<__m256i>();
                    let (a, b) = (_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1)));
                    *pair =
                        [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)];
                }
                let input = self.map.input.as_ptr().add(self.column);
                let mut weights = self.map.weights.as_ptr().add(self.first).cast::<i32>();
                for taps in self.map.taps.as_chunks::<2>().0 {
                    let a = _mm256_loadu_si256(input.add(taps[0]).cast());
                    let b = _mm256_loadu_si256(input.add(taps[1]).cast());
                    let (low, high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
                    for (o, pair) in sums.iter_mut().enumerate() {
                        let weight = _mm256_set1_epi32(weights.add(o).read_unaligned());
                        pair[0] = _mm256_add_epi32(pair[0], _mm256_madd_epi16(low, weight));
                        pair[1] = _mm256_add_epi32(pair[1], _mm256_madd_epi16(high, weight));
                    }
                    weights = weights.wrapping_add(self.count);
                }
                for (o, [low, high]) in sums.into_iter().enumerate() {
                    let to = self.to.add(o * self.step).cast::<__m256i>();
                    _mm256_storeu_si256(to, _mm256_permute2x128_si256::<0x20>(low, high));
                    _mm256_storeu_si256(to.add(1), _mm256_permute2x128_si256::<0x31>(low, high));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_agree() {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        };
        for (taps, outputs, columns) in
            [(0, 1, 5), (2, 1, 1), (2, 6, 16), (4, 7, 33), (10, 16, 20), (6, 3, 48_usize)]
        {
            let input: Vec<i16> = (0..400).map(|_| random()).collect();
            let places: Vec<usize> = (0..taps).map(|tap| tap * 29).collect();
            let weights: Vec<[i16; 2]> = (0..taps / 2 * outputs).map(|_| [random(), random()]).collect();
            let map = IntegerMap { input: &input, taps: &places, weights: &weights, columns };
            let step = columns.next_multiple_of(LANES) + 3;
            let start: Vec<i32> = (0..outputs * step).map(|_| random().into()).collect();
            let (mut fast, mut plain) = (start.clone(), start);
            accumulate(&map, &mut SumsMut { values: &mut fast, step, count: outputs });
            let rows = &mut SumsMut { values: &mut plain, step, count: outputs };
            portable(&map, columns.next_multiple_of(LANES), rows);
            assert_eq!(fast, plain, "{taps} taps, {outputs} outputs");
        }
    }
}
