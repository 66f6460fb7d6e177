//! A trained model of the tiled family.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Config, Parameters, Quantizer, Storage, TileGrid,
    backend::{Backend, Processor},
    correct, deblock,
    file::{self, ModelFile},
    network::Source,
    refine::average_channels,
};
use crate::{
    container::ModelId,
    entropy::Prior,
    error::{Error, Result},
    limits,
    nn::InstructionSet,
    picture::Picture,
    symbols::{Latents, Shape},
};

/// Number of tiles that are given to the network together by default: enough for all threads, few enough to use at most tens of
/// megabytes.
const TILES_AT_ONCE: usize = 32;

/// How a model was made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Name and version of the program that trained it.
    pub program: String,
    /// Name of each source of training data, and its number of pictures.
    pub trained_on: Vec<(String, usize)>,
    /// Name of the training recipe.
    pub recipe: String,
    /// How the weights were initialized.
    pub init: String,
    /// Seed of the random generators.
    pub seed: u64,
    /// Passes over the training data.
    pub epochs: f64,
    /// Number of training tiles.
    pub tiles: u64,
    /// Training time in minutes.
    pub minutes: f64,
}

/// What `aez info` prints about a model.
#[derive(Serialize)]
pub(super) struct Info<'a> {
    model_id: String,
    family: &'static str,
    encoder_parameters: usize,
    decoder_parameters: usize,
    tile: usize,
    latent_dim: usize,
    normalize: bool,
    dropout: f32,
    pub dtype: &'static str,
    #[serde(flatten)]
    provenance: &'a Provenance,
}

/// A model of the tiled family: a network, a quantizer, and a prior.
pub struct TiledModel {
    parts: Parts,
    source: Arc<dyn Source + Send + Sync>,
    backend: Box<dyn Backend>,
    tiles_at_once: usize,
}

/// Everything but the weights.
pub(super) struct Parts {
    pub config: Config,
    pub provenance: Provenance,
    pub quantizer: Quantizer,
    pub prior: Prior,
    pub id: ModelId,
    pub storage: Storage,
}

