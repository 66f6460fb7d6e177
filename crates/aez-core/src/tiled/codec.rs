//! The tiled family as a [`Codec`].

use super::{TiledModel, quantize, refine};
use crate::{
    codec::{Analysis, Codec, Payload, Settings},
    container::{Family, Header, ModelId},
    entropy,
    error::Result,
    limits::Limits,
    picture::Picture,
    symbols::Latents,
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

    fn analyse<'a>(&'a self, picture: &'a Picture) -> Result<Box<dyn Analysis + 'a>> {
        Ok(Box::new(AnalysedTiles { model: self, picture, latents: self.latents_of(picture)? }))
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
    picture: &'a Picture,
    latents: Latents,
}

impl Analysis for AnalysedTiles<'_> {
    fn encode(&self, settings: &Settings) -> Result<Payload> {
        let tables = self.model.prior().at(settings.quality);
        let symbols = quantize::quantize(&self.latents, &tables, settings.quality, lambda(settings))?;
        let (coder, bytes) = entropy::encode(&symbols, &tables)?;
        Ok(Payload { coder, bytes })
    }

    fn refine(&self, settings: &Settings, effort: u8) -> Result<Option<Box<dyn Analysis + '_>>> {
        let Self { model, picture, ref latents } = *self;
        let (quality, rounds) = (settings.quality, refine::rounds(effort));
        let latents = refine::refine(model, picture, latents, quality, lambda(settings), rounds)?;
        Ok(Some(Box::new(AnalysedTiles { model, picture, latents })))
    }

    fn unquantized(&self) -> Result<Option<Vec<u8>>> {
        let &Picture { width, height, gray, .. } = self.picture;
        self.model.synthesize_picture(&self.latents, width, height, gray).map(Some)
    }
}

fn lambda(settings: &Settings) -> f32 {
    quantize::LAMBDA * settings.rate_weight
}
