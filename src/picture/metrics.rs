//! How much two pictures differ.

use super::Picture;
use crate::{Error, Result};
use rayon::prelude::*;

/// The mean squared error of the red, green and blue bytes, in squared byte units. Alpha does not count.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn mse(a: &Picture, b: &Picture) -> Result<f64> {
    check_sizes(a, b)?;
    let squared = |(&x, &y): (&u8, &u8)| u64::from(x.abs_diff(y)).pow(2);
    let sum: u64 = a.rgb.iter().zip(&b.rgb).map(squared).sum();
    Ok(sum as f64 / a.rgb.len() as f64)
}

/// The mean squared error of the pixels that `within` picks by column and row, and that of all others; NaN where there are
/// none.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn mse_in_and_out(a: &Picture, b: &Picture, within: impl Fn(u32, u32) -> bool) -> Result<[f64; 2]> {
    check_sizes(a, b)?;
    let (mut sums, mut counts) = ([0u64; 2], [0u64; 2]);
    let pixels = a.rgb.as_chunks::<3>().0.iter().zip(b.rgb.as_chunks::<3>().0);
    let places = (0..a.height).flat_map(|y| (0..a.width).map(move |x| (x, y)));
    for ((x, y), (one, other)) in places.zip(pixels) {
        let part = usize::from(!within(x, y));
        sums[part] += one.iter().zip(other).map(|(&p, &q)| u64::from(p.abs_diff(q)).pow(2)).sum::<u64>();
        counts[part] += 3;
    }
    Ok([0, 1].map(|part| sums[part] as f64 / counts[part] as f64))
}

/// The peak signal-to-noise ratio in decibels, over all three channels together; infinite for equal pictures.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn psnr(a: &Picture, b: &Picture) -> Result<f64> {
    mse(a, b).map(psnr_of_mse)
}

/// The peak signal-to-noise ratio in decibels that belongs to a mean squared error in squared byte units.
#[must_use]
pub fn psnr_of_mse(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse).log10()
}

/// The weights of the scales, the finest first: Wang, Simoncelli and Bovik, "Multiscale structural similarity
/// for image quality assessment", 2003.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// Pixels of the Gaussian window, whose standard deviation is 1.5.
const WINDOW: usize = 11;
/// The constants that keep the quotients from 0/0: (0.01 * 255)^2 and (0.03 * 255)^2.
const C1: f32 = 6.5025;
const C2: f32 = 58.5225;

/// The multi-scale structural similarity: 1 for equal pictures, towards 0 as they differ. The mean of that of
/// the red, the green and the blue channel.
///
/// Windows lie wholly within the picture, a scale is halved by averages of 2x2 pixels (an odd last row or
/// column is left out), a negative contrast-structure term counts as 0. Five scales need 176 pixels on the
/// shortest side; a smaller picture is measured on as many of the finest scales as hold a window (96x96:
/// four), whose weights are renormalized. On one smaller than a window, the window is cut to its shortest
/// side.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn ms_ssim(a: &Picture, b: &Picture) -> Result<f64> {
    check_sizes(a, b)?;
    let sum: f64 = (0..3).map(|channel| channel_ms_ssim(Plane::of(a, channel), Plane::of(b, channel))).sum();
    Ok(sum / 3.0)
}

fn check_sizes(a: &Picture, b: &Picture) -> Result<()> {
    if (a.width, a.height) == (b.width, b.height) {
        return Ok(());
    }
    Err(Error::Misuse(format!(
        "pictures of {}x{} and {}x{} pixels cannot be compared: scale one of them first",
        a.width, a.height, b.width, b.height
    )))
}

/// What is taken off each byte: variances do not change, but lose less to rounding where their terms are small.
const MIDDLE: f32 = 128.0;

/// One channel, in byte units, less [`MIDDLE`].
struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    fn of(picture: &Picture, channel: usize) -> Self {
        let values =
            picture.rgb.as_chunks::<3>().0.iter().map(|pixel| f32::from(pixel[channel]) - MIDDLE).collect();
        Self { width: picture.width as usize, height: picture.height as usize, values }
    }

    fn row(&self, y: usize) -> &[f32] {
        &self.values[y * self.width..(y + 1) * self.width]
    }

    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let line = |y| {
            let (upper, lower) = (self.row(2 * y).as_chunks::<2>().0, self.row(2 * y + 1).as_chunks::<2>().0);
            upper.iter().zip(lower).map(|(u, l)| (u[0] + u[1] + l[0] + l[1]) / 4.0)
        };
        Self { width, height, values: (0..height).flat_map(line).collect() }
    }
}

