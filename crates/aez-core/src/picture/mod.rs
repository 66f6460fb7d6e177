//! Pictures in memory: the pixel buffer, scaling, and the distance between two pictures.

mod fill;
mod metrics;
pub mod resample;

pub(crate) use metrics::mse_of_visible;
pub use metrics::{mse, psnr, psnr_of_mse};

/// A decoded picture with 8 bits per channel, in upright orientation.
///
/// Create one by [`Picture::from_rgb`], and add the optional parts by the `with_` methods.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Picture {
    /// Number of columns, at least 1.
    pub width: u32,
    /// Number of rows, at least 1.
    pub height: u32,
    /// `height * width * 3` bytes: rows from the top, pixels from the left, each red, green, blue.
    pub rgb: Vec<u8>,
    /// Opacity, `height * width` bytes in the same order; 255 is opaque. Not premultiplied. `None`: opaque.
    pub alpha: Option<Vec<u8>>,
    /// The picture is gray: the three channels of each pixel in `rgb` are equal.
    pub gray: bool,
    /// ICC profile of the colours.
    pub icc: Option<Vec<u8>>,
    /// Exif block: a TIFF structure without the prefix `Exif\0\0`, whose orientation is upright.
    pub exif: Option<Vec<u8>>,
    /// XMP packet: an XML document in UTF-8. Its bytes are kept unchanged and not interpreted.
    pub xmp: Option<Vec<u8>>,
}

impl Picture {
    /// An opaque colour picture without metadata.
    ///
    /// # Panics
    /// When `rgb` does not have `width * height * 3` bytes.
    #[must_use]
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width as usize * height as usize * 3, "bytes of a {width}x{height} picture");
        Self { width, height, rgb, ..Self::default() }
    }

    /// Replaces the alpha plane. A plane that is opaque everywhere is dropped.
    ///
    /// # Panics
    /// When the plane does not have `width * height` bytes.
    #[must_use]
    pub fn with_alpha(self, alpha: Option<Vec<u8>>) -> Self {
        if let Some(alpha) = &alpha {
            let (width, height) = (self.width, self.height);
            assert_eq!(alpha.len(), width as usize * height as usize, "alpha of a {width}x{height} picture");
        }
        Self { alpha: alpha.filter(|alpha| !is_opaque(alpha)), ..self }
    }

    /// Declares the picture to be gray, or not. Of a gray picture, the three channels must be equal.
    #[must_use]
    pub fn with_gray(self, gray: bool) -> Self {
        Self { gray, ..self }
    }

    /// Replaces the ICC profile.
    #[must_use]
    pub fn with_icc(self, icc: Option<Vec<u8>>) -> Self {
        Self { icc, ..self }
    }

    /// Replaces the Exif block.
    #[must_use]
    pub fn with_exif(self, exif: Option<Vec<u8>>) -> Self {
        Self { exif, ..self }
    }

    /// Replaces the XMP packet.
    #[must_use]
    pub fn with_xmp(self, xmp: Option<Vec<u8>>) -> Self {
        Self { xmp, ..self }
    }

    /// The length of the shorter side in pixels.
    #[must_use]
    pub fn shortest_side(&self) -> u32 {
        self.width.min(self.height)
    }

    /// An empty picture with the same metadata.
    fn clone_metadata(&self) -> Self {
        let (icc, exif, xmp) = (self.icc.clone(), self.exif.clone(), self.xmp.clone());
        Self { gray: self.gray, icc, exif, xmp, ..Self::default() }
    }
}

/// Whether no pixel of an alpha plane is transparent.
pub(crate) fn is_opaque(alpha: &[u8]) -> bool {
    alpha.iter().all(|&opacity| opacity == u8::MAX)
}
