//! Measures of the difference between two pictures, beyond the PSNR of [`aez_core::picture`].

use std::borrow::Cow;

use aez_core::{Error, Picture, Result};
use rayon::prelude::*;
use ssimulacra2::{ColorPrimaries, Rgb, Ssimulacra2Error, TransferCharacteristic, compute_frame_ssimulacra2};

/// Mean squared error of the pixels for which `within(column, row)` holds, and of all other pixels. Pixels that are not visible in
/// `a`, the original, are left out.
///
/// Errors are those of the red, green and blue levels (0 to 255). The mean over no pixels is NaN.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn mse_in_and_out(a: &Picture, b: &Picture, within: impl Fn(u32, u32) -> bool) -> Result<[f64; 2]> {
    check_sizes(a, b)?;
    let (mut sums, mut counts) = ([0u64; 2], [0u64; 2]);
    let pixels = a.rgb.as_chunks::<3>().0.iter().zip(b.rgb.as_chunks::<3>().0);
    let places = (0..a.height).flat_map(|y| (0..a.width).map(move |x| (x, y)));
    for (at, ((x, y), (one, other))) in places.zip(pixels).enumerate() {
        if a.alpha.as_ref().is_some_and(|alpha| alpha[at] == 0) {
            continue;
        }
        let part = usize::from(!within(x, y));
        sums[part] += one.iter().zip(other).map(|(&p, &q)| u64::from(p.abs_diff(q)).pow(2)).sum::<u64>();
        counts[part] += 3;
    }
    Ok([0, 1].map(|part| sums[part] as f64 / counts[part] as f64))
}

/// Weights of the scales, the finest first: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality
/// assessment", 2003.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// Edge of the Gaussian window in pixels. Its standard deviation is 1.5 pixels.
const WINDOW: usize = 11;
/// Constants that stabilize quotients of small numbers: (0.01 * 255)^2 and (0.03 * 255)^2.
const C1: f32 = 6.5025;
const C2: f32 = 58.5225;

/// Multi-scale structural similarity (MS-SSIM), averaged over the red, green and blue channels: 1 for equal pictures, down to 0.
///
/// Details that implementations differ in: windows lie within the picture. Each scale halves the picture by averaging 2x2 pixels
/// and drops an odd last row or column. Negative contrast-structure terms count as 0. Five scales need a shortest side of 176
/// pixels; a smaller picture is measured on as many of the finest scales as hold a window (four at 96x96), with renormalized
/// weights. If the picture is smaller than a window, the window is cut to its shortest side. Where `a`, the original, has
/// transparent pixels, only windows count whose middle is visible, and what is hidden has the same colours in both.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn ms_ssim(a: &Picture, b: &Picture) -> Result<f64> {
    let Visible { first, second, mask } = visible(a, b)?;
    let plane = |rgb: &[u8], channel| Plane::of(rgb, a.width, channel);
    let sum: f64 = (0..3)
        .map(|channel| channel_ms_ssim(plane(&first, channel), plane(&second, channel), mask.clone()))
        .sum();
    Ok(sum / 3.0)
}

/// SSIMULACRA 2, a measure that was fitted to the judgements of people: 100 for equal pictures, 90 where a difference is hard to see, 50
/// for medium quality, negative for very low quality. `None`: the picture has less than 8 rows or columns.
///
/// It is computed by the crate `ssimulacra2`. Where `a`, the original, has transparent pixels, what is hidden has the same colours in
/// both. Like the reference program, it measures pictures of less than 256 rows or columns on fewer scales.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn ssimulacra2(a: &Picture, b: &Picture) -> Result<Option<f64>> {
    let Visible { first, second, .. } = visible(a, b)?;
    let converted = |rgb: &[u8]| {
        let pixels = rgb.as_chunks::<3>().0.iter().map(|pixel| pixel.map(|level| f32::from(level) / 255.0));
        let size = (a.width as usize, a.height as usize);
        Rgb::new(pixels.collect(), size.0, size.1, TransferCharacteristic::SRGB, ColorPrimaries::BT709)
            .map_err(|error| Error::Misuse(error.to_string()))
    };
    match compute_frame_ssimulacra2(converted(&first)?, converted(&second)?) {
        Ok(value) => Ok(Some(value)),
        Err(Ssimulacra2Error::InvalidImageSize) => Ok(None),
        Err(error) => Err(Error::Misuse(error.to_string())),
    }
}

/// The colours of two pictures, of which those that are hidden in the original are the same.
struct Visible<'a> {
    first: Cow<'a, [u8]>,
    second: Cow<'a, [u8]>,
    /// `None`: all pixels are visible.
    mask: Option<Mask>,
}

