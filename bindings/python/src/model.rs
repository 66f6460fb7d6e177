//! Models.

use pyo3::prelude::*;

use crate::errors::raise;

/// A trained model, which encodes and decodes pictures.
#[pyclass(frozen, module = "aez")]
pub struct Model(pub aez_core::Model);

#[pymethods]
impl Model {
    /// Reads the bytes of a model file.
    #[new]
    fn new(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        py.detach(|| aez_core::Model::from_bytes(data.to_vec())).map(Self).map_err(|error| raise(py, error))
    }

    /// The built-in model for photographs.
    #[staticmethod]
    fn photo(py: Python<'_>) -> PyResult<Self> {
        py.detach(|| aez_core::Model::from_static(aez_core::photo::MODEL_FILE))
            .map(Self)
            .map_err(|error| raise(py, error))
    }

    /// The built-in model for previews.
    #[staticmethod]
    fn preview(py: Python<'_>) -> PyResult<Self> {
        py.detach(|| aez_core::Model::from_static(aez_core::preview::MODEL_FILE))
            .map(Self)
            .map_err(|error| raise(py, error))
    }

    /// The id, eight hexadecimal digits, which is stored in every file that the model encodes.
    #[getter]
    fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// The family: `tiled`, `photo` or `preview`.
    #[getter]
    fn family(&self) -> String {
        self.0.family().to_string()
    }

    fn __repr__(&self) -> String {
        format!("<aez.Model {} of the family {}>", self.id(), self.family())
    }
}
