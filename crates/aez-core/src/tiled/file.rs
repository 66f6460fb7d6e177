//! Model files: safetensors files with the configuration, the provenance, the quantizer and the prior.
//!
//! The metadata have one entry, `aez`, which is a JSON object of [`Metadata`]. Tensors:
//!
//! | tensor | type | content |
//! | --- | --- | --- |
//! | an array of [`Config::parameters`] | F32, I8 or U8 | values, row-major; 8-bit arrays need the next three tensors, U8 are packed arrays |
//! | `NAME.scale` | F32 | scale of each column of `NAME` |
//! | `NAME.outlier_place`, `NAME.outlier_value` | U32, F32 | outliers: ascending indices in `NAME`, and values |
//! | `NAME.lengths` and others | | what [`Packed`] needs of a packed array |
//! | `quantizer.centre`, `quantizer.step` | F32 | one for each latent |
//! | `prior` | U8 | the distributions, as [`Prior::to_bytes`] writes them |

use super::{
    config::Config,
    model::{Parts, Provenance},
    network::Source,
    packed::{Packed, Packer, Stored, float_tensor},
    parameters::{Array, Parameters},
    quantizer::Quantizer,
    weights::{Int8, Storage, restore},
};
use crate::{
    container::ModelId,
    entropy::Prior,
    error::{Error, Result},
};
use byteorder::{ByteOrder, LittleEndian};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeMap, ops::Range};

/// Version of the model file that this library reads and writes.
const VERSION: u32 = 1;
/// Arrays of fewer values are stored as floats: they are small, and the first and last layers need the precision.
const SMALL: usize = 1 << 18;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    version: u32,
    config: Config,
    provenance: Provenance,
}

/// A model file whose structure was checked.
pub(super) struct ModelFile {
    pub parts: Parts,
    pub tensors: Tensors,
}

/// The tensors of a model file, as they are stored.
pub(super) struct Tensors {
    config: Config,
    bytes: Cow<'static, [u8]>,
    index: Index,
}

impl ModelFile {
    /// Checks the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Model`] with what is missing, unknown or inconsistent.
    pub fn parse(bytes: Cow<'static, [u8]>) -> Result<Self> {
        let foreign = |e| Error::Model(format!("it is not a complete safetensors file ({e})"));
        let (header, index) = SafeTensors::read_metadata(&bytes).map_err(foreign)?;
        let start = header + 8;
        let text = index.metadata().as_ref().and_then(|entries| entries.get("aez"));
        let text = text.ok_or_else(|| Error::Model("its metadata have no entry `aez`".into()))?;
        let Metadata { config, provenance, .. } = metadata(text)?;
        config.check()?;
        let mut tensors = BTreeMap::new();
        for (name, info) in index.tensors() {
            let place = start + info.data_offsets.0..start + info.data_offsets.1;
            if place.end > bytes.len() {
                return Err(Error::Model(format!("{name} ends beyond the file")));
            }
            tensors.insert(name, (info.dtype, place));
        }
        let floats = |name: &str| read_floats(&bytes, &tensors, name);
        let quantizer = Quantizer::new(floats("quantizer.centre")?, floats("quantizer.step")?)?;
        let prior = tensor(&bytes, &tensors, "prior", Dtype::U8)?;
        let prior = Prior::from_bytes(prior, config.latents)?;
        check_parts(&config, &quantizer, &prior)?;
        let mut storage = Storage::Float32;
        for (name, shape) in config.parameters() {
            match check_array(&bytes, &config, &tensors, &name, &shape)? {
                Storage::Float32 => {}
                reduced => storage = reduced,
            }
        }
        let stored = tensors.iter().map(|(name, (_, place))| (name.as_str(), &bytes[place.clone()]));
        let id = identify(&config, stored);
        let parts = Parts { config, provenance, quantizer, prior, id, storage };
        Ok(Self { parts, tensors: Tensors { config, bytes, index: tensors } })
    }
}

/// Checks that a quantizer and a prior have one entry for each latent of a network.
pub(super) fn check_parts(config: &Config, quantizer: &Quantizer, prior: &Prior) -> Result<()> {
    for (what, found) in [("quantizers", quantizer.channels()), ("priors", prior.channels())] {
        if found != config.latents {
            return Err(Error::Model(format!("it has {found} {what} for {} latents", config.latents)));
        }
    }
    Ok(())
}

