//! The trained autoencoder: its shape, its parameters, its quantizer and prior, and the file that holds them.

mod calibrate;
pub mod config;
mod file;
mod graph;
pub mod init;
pub mod klt;
pub mod network;
pub mod parameters;
pub mod quantizer;
mod weights;

pub use calibrate::{Calibration, calibrate};
pub use config::Config;
pub use graph::Graph;
pub use parameters::Parameters;
pub use quantizer::Quantizer;
pub use weights::Storage;

use crate::{
    container::ModelId,
    entropy::Prior,
    error::{Error, Result},
    nn::Path as SimdPath,
};
use candle_core::{Device, Tensor};
use file::ModelFile;
use network::{Analysis, Source, Synthesis};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fs, path::Path, sync::OnceLock};

/// The model that is built into the program, which `build.rs` chooses; empty where there is none.
static BUILTIN: &[u8] = include_bytes!(env!("AEZ_BUILTIN_MODEL"));

/// How a model was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Version of the program that trained it.
    pub program: String,
    /// Name of each source of training data, and its number of pictures.
    pub trained_on: Vec<(String, usize)>,
    /// The recipe's name and its starting weights.
    pub recipe: String,
    pub init: String,
    pub seed: u64,
    /// Passes over the training data, and tiles seen in all.
    pub epochs: f64,
    pub tiles: u64,
    /// Time spent training.
    pub minutes: f64,
}

/// What `aez info` tells of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    pub model_id: String,
    pub encoder_parameters: usize,
    pub decoder_parameters: usize,
    pub tile: usize,
    pub latent_dim: usize,
    pub normalize: bool,
    pub dropout: f32,
    pub dtype: &'static str,
    #[serde(flatten)]
    pub provenance: Provenance,
}

/// A model, ready to encode and decode. Each half of the network is unpacked when it is first used.
pub struct Model {
    file: ModelFile,
    info: Info,
    engine: Engine,
}

/// What runs the network.
enum Engine {
    /// The processor, with an instruction set; each half of the network is packed for it when it is first used.
    Processor { simd: SimdPath, analysis: OnceLock<Analysis>, synthesis: OnceLock<Synthesis> },
    /// candle, on its device.
    Graph(Graph),
}

impl Engine {
    fn processor(simd: SimdPath) -> Self {
        Self::Processor { simd, analysis: OnceLock::new(), synthesis: OnceLock::new() }
    }
}

