//! The native part of the Python package `aez`: functions on byte strings. The Python code around it converts arrays and images.
//!
//! Pixels come in and go out as byte strings and not as numpy arrays: those of Python's `bytes` cannot change while the codec reads
//! them without the interpreter's lock.

mod errors;
mod model;
mod picture;
mod pool;

use aez_core::{Decoder, Encoder, Limits, Quality, Tune, container, info::FileInfo, preview};
use mimalloc::MiMalloc;
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    errors::{misuse, raise},
    model::Model,
    picture::{Decoded, Picture},
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs work of the codec without the interpreter's lock, on threads of this process.
fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> aez_core::Result<T> + Send) -> PyResult<T> {
    let pool = pool::of_this_process(py)?;
    py.detach(|| pool.install(work)).map_err(|error| raise(py, error))
}

/// Limits by their values: edge, pixels, memory.
fn limits((edge, pixels, memory): (u32, u64, u64)) -> Limits {
    Limits::default().with_max_edge(edge).with_max_pixels(pixels).with_max_memory(memory)
}

#[pymodule]
mod _aez {
    use super::*;

    #[pymodule_export]
    use super::{Decoded, Model, Picture};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let Limits { max_edge, max_pixels, max_memory, .. } = Limits::default();
        module.add("DEFAULT_LIMITS", (max_edge, max_pixels, max_memory))?;
        module.add("DEFAULT_PREVIEW_BYTES", preview::DEFAULT_BYTES)
    }

    /// Encodes a picture as the bytes of a file. At most one of quality and the targets may be given.
    #[pyfunction]
    #[pyo3(signature = (picture, model, *, quality, target_bytes, target_psnr, tune, effort, exact))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of a Python function")]
    fn encode<'py>(
        py: Python<'py>,
        picture: &Picture,
        model: &Model,
        quality: Option<i64>,
        target_bytes: Option<u64>,
        target_psnr: Option<f64>,
        tune: &str,
        effort: Option<i64>,
        exact: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = run(py, || {
            let tune = match tune {
                "psnr" => Tune::Psnr,
                "ssim" => Tune::Ssim,
                _ => return Err(misuse(format!("tune {tune:?} is neither \"psnr\" nor \"ssim\""))),
            };
            let mut encoder = Encoder::new(&model.0).exact(exact).tune(tune);
            if let Some(effort) = effort {
                let known = u8::try_from(effort).ok().filter(|effort| *effort <= 9);
                encoder = encoder
                    .effort(known.ok_or_else(|| misuse(format!("effort {effort} is not between 0 and 9")))?);
            }
            match (quality, target_bytes, target_psnr) {
                (None, None, None) => encoder.encode(&picture.0),
                (Some(quality), None, None) => {
                    // Numbers that are no u8 are none of a quality either.
                    let known = u8::try_from(quality).ok().and_then(|quality| Quality::new(quality).ok());
                    let known =
                        known.ok_or_else(|| misuse(format!("quality {quality} is not between 1 and 100")))?;
                    encoder.quality(known).encode(&picture.0)
                }
                (None, Some(target), None) => encoder.encode_to_bytes(&picture.0, target),
                (None, None, Some(target)) if (1.0..=100.0).contains(&target) => {
                    Ok(encoder.encode_to_psnr(&picture.0, target)?.0)
                }
                (None, None, Some(target)) => {
                    Err(misuse(format!("a PSNR of {target} dB is not between 1 and 100")))
                }
                _ => Err(misuse("only one of quality, target_bytes and target_psnr can be given".to_owned())),
            }
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Decodes a file.
    #[pyfunction]
    fn decode(py: Python<'_>, data: &[u8], model: &Model, limits: (u32, u64, u64)) -> PyResult<Decoded> {
        let decoder = Decoder::new(&model.0).limits(super::limits(limits));
        run(py, || decoder.decode(data)).map(Decoded)
    }

    /// The family's number and the model's id, of which a file's first bytes are enough.
    #[pyfunction]
    fn model_of(py: Python<'_>, data: &[u8]) -> PyResult<(u8, String)> {
        let (header, _) = container::Header::parse(data).map_err(|error| raise(py, error))?;
        Ok((header.family.number(), header.model.to_string()))
    }

    /// The properties of a file, as JSON.
    #[pyfunction]
    fn info(py: Python<'_>, data: &[u8]) -> PyResult<String> {
        let info = FileInfo::read(data).map_err(|error| raise(py, error))?;
        serde_json::to_string(&info).map_err(|error| raise(py, aez_core::Error::Misuse(error.to_string())))
    }

    /// The ICC profile, the Exif block and the XMP packet of a file.
    #[pyfunction]
    fn metadata(py: Python<'_>, data: &[u8], limits: (u32, u64, u64)) -> PyResult<[Option<Py<PyBytes>>; 3]> {
        let limits = super::limits(limits);
        let read = || {
            let file = container::File::parse(data, &limits)?;
            limits.check_memory(file.section_memory()?)?;
            Ok([file.icc()?, file.exif()?, file.xmp()?])
        };
        let parts = py.detach(read).map_err(|error| raise(py, error))?;
        Ok(parts.map(|part| part.map(|part| PyBytes::new(py, &part).unbind())))
    }

    /// The family of the model that a preview was made with.
    #[pyfunction]
    fn preview_family(py: Python<'_>, text: &str) -> PyResult<String> {
        preview::family(text).map(|family| family.to_string()).map_err(|error| raise(py, error))
    }

    /// Encodes a picture as a text of at most so many bytes.
    #[pyfunction]
    fn encode_preview(py: Python<'_>, picture: &Picture, model: &Model, bytes: usize) -> PyResult<String> {
        run(py, || preview::encode(&model.0, &picture.0, bytes))
    }

    /// Decodes such a text.
    #[pyfunction]
    fn decode_preview(
        py: Python<'_>,
        text: &str,
        model: &Model,
        size: Option<(u32, u32)>,
        limits: (u32, u64, u64),
    ) -> PyResult<Decoded> {
        let limits = super::limits(limits);
        run(py, || preview::decode(&model.0, text, size, &limits)).map(Decoded)
    }
}
