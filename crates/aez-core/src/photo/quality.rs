//! From quality to the Lagrange multiplier and the steps of latents.

use crate::symbols::Quality;

/// Qualities above this one count twice, so that 100 is near to lossless.
const DOUBLED: i32 = 80;
/// Places on the scale of qualities that halve the steps.
pub(super) const OCTAVE: i32 = 22;
/// `2^(20 + k / 22)`.
const POWERS: [u32; OCTAVE as usize] = [
    1_048_576, 1_082_139, 1_116_777, 1_152_523, 1_189_413, 1_227_484, 1_266_774, 1_307_321, 1_349_166,
    1_392_350, 1_436_917, 1_482_910, 1_530_376, 1_579_361, 1_629_913, 1_682_084, 1_735_924, 1_791_488,
    1_848_831, 1_908_009, 1_969_081, 2_032_108,
];
/// Fractional bits of multipliers of steps.
pub(super) const MULTIPLIER_BITS: u32 = 12;
/// The multiplier of the quality that a network was trained for.
pub(super) const UNCHANGED: u32 = 1 << MULTIPLIER_BITS;

/// The place of a quality on a scale where 22 places halve the steps: 1 to 120.
pub(super) fn place(quality: Quality) -> i32 {
    let quality = i32::from(quality.get());
    quality + (quality - DOUBLED).max(0)
}

/// The squared error of pixels in [0, 1] that is worth as much as a bit for each pixel: 0.05 at quality 1, 0.00034 at 80, 0.000028 at
/// 100.
#[must_use]
pub fn lambda(quality: Quality) -> f32 {
    0.05 * (-(place(quality) - 1) as f32 / 11.0).exp2()
}

/// The factor of the steps at a quality, for a network that was trained for another one, in units of 2^-12.
pub(super) fn multiplier(quality: Quality, trained: Quality) -> u32 {
    let distance = place(trained) - place(quality);
    let shift = (8 - distance.div_euclid(OCTAVE)) as u32;
    (POWERS[distance.rem_euclid(OCTAVE) as usize] + (1 << (shift - 1))) >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_are_roots_of_the_ratio_of_lambdas() {
        for a in 1..=100 {
            for b in [1, 41, 80, 81, 99, 100] {
                let (a, b) = (Quality::new(a).unwrap(), Quality::new(b).unwrap());
                let expected = (lambda(a) / lambda(b)).sqrt();
                let found = multiplier(a, b) as f32 / UNCHANGED as f32;
                let tolerance = 0.51 / UNCHANGED as f32 + 1e-5 * expected;
                assert!((found - expected).abs() < tolerance, "{a:?} {b:?}: {found} {expected}");
            }
        }
        assert_eq!(multiplier(Quality::new(41).unwrap(), Quality::new(41).unwrap()), UNCHANGED);
    }
}
