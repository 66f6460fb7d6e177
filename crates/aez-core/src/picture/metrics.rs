//! The distance between two pictures.

use super::Picture;
use crate::error::{Error, Result};

/// Mean squared error of the red, green and blue levels (0 to 255). Alpha is ignored.
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
    Ok(mse_of_rgb(&a.rgb, &b.rgb))
}

/// Mean squared error of levels from 0 to 255, in buffers of equal length.
pub(crate) fn mse_of_rgb(a: &[u8], b: &[u8]) -> f64 {
    let squared = |(&x, &y): (&u8, &u8)| u64::from(x.abs_diff(y)).pow(2);
    let sum: u64 = a.iter().zip(b).map(squared).sum();
    sum as f64 / a.len() as f64
}

/// Peak signal-to-noise ratio in decibels over the three colour channels; infinite for equal pictures.
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
}
