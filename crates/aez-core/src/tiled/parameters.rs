//! The parameters of a network.

use super::config::Config;
use crate::error::{Error, Result};

/// An array of parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The name, such as `encoder.conv0.weight`.
    pub name: String,
    /// The dimensions.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub values: Vec<f32>,
}

/// All arrays of a network, in the order of [`Config::parameters`].
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// The shape of the network.
    pub config: Config,
    /// The arrays.
    pub arrays: Vec<Array>,
}

impl Parameters {
    /// Fills every array by a function of its name and shape.
    ///
    /// # Errors
    /// [`Error::Model`] when the configuration is invalid or an array does not have the length of its shape; errors of `values`.
    pub fn from_fn(
        config: Config,
        mut values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        config.check()?;
        let mut arrays = Vec::new();
        for (name, shape) in config.parameters() {
            let values = values(&name, &shape)?;
            if values.len() != shape.iter().product::<usize>() {
                return Err(Error::Model(format!("{name} has {} values, not {shape:?}", values.len())));
            }
            arrays.push(Array { name, shape, values });
        }
        Ok(Self { config, arrays })
    }

    /// The values of an array.
    ///
    /// # Panics
    /// When the network has no array of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> &[f32] {
        &self.arrays.iter().find(|array| array.name == name).expect("an array of the configuration").values
    }

    /// The values of an array, mutable.
    ///
    /// # Panics
    /// When the network has no array of that name.
    pub fn get_mut(&mut self, name: &str) -> &mut [f32] {
        &mut self
            .arrays
            .iter_mut()
            .find(|array| array.name == name)
            .expect("an array of the configuration")
            .values
    }
}