fn visible<'a>(a: &'a Picture, b: &'a Picture) -> Result<Visible<'a>> {
    check_sizes(a, b)?;
    let mask = a.alpha.as_ref().filter(|alpha| alpha.contains(&0)).map(|alpha| Mask::of(alpha, a.width));
    let first = a.visible_rgb()?;
    let second = match &mask {
        Some(mask) => Cow::Owned(mask.with_hidden_of(&first, &b.rgb)),
        None => Cow::Borrowed(&b.rgb[..]),
    };
    Ok(Visible { first, second, mask })
}

/// The pixels that are visible in the original.
#[derive(Clone)]
struct Mask {
    width: usize,
    visible: Vec<bool>,
}

impl Mask {
    fn of(alpha: &[u8], width: u32) -> Self {
        Self { width: width as usize, visible: alpha.iter().map(|&opacity| opacity > 0).collect() }
    }

    /// The pixels of `rgb` where they are visible, and those of `original` elsewhere.
    fn with_hidden_of(&self, original: &[u8], rgb: &[u8]) -> Vec<u8> {
        let pixels = rgb.as_chunks::<3>().0.iter().zip(original.as_chunks::<3>().0);
        pixels
            .zip(&self.visible)
            .flat_map(|((own, hidden), &visible)| if visible { *own } else { *hidden })
            .collect()
    }

    fn at(&self, x: usize, y: usize) -> bool {
        self.visible[y * self.width + x]
    }

    /// A pixel of the next scale is visible where one of its four is.
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.visible.len() / self.width / 2);
        let any = |x: usize, y: usize| (0..4).any(|k| self.at(2 * x + k % 2, 2 * y + k / 2));
        Self { width, visible: (0..width * height).map(|at| any(at % width, at / width)).collect() }
    }
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

/// Subtracted from each level. Variances do not change, and are more precise with smaller terms.
const MIDDLE: f32 = 128.0;

