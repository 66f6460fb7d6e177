//! Small linear maps of rows of pixels.
//!
//! A map has *taps*, each of which is a row of some array, at any offset, and outputs, each of which is a row, too: output `o` is the
//! sum over taps `t` of `weight[t][o] * tap t`, for all columns. Convolutions of any window and the layers of a network at each pixel
//! are such maps. The vectors run along the columns, so that any number of channels is efficient.

use super::simd::{InstructionSet, Simd, dispatch};

/// Columns are computed in groups of this many. Rows need space for whole groups; what is computed beyond the last column is
/// meaningless.
pub(crate) const LANES: usize = 16;

/// Defines functions that are compiled for the CPU's vector instructions, with loops that the compiler vectorizes. What they call must
/// be marked `#[inline(always)]`. Results do not depend on the instructions, because no multiplication is fused with an addition.
macro_rules! vectorized {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident $(<$generic:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?)
        $(-> $result:ty)? $body:block)*) => {$(
        $(#[$doc])*
        $vis fn $name $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $result)? {
            #[inline(always)]
            fn body $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::nn::InstructionSet;
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $result)? {
                    body $(::<$generic>)? ($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx2,fma")]
                fn avx512 $(<$generic: $bound>)? ($($arg: $ty),*) $(-> $result)? {
                    body $(::<$generic>)? ($($arg),*)
                }
                // SAFETY: the CPU supports the best instruction set.
                #[allow(unsafe_code)]
                match InstructionSet::best() {
                    InstructionSet::Avx2 => return unsafe { avx2 $(::<$generic>)? ($($arg),*) },
                    InstructionSet::Avx512 => return unsafe { avx512 $(::<$generic>)? ($($arg),*) },
                    InstructionSet::Scalar => {}
                }
            }
            body $(::<$generic>)? ($($arg),*)
        }
    )*};
}
pub(crate) use vectorized;

/// The taps of a map at one row, and its weights.
#[derive(Clone, Copy)]
pub(crate) struct Map<'a> {
    pub input: &'a [f32],
    /// For each tap the place in `input` of its first column.
    pub taps: &'a [usize],
    /// The weight of tap `t` for output `o` is at `t * tap_step + o * output_step`.
    pub weights: &'a [f32],
    pub tap_step: usize,
    pub output_step: usize,
    pub columns: usize,
}

/// What the sums of a map begin with.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// A value for each output.
    Bias(&'a [f32]),
    Zero,
    /// The values that are in the output rows.
    Output,
}

/// Rows that begin `step` apart.
pub(crate) struct RowsMut<'a> {
    pub values: &'a mut [f32],
    pub step: usize,
    pub count: usize,
}

/// Computes the outputs of a map, and replaces negative ones by 0 if `relu` is set.
///
/// # Panics
/// When a row, with whole groups of [`LANES`] columns, or a weight lies outside of its array.
pub(crate) fn map(map: &Map<'_>, start: Start<'_>, relu: bool, output: &mut RowsMut<'_>) {
    let columns = map.columns.next_multiple_of(LANES);
    let RowsMut { step, count, .. } = *output;
    if count == 0 || columns == 0 {
        return;
    }
    assert!(map.taps.iter().all(|tap| tap.saturating_add(columns) <= map.input.len()), "a tap lies outside");
    let last_weight = map.taps.len().saturating_sub(1) * map.tap_step + (count - 1) * map.output_step;
    assert!(map.taps.is_empty() || last_weight < map.weights.len(), "a weight lies outside");
    assert!((count - 1) * step + columns <= output.values.len(), "an output lies outside");
    let (bias, add) = match start {
        Start::Bias(bias) => {
            assert_eq!(bias.len(), count, "number of biases");
            (bias.as_ptr(), false)
        }
        Start::Zero => (std::ptr::null(), false),
        Start::Output => (std::ptr::null(), true),
    };
    let raw = Raw { map, bias, add, relu, output: output.values.as_mut_ptr(), step, count };
    // SAFETY: all rows, weights and biases lie in their arrays, as checked above.
    unsafe { run_map(InstructionSet::best(), &raw) };
}

/// The arguments of [`map`], checked.
struct Raw<'a> {
    map: &'a Map<'a>,
    bias: *const f32,
    add: bool,
    relu: bool,
    output: *mut f32,
    step: usize,
    count: usize,
}

