//! The tiled family as a [`Codec`].

use std::borrow::Cow;

use super::{
    TiledModel, quantize,
    refine::{self, Search},
};
use crate::{
    codec::{Analysis, Codec, Payload, Settings, Tune},
    container::{Family, Header, ModelId},
    entropy::{self, Tables},
    error::{Error, Result},
    limits::Limits,
    picture::Picture,
    symbols::{Latents, Symbols},
};

impl Codec for TiledModel {
    fn family(&self) -> Family {
        Family::TILED
    }

    fn id(&self) -> ModelId {
        TiledModel::id(self)
    }

    fn info(&self) -> serde_json::Value {
        serde_json::to_value(TiledModel::info(self)).unwrap_or_default()
    }

    fn block_edge(&self) -> Option<u32> {
        Some(self.tile() as u32)
    }

    fn analyse<'a>(&'a self, picture: Cow<'a, Picture>, tune: Tune) -> Result<Box<dyn Analysis + 'a>> {
        if tune != Tune::Psnr {
            return Err(Error::Misuse(
                "the tiled family can be tuned for PSNR only: the photo family also for SSIM".into(),
            ));
        }
        let latents = self.latents_of(&picture)?;
        Ok(Box::new(AnalysedTiles { model: self, picture, latents }))
    }

    /// The pixels, and each latent as an integer and as a float.
    fn memory(&self, header: &Header) -> u64 {
        let shape = self.latent_shape(&self.grid(header.width, header.height));
        let latents = shape.count().and_then(|count| count.checked_mul(8)).unwrap_or(u64::MAX);
        header.pixels().saturating_mul(3).saturating_add(latents)
    }

    fn decode(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<Vec<u8>> {
        let shape = self.latent_shape(&self.grid(header.width, header.height));
        let tables = self.prior().at(header.quality);
        let symbols = entropy::decode(header.coder, payload, shape, &tables, limits)?;
        let latents = quantize::reconstruct(&symbols, &tables)?;
        self.synthesize_picture(&latents, header.width, header.height, header.gray)
    }
}

/// A picture with its latents.
struct AnalysedTiles<'a> {
    model: &'a TiledModel,
    picture: Cow<'a, Picture>,
    latents: Latents,
}

impl Analysis for AnalysedTiles<'_> {
    fn encode(&self, settings: &Settings) -> Result<Payload> {
        let tables = self.model.prior().at(settings.quality);
        let symbols = quantize::quantize(&self.latents, &tables, settings.quality, lambda(settings))?;
        let symbols = self.without_hidden(symbols, &tables)?;
        let (coder, bytes) = entropy::encode(&symbols, &tables)?;
        Ok(Payload { coder, bytes })
    }

    fn refine(&self, settings: &Settings, effort: u8) -> Result<Option<Box<dyn Analysis + '_>>> {
        let Self { model, picture, latents } = self;
        let search =
            Search { quality: settings.quality, lambda: lambda(settings), rounds: refine::rounds(effort) };
        let latents = refine::refine(model, picture, latents, &search)?;
        Ok(Some(Box::new(AnalysedTiles { model, picture: Cow::Borrowed(picture), latents })))
    }

    fn unquantized(&self) -> Result<Option<Vec<u8>>> {
        let Picture { width, height, gray, .. } = *self.picture;
        self.model.synthesize_picture(&self.latents, width, height, gray).map(Some)
    }
}

impl AnalysedTiles<'_> {
    /// The symbols, but those that take the fewest bits for tiles of which nothing is visible.
    fn without_hidden(&self, symbols: Symbols, tables: &Tables) -> Result<Symbols> {
        if self.picture.alpha.is_none() {
            return Ok(symbols);
        }
        let grid = self.model.grid(self.picture.width, self.picture.height);
        let is_hidden = |tile: usize| !grid.visible(self.picture.alpha.as_deref(), tile).any(|pixel| pixel);
        let hidden: Vec<usize> = (0..grid.len()).filter(|&tile| is_hidden(tile)).collect();
        if hidden.is_empty() {
            return Ok(symbols);
        }
        let bits = |channel: usize, symbol: i32| tables.bits(channel, symbol);
        let cheapest = |channel: usize| {
            tables.range(channel).min_by(|&a, &b| bits(channel, a).total_cmp(&bits(channel, b))).unwrap_or(0)
        };
        let fewest: Vec<i32> = (0..self.model.latents()).map(cheapest).collect();
        let mut values = symbols.values().to_vec();
        for tile in hidden {
            values[tile * fewest.len()..][..fewest.len()].copy_from_slice(&fewest);
        }
        Symbols::new(symbols.shape(), values)
    }
}

fn lambda(settings: &Settings) -> f32 {
    quantize::LAMBDA * settings.rate_weight
}
