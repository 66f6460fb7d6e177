//! Pictures on their way in and out.

use aez_core::Error;
use pyo3::{prelude::*, types::PyByteArray};

use crate::errors::{misuse, raise};

/// A picture to encode.
#[pyclass(frozen)]
pub struct Picture(pub aez_core::Picture);

#[pymethods]
impl Picture {
    /// A picture of interleaved pixels with 1 to 4 channels: gray, gray and alpha, RGB, or RGB and alpha.
    #[new]
    #[pyo3(signature = (pixels, width, height, channels, *, icc, exif, xmp))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of a Python function")]
    fn new(
        py: Python<'_>,
        pixels: &[u8],
        width: u32,
        height: u32,
        channels: usize,
        icc: Option<Vec<u8>>,
        exif: Option<Vec<u8>>,
        xmp: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let picture = py.detach(|| from_pixels(pixels, width, height, channels));
        let picture = picture.map_err(|error| raise(py, error))?;
        Ok(Self(picture.with_icc(icc).with_exif(exif).with_xmp(xmp)))
    }
}

fn from_pixels(pixels: &[u8], width: u32, height: u32, channels: usize) -> Result<aez_core::Picture, Error> {
    let expected =
        (width as usize).checked_mul(height as usize).and_then(|count| count.checked_mul(channels));
    if !(1..=4).contains(&channels) || expected != Some(pixels.len()) {
        let found = pixels.len();
        return Err(misuse(format!("{found} bytes are no picture of {width}x{height}x{channels}")));
    }
    let (gray, has_alpha) = (channels < 3, channels.is_multiple_of(2));
    let rgb = match channels {
        3 => pixels.to_vec(),
        4 => pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
        _ => pixels.chunks_exact(channels).flat_map(|pixel| [pixel[0]; 3]).collect(),
    };
    let alpha = has_alpha.then(|| pixels.iter().skip(channels - 1).step_by(channels).copied().collect());
    Ok(aez_core::Picture::from_rgb(width, height, rgb).with_gray(gray).with_alpha(alpha))
}

/// A picture that was decoded.
#[pyclass(frozen)]
pub struct Decoded(pub aez_core::Picture);

#[pymethods]
impl Decoded {
    /// Width and height in pixels.
    #[getter]
    fn size(&self) -> (u32, u32) {
        (self.0.width, self.0.height)
    }

    /// Whether an alpha plane is there that is not opaque everywhere.
    #[getter]
    fn has_alpha(&self) -> bool {
        self.0.alpha.is_some()
    }

    /// The pixels, interleaved, with 1 to 4 channels. A missing alpha plane is opaque.
    fn pixels<'py>(&self, py: Python<'py>, channels: usize) -> PyResult<Bound<'py, PyByteArray>> {
        let colours = match channels {
            1 | 2 => 1,
            3 | 4 => 3,
            _ => return Err(raise(py, misuse(format!("{channels} channels")))),
        };
        let picture = &self.0;
        PyByteArray::new_with(py, picture.rgb.len() / 3 * channels, |pixels| {
            py.detach(|| interleave(picture, colours, channels, pixels));
            Ok(())
        })
    }
}

fn interleave(picture: &aez_core::Picture, colours: usize, channels: usize, pixels: &mut [u8]) {
    if channels == 3 {
        return pixels.copy_from_slice(&picture.rgb);
    }
    let source = picture.rgb.chunks_exact(3);
    for (place, (pixel, rgb)) in pixels.chunks_exact_mut(channels).zip(source).enumerate() {
        pixel[..colours].copy_from_slice(&rgb[..colours]);
        if channels > colours {
            pixel[colours] = picture.alpha.as_ref().map_or(u8::MAX, |alpha| alpha[place]);
        }
    }
}