dispatch! {
    /// Computes a map.
    ///
    /// # Safety
    /// All rows, weights and biases must be valid, and the CPU must support the instruction set.
    fn run_map = map_body(raw: &Raw<'_>) with Avx512Row
}

/// The outputs are divided into tiles of at most six, of nearly equal size: six blocks of sums fill most registers.
#[inline(always)]
unsafe fn map_body<S: Simd>(raw: &Raw<'_>) {
    let tiles = raw.count.div_ceil(6);
    for tile in 0..tiles {
        let (first, end) = (tile * raw.count / tiles, (tile + 1) * raw.count / tiles);
        unsafe {
            match end - first {
                1 => map_tile::<S, 1>(raw, first),
                2 => map_tile::<S, 2>(raw, first),
                3 => map_tile::<S, 3>(raw, first),
                4 => map_tile::<S, 4>(raw, first),
                5 => map_tile::<S, 5>(raw, first),
                _ => map_tile::<S, 6>(raw, first),
            }
        }
    }
}

/// The outputs from `first` on, for all columns.
#[inline(always)]
unsafe fn map_tile<S: Simd, const N: usize>(raw: &Raw<'_>, first: usize) {
    let mut column = 0;
    unsafe {
        if S::REGISTERS == 1 {
            // Two blocks at a time fill the registers.
            while column + S::WIDTH < raw.map.columns {
                map_blocks::<S, N, 2>(raw, first, column);
                column += 2 * S::WIDTH;
            }
        }
        while column < raw.map.columns {
            map_blocks::<S, N, 1>(raw, first, column);
            column += S::WIDTH;
        }
    }
}

/// Some blocks of the outputs from `first` on.
#[inline(always)]
unsafe fn map_blocks<S: Simd, const N: usize, const BLOCKS: usize>(
    raw: &Raw<'_>,
    first: usize,
    column: usize,
) {
    let map = raw.map;
    unsafe {
        let weights = map.weights.as_ptr().wrapping_add(first * map.output_step);
        let place = |o: usize, b: usize| raw.output.add((first + o) * raw.step + column + b * S::WIDTH);
        let mut sums = [[S::splat(0.0); BLOCKS]; N];
        for (o, sums) in sums.iter_mut().enumerate() {
            for (b, sum) in sums.iter_mut().enumerate() {
                if raw.add {
                    *sum = S::load(place(o, b));
                } else if !raw.bias.is_null() {
                    *sum = S::splat(*raw.bias.add(first + o));
                }
            }
        }
        for (t, &tap) in map.taps.iter().enumerate() {
            let mut blocks = [S::splat(0.0); BLOCKS];
            for (b, block) in blocks.iter_mut().enumerate() {
                *block = S::load(map.input.as_ptr().add(tap + column + b * S::WIDTH));
            }
            let weights = weights.add(t * map.tap_step);
            for (o, sums) in sums.iter_mut().enumerate() {
                for (sum, block) in sums.iter_mut().zip(blocks) {
                    *sum = S::scale_add(*sum, weights.add(o * map.output_step), block);
                }
            }
        }
        for (o, sums) in sums.into_iter().enumerate() {
            for (b, mut sum) in sums.into_iter().enumerate() {
                if raw.relu {
                    sum = S::relu(sum);
                }
                S::store(sum, place(o, b));
            }
        }
    }
}

/// Rows of which products are summed: the gradient of a map's weights is the sum over columns of taps times gradients of outputs.
#[derive(Clone, Copy)]
pub(crate) struct Products<'a> {
    pub input: &'a [f32],
    /// For each tap the place in `input` of its first column.
    pub taps: &'a [usize],
    /// Gradients of the outputs, as rows that begin `step` apart. They must be 0 from the last column to the end of its group.
    pub outputs: &'a [f32],
    pub step: usize,
    pub count: usize,
    pub columns: usize,
}

/// Adds products to `sums`, `[tap][output][lane]`: the sum over the lanes is that over the columns.
///
/// # Panics
/// When a row, with whole groups of [`LANES`] columns, or a sum lies outside of its array.
pub(crate) fn add_products(products: &Products<'_>, sums: &mut [f32]) {
    let &Products { input, taps, outputs, step, count, columns } = products;
    let columns = columns.next_multiple_of(LANES);
    if count == 0 || columns == 0 || taps.is_empty() {
        return;
    }
    assert!(taps.iter().all(|tap| tap.saturating_add(columns) <= input.len()), "a tap lies outside");
    assert!((count - 1) * step + columns <= outputs.len(), "an output lies outside");
    assert_eq!(sums.len(), taps.len() * count * LANES, "number of sums");
    // SAFETY: all rows and sums lie in their arrays, as checked above.
    unsafe { run_products(InstructionSet::best(), products, sums.as_mut_ptr()) };
}

