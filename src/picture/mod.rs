//! Pictures: reading and writing their files, scaling them, cutting them into tiles, comparing two.

pub mod folder;
pub mod format;
pub mod io;
pub mod metrics;
pub mod resample;
pub mod seams;
pub mod tiles;

pub use folder::pictures_under;
pub use format::{PictureFormat, encode};
pub use io::{decode, read, write_atomically};
pub use metrics::{ms_ssim, mse, psnr, psnr_of_mse};
pub use resample::{Filter, Window, centre_square};
pub use tiles::Grid;

/// A decoded picture of 8 bits a channel, upright (an EXIF orientation has been applied).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// `height * width * 3` bytes: rows from the top, pixels from the left, red, green, blue.
    pub rgb: Vec<u8>,
    /// `height * width` bytes, 255 is opaque. Present where the file had an alpha channel, be it opaque.
    pub alpha: Option<Vec<u8>>,
    /// The file was gray; then the three channels of `rgb` are equal.
    pub gray: bool,
    /// The ICC profile of the colours.
    pub icc: Option<Vec<u8>>,
    /// The EXIF block, a TIFF structure without the `Exif\0\0` prefix; its orientation is "upright".
    pub exif: Option<Vec<u8>>,
}

impl Picture {
    /// An opaque colour picture.
    ///
    /// # Panics
    /// When `rgb` does not have `width * height * 3` bytes, which is a fault of the program.
    #[must_use]
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width as usize * height as usize * 3, "bytes of a {width}x{height} picture");
        Self { width, height, rgb, ..Self::default() }
    }

    /// The length of the shorter side in pixels.
    #[must_use]
    pub fn shortest_side(&self) -> u32 {
        self.width.min(self.height)
    }

    /// What is left when the pixels are taken away: an empty picture with the same metadata.
    fn clone_metadata(&self) -> Self {
        Self { gray: self.gray, icc: self.icc.clone(), exif: self.exif.clone(), ..Self::default() }
    }
}