fn channel_ms_ssim(mut a: Plane, mut b: Plane) -> f64 {
    let shortest = a.width.min(a.height);
    let window = gaussian(WINDOW.min(shortest));
    let scales = (1..WEIGHTS.len()).take_while(|scale| shortest >> scale >= WINDOW).count() + 1;
    let total: f64 = WEIGHTS[..scales].iter().sum();
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS[..scales].iter().enumerate() {
        if scale > 0 {
            (a, b) = (a.halved(), b.halved());
        }
        let (similarity, contrast_structure) = mean_ssim(&a, &b, &window);
        let term = if scale + 1 == scales { similarity } else { contrast_structure };
        product *= term.max(0.0).powf(weight / total);
    }
    product
}

/// Weights of a Gaussian window of `size` pixels in one dimension; they sum to 1.
fn gaussian(size: usize) -> Vec<f32> {
    let centre = (size - 1) as f64 / 2.0;
    let weights = (0..size).map(|i| (-(i as f64 - centre).powi(2) / (2.0 * 1.5 * 1.5)).exp());
    let sum: f64 = weights.clone().sum();
    weights.map(|weight| (weight / sum) as f32).collect()
}

/// The means over all windows of the whole similarity, and of its contrast and structure alone.
fn mean_ssim(a: &Plane, b: &Plane, window: &[f32]) -> (f64, f64) {
    let (columns, rows) = (a.width - window.len() + 1, a.height - window.len() + 1);
    // Collected before they are summed: the order, and so the result, must not depend on the threads.
    let lines: Vec<(f64, f64)> = (0..rows).into_par_iter().map(|y| line_ssim(a, b, window, y)).collect();
    let (similarity, contrast) = lines.iter().fold((0.0, 0.0), |sum, line| (sum.0 + line.0, sum.1 + line.1));
    let count = (columns * rows) as f64;
    (similarity / count, contrast / count)
}

