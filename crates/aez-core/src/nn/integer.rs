//! Small layers on rows of 16-bit integers, exact on every machine.
//!
//! They work like the maps of [`taps`](super::taps), but their taps come in pairs, because CPUs multiply pairs of 16-bit integers and
//! add the products at once.

use super::taps::LANES;

/// A layer at one row: output `o` is `((bias + sum over taps of weight * tap) >> shift) + plus`, limited to `low` and 32767.
#[derive(Clone, Copy)]
pub(crate) struct IntegerMap<'a> {
    /// For each tap the values from its first column on. Their number is even.
    pub taps: &'a [&'a [i16]],
    /// For each pair of taps and each output the two weights.
    pub weights: &'a [[i16; 2]],
    pub bias: &'a [i32],
    /// For each output, at most 31.
    pub shifts: &'a [u8],
    /// What is added after the shift, as rows of whole groups of columns. Empty for nothing.
    pub plus: &'a [i32],
    pub low: i16,
    pub columns: usize,
}

/// Computes the outputs of a layer, as rows that begin `step` apart. Whole groups of [`LANES`] columns are computed. Sums wrap around;
/// the caller knows that they are small enough.
///
/// # Panics
/// When a row, with whole groups of columns, or a weight lies outside of its array.
pub(crate) fn run(map: &IntegerMap<'_>, output: &mut [i16], step: usize) {
    let (columns, count) = (map.columns.next_multiple_of(LANES), map.bias.len());
    if count == 0 || columns == 0 {
        return;
    }
    assert!(map.taps.iter().all(|tap| tap.len() >= columns), "a tap is too short");
    assert!(
        map.taps.len().is_multiple_of(2) && map.weights.len() == map.taps.len() / 2 * count,
        "number of weights"
    );
    assert!(map.shifts.len() == count && map.shifts.iter().all(|&shift| shift < 32), "shifts");
    assert!(map.plus.is_empty() || map.plus.len() >= count * columns, "too few values to add");
    assert!((count - 1) * step + columns <= output.len(), "an output lies outside");
    #[cfg(target_arch = "x86_64")]
    if super::InstructionSet::best() != super::InstructionSet::Scalar {
        // SAFETY: all rows and weights lie in their arrays, as checked above, and the CPU supports AVX2.
        unsafe { avx2::run(map, columns, output.as_mut_ptr(), step) };
        return;
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    // SAFETY: all rows and weights lie in their arrays, as checked above.
    unsafe {
        simd128::run(map, columns, output.as_mut_ptr(), step)
    };
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    portable(map, columns, output, step);
}

/// The reference for other versions.
#[cfg_attr(all(target_arch = "wasm32", target_feature = "simd128"), allow(dead_code))]
fn portable(map: &IntegerMap<'_>, columns: usize, output: &mut [i16], step: usize) {
    let count = map.bias.len();
    for (o, (&bias, &shift)) in map.bias.iter().zip(map.shifts).enumerate() {
        for first in (0..columns).step_by(LANES) {
            let mut sums = [bias; LANES];
            for (taps, weights) in map.taps.as_chunks::<2>().0.iter().zip(map.weights.chunks_exact(count)) {
                let [a, b] = taps.map(|tap| &tap[first..first + LANES]);
                let [u, v] = weights[o].map(i32::from);
                for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                    *sum = sum.wrapping_add((u * i32::from(a)).wrapping_add(v * i32::from(b)));
                }
            }
            sums.iter_mut().for_each(|sum| *sum >>= shift);
            if !map.plus.is_empty() {
                let plus = &map.plus[o * columns + first..][..LANES];
                sums.iter_mut().zip(plus).for_each(|(sum, &plus)| *sum = sum.wrapping_add(plus));
            }
            let to = &mut output[o * step + first..][..LANES];
            for (to, sum) in to.iter_mut().zip(sums) {
                *to = sum.clamp(map.low.into(), 32_767) as i16;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{IntegerMap, LANES};

    /// As the portable version, for at most six outputs at once, whose sums stay in registers.
    ///
    /// # Safety
    /// All rows, with `columns` columns, and weights must lie in their arrays.
    #[target_feature(enable = "avx2")]
    pub unsafe fn run(map: &IntegerMap<'_>, columns: usize, output: *mut i16, step: usize) {
        let tiles = map.bias.len().div_ceil(6);
        for tile in 0..tiles {
            let (first, end) = (tile * map.bias.len() / tiles, (tile + 1) * map.bias.len() / tiles);
            // SAFETY: the caller guarantees that all rows are valid.
            unsafe {
                let tile = Tile { map, columns, first, output: output.add(first * step), step };
                match end - first {
                    1 => tile.run::<1>(),
                    2 => tile.run::<2>(),
                    3 => tile.run::<3>(),
                    4 => tile.run::<4>(),
                    5 => tile.run::<5>(),
                    _ => tile.run::<6>(),
                }
            }
        }
    }

    struct Tile<'a> {
        map: &'a IntegerMap<'a>,
        columns: usize,
        /// The first output, and its row.
        first: usize,
        output: *mut i16,
        step: usize,
    }

    impl Tile<'_> {
        #[inline]
        #[target_feature(enable = "avx2")]
        unsafe fn run<const N: usize>(&self) {
            let map = self.map;
            for column in (0..self.columns).step_by(LANES) {
                // The low halves of both 128-bit lanes in one register, the high halves in the other, as unpacking gives them and packing
                // takes them.
                let mut sums = [[_mm256_setzero_si256(); 2]; N];
                for (pair, &bias) in sums.iter_mut().zip(&map.bias[self.first..]) {
                    *pair = [_mm256_set1_epi32(bias); 2];
                }
                // SAFETY: the caller guarantees that all rows and weights lie in their arrays.
                unsafe {
                    let mut weights = map.weights.as_ptr().wrapping_add(self.first).cast::<i32>();
                    for taps in map.taps.as_chunks::<2>().0 {
                        let a = _mm256_loadu_si256(taps[0].as_ptr().add(column).cast());
                        let b = _mm256_loadu_si256(taps[1].as_ptr().add(column).cast());
                        let (low, high) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
                        for (o, pair) in sums.iter_mut().enumerate() {
                            let weight = _mm256_set1_epi32(weights.add(o).read_unaligned());
                            pair[0] = _mm256_add_epi32(pair[0], _mm256_madd_epi16(low, weight));
                            pair[1] = _mm256_add_epi32(pair[1], _mm256_madd_epi16(high, weight));
                        }
                        weights = weights.wrapping_add(map.bias.len());
                    }
                    for (o, sums) in sums.into_iter().enumerate() {
                        self.store(sums, o, column);
                    }
                }
            }
        }

        /// Shifts, adds, limits and stores the sums of the output `first + o`.
        #[inline]
        #[target_feature(enable = "avx2")]
        unsafe fn store(&self, sums: [__m256i; 2], o: usize, column: usize) {
            let (map, output) = (self.map, self.first + o);
            let shift = _mm_cvtsi32_si128(map.shifts[output].into());
            let [mut low, mut high] = sums.map(|sum| _mm256_sra_epi32(sum, shift));
            // SAFETY: the caller guarantees that all rows lie in their arrays.
            unsafe {
                if !map.plus.is_empty() {
                    let plus = map.plus.as_ptr().add(output * self.columns + column).cast::<__m256i>();
                    let (a, b) = (_mm256_loadu_si256(plus), _mm256_loadu_si256(plus.add(1)));
                    low = _mm256_add_epi32(low, _mm256_permute2x128_si256::<0x20>(a, b));
                    high = _mm256_add_epi32(high, _mm256_permute2x128_si256::<0x31>(a, b));
                }
                let packed = _mm256_max_epi16(_mm256_packs_epi32(low, high), _mm256_set1_epi16(map.low));
                _mm256_storeu_si256(self.output.add(o * self.step + column).cast(), packed);
            }
        }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128 {
    use std::arch::wasm32::*;

    use super::IntegerMap;

    /// Columns in a register.
    const WIDTH: usize = 8;

    /// As the portable version, for at most four outputs at once, whose sums stay in registers.
    ///
    /// # Safety
    /// All rows, with `columns` columns, and weights must lie in their arrays.
    pub unsafe fn run(map: &IntegerMap<'_>, columns: usize, output: *mut i16, step: usize) {
        let count = map.bias.len();
        for first in (0..count).step_by(4) {
            for column in (0..columns).step_by(WIDTH) {
                // SAFETY: the caller guarantees that all rows are valid.
                unsafe {
                    let output = output.add(first * step + column);
                    match count - first {
                        1 => tile::<1>(map, columns, first, column, output, step),
                        2 => tile::<2>(map, columns, first, column, output, step),
                        3 => tile::<3>(map, columns, first, column, output, step),
                        _ => tile::<4>(map, columns, first, column, output, step),
                    }
                }
            }
        }
    }

    /// Computes the outputs `first..first + N` of [`WIDTH`] columns.
    #[inline]
    unsafe fn tile<const N: usize>(
        map: &IntegerMap<'_>,
        columns: usize,
        first: usize,
        column: usize,
        output: *mut i16,
        step: usize,
    ) {
        let mut sums = [[i32x4_splat(0); 2]; N];
        for (pair, &bias) in sums.iter_mut().zip(&map.bias[first..]) {
            *pair = [i32x4_splat(bias); 2];
        }
        // SAFETY: the caller guarantees that all rows and weights lie in their arrays.
        unsafe {
            let mut weights = map.weights.as_ptr().wrapping_add(first).cast::<i32>();
            for taps in map.taps.as_chunks::<2>().0 {
                let [a, b] = taps.map(|tap| v128_load(tap.as_ptr().add(column).cast()));
                let low = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(a, b);
                let high = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(a, b);
                for (o, pair) in sums.iter_mut().enumerate() {
                    let weight = i32x4_splat(weights.add(o).read_unaligned());
                    pair[0] = i32x4_add(pair[0], i32x4_dot_i16x8(low, weight));
                    pair[1] = i32x4_add(pair[1], i32x4_dot_i16x8(high, weight));
                }
                weights = weights.wrapping_add(map.bias.len());
            }
            for (o, sums) in sums.into_iter().enumerate() {
                let [mut low, mut high] = sums.map(|sum| i32x4_shr(sum, map.shifts[first + o].into()));
                if !map.plus.is_empty() {
                    let plus = map.plus.as_ptr().add((first + o) * columns + column).cast::<v128>();
                    low = i32x4_add(low, v128_load(plus));
                    high = i32x4_add(high, v128_load(plus.add(1)));
                }
                let packed = i16x8_max(i16x8_narrow_i32x4(low, high), i16x8_splat(map.low));
                v128_store(output.add(o * step).cast(), packed);
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
            let rows: Vec<&[i16]> = (0..taps).map(|tap| &input[tap * 29..]).collect();
            let weights: Vec<[i16; 2]> = (0..taps / 2 * outputs).map(|_| [random(), random()]).collect();
            let bias: Vec<i32> = (0..outputs).map(|_| random().into()).collect();
            let shifts: Vec<u8> = (0..outputs as u8).map(|o| o * 7 % 25).collect();
            let groups = columns.next_multiple_of(LANES);
            let added: Vec<i32> = (0..outputs * groups).map(|_| 2 * i32::from(random())).collect();
            for (plus, low) in [(&[][..], 0), (&added, 0), (&added, i16::MIN)] {
                let map = IntegerMap {
                    taps: &rows,
                    weights: &weights,
                    bias: &bias,
                    shifts: &shifts,
                    plus,
                    low,
                    columns,
                };
                let step = groups + 3;
                let mut outputs = [vec![7; outputs * step], vec![7; outputs * step]];
                run(&map, &mut outputs[0], step);
                portable(&map, groups, &mut outputs[1], step);
                assert_eq!(outputs[0], outputs[1], "{taps} taps, {columns} columns");
            }
        }
    }
}
