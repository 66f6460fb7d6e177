//! The model file: a safetensors file, whose metadata have one entry, `aez`, a JSON object with `version` and `family`.

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::{
    COUNT, PreviewModel,
    dct::AREA,
    network::Network,
    prior::{Prior, SCALES},
};
use crate::{
    container::ModelId,
    error::{Error, Result},
};

/// Version of the model file that this library reads.
const VERSION: u64 = 1;
const FAMILY: &str = "preview";

impl PreviewModel {
    /// Whether a model file says that it is one of previews.
    pub(crate) fn is_family_of(bytes: &[u8]) -> bool {
        metadata(bytes).is_ok_and(|metadata| metadata["family"] == FAMILY)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Model`] when the bytes are not a usable model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let metadata = metadata(bytes)?;
        if metadata["version"] != VERSION || metadata["family"] != FAMILY {
            return Err(Error::Model(format!(
                "it is of version {} of family {}",
                metadata["version"], metadata["family"]
            )));
        }
        let mut tensors = Tensors { file: SafeTensors::deserialize(bytes).map_err(foreign)?, used: 0 };
        let shrink = tensors.i8("shrink", &[SCALES, 3])?;
        let model = Self {
            id: identify(&tensors.file),
            order: order(&mut tensors)?,
            prior: Prior::read(&mut tensors)?,
            shrink: std::array::from_fn(|scale| std::array::from_fn(|size| shrink[3 * scale + size])),
            network: Network::read(&mut tensors)?,
        };
        match tensors.file.len() - tensors.used {
            0 => Ok(model),
            unknown => Err(Error::Model(format!("it has {unknown} tensors that are not known"))),
        }
    }
}

/// The places of the coefficients, which are different.
fn order(tensors: &mut Tensors<'_>) -> Result<Vec<u16>> {
    let order = tensors.u16_of_i16("order", &[COUNT])?;
    let mut is_used = vec![false; 3 * AREA];
    for &place in &order {
        match is_used.get_mut(usize::from(place)) {
            Some(used) if !*used => *used = true,
            _ => return Err(Error::Model(format!("place {place} of its order is outside or occurs twice"))),
        }
    }
    Ok(order)
}

/// The tensors of a model file.
pub struct Tensors<'a> {
    file: SafeTensors<'a>,
    /// Number of tensors that were read.
    used: usize,
}

impl Tensors<'_> {
    fn bytes(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8]> {
        match self.file.tensor(name) {
            Ok(view) if view.dtype() == dtype && view.shape() == shape => {
                self.used += 1;
                Ok(view.data())
            }
            Ok(view) => Err(Error::Model(format!(
                "{name} is {:?} of shape {:?}, not {dtype:?} of shape {shape:?}",
                view.dtype(),
                view.shape()
            ))),
            Err(_) => Err(Error::Model(format!("it has no tensor {name}"))),
        }
    }

    pub fn i8(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i8>> {
        Ok(self.bytes(name, Dtype::I8, shape)?.iter().map(|byte| byte.cast_signed()).collect())
    }

    pub fn u8(&mut self, name: &str, shape: &[usize]) -> Result<Vec<u8>> {
        Ok(self.bytes(name, Dtype::U8, shape)?.to_vec())
    }

    pub fn i16(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i16>> {
        let bytes = self.bytes(name, Dtype::I16, shape)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect())
    }

    pub fn u16(&mut self, name: &str, shape: &[usize]) -> Result<Vec<u16>> {
        let bytes = self.bytes(name, Dtype::U16, shape)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect())
    }

    /// Signed numbers as unsigned ones: negative ones become large.
    fn u16_of_i16(&mut self, name: &str, shape: &[usize]) -> Result<Vec<u16>> {
        Ok(self.i16(name, shape)?.into_iter().map(i16::cast_unsigned).collect())
    }

    pub fn i32(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i32>> {
        let bytes = self.bytes(name, Dtype::I32, shape)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect())
    }
}

fn foreign(e: safetensors::SafeTensorError) -> Error {
    Error::Model(format!("it is not a complete safetensors file ({e})"))
}

/// The entry `aez` of the metadata.
fn metadata(bytes: &[u8]) -> Result<serde_json::Value> {
    let (_, index) = SafeTensors::read_metadata(bytes).map_err(foreign)?;
    let text = index.metadata().as_ref().and_then(|entries| entries.get("aez").cloned());
    let text = text.ok_or_else(|| Error::Model("its metadata have no entry `aez`".into()))?;
    serde_json::from_str(&text).map_err(|e| Error::Model(format!("its metadata are damaged ({e})")))
}

/// The id: the first bytes of a hash of all tensors in the order of their names.
fn identify(file: &SafeTensors<'_>) -> ModelId {
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hash = Sha256::new();
    hash.update(FAMILY);
    for (name, view) in tensors {
        hash.update(name);
        hash.update(view.data());
    }
    let digest = hash.finalize();
    ModelId([digest[0], digest[1], digest[2], digest[3]])
}
