//! The difference between a decoded picture and its original.

use aez_core::{Picture, Result, picture::psnr};
use serde::Serialize;

use crate::{
    average,
    metrics::{ms_ssim, mse_in_and_out, ssimulacra2},
};

/// PSNR in decibels that equal pictures count as, so that averages stay finite.
pub const MAX_PSNR: f64 = 100.0;

/// Similarity of a decoded picture to its original, or its average over pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distortion {
    /// Peak signal-to-noise ratio in decibels over the red, green and blue levels, at most [`MAX_PSNR`].
    pub psnr: f64,
    /// Multi-scale structural similarity, 0 to 1 (equal); see [`ms_ssim`].
    pub ms_ssim: f64,
    /// SSIMULACRA 2, up to 100 (equal), of pictures of at least 8x8 pixels; see [`ssimulacra2()`].
    pub ssimulacra2: Option<f64>,
}

impl Distortion {
    /// Compares a decoded picture with its original.
    ///
    /// # Errors
    /// [`Error::Misuse`](aez_core::Error::Misuse) when the sizes differ.
    pub fn between(original: &Picture, decoded: &Picture) -> Result<Self> {
        Ok(Self {
            psnr: psnr(original, decoded)?.min(MAX_PSNR),
            ms_ssim: ms_ssim(original, decoded)?,
            ssimulacra2: ssimulacra2(original, decoded)?,
        })
    }

    pub(crate) fn average(all: &[Self]) -> Self {
        let measured: Vec<f64> = all.iter().filter_map(|d| d.ssimulacra2).collect();
        Self {
            psnr: average(all.iter().map(|d| d.psnr)),
            ms_ssim: average(all.iter().map(|d| d.ms_ssim)),
            ssimulacra2: (!measured.is_empty()).then(|| average(measured.into_iter())),
        }
    }
}

/// How visible the boundaries between independently coded blocks are: mean squared errors of levels from 0 to 255, or their
/// averages over pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BlockBoundary {
    /// Mean squared error of the pixels within [`BlockBoundary::REACH`] of a boundary.
    #[serde(rename = "border_mse")]
    pub boundary_mse: f64,
    /// Mean squared error of all other pixels.
    pub inner_mse: f64,
}

impl BlockBoundary {
    /// Number of pixels on either side of a boundary that belong to it.
    pub const REACH: u32 = 2;

    /// Compares a decoded picture with its original. `edge` is the edge of a block in pixels; blocks begin at the upper left
    /// corner. `None`: the picture has only one block, or no pixels beyond the reach of boundaries.
    ///
    /// # Errors
    /// [`Error::Misuse`](aez_core::Error::Misuse) when the sizes differ.
    pub fn between(original: &Picture, decoded: &Picture, edge: u32) -> Result<Option<Self>> {
        let at_boundary = |x: u32, len: u32| {
            let (after, before) = (x % edge, edge - x % edge);
            (x >= edge && after < Self::REACH) || (before <= Self::REACH && x + before < len)
        };
        let Picture { width, height, .. } = *original;
        let [boundary_mse, inner_mse] =
            mse_in_and_out(original, decoded, |x, y| at_boundary(x, width) || at_boundary(y, height))?;
        Ok((boundary_mse.is_finite() && inner_mse.is_finite()).then_some(Self { boundary_mse, inner_mse }))
    }

    /// The block boundary error: mean squared error at boundaries divided by that of all other pixels.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.boundary_mse / self.inner_mse
    }

    /// `None` of no pictures.
    pub(crate) fn average(all: &[Self]) -> Option<Self> {
        let average = |part: fn(&Self) -> f64| average(all.iter().map(part));
        (!all.is_empty())
            .then(|| Self { boundary_mse: average(|b| b.boundary_mse), inner_mse: average(|b| b.inner_mse) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_lie_between_blocks_only() {
        let original = Picture::from_rgb(20, 8, vec![100; 480]);
        let wrong_at = |columns: &[usize]| {
            let mut decoded = original.clone();
            for (at, byte) in decoded.rgb.iter_mut().enumerate() {
                *byte += if columns.contains(&(at / 3 % 20)) { 2 } else { 0 };
            }
            BlockBoundary::between(&original, &decoded, 8).unwrap().unwrap()
        };
        // Columns 6 to 9 and 14 to 17 lie at boundaries; the edges of the picture are none.
        let errors = |boundary_mse, inner_mse| BlockBoundary { boundary_mse, inner_mse };
        assert_eq!(wrong_at(&[6, 9, 14, 17]), errors(2.0, 0.0));
        assert_eq!(wrong_at(&[0, 5, 10, 13, 18, 19]), errors(0.0, 2.0));
        assert_eq!(BlockBoundary::between(&original, &original, 20).unwrap(), None);
    }

    #[test]
    fn the_psnr_of_equal_pictures_is_finite() {
        let picture = Picture::from_rgb(2, 2, vec![9; 12]);
        let equal = Distortion { psnr: MAX_PSNR, ms_ssim: 1.0, ssimulacra2: None };
        assert_eq!(Distortion::between(&picture, &picture).unwrap(), equal);
    }
}