/// The sums over the windows whose upper row is `y`.
fn line_ssim(a: &Plane, b: &Plane, window: &[f32], y: usize) -> (f64, f64) {
    // Weighted sums down the columns, of a, b, a*a, b*b and a*b.
    let mut down: [Vec<f32>; 5] = std::array::from_fn(|_| vec![0.0; a.width]);
    for (k, &weight) in window.iter().enumerate() {
        let [sum_a, sum_b, sum_aa, sum_bb, sum_ab] = &mut down;
        for (x, (&p, &q)) in a.row(y + k).iter().zip(b.row(y + k)).enumerate() {
            sum_a[x] += weight * p;
            sum_b[x] += weight * q;
            sum_aa[x] += weight * p * p;
            sum_bb[x] += weight * q * q;
            sum_ab[x] += weight * p * q;
        }
    }
    let columns = a.width - window.len() + 1;
    let [mean_a, mean_b, mean_aa, mean_bb, mean_ab] = down.map(|sums| {
        let mut across = vec![0.0; columns];
        for (k, &weight) in window.iter().enumerate() {
            across.iter_mut().zip(&sums[k..]).for_each(|(sum, value)| *sum += weight * value);
        }
        across
    });
    (0..columns).fold((0.0, 0.0), |sum, x| {
        let (ma, mb) = (mean_a[x], mean_b[x]);
        let (va, vb, cov) = (mean_aa[x] - ma * ma, mean_bb[x] - mb * mb, mean_ab[x] - ma * mb);
        let contrast_structure = f64::from((2.0 * cov + C2) / (va + vb + C2));
        let (ma, mb) = (ma + MIDDLE, mb + MIDDLE);
        let luminance = f64::from((2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1));
        (sum.0 + luminance * contrast_structure, sum.1 + contrast_structure)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(edge: u32, value: u8) -> Picture {
        Picture::from_rgb(edge, edge, vec![value; (edge * edge * 3) as usize])
    }

    fn noise(width: u32, height: u32, seed: u32) -> Picture {
        let bytes = (0..width * height * 3).map(|i| ((i + seed).wrapping_mul(2_654_435_761) >> 24) as u8);
        Picture::from_rgb(width, height, bytes.collect())
    }

    #[test]
    fn psnr_of_known_errors() {
        let (a, b) = (flat(4, 100), flat(4, 110));
        assert_eq!(mse(&a, &b).unwrap(), 100.0);
        assert!((psnr(&a, &b).unwrap() - 28.1308).abs() < 1e-4);
        assert_eq!(psnr(&a, &a).unwrap(), f64::INFINITY);
        assert_eq!(psnr(&flat(4, 0), &flat(4, 255)).unwrap(), 0.0);
        assert!(mse(&a, &flat(5, 100)).is_err() && ms_ssim(&a, &flat(5, 100)).is_err());
    }

    #[test]
    fn flat_pictures_differ_in_luminance_at_the_coarsest_scale_alone() {
        let luminance: f64 = (2.0 * 100.0 * 150.0 + 6.5025) / (100.0 * 100.0 + 150.0 * 150.0 + 6.5025);
        // One, four and five scales; the weight of the last among those used.
        for (edge, exponent) in
            [(1, 1.0), (21, 1.0), (96, 0.2363 / 0.8668), (175, 0.2363 / 0.8668), (176, 0.1333 / 1.0001)]
        {
            let found = ms_ssim(&flat(edge, 100), &flat(edge, 150)).unwrap();
            assert!((found - luminance.powf(exponent)).abs() < 3e-5, "{edge}: {found}");
        }
    }

    #[test]
    fn equal_pictures_score_one_and_inverted_ones_zero() {
        let a = noise(100, 90, 0);
        let inverted = Picture::from_rgb(100, 90, a.rgb.iter().map(|byte| 255 - byte).collect());
        assert_eq!(ms_ssim(&a, &a).unwrap(), 1.0);
        assert_eq!(ms_ssim(&a, &inverted).unwrap(), 0.0);
    }

    /// The definition at one scale: every window's weighted moments about its means, in double precision.
    fn ssim_by_definition(a: &Picture, b: &Picture, channel: usize) -> f64 {
        let at = |p: &Picture, x: usize, y: usize| f64::from(p.rgb[(y * p.width as usize + x) * 3 + channel]);
        let bell = |d: usize| (-(d as f64 - 5.0).powi(2) / 4.5).exp();
        let (columns, rows) = (a.width as usize - 10, a.height as usize - 10);
        let window = |left: usize, top: usize| {
            let cells = || (0..121).map(|i| (i % 11, i / 11));
            let total: f64 = cells().map(|(x, y)| bell(x) * bell(y)).sum();
            let mean = |f: &dyn Fn(usize, usize) -> f64| {
                cells().map(|(x, y)| bell(x) * bell(y) / total * f(left + x, top + y)).sum::<f64>()
            };
            let (ma, mb) = (mean(&|x, y| at(a, x, y)), mean(&|x, y| at(b, x, y)));
            let moment = |p: &Picture, mp: f64, q: &Picture, mq: f64| {
                mean(&|x, y| (at(p, x, y) - mp) * (at(q, x, y) - mq))
            };
            (2.0 * ma * mb + 6.5025) * (2.0 * moment(a, ma, b, mb) + 58.5225)
                / ((ma * ma + mb * mb + 6.5025) * (moment(a, ma, a, ma) + moment(b, mb, b, mb) + 58.5225))
        };
        let all = (0..columns * rows).map(|i| window(i % columns, i / columns));
        all.sum::<f64>() / (columns * rows) as f64
    }

    #[test]
    fn one_scale_is_the_definition_of_ssim() {
        let a = noise(14, 13, 0);
        let blurred =
            a.rgb.iter().zip(a.rgb.iter().skip(3).chain([&0; 3])).map(|(&p, &q)| p / 2 + q / 2 + 20);
        let b = Picture::from_rgb(14, 13, blurred.map(|value| value.min(250)).collect());
        let expected: f64 = (0..3).map(|channel| ssim_by_definition(&a, &b, channel)).sum::<f64>() / 3.0;
        let found = ms_ssim(&a, &b).unwrap();
        assert!(expected > 0.1 && (found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}