/// One channel: levels minus [`MIDDLE`].
struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    fn of(rgb: &[u8], width: u32, channel: usize) -> Self {
        let pixels = rgb.as_chunks::<3>().0;
        let (width, height) = (width as usize, pixels.len() / width as usize);
        let values = pixels.iter().map(|pixel| f32::from(pixel[channel]) - MIDDLE).collect();
        Self { width, height, values }
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

fn channel_ms_ssim(mut a: Plane, mut b: Plane, mut mask: Option<Mask>) -> f64 {
    let shortest = a.width.min(a.height);
    let window = gaussian(WINDOW.min(shortest));
    let scales = (1..WEIGHTS.len()).take_while(|scale| shortest >> scale >= WINDOW).count() + 1;
    let total: f64 = WEIGHTS[..scales].iter().sum();
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS[..scales].iter().enumerate() {
        if scale > 0 {
            (a, b) = (a.halved(), b.halved());
            mask = mask.map(|mask| mask.halved());
        }
        let (similarity, contrast_structure) = mean_ssim(&a, &b, &window, mask.as_ref());
        let term = if scale + 1 == scales { similarity } else { contrast_structure };
        product *= term.max(0.0).powf(weight / total);
    }
    product
}

/// Weights of a one-dimensional Gaussian window of `size` pixels. Their sum is 1.
fn gaussian(size: usize) -> Vec<f32> {
    let centre = (size - 1) as f64 / 2.0;
    let weights = (0..size).map(|i| (-(i as f64 - centre).powi(2) / (2.0 * 1.5 * 1.5)).exp());
    let sum: f64 = weights.clone().sum();
    weights.map(|weight| (weight / sum) as f32).collect()
}

/// Averages over all windows whose middle is visible: the structural similarity, and its contrast-structure factor. 1 where there is
/// no such window.
fn mean_ssim(a: &Plane, b: &Plane, window: &[f32], mask: Option<&Mask>) -> (f64, f64) {
    let rows = a.height - window.len() + 1;
    // Collected first, then summed in order, so that the result does not depend on the number of threads.
    let lines: Vec<[f64; 3]> = (0..rows).into_par_iter().map(|y| line_ssim(a, b, window, y, mask)).collect();
    let sum = |part: usize| lines.iter().map(|line| line[part]).sum::<f64>();
    let count = sum(2);
    if count == 0.0 { (1.0, 1.0) } else { (sum(0) / count, sum(1) / count) }
}

/// Sums over the windows whose first row is `y`, and their number.
fn line_ssim(a: &Plane, b: &Plane, window: &[f32], y: usize, mask: Option<&Mask>) -> [f64; 3] {
    // Weighted sums of each column, of a, b, a*a, b*b and a*b.
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
    let middle = window.len() / 2;
    let is_visible = |&x: &usize| mask.is_none_or(|mask| mask.at(x + middle, y + middle));
    (0..columns).filter(is_visible).fold([0.0; 3], |sum, x| {
        let (ma, mb) = (mean_a[x], mean_b[x]);
        let (va, vb, cov) = (mean_aa[x] - ma * ma, mean_bb[x] - mb * mb, mean_ab[x] - ma * mb);
        let contrast_structure = f64::from((2.0 * cov + C2) / (va + vb + C2));
        let (ma, mb) = (ma + MIDDLE, mb + MIDDLE);
        let luminance = f64::from((2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1));
        [sum[0] + luminance * contrast_structure, sum[1] + contrast_structure, sum[2] + 1.0]
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
    fn pictures_of_different_sizes_are_an_error() {
        let (a, b) = (flat(4, 100), flat(5, 100));
        assert!(matches!(ms_ssim(&a, &b), Err(Error::Misuse(_))));
        assert!(matches!(ssimulacra2(&a, &b), Err(Error::Misuse(_))));
        assert!(matches!(mse_in_and_out(&a, &b, |_, _| true), Err(Error::Misuse(_))));
    }

    #[test]
    fn ssimulacra2_falls_with_the_error() {
        let original = noise(40, 30, 0);
        let with_error = |error: u8| {
            let mut decoded = original.clone();
            decoded.rgb.iter_mut().step_by(2).for_each(|level| *level = level.saturating_add(error));
            ssimulacra2(&original, &decoded).unwrap().unwrap()
        };
        let values = [0, 2, 10, 60].map(with_error);
        assert!(values[0] > 99.9 && values.is_sorted_by(|a, b| a > b), "{values:?}");
        assert_eq!(ssimulacra2(&noise(7, 30, 0), &noise(7, 30, 1)).unwrap(), None);
    }

    #[test]
    fn what_is_hidden_does_not_count() {
        let (original, mut decoded) = (noise(60, 50, 0), noise(60, 50, 1));
        for (at, (own, other)) in original.rgb.iter().zip(&mut decoded.rgb).enumerate() {
            if at / 3 % 60 < 30 {
                *other = *own;
            }
        }
        let alpha: Vec<u8> = (0..60 * 50).map(|at| if at % 60 < 30 { 255 } else { 0 }).collect();
        let cut = original.clone().with_alpha(Some(alpha));
        assert!(ms_ssim(&original, &decoded).unwrap() < 0.7);
        assert_eq!(ms_ssim(&cut, &decoded).unwrap(), 1.0);
        assert!(ssimulacra2(&original, &decoded).unwrap().unwrap() < 50.0);
        assert!(ssimulacra2(&cut, &decoded).unwrap().unwrap() > 99.9);
        assert_eq!(mse_in_and_out(&cut, &decoded, |x, _| x < 20).unwrap(), [0.0, 0.0]);
        let nothing = original.with_alpha(Some(vec![0; 3000]));
        assert_eq!(ms_ssim(&nothing, &decoded).unwrap(), 1.0);
    }

    #[test]
    fn errors_are_split_by_position() {
        let original = flat(4, 100);
        let mut decoded = original.clone();
        decoded.rgb[3 * (4 + 2)] = 110;
        let split = |within: fn(u32, u32) -> bool| mse_in_and_out(&original, &decoded, within).unwrap();
        assert_eq!(split(|x, y| (x, y) == (2, 1)), [100.0 / 3.0, 0.0]);
        assert_eq!(split(|x, _| x < 2), [0.0, 100.0 / 24.0]);
        let [all, none] = split(|_, _| true);
        assert!(all == 100.0 / 48.0 && none.is_nan());
    }

    #[test]
    fn flat_pictures_differ_only_in_luminance_at_the_coarsest_scale() {
        let luminance: f64 = (2.0 * 100.0 * 150.0 + 6.5025) / (100.0 * 100.0 + 150.0 * 150.0 + 6.5025);
        // One, four and five scales; the exponent is the renormalized weight of the coarsest.
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

    /// SSIM at one scale by its definition: the weighted central moments of each window, in double precision.
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
    fn one_scale_matches_the_definition_of_ssim() {
        let a = noise(14, 13, 0);
        let blurred =
            a.rgb.iter().zip(a.rgb.iter().skip(3).chain([&0; 3])).map(|(&p, &q)| p / 2 + q / 2 + 20);
        let b = Picture::from_rgb(14, 13, blurred.map(|value| value.min(250)).collect());
        let expected: f64 = (0..3).map(|channel| ssim_by_definition(&a, &b, channel)).sum::<f64>() / 3.0;
        let found = ms_ssim(&a, &b).unwrap();
        assert!(expected > 0.1 && (found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}