impl Source for Tensors {
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        let (dtype, place) = &self.index[name];
        let bytes = &self.bytes[place.clone()];
        let values = |name: &str| to_floats(&self.bytes[self.index[name].1.clone()]);
        Ok(Cow::Owned(match dtype {
            Dtype::U8 => {
                let (_, shape) =
                    self.config.parameters().into_iter().find(|array| array.0 == name).expect("an array");
                let packed = packed(&self.bytes, &self.config, &self.index, name, &shape)?;
                packed.restore().map_err(|error| match error {
                    Error::Damaged(reason) | Error::Model(reason) => {
                        Error::Model(format!("{name}: {reason}"))
                    }
                    other => other,
                })?
            }
            Dtype::I8 => {
                let places = &self.bytes[self.index[&format!("{name}.outlier_place")].1.clone()];
                let places = places.chunks_exact(4).map(|place| LittleEndian::read_u32(place) as usize);
                let outliers = places.zip(values(&format!("{name}.outlier_value")));
                restore(bytes, &values(&format!("{name}.scale")), outliers)
            }
            _ => to_floats(bytes),
        }))
    }
}

/// The bytes of a model file.
///
/// # Errors
/// [`Error::Model`] when the parts cannot be stored.
pub(super) fn to_bytes(
    parameters: &Parameters,
    quantizer: &Quantizer,
    prior: &Prior,
    provenance: &Provenance,
    storage: Storage,
) -> Result<Vec<u8>> {
    let metadata = Metadata { version: VERSION, config: parameters.config, provenance: provenance.clone() };
    let metadata = serde_json::to_string(&metadata).map_err(|e| Error::Model(e.to_string()))?;
    let file = |mut tensors: BTreeMap<String, Stored>| {
        let latents = vec![parameters.config.latents];
        tensors.insert("quantizer.centre".into(), float_tensor(latents.clone(), quantizer.centres()));
        tensors.insert("quantizer.step".into(), float_tensor(latents, quantizer.steps()));
        let prior = prior.to_bytes();
        tensors.insert("prior".into(), (Dtype::U8, vec![prior.len()], prior));
        serialized(&tensors, &metadata)
    };
    match storage {
        Storage::Float32 => file(parameters.arrays.iter().map(float_array).collect()),
        Storage::Int8 => file(parameters.arrays.iter().flat_map(int8_array).collect()),
        Storage::Packed => {
            let packer = Packer::new(parameters, quantizer, prior);
            smallest_that_fits(|scale| file(packer.tensors(scale)?))
        }
    }
}

fn float_array(array: &Array) -> (String, Stored) {
    (array.name.clone(), float_tensor(array.shape.clone(), &array.values))
}

/// The tensors of an array in 8 bits, or of a small one as floats.
fn int8_array(array: &Array) -> Vec<(String, Stored)> {
    if array.values.len() < SMALL || array.shape.len() == 1 {
        return vec![float_array(array)];
    }
    let int8 = Int8::round(&array.values, *array.shape.last().expect("a shape"));
    let values: Vec<f32> = int8.outliers.iter().map(|outlier| outlier.1).collect();
    let places: Vec<u8> = int8.outliers.iter().flat_map(|outlier| outlier.0.to_le_bytes()).collect();
    let bytes = int8.values.iter().map(|value| value.cast_unsigned()).collect();
    let part = |part: &str, stored| (format!("{}.{part}", array.name), stored);
    vec![
        (array.name.clone(), (Dtype::I8, array.shape.clone(), bytes)),
        part("scale", float_tensor(vec![int8.scales.len()], &int8.scales)),
        part("outlier_value", float_tensor(vec![values.len()], &values)),
        part("outlier_place", (Dtype::U32, vec![places.len() / 4], places)),
    ]
}

/// The file of the smallest scale from 1 to 16 that is at most [`Storage::PACKED_BYTES`] long; that of 16 where none is.
fn smallest_that_fits(file: impl Fn(f32) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    /// Scales are powers of two with these fractions.
    const FRACTIONS: u32 = 64;
    let at = |index: u32| file((index as f32 / FRACTIONS as f32).exp2());
    let fits = |file: &[u8]| file.len() <= Storage::PACKED_BYTES;
    let finest = at(0)?;
    if fits(&finest) {
        return Ok(finest);
    }
    // The file of `low` is too long; that of `high` is `found`.
    let (mut low, mut high) = (0, 4 * FRACTIONS);
    let mut found = at(high)?;
    while fits(&found) && high - low > 1 {
        let middle = low.midpoint(high);
        let file = at(middle)?;
        if fits(&file) { (high, found) = (middle, file) } else { low = middle }
    }
    Ok(found)
}

