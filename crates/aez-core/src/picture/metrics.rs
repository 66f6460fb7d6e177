//! The distance between two pictures.

use super::Picture;
use crate::error::{Error, Result};

/// Mean squared error over the three colour channels (0 to 255) of the pixels that are visible in `a`, the original: those whose
/// opacity is not 0. Opacities are not compared. 0 where nothing is visible.
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn mse(a: &Picture, b: &Picture) -> Result<f64> {
    if (a.width, a.height) != (b.width, b.height) {
        return Err(Error::Misuse(format!(
            "pictures of {}x{} and {}x{} pixels cannot be compared: scale one of them first",
            a.width, a.height, b.width, b.height
        )));
    }
    Ok(mse_of_visible(&a.rgb, &b.rgb, a.alpha.as_deref()))
}

/// Mean squared error of levels from 0 to 255, in buffers of equal length, of the pixels with an opacity above 0.
pub(crate) fn mse_of_visible(a: &[u8], b: &[u8], alpha: Option<&[u8]>) -> f64 {
    let squares =
        |a: &[u8], b: &[u8]| -> u64 { a.iter().zip(b).map(|(&x, &y)| u64::from(x.abs_diff(y)).pow(2)).sum() };
    let Some(alpha) = alpha else { return squares(a, b) as f64 / a.len() as f64 };
    let (mut sum, mut count) = (0, 0u64);
    for ((a, b), _) in
        a.chunks_exact(3).zip(b.chunks_exact(3)).zip(alpha).filter(|&(_, &opacity)| opacity > 0)
    {
        sum += squares(a, b);
        count += 3;
    }
    sum as f64 / count.max(1) as f64
}

/// Peak signal-to-noise ratio in decibels over the three colour channels of the pixels that are visible in `a`, the original; infinite
/// where these are equal. See [`mse`].
///
/// # Errors
/// [`Error::Misuse`] when the sizes differ.
pub fn psnr(a: &Picture, b: &Picture) -> Result<f64> {
    mse(a, b).map(psnr_of_mse)
}

/// Peak signal-to-noise ratio in decibels for a mean squared error of levels from 0 to 255.
#[must_use]
pub fn psnr_of_mse(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(edge: u32, value: u8) -> Picture {
        Picture::from_rgb(edge, edge, vec![value; (edge * edge * 3) as usize])
    }

    #[test]
    fn psnr_of_known_errors() {
        let (a, b) = (flat(4, 100), flat(4, 110));
        assert_eq!(mse(&a, &b).unwrap(), 100.0);
        assert!((psnr(&a, &b).unwrap() - 28.1308).abs() < 1e-4);
        assert_eq!(psnr(&a, &a).unwrap(), f64::INFINITY);
        assert_eq!(psnr(&flat(4, 0), &flat(4, 255)).unwrap(), 0.0);
        assert!(mse(&a, &flat(5, 100)).is_err());
    }

    #[test]
    fn errors_behind_full_transparency_do_not_count() {
        let original = flat(2, 100).with_alpha(Some(vec![0, 1, 255, 0]));
        let mut decoded = flat(2, 100);
        decoded.rgb[..3].fill(255);
        assert_eq!(psnr(&original, &decoded).unwrap(), f64::INFINITY);
        decoded.rgb[3..6].fill(110);
        assert_eq!(mse(&original, &decoded).unwrap(), 50.0);
        let hidden = flat(2, 0).with_alpha(Some(vec![0; 4]));
        assert_eq!(mse(&hidden, &decoded).unwrap(), 0.0);
    }
}
