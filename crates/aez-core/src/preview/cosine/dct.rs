//! Steps, the inverse cosine transform in integers, and the colours.

use super::EDGE;

/// Number of pixels of a channel.
pub const AREA: usize = EDGE * EDGE;
/// Number of steps.
pub const STEPS: usize = 15;

/// The step of each position in 1/256: `64 * 2^(position / 2)`, rounded.
const SIZES: [i32; STEPS] = [64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793, 8192];
/// `2^14 sqrt(2 / 48) cos(pi j / 96)`, rounded.
const COSINES: [i16; EDGE + 1] = [
    3344, 3343, 3337, 3328, 3316, 3300, 3280, 3257, 3230, 3200, 3167, 3130, 3090, 3046, 2999, 2949, 2896,
    2840, 2781, 2718, 2653, 2585, 2514, 2441, 2365, 2286, 2205, 2122, 2036, 1948, 1858, 1766, 1672, 1577,
    1479, 1380, 1280, 1178, 1075, 971, 866, 759, 652, 545, 437, 328, 219, 109, 0,
];
/// `2^14 sqrt(1 / 48)`, rounded.
const CONSTANT: i16 = 2365;
/// Fractional bits of the values of the transform.
pub const MATRIX_BITS: u32 = 14;
/// Fractional bits of coefficients.
pub const COEFFICIENT_BITS: u32 = 8;
/// Fractional bits of pixels, whose values are about -0.9 to 0.9.
pub const PIXEL_BITS: u32 = 12;
/// For each channel what it adds to red, green and blue: `255 * 256 [1, 1, 1] / sqrt 3` and so on, rounded.
pub const COLOURS: [[i32; 3]; 3] = [[37689, 37689, 37689], [46160, 0, -46160], [26650, -53301, 26650]];

/// Coefficients in 1/256, `[channel][vertical frequency][horizontal frequency]`.
pub type Coefficients = Vec<i32>;
/// Pixels in 1/4096, `[channel][row][column]`.
pub type Pixels = Vec<i16>;

/// The step of quantization, as its position in [`SIZES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(u8);

impl Step {
    /// The step at a position, which is limited to the valid ones.
    pub fn at(position: usize) -> Self {
        Self(position.min(STEPS - 1) as u8)
    }

    /// Position from 0 to 14.
    pub fn position(self) -> i32 {
        self.0.into()
    }

    /// Index of the step in quarters of an octave, from 0 to 28.
    pub fn index(self) -> i32 {
        2 * self.position()
    }

    /// The step in 1/256.
    pub fn size(self) -> i32 {
        SIZES[usize::from(self.0)]
    }
}

/// The value of a basis function of the transform at a pixel.
pub fn basis(frequency: usize, pixel: usize) -> i16 {
    if frequency == 0 {
        return CONSTANT;
    }
    let angle = frequency * (2 * pixel + 1) % (4 * EDGE);
    let angle = angle.min(4 * EDGE - angle);
    if angle <= EDGE { COSINES[angle] } else { -COSINES[2 * EDGE - angle] }
}

/// The inverse cosine transform.
pub fn invert(coefficients: &[i32]) -> Pixels {
    let rows: Vec<[i64; EDGE]> =
        (0..EDGE).map(|k| std::array::from_fn(|pixel| basis(k, pixel).into())).collect();
    let mut pixels = Vec::with_capacity(3 * AREA);
    for channel in coefficients.chunks_exact(AREA) {
        // By horizontal frequency and row.
        let mut columns = [[0i64; EDGE]; EDGE];
        for (at, &value) in channel.iter().enumerate().filter(|(_, value)| **value != 0) {
            add(&mut columns[at % EDGE], &rows[at / EDGE], value.into());
        }
        for y in 0..EDGE {
            let mut line = [0i64; EDGE];
            for (column, row) in columns.iter().zip(&rows) {
                let value = round_shift(column[y], MATRIX_BITS + COEFFICIENT_BITS - PIXEL_BITS);
                if value != 0 {
                    add(&mut line, row, value);
                }
            }
            pixels.extend(line.map(|sum| limit(round_shift(sum, MATRIX_BITS))));
        }
    }
    pixels
}

fn add(sums: &mut [i64; EDGE], row: &[i64; EDGE], factor: i64) {
    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * factor);
}

fn round_shift(value: i64, bits: u32) -> i64 {
    (value + (1 << bits >> 1)) >> bits
}

fn limit(value: i64) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Red, green and blue of each pixel. The colours of a gray picture are left out.
pub fn levels(pixels: &[i32], gray: bool) -> Vec<u8> {
    let channels = if gray { 1 } else { 3 };
    let level = |place: usize, primary: usize| {
        let sum: i64 = (0..channels)
            .map(|channel| i64::from(pixels[channel * AREA + place]) * i64::from(COLOURS[channel][primary]))
            .sum();
        ((sum + 256 * (1 << 19)) >> 20).clamp(0, 255) as u8
    };
    (0..AREA)
        .flat_map(|place| (0..3).map(move |primary| (place, primary)))
        .map(|(p, k)| level(p, k))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basis_is_that_of_the_cosine_transform() {
        let exact = |frequency: usize, pixel: usize| {
            let scale = if frequency == 0 { 1.0 } else { 2.0 };
            let angle = std::f64::consts::PI * (frequency * (2 * pixel + 1)) as f64 / 96.0;
            f64::from(1 << MATRIX_BITS) * (scale / EDGE as f64).sqrt() * angle.cos()
        };
        for (frequency, pixel) in (0..AREA).map(|at| (at / EDGE, at % EDGE)) {
            assert_eq!(f64::from(basis(frequency, pixel)), exact(frequency, pixel).round());
        }
    }

    #[test]
    fn steps_and_colours_are_rounded() {
        for (position, size) in SIZES.iter().enumerate() {
            assert_eq!(f64::from(*size), (64.0 * (position as f64 / 2.0).exp2()).round());
        }
        for (found, (row, norm)) in
            COLOURS.iter().zip([([1.0, 1.0, 1.0], 3f64), ([1.0, 0.0, -1.0], 2.0), ([1.0, -2.0, 1.0], 6.0)])
        {
            assert_eq!(found.map(f64::from), row.map(|x: f64| (255.0 * 256.0 * x / norm.sqrt()).round()));
        }
    }
}