impl TiledModel {
    /// Reads a model file. Packed weights are unpacked when they are first used: invalid bytes of their streams are errors of that use.
    ///
    /// # Errors
    /// [`Error::Model`] when the bytes are not a usable model.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::parse(Cow::Owned(bytes))
    }

    /// Reads a model file that is part of the program, without copying it.
    ///
    /// # Errors
    /// [`Error::Model`] when the bytes are not a usable model.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        Self::parse(Cow::Borrowed(bytes))
    }

    fn parse(bytes: Cow<'static, [u8]>) -> Result<Self> {
        let ModelFile { parts, tensors } = ModelFile::parse(bytes)?;
        Ok(Self::assemble(parts, Arc::new(tensors)))
    }

    /// A model of weights in memory. It equals the model that [`TiledModel::to_bytes`] stores with [`Storage::Float32`], but its
    /// provenance is empty.
    ///
    /// # Errors
    /// [`Error::Model`] when the parts do not belong to the same network.
    pub fn from_parts(parameters: &Parameters, quantizer: Quantizer, prior: Prior) -> Result<Self> {
        let config = parameters.config;
        file::check_parts(&config, &quantizer, &prior)?;
        let id = file::identify_parts(parameters, &quantizer, &prior);
        let (provenance, storage) = (Provenance::default(), Storage::Float32);
        let parts = Parts { config, provenance, quantizer, prior, id, storage };
        Ok(Self::assemble(parts, Arc::new(parameters.clone())))
    }

    fn assemble(parts: Parts, source: Arc<dyn Source + Send + Sync>) -> Self {
        let backend = Processor::new(parts.config, source.clone(), InstructionSet::best());
        Self { parts, source, backend: Box::new(backend), tiles_at_once: TILES_AT_ONCE }
    }

    /// The bytes of a model file.
    ///
    /// # Errors
    /// [`Error::Model`] when the parts do not belong to the same network.
    pub fn to_bytes(
        parameters: &Parameters,
        quantizer: &Quantizer,
        prior: &Prior,
        provenance: &Provenance,
        storage: Storage,
    ) -> Result<Vec<u8>> {
        file::check_parts(&parameters.config, quantizer, prior)?;
        file::to_bytes(parameters, quantizer, prior, provenance, storage)
    }

    /// Runs the network with another instruction set than the best: see [`InstructionSet::available`].
    #[must_use]
    pub fn with_instruction_set(self, set: InstructionSet) -> Self {
        let backend = Processor::new(self.parts.config, self.source.clone(), set);
        self.with_backend(Box::new(backend))
    }

    /// Runs the network on another device.
    ///
    /// There the values for a tile may differ in the last digits from the processor's: decoded levels by one, and encoded files by
    /// some symbols. Every file is decoded to the same symbols everywhere.
    #[must_use]
    pub fn with_backend(self, backend: Box<dyn Backend>) -> Self {
        Self { backend, ..self }
    }

    /// Sets the maximum number of tiles that are given to the network together. It changes memory use and speed, but no result.
    #[must_use]
    pub fn with_tiles_at_once(self, tiles: usize) -> Self {
        Self { tiles_at_once: tiles.max(1), ..self }
    }

    /// The id: the first bytes of a hash of everything that decides the decoded pixels.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.parts.id
    }

    pub(super) fn info(&self) -> Info<'_> {
        let Parts { config, provenance, id, storage, .. } = &self.parts;
        Info {
            model_id: id.to_string(),
            family: "tiled",
            encoder_parameters: config.encoder_parameters(),
            decoder_parameters: config.decoder_parameters(),
            tile: config.tile,
            latent_dim: config.latents,
            normalize: config.normalize,
            dropout: config.dropout,
            dtype: storage.name(),
            provenance,
        }
    }

    /// The shape of the network.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// Width and height of a tile in pixels.
    #[must_use]
    pub fn tile(&self) -> usize {
        self.parts.config.tile
    }

    /// Number of latents per tile.
    #[must_use]
    pub fn latents(&self) -> usize {
        self.parts.config.latents
    }

    /// The distributions of the latents.
    #[must_use]
    pub fn prior(&self) -> &Prior {
        &self.parts.prior
    }

    /// Centres and steps of the latents.
    #[must_use]
    pub fn quantizer(&self) -> &Quantizer {
        &self.parts.quantizer
    }

    /// How the model was made.
    #[must_use]
    pub fn provenance(&self) -> &Provenance {
        &self.parts.provenance
    }

    /// All parameters of the network as floats.
    ///
    /// # Errors
    /// [`Error::Model`] for packed weights with invalid bytes, [`Error::Io`] when there is not enough memory for them.
    pub fn parameters(&self) -> Result<Parameters> {
        Parameters::from_fn(self.parts.config, |name, _| Ok(self.source.values(name)?.into_owned()))
    }

    /// Maps tiles, `tile * tile * 3` values in [0, 1] each, channels last, to [`TiledModel::latents`] values each. The result for a
    /// tile depends neither on the other tiles nor on the number of threads.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the length is not a multiple of a tile's, and [`Error::Backend`].
    pub fn analyse(&self, tiles: &[f32]) -> Result<Vec<f32>> {
        check_rows(tiles.len(), self.parts.config.tile_len())?;
        if tiles.is_empty() { Ok(Vec::new()) } else { self.backend.analyse(tiles) }
    }

    /// Maps the latents of tiles to their values, channels last, near [0, 1] but not clamped to it.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the length is not a multiple of the number of latents, and [`Error::Backend`].
    pub fn synthesize(&self, latents: &[f32]) -> Result<Vec<f32>> {
        check_rows(latents.len(), self.latents())?;
        if latents.is_empty() { Ok(Vec::new()) } else { self.backend.synthesize(latents) }
    }

    /// Maps latents to tiles as [`TiledModel::synthesize`] does, calls `gradient` with them for the derivative of a loss with respect to
    /// the tiles, and returns the derivative of the loss with respect to the latents.
    ///
    /// # Errors
    /// As for [`TiledModel::synthesize`].
    pub fn synthesis_gradient(
        &self,
        latents: &[f32],
        gradient: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<Vec<f32>> {
        check_rows(latents.len(), self.latents())?;
        if latents.is_empty() { Ok(Vec::new()) } else { self.backend.synthesis_gradient(latents, gradient) }
    }

    /// The latents of a picture in base steps: the first part of encoding. They are those of the analysis network, but for tiles whose
    /// mean colour they miss; for these they are searched.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn latents_of(&self, picture: &Picture) -> Result<Latents> {
        let grid = self.grid(picture.width, picture.height);
        let tile_len = self.parts.config.tile_len();
        let mut values = Vec::with_capacity(grid.len() * self.latents());
        let mut candidates = Vec::new();
        let mut tiles = vec![0.0; tile_len * self.tiles_at_once.min(grid.len()).max(1)];
        for first in (0..grid.len()).step_by(tiles.len() / tile_len) {
            let mut count = 0;
            for (tile, index) in tiles.chunks_exact_mut(tile_len).zip(first..grid.len()) {
                grid.cut(&picture.rgb, index, tile);
                if correct::is_candidate(tile, grid.visible(picture.alpha.as_deref(), index)) {
                    candidates.push(index);
                }
                count += 1;
            }
            values.extend(self.analyse(&tiles[..count * tile_len])?);
        }
        self.quantizer().normalize(&mut values);
        correct::correct(self, picture, &candidates, &mut values)?;
        Latents::new(self.latent_shape(&grid), values)
    }

    /// The pixels for latents in base steps: the last part of decoding. Returns `width * height * 3` bytes; where `gray` is set, the
    /// channels of each pixel are averaged.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the latents are not those of a picture of that size, [`Error::Io`] when there is not enough memory, and
    /// [`Error::Backend`].
    pub fn synthesize_picture(
        &self,
        latents: &Latents,
        width: u32,
        height: u32,
        gray: bool,
    ) -> Result<Vec<u8>> {
        let grid = self.grid(width, height);
        let (expected, found) = (self.latent_shape(&grid), latents.shape());
        if found != expected {
            return Err(Error::Misuse(format!("latents of {found:?} where the picture has {expected:?}")));
        }
        let len = u64::from(width) * u64::from(height) * 3;
        let mut rgb = limits::allocate(len)?;
        rgb.resize(len as usize, 0);
        let mut index = 0;
        for group in latents.values().chunks(self.tiles_at_once * self.latents()) {
            let mut group = group.to_vec();
            self.quantizer().denormalize(&mut group);
            let mut tiles = self.synthesize(&group)?;
            if gray {
                average_channels(&mut tiles);
            }
            for tile in tiles.chunks_exact(self.parts.config.tile_len()) {
                grid.paste(tile, index, &mut rgb);
                index += 1;
            }
        }
        deblock::filter(&mut rgb, &grid);
        Ok(rgb)
    }

    /// How a picture is cut into tiles.
    #[must_use]
    pub fn grid(&self, width: u32, height: u32) -> TileGrid {
        TileGrid { width, height, edge: self.tile() as u32 }
    }

    /// The size of the latents of a picture.
    pub(super) fn latent_shape(&self, grid: &TileGrid) -> Shape {
        Shape { rows: grid.rows(), columns: grid.columns(), channels: self.latents() as u32 }
    }
}

