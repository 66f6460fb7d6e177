//! A model of the photo family, and its file.
//!
//! A model file is a safetensors file. Its metadata have one entry, `aez`, which is a JSON object of [`Metadata`]. For each array of each
//! network it has the tensors `K.NAME.weight` (I16, `[tap][output]`), `K.NAME.bias` (I32) and `K.NAME.shift` (U8), where `K` is the
//! number of the network. In a network with directions, some also have `K.NAME.direction` (I8, `[direction][tap + 1][output]`) and
//! `K.NAME.exponent` (U8, `[kind][output]`).

use std::collections::BTreeMap;

use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    config::Config,
    integer::{Directions, IntegerLayer, IntegerNetwork},
    layers::has_directions,
    network::Network,
    quality::{lambda, multiplier, place},
};
use crate::{
    container::ModelId,
    error::{Error, Result},
    symbols::Quality,
};

/// Version of the model file that this library reads and writes.
const VERSION: u32 = 1;
/// The value of [`Metadata::family`].
const FAMILY: &str = "photo";
/// Maximum number of networks.
const MAX_NETWORKS: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    version: u32,
    family: String,
    networks: Vec<NetworkEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkEntry {
    /// The quality that the network was trained for. Qualities ascend strictly.
    quality: u8,
    config: Config,
    /// Does not influence the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<Training>,
}

/// How a network was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The program and its version.
    pub program: String,
    /// Name and number of pictures of each source.
    pub trained_on: Vec<(String, usize)>,
    /// Number of steps of this run.
    pub steps: u32,
    /// Number of crops of pictures that it used.
    pub crops: u64,
    /// Seed of its random numbers.
    pub seed: u64,
    /// Duration in minutes.
    pub minutes: f64,
    /// Where the weights of this run came from: `random`, or the name of a model and the quality of its network.
    pub init: String,
}

/// A network in a model file, rounded to integers.
struct Entry {
    quality: Quality,
    network: IntegerNetwork,
    training: Option<Training>,
}

/// A model of the photo family: networks for some qualities, of which each picture uses one.
pub struct PhotoModel {
    id: ModelId,
    networks: Vec<Entry>,
}

