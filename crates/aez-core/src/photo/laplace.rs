//! Bits of a latent under a Laplace distribution, for rows of latents, with derivatives.

use crate::nn::taps::vectorized;

/// Probability that is added to each latent's, so that no latent costs more than about 17 bits.
const FLOOR: f32 = 8e-6;
/// Range of the logarithm of the scale that a context model gives, before [`SHIFT`] is added.
const LOG_SCALES: (f32, f32) = (-2.5, 5.375);
/// A context model that gives 0 means a scale of 1/e.
const SHIFT: f32 = -1.0;

/// Bits of a row of latents, and their derivatives.
pub(super) struct Row<'a> {
    pub latents: &'a [f32],
    /// The location and the logarithm of the scale, plus 1, of each latent.
    pub locations: &'a [f32],
    pub scales: &'a [f32],
    /// The derivatives with respect to the latents, locations and scales.
    pub latent_gradients: &'a mut [f32],
    pub location_gradients: &'a mut [f32],
    pub scale_gradients: &'a mut [f32],
    pub bits: f32,
}

/// Latents that are computed together.
const GROUP: usize = 32;

vectorized! {
    /// Computes the bits of a row and their derivatives. All slices but that of the latents may be longer.
    pub(super) fn rate(row: &mut Row<'_>) {
        let count = row.latents.len();
        let mut total = [0.0; GROUP];
        for first in (0..count).step_by(GROUP) {
            let range = first..(first + GROUP).min(count);
            let [latents, locations, scales] =
                [row.latents, row.locations, row.scales].map(|values| group(&values[range.clone()]));
            let (mut bits, mut by_latent, mut by_scale) = ([0.0; GROUP], [0.0; GROUP], [0.0; GROUP]);
            for lane in 0..GROUP {
                let one = bits_of(latents[lane], locations[lane], scales[lane]);
                (bits[lane], by_latent[lane], by_scale[lane]) = (one.bits, one.by_latent, one.by_scale);
            }
            total[..range.len()].iter_mut().zip(bits).for_each(|(total, bits)| *total += bits);
            let by_location = by_latent.map(|x| -x);
            for (to, from) in [
                (&mut *row.latent_gradients, by_latent),
                (&mut *row.location_gradients, by_location),
                (&mut *row.scale_gradients, by_scale),
            ] {
                to[range.clone()].copy_from_slice(&from[..range.len()]);
            }
        }
        row.bits = total.iter().sum();
    }
}

/// Adds the bits of each latent of a row to every second value of `bits`.
pub(super) fn add_bits(latents: &[f32], locations: &[f32], scales: &[f32], bits: &mut [f32]) {
    let places = bits.chunks_mut(2 * GROUP).zip(latents.chunks(GROUP));
    for ((to, latents), (locations, scales)) in places.zip(locations.chunks(GROUP).zip(scales.chunks(GROUP)))
    {
        let count = latents.len();
        let bits = group_bits(latents, &locations[..count], &scales[..count]);
        to.iter_mut().step_by(2).zip(&bits[..count]).for_each(|(to, bits)| *to += bits);
    }
}

vectorized! {
    /// The bits of up to [`GROUP`] latents. What follows them is meaningless.
    fn group_bits(latents: &[f32], locations: &[f32], scales: &[f32]) -> [f32; GROUP] {
        let [latents, locations, scales] = [latents, locations, scales].map(group);
        let mut bits = [0.0; GROUP];
        for lane in 0..GROUP {
            bits[lane] = bits_of(latents[lane], locations[lane], scales[lane]).bits;
        }
        bits
    }
}

/// A copy of up to [`GROUP`] values, then zeros. Copies let the compiler use vectors: they are known not to overlap.
#[inline(always)]
fn group(values: &[f32]) -> [f32; GROUP] {
    let mut group = [0.0; GROUP];
    group[..values.len()].copy_from_slice(values);
    group
}

/// Bits of one latent and their derivatives with respect to the latent and to the logarithm of the scale.
#[derive(Clone, Copy)]
struct Bits {
    bits: f32,
    by_latent: f32,
    by_scale: f32,
}