fn check_rows(length: usize, of: usize) -> Result<()> {
    if length.is_multiple_of(of) {
        Ok(())
    } else {
        Err(Error::Misuse(format!("{length} values are not complete rows of {of}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_model_of_parts_equals_the_stored_one() {
        let stored = testing::tiny_tiled();
        let parameters = stored.parameters().unwrap();
        let (quantizer, prior) = (stored.quantizer().clone(), stored.prior().clone());
        let bytes =
            TiledModel::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), Storage::Float32);
        let stored = TiledModel::from_bytes(bytes.unwrap()).unwrap();
        let model = TiledModel::from_parts(&parameters, quantizer, prior).unwrap();
        assert_eq!(model.id(), stored.id());
        let latents: Vec<f32> = (0..2 * model.latents()).map(|i| i as f32 / 9.0).collect();
        assert_eq!(model.synthesize(&latents).unwrap(), stored.synthesize(&latents).unwrap());
        let few = Quantizer::new(vec![0.0; 2], vec![1.0; 2]).unwrap();
        assert!(matches!(
            TiledModel::from_parts(&parameters, few, model.prior().clone()),
            Err(Error::Model(_))
        ));
    }

    #[test]
    fn incomplete_rows_are_errors_and_no_rows_are_none() {
        let model = testing::tiny_tiled();
        assert!(model.analyse(&[]).unwrap().is_empty() && model.synthesize(&[]).unwrap().is_empty());
        assert!(model.analyse(&[0.5]).is_err() && model.synthesize(&[0.5]).is_err());
    }
}