pub(super) fn serialized(tensors: &BTreeMap<String, Stored>, metadata: &str) -> Result<Vec<u8>> {
    let failed = |e: safetensors::SafeTensorError| Error::Model(e.to_string());
    let views: Result<Vec<(&String, TensorView<'_>)>, _> = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect();
    // Collected, because the type of the map depends on the features that other crates enable.
    let metadata = std::iter::once(("aez".to_owned(), metadata.to_owned())).collect();
    serialize(views.map_err(failed)?, Some(metadata)).map_err(failed)
}

/// Reads the metadata. The version is checked first, since a later one may have other fields.
fn metadata(text: &str) -> Result<Metadata> {
    let damaged = |e| Error::Model(format!("its metadata are damaged ({e})"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => serde_json::from_value(value).map_err(damaged),
        Some(version) => Err(Error::Model(format!(
            "its version is {version}, and this program reads version {VERSION}: a newer aez may read it"
        ))),
        None => Err(Error::Model("its metadata have no version".into())),
    }
}

type Index = BTreeMap<String, (Dtype, Range<usize>)>;

fn tensor<'a>(bytes: &'a [u8], tensors: &Index, name: &str, wanted: Dtype) -> Result<&'a [u8]> {
    match tensors.get(name) {
        Some((dtype, place)) if *dtype == wanted => Ok(&bytes[place.clone()]),
        Some((dtype, _)) => Err(Error::Model(format!("{name} is of type {dtype:?}, not {wanted:?}"))),
        None => Err(Error::Model(format!("it has no tensor {name}"))),
    }
}

/// The packed array `name`.
fn packed<'a>(
    bytes: &'a [u8],
    config: &Config,
    tensors: &Index,
    name: &str,
    shape: &[usize],
) -> Result<Packed<'a>> {
    Packed::read(config, name, shape, |name, dtype| match tensors.contains_key(name) {
        true => tensor(bytes, tensors, name, dtype).map(Some),
        false => Ok(None),
    })
}

fn to_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(LittleEndian::read_f32).collect()
}

/// The values of a tensor, which must be finite.
fn read_floats(bytes: &[u8], tensors: &Index, name: &str) -> Result<Vec<f32>> {
    let values = to_floats(tensor(bytes, tensors, name, Dtype::F32)?);
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(Error::Model(format!("value {place} of {name} is {}", values[place]))),
        None => Ok(values),
    }
}

/// Checks that an array can be read, and returns how it is stored.
fn check_array(
    bytes: &[u8],
    config: &Config,
    tensors: &Index,
    name: &str,
    shape: &[usize],
) -> Result<Storage> {
    let count: usize = shape.iter().product();
    let length = |name: &str, found: usize, expected: usize| {
        if found == expected {
            Ok(())
        } else {
            Err(Error::Model(format!("{name} has {found} values instead of {expected}")))
        }
    };
    match tensors.get(name) {
        Some((Dtype::U8, _)) => {
            return packed(bytes, config, tensors, name, shape).map(|_| Storage::Packed);
        }
        Some((Dtype::I8, _)) => {}
        _ => {
            length(name, read_floats(bytes, tensors, name)?.len(), count)?;
            return Ok(Storage::Float32);
        }
    }
    length(name, tensor(bytes, tensors, name, Dtype::I8)?.len(), count)?;
    let scale = format!("{name}.scale");
    length(&scale, read_floats(bytes, tensors, &scale)?.len(), shape[shape.len() - 1])?;
    let (place, value) = (format!("{name}.outlier_place"), format!("{name}.outlier_value"));
    let places = tensor(bytes, tensors, &place, Dtype::U32)?;
    length(&value, read_floats(bytes, tensors, &value)?.len(), places.len() / 4)?;
    let mut next = 0;
    for outlier in places.chunks_exact(4).map(|place| LittleEndian::read_u32(place) as usize) {
        if outlier < next || outlier >= count {
            return Err(Error::Model(format!(
                "{place} contains {outlier}, which is outside {next}..{count}"
            )));
        }
        next = outlier + 1;
    }
    Ok(Storage::Int8)
}

/// The id: the first bytes of a hash of everything that decides the decoded pixels, which is the shape of the network, the decoder's
/// parameters as stored, the quantizer and the prior. The tensors are in the order of their names.
fn identify<'a>(config: &Config, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> ModelId {
    let Config { tile, channels, reductions, latents, normalize, .. } = *config;
    let mut hash = Sha256::new();
    for field in [tile, channels, reductions, latents, usize::from(normalize)] {
        hash.update((field as u64).to_le_bytes());
    }
    for (name, bytes) in tensors {
        if name.starts_with("decoder.") || name.starts_with("quantizer.") || name == "prior" {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    }
    let digest = hash.finalize();
    ModelId([digest[0], digest[1], digest[2], digest[3]])
}

/// The id of a model whose parameters are stored as floats.
pub(super) fn identify_parts(parameters: &Parameters, quantizer: &Quantizer, prior: &Prior) -> ModelId {
    let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors = BTreeMap::from([
        ("quantizer.centre", bytes(quantizer.centres())),
        ("quantizer.step", bytes(quantizer.steps())),
        ("prior", prior.to_bytes()),
    ]);
    for array in parameters.arrays.iter().filter(|array| array.name.starts_with("decoder.")) {
        tensors.insert(&array.name, bytes(&array.values));
    }
    identify(&parameters.config, tensors.iter().map(|(name, bytes)| (*name, &bytes[..])))
}