impl PhotoModel {
    /// Whether a model file says that its model is of this family.
    pub(crate) fn is_family_of(bytes: &[u8]) -> bool {
        let metadata = metadata(bytes).ok().and_then(|text| serde_json::from_str(&text).ok());
        metadata.is_some_and(|metadata: serde_json::Value| metadata["family"] == FAMILY)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Model`] when the bytes are not a usable model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let text = metadata(bytes)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(foreign)?;
        let damaged = |e| Error::Model(format!("its metadata are damaged ({e})"));
        let Metadata { version, family, networks } = serde_json::from_str(&text).map_err(damaged)?;
        if (version, family.as_str()) != (VERSION, FAMILY) {
            return Err(Error::Model(format!("it is of version {version} of family {family:?}")));
        }
        let in_order = networks.windows(2).all(|pair| pair[0].quality < pair[1].quality);
        if networks.is_empty() || networks.len() > MAX_NETWORKS || !in_order {
            return Err(Error::Model(format!("it has {} networks, or their order is wrong", networks.len())));
        }
        let read = |(index, entry): (usize, NetworkEntry)| {
            let quality = Quality::new(entry.quality).map_err(|e| Error::Model(e.to_string()))?;
            let layer = |name: &str, outputs, has_directions| {
                read_layer(&tensors, &format!("{index}.{name}"), outputs, has_directions)
            };
            let network = IntegerNetwork::from_arrays(entry.config, layer)?;
            Ok(Entry { quality, network, training: entry.training })
        };
        let networks = networks.into_iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Self { id: identify(&networks), networks })
    }

    /// The model file of trained networks, each for a quality.
    ///
    /// # Errors
    /// [`Error::Model`] for networks whose weights are too large for integers, no network, or two networks for one quality.
    pub fn to_bytes(networks: &[(Quality, &Network)]) -> Result<Vec<u8>> {
        let entry = |&(quality, network): &(Quality, &Network)| {
            Ok(Entry { quality, network: IntegerNetwork::new(network)?, training: None })
        };
        write(&mut networks.iter().map(entry).collect::<Result<Vec<_>>>()?)
    }

    /// The model file with one more trained network. It replaces that of the same quality, if there is one.
    ///
    /// # Errors
    /// [`Error::Model`] for a network whose weights are too large for integers, or if there are too many.
    pub fn with(self, quality: Quality, network: &Network, training: Training) -> Result<Vec<u8>> {
        let mut networks = self.networks;
        networks.retain(|entry| entry.quality != quality);
        networks.push(Entry { quality, network: IntegerNetwork::new(network)?, training: Some(training) });
        write(&mut networks)
    }

    /// The model file of one trained network.
    ///
    /// # Errors
    /// [`Error::Model`] for a network whose weights are too large for integers.
    pub fn of(quality: Quality, network: &Network, training: Training) -> Result<Vec<u8>> {
        Self { id: ModelId([0; 4]), networks: Vec::new() }.with(quality, network, training)
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// Number of weights and biases of all networks.
    pub(super) fn parameters(&self) -> usize {
        self.networks.iter().map(|entry| entry.network.parameters()).sum()
    }

    /// The qualities that networks were trained for.
    #[must_use]
    pub fn qualities(&self) -> Vec<u8> {
        self.networks.iter().map(|entry| entry.quality.get()).collect()
    }

    /// The network for a quality, and the factor of its steps in units of 2^-12: the network that was trained for the nearest quality, or
    /// the lower of two.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn network(&self, quality: Quality) -> (&IntegerNetwork, u32) {
        let nearest = self.networks.iter().min_by_key(|entry| place(entry.quality).abs_diff(place(quality)));
        let Entry { quality: trained, network, .. } = nearest.expect("a model has a network");
        (network, multiplier(quality, *trained))
    }

    /// The same network in floating point, for a quality and a weight of the rate.
    ///
    /// # Errors
    /// [`Error::Model`] for a weight that is not a number.
    pub fn float_network(&self, quality: Quality, rate_weight: f32) -> Result<Network> {
        let (network, multiplier) = self.network(quality);
        network.to_network(lambda(quality) * rate_weight.max(1e-3), multiplier)
    }
}

/// The model file of networks in any order.
fn write(networks: &mut [Entry]) -> Result<Vec<u8>> {
    networks.sort_by_key(|entry| entry.quality.get());
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (index, Entry { network, .. }) in networks.iter().enumerate() {
        for (layer_name, layer) in network.arrays() {
            let name = |part: &str| format!("{index}.{layer_name}.{part}");
            let shape = vec![layer.weights.len() / layer.outputs.max(1), layer.outputs];
            let weights = layer.weights.iter().flat_map(|x| x.to_le_bytes()).collect();
            let bias = layer.bias.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.insert(name("weight"), (Dtype::I16, shape, weights));
            tensors.insert(name("bias"), (Dtype::I32, vec![layer.outputs], bias));
            tensors.insert(name("shift"), (Dtype::U8, vec![layer.outputs], layer.shifts.clone()));
            let count = network.config().directions;
            if count > 0 && has_directions(&layer_name) {
                let Directions { values, exponents } = &layer.directions;
                let shape = vec![count, values.len() / (count * layer.outputs).max(1), layer.outputs];
                let values = values.iter().map(|value| value.cast_unsigned()).collect();
                tensors.insert(name("direction"), (Dtype::I8, shape, values));
                let shape = vec![exponents.len() / layer.outputs.max(1), layer.outputs];
                tensors.insert(name("exponent"), (Dtype::U8, shape, exponents.clone()));
            }
        }
    }
    let entry = |Entry { quality, network, training }: &Entry| NetworkEntry {
        quality: quality.get(),
        config: network.config().clone(),
        training: training.clone(),
    };
    let networks = networks.iter().map(entry).collect();
    let metadata = Metadata { version: VERSION, family: FAMILY.into(), networks };
    let metadata = serde_json::to_string(&metadata).map_err(|e| Error::Model(e.to_string()))?;
    let failed = |e: safetensors::SafeTensorError| Error::Model(e.to_string());
    let views: Result<Vec<(&String, TensorView<'_>)>, _> = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect();
    let metadata = std::iter::once(("aez".to_owned(), metadata)).collect();
    let bytes = serialize(views.map_err(failed)?, Some(metadata)).map_err(failed)?;
    PhotoModel::from_bytes(&bytes).map(|_| bytes)
}

pub(super) fn foreign(e: safetensors::SafeTensorError) -> Error {
    Error::Model(format!("it is not a complete safetensors file ({e})"))
}

/// The entry `aez` of a model file's metadata.
pub(super) fn metadata(bytes: &[u8]) -> Result<String> {
    let (_, index) = SafeTensors::read_metadata(bytes).map_err(foreign)?;
    let text = index.metadata().as_ref().and_then(|entries| entries.get("aez").cloned());
    text.ok_or_else(|| Error::Model("its metadata have no entry `aez`".into()))
}

fn read_layer(
    tensors: &SafeTensors<'_>,
    name: &str,
    outputs: usize,
    has_directions: bool,
) -> Result<IntegerLayer> {
    let read = |part: &str, wanted: Dtype| {
        let name = format!("{name}.{part}");
        match tensors.tensor(&name) {
            Ok(view) if view.dtype() == wanted => Ok(view.data().to_vec()),
            Ok(view) => Err(Error::Model(format!("{name} is of type {:?}, not {wanted:?}", view.dtype()))),
            Err(_) => Err(Error::Model(format!("it has no tensor {name}"))),
        }
    };
    let weights = read("weight", Dtype::I16)?;
    let bias = read("bias", Dtype::I32)?;
    let directions = if has_directions {
        let values = read("direction", Dtype::I8)?.into_iter().map(u8::cast_signed).collect();
        Directions { values, exponents: read("exponent", Dtype::U8)? }
    } else {
        Directions::default()
    };
    Ok(IntegerLayer {
        outputs,
        weights: weights.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect(),
        bias: bias.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect(),
        shifts: read("shift", Dtype::U8)?,
        directions,
    })
}

/// The id: the first bytes of a hash of everything that decides the decoded pixels.
fn identify(networks: &[Entry]) -> ModelId {
    let mut hash = Sha256::new();
    hash.update(FAMILY);
    for Entry { quality, network, .. } in networks {
        hash.update([quality.get()]);
        hash.update(serde_json::to_vec(network.config()).unwrap_or_default());
        for (name, layer) in network.arrays() {
            hash.update(name);
            layer.weights.iter().for_each(|weight| hash.update(weight.to_le_bytes()));
            layer.bias.iter().for_each(|bias| hash.update(bias.to_le_bytes()));
            hash.update(&layer.shifts);
            let Directions { values, exponents } = &layer.directions;
            values.iter().for_each(|value| hash.update(value.to_le_bytes()));
            hash.update(exponents);
        }
    }
    let digest = hash.finalize();
    ModelId([digest[0], digest[1], digest[2], digest[3]])
}