dispatch! {
    /// Adds products.
    ///
    /// # Safety
    /// All rows and sums must be valid, and the CPU must support the instruction set.
    fn run_products = products_body(products: &Products<'_>, sums: *mut f32) with Avx512Row
}

#[inline(always)]
unsafe fn products_body<S: Simd>(products: &Products<'_>, sums: *mut f32) {
    let (taps, outputs) = (products.taps.len(), products.count);
    unsafe {
        for t in (0..taps).step_by(2) {
            let mut o = 0;
            while o < outputs {
                match (taps - t, outputs - o) {
                    (1, 1) => products_tile::<S, 1, 1>(products, t, o, sums),
                    (1, 2) => products_tile::<S, 1, 2>(products, t, o, sums),
                    (1, _) => products_tile::<S, 1, 3>(products, t, o, sums),
                    (_, 1) => products_tile::<S, 2, 1>(products, t, o, sums),
                    (_, 2) => products_tile::<S, 2, 2>(products, t, o, sums),
                    _ => products_tile::<S, 2, 3>(products, t, o, sums),
                }
                o += 3;
            }
        }
    }
}

#[inline(always)]
unsafe fn products_tile<S: Simd, const T: usize, const N: usize>(
    products: &Products<'_>,
    tap: usize,
    output: usize,
    sums: *mut f32,
) {
    unsafe {
        let mut totals = [[S::splat(0.0); N]; T];
        let place = |t: usize, o: usize| sums.add(((tap + t) * products.count + output + o) * S::WIDTH);
        for (t, totals) in totals.iter_mut().enumerate() {
            for (o, total) in totals.iter_mut().enumerate() {
                *total = S::load(place(t, o));
            }
        }
        let outputs = products.outputs.as_ptr().add(output * products.step);
        let mut column = 0;
        while column < products.columns {
            let mut gradients = [S::splat(0.0); N];
            for (o, gradient) in gradients.iter_mut().enumerate() {
                *gradient = S::load(outputs.add(o * products.step + column));
            }
            for (t, totals) in totals.iter_mut().enumerate() {
                let block = S::load(products.input.as_ptr().add(products.taps[tap + t] + column));
                for (total, gradient) in totals.iter_mut().zip(gradients) {
                    *total = S::product_add(*total, block, gradient);
                }
            }
            column += S::WIDTH;
        }
        for (t, totals) in totals.into_iter().enumerate() {
            for (o, total) in totals.into_iter().enumerate() {
                S::store(total, place(t, o));
            }
        }
    }
}

/// Sums over the lanes of [`add_products`], added to `totals`.
pub(crate) fn add_lanes(sums: &[f32], totals: &mut [f32]) {
    for (lanes, total) in sums.as_chunks::<LANES>().0.iter().zip(totals) {
        *total += lanes.iter().sum::<f32>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let value =
            |i: u32| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32;
        (0..count as u32).map(|i| value(i) - 1.0).collect()
    }

    #[test]
    fn maps_and_their_products_agree_with_plain_sums() {
        for (taps, outputs, columns) in
            [(1, 1, 1_usize), (3, 2, 16), (5, 7, 17), (20, 16, 40), (2, 3, 5), (0, 2, 3)]
        {
            let step = columns.next_multiple_of(LANES);
            let input = noise(400, 1);
            let weights = noise(taps * outputs, 2);
            let places: Vec<usize> = (0..taps).map(|t| t * 13 % (400 - step)).collect();
            let bias = noise(outputs, 3);
            let mut values = vec![0.5; outputs * step];
            let layer = Map {
                input: &input,
                taps: &places,
                weights: &weights,
                tap_step: outputs,
                output_step: 1,
                columns,
            };
            let plain = |o: usize, x: usize| {
                let sum = |t: usize| input[places[t] + x] * weights[t * outputs + o];
                (0..taps).map(sum).sum::<f32>()
            };
            let mut rows = RowsMut { values: &mut values, step, count: outputs };
            map(&layer, Start::Bias(&bias), false, &mut rows);
            map(&layer, Start::Output, true, &mut rows);
            for o in 0..outputs {
                for x in 0..columns {
                    let expected = (bias[o] + 2.0 * plain(o, x)).max(0.0);
                    assert!((values[o * step + x] - expected).abs() < 1e-4, "{taps} {outputs} {columns}");
                }
                values[o * step + columns..(o + 1) * step].fill(0.0);
            }
            let mut sums = vec![0.0; taps * outputs * LANES];
            let products =
                Products { input: &input, taps: &places, outputs: &values, step, count: outputs, columns };
            add_products(&products, &mut sums);
            let mut totals = vec![1.0; taps * outputs];
            add_lanes(&sums, &mut totals);
            for (index, total) in totals.iter().enumerate() {
                let (t, o) = (index / outputs, index % outputs);
                let product = |x: usize| input[places[t] + x] * values[o * step + x];
                let expected = 1.0 + (0..columns).map(product).sum::<f32>();
                assert!((total - expected).abs() < 1e-3, "{taps} {outputs} {columns}: {total} {expected}");
            }
        }
    }
}