/// The probability of the unit interval around the latent.
#[inline(always)]
fn bits_of(latent: f32, location: f32, scale: f32) -> Bits {
    let log_scale = (scale + SHIFT).clamp(LOG_SCALES.0 + SHIFT, LOG_SCALES.1 + SHIFT);
    let inverse = exp(-log_scale);
    let signed = latent - location;
    let distance = signed.abs();
    // With E(d) = exp(-d / scale): (E(d - 1/2) - E(d + 1/2)) / 2 outside of half a unit, 1 - (E(1/2 - d) + E(d + 1/2)) / 2 inside.
    let (near, far) = ((distance - 0.5).abs() * inverse, (distance + 0.5) * inverse);
    let (e_near, e_far) = (exp(-near), exp(-far));
    let outside = distance >= 0.5;
    let sign = if outside { 1.0 } else { -1.0 };
    let probability = if outside { 0.0 } else { 1.0 } + 0.5 * (sign * e_near - e_far);
    let by_distance = 0.5 * inverse * (e_far - e_near);
    // d/d log(scale) of E(d) is d / scale * E(d).
    let by_log_scale = 0.5 * (sign * near * e_near - far * e_far);
    let total = probability + FLOOR;
    let slope = -std::f32::consts::LOG2_E / total;
    let is_free = scale >= LOG_SCALES.0 && scale <= LOG_SCALES.1;
    Bits {
        bits: -log2(total),
        by_latent: slope * if signed >= 0.0 { by_distance } else { -by_distance },
        by_scale: if is_free { slope * by_log_scale } else { 0.0 },
    }
}

/// exp(x), with a relative error below 1e-6 from -87 to 87. The compiler can vectorize it.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
    let scaled = x.clamp(-87.0, 87.0) * std::f32::consts::LOG2_E;
    let rounded = scaled + ROUND;
    let power = rounded.to_bits() << 23;
    let part = (scaled - (rounded - ROUND)) * std::f32::consts::LN_2;
    let series = 1.0
        + part
            * (1.0
                + part
                    * (0.5
                        + part
                            * (1.0 / 6.0
                                + part * (1.0 / 24.0 + part * (1.0 / 120.0 + part * (1.0 / 720.0))))));
    f32::from_bits(series.to_bits().wrapping_add(power))
}

/// The binary logarithm of a positive number, with an error below 1e-6. The compiler can vectorize it.
#[inline(always)]
fn log2(x: f32) -> f32 {
    const ROOT_HALF: u32 = 0x3F35_04F3;
    let shifted = x.to_bits().wrapping_sub(ROOT_HALF) as i32;
    let exponent = shifted >> 23;
    let mantissa = f32::from_bits(x.to_bits().wrapping_sub((exponent << 23) as u32));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    exponent as f32 + 2.0 * std::f32::consts::LOG2_E * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_accurate() {
        for i in -800..800 {
            let x = i as f32 * 0.1;
            assert!(
                (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs() < 1e-6 + 1e-7 * f64::from(x.abs()),
                "{x}"
            );
            let y = 1.0001 * exp(x * 0.2);
            assert!((f64::from(log2(y)) - f64::from(y).log2()).abs() < 2e-6, "{y}");
        }
    }

    #[test]
    fn probabilities_sum_to_one() {
        for (location, scale) in [(0.0, 0.0), (0.3, -2.5), (-1.7, 2.0), (0.5, 1.0)] {
            let sum: f32 =
                (-300..300).map(|k| (-bits_of(k as f32, location, scale).bits).exp2() - FLOOR).sum();
            assert!((sum - 1.0).abs() < 1e-3, "{sum}");
        }
    }

    #[test]
    fn derivatives_are_those_of_the_bits() {
        for latent in [-3.0, -0.4, 0.0, 0.2, 1.0, 9.0] {
            for (location, scale) in [(0.1, 0.5), (-1.3, 2.0), (0.2, -1.0)] {
                let one = bits_of(latent, location, scale);
                let slope = |up: Bits, down: Bits| (up.bits - down.bits) / 2e-2;
                let by_latent =
                    slope(bits_of(latent + 1e-2, location, scale), bits_of(latent - 1e-2, location, scale));
                let by_scale =
                    slope(bits_of(latent, location, scale + 1e-2), bits_of(latent, location, scale - 1e-2));
                let tolerance = 0.02 + 0.02 * (by_latent.abs() + by_scale.abs());
                assert!((one.by_latent - by_latent).abs() < tolerance, "{latent} {location} {scale}");
                assert!((one.by_scale - by_scale).abs() < tolerance, "{latent} {location} {scale}");
            }
        }
    }
}