impl Model {
    /// The model that is built into the program.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the program was built without one, [`Error::Model`] when it was built with a damaged one.
    pub fn builtin() -> Result<&'static Self> {
        static MODEL: OnceLock<Model> = OnceLock::new();
        if let Some(model) = MODEL.get() {
            return Ok(model);
        }
        let model = Self::builtin_copy()?;
        Ok(MODEL.get_or_init(|| model))
    }

    /// Another copy of the built-in model, such as for another device.
    ///
    /// # Errors
    /// As for [`Model::builtin`].
    pub fn builtin_copy() -> Result<Self> {
        if BUILTIN.is_empty() {
            return Err(Error::Misuse(
                "this program was built without a model, as the packaged crate carries none: name a model file \
                 with --model, or build it in a clone of the repository, or with AEZ_BUILTIN_MODEL=FILE"
                    .into(),
            ));
        }
        Self::parse(Cow::Borrowed(BUILTIN))
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Model`] when it is no usable model.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| Error::io("cannot read the model", path, e))?;
        Self::from_bytes(bytes).map_err(|error| match error {
            Error::Model(reason) => Error::Model(format!("{}: {reason}", path.display())),
            other => other,
        })
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// [`Error::Model`] when they are no usable model.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::parse(Cow::Owned(bytes))
    }

    fn parse(bytes: Cow<'static, [u8]>) -> Result<Self> {
        let file = ModelFile::parse(bytes)?;
        let config = file.config;
        let info = Info {
            model_id: file.id.to_string(),
            encoder_parameters: config.encoder_parameters(),
            decoder_parameters: config.decoder_parameters(),
            tile: config.tile,
            latent_dim: config.latents,
            normalize: config.normalize,
            dropout: config.dropout,
            dtype: match file.storage {
                Storage::Float32 => "f32",
                Storage::Int8 => "i8",
            },
            provenance: file.provenance.clone(),
        };
        Ok(Self { file, info, engine: Engine::processor(SimdPath::best()) })
    }

    /// Puts a model's bytes together.
    ///
    /// # Errors
    /// [`Error::Model`] when the parts do not fit each other.
    pub fn to_bytes(
        parameters: &Parameters,
        quantizer: &Quantizer,
        prior: &Prior,
        provenance: &Provenance,
        storage: Storage,
    ) -> Result<Vec<u8>> {
        let bytes = file::to_bytes(parameters, quantizer, prior, provenance, storage)?;
        ModelFile::parse(Cow::Owned(bytes.clone()))?;
        Ok(bytes)
    }

    /// Runs the network on the processor by another instruction set than the best; see [`SimdPath::available`].
    #[must_use]
    pub fn with_simd(self, simd: SimdPath) -> Self {
        Self { engine: Engine::processor(simd), ..self }
    }

    /// Runs the network on a device, to which its parameters are copied.
    ///
    /// On a GPU the result for a tile may differ in its last digits from the processor's, and with the number of tiles in
    /// a call: a pixel by one level, a file by a symbol. Every file is still decoded to the same symbols everywhere.
    ///
    /// # Errors
    /// [`Error::Network`] when the device has no memory for the model.
    pub fn on_device(self, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(self.with_simd(SimdPath::best()));
        }
        let graph = Graph::new(self.file.config, &self.file, device)?;
        // Other threads may run it, each in its own order of events.
        device.synchronize()?;
        Ok(Self { engine: Engine::Graph(graph), ..self })
    }

    /// The network as a graph on its device, whose weights have no gradients.
    ///
    /// # Errors
    /// [`Error::Network`] when the device has no memory for another copy of the weights.
    pub fn frozen_graph(&self) -> Result<Graph> {
        Ok(Graph::new(self.file.config, &self.file, &self.device())?.frozen())
    }

    /// Where the network runs.
    #[must_use]
    pub fn device(&self) -> Device {
        match &self.engine {
            Engine::Processor { .. } => Device::Cpu,
            Engine::Graph(graph) => graph.device().clone(),
        }
    }

    /// A hash of everything that decides the decoded pixels.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.file.id
    }

    /// What there is to tell of it.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The shape of the network.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.file.config
    }

    /// Edge of a tile in pixels.
    #[must_use]
    pub fn tile(&self) -> usize {
        self.file.config.tile
    }

    /// Latents of a tile.
    #[must_use]
    pub fn latents(&self) -> usize {
        self.file.config.latents
    }

    /// All numbers of the network, those that are stored in 8 bits restored.
    ///
    /// # Errors
    /// None that a model which was read can have.
    pub fn parameters(&self) -> Result<Parameters> {
        Parameters::from_fn(self.file.config, |name, _| Ok(self.file.values(name).into_owned()))
    }

    /// The distributions of the latents.
    #[must_use]
    pub fn prior(&self) -> &Prior {
        &self.file.prior
    }

    /// Centres and steps of the latents.
    #[must_use]
    pub fn quantizer(&self) -> &Quantizer {
        &self.file.quantizer
    }

    /// Maps tiles, `tile * tile * 3` values in [0, 1] each, channels last, to [`Model::latents`] numbers each. The result for a
    /// tile depends neither on the others nor on the number of threads.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the length is not a multiple of a tile's.
    pub fn analyse(&self, tiles: &[f32]) -> Result<Vec<f32>> {
        check_rows(tiles.len(), self.file.config.tile_len())?;
        let config = self.file.config;
        match &self.engine {
            Engine::Processor { simd, analysis, .. } => {
                Ok(get_or_make(analysis, || Analysis::new(config, &self.file, *simd)).run(tiles))
            }
            Engine::Graph(_) if tiles.is_empty() => Ok(Vec::new()),
            Engine::Graph(graph) => {
                let shape = (tiles.len() / config.tile_len(), config.tile, config.tile, 3);
                let tiles = Tensor::from_slice(tiles, shape, graph.device())?;
                Ok(graph.analyse(&tiles, None)?.flatten_all()?.to_vec1()?)
            }
        }
    }

    /// Maps the latents of each tile back to its values, channels last, near [0, 1] but not clamped to it.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the length is not a multiple of the number of latents.
    pub fn synthesize(&self, latents: &[f32]) -> Result<Vec<f32>> {
        check_rows(latents.len(), self.latents())?;
        let config = self.file.config;
        match &self.engine {
            Engine::Processor { simd, synthesis, .. } => {
                Ok(get_or_make(synthesis, || Synthesis::new(config, &self.file, *simd)).run(latents))
            }
            Engine::Graph(_) if latents.is_empty() => Ok(Vec::new()),
            Engine::Graph(graph) => {
                let shape = (latents.len() / config.latents, config.latents);
                let latents = Tensor::from_slice(latents, shape, graph.device())?;
                Ok(graph.synthesize(&latents, None)?.flatten_all()?.to_vec1()?)
            }
        }
    }
}

/// What the cell holds, or is given now. Making it runs on rayon's threads, and a thread that waits there may begin
/// another piece of work that needs the same: so it is made outside of the cell's lock, twice in a rare case.
fn get_or_make<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(made) = cell.get() {
        return made;
    }
    let made = make();
    cell.get_or_init(|| made)
}

/// A model of 16x16 tiles and 12 latents, made in an instant from generated tiles: for tests and for trying the library.
///
/// # Panics
/// Never, unless the library is broken.
#[must_use]
pub fn tiny() -> Model {
    Model::from_bytes(tiny_bytes()).expect("a sound model")
}

/// The file of [`tiny`].
///
/// # Panics
/// Never, unless the library is broken.
#[must_use]
pub fn tiny_bytes() -> Vec<u8> {
    let config = Config { tile: 16, channels: 12, reductions: 2, latents: 12, ..Config::default() };
    let tiles: Vec<f32> = (0..64).flat_map(|index| waves(config.tile, index as f32)).collect();
    let made = init::klt(config, tiles.clone(), 1).and_then(|parameters| {
        let Calibration { quantizer, prior, .. } = calibrate(&parameters, &tiles, 192, 8.0, 1)?;
        Model::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), Storage::Int8)
    });
    made.expect("a sound model")
}

/// A tile of smooth colours: waves whose direction, length and phase vary with the index.
fn waves(edge: usize, index: f32) -> impl Iterator<Item = f32> {
    let angle = index * 2.4;
    let length = 0.1 + 0.05 * (index * 0.7).sin();
    (0..edge * edge * 3).map(move |place| {
        let (x, y) = ((place / 3 % edge) as f32, (place / 3 / edge) as f32);
        let along = (x * angle.cos() + y * angle.sin()) * length + index + (place % 3) as f32 * index * 0.1;
        0.5 + 0.4 * along.sin()
    })
}

fn check_rows(length: usize, of: usize) -> Result<()> {
    if length.is_multiple_of(of) {
        Ok(())
    } else {
        Err(Error::Misuse(format!("{length} values are not whole rows of {of}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_computes_what_the_packed_network_does() {
        let model = tiny();
        let config = *model.config();
        let graph = Graph::new(config, &model.file, &Device::Cpu).unwrap();
        let by_graph = Model { engine: Engine::Graph(graph), ..tiny() };
        let tiles: Vec<f32> = (70..73).flat_map(|index| waves(config.tile, index as f32)).collect();
        let close = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            let scale = b.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * scale));
        };
        let latents = model.analyse(&tiles).unwrap();
        close(&by_graph.analyse(&tiles).unwrap(), &latents);
        close(&by_graph.synthesize(&latents).unwrap(), &model.synthesize(&latents).unwrap());
        assert!(by_graph.analyse(&[]).unwrap().is_empty() && by_graph.synthesize(&[]).unwrap().is_empty());
        assert!(by_graph.analyse(&tiles[1..]).is_err());
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_gpu_computes_what_the_processor_does() {
        let device = match crate::nn::cuda_device(0) {
            Ok(device) => device,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let (model, on_gpu) = (tiny(), tiny().on_device(&device).unwrap());
        let tiles: Vec<f32> = (70..73).flat_map(|index| waves(model.tile(), index as f32)).collect();
        let latents = model.analyse(&tiles).unwrap();
        let (a, b) = (
            model.synthesize(&latents).unwrap(),
            on_gpu.synthesize(&on_gpu.analyse(&tiles).unwrap()).unwrap(),
        );
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1.0 / 1024.0));
    }
}
