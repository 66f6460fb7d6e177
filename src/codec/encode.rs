//! A picture to the bytes of an `.aez` file.

use super::{Latents, Refiner, TILES_AT_ONCE, grid, latent_shape, quantize, tile_len};
use crate::{
    container::{Container, Header},
    entropy,
    error::Result,
    model::Model,
    picture::Picture,
    symbols::Quality,
};

/// Encodes pictures with one model.
///
/// ```no_run
/// # fn main() -> aez::Result<()> {
/// let picture = aez::picture::read("photo.png".as_ref(), &aez::Limits::default())?;
/// let mut encoder = aez::codec::Encoder::new(aez::model::Model::builtin()?);
/// encoder.quality = aez::Quality::new(60)?;
/// std::fs::write("photo.aez", encoder.encode(&picture)?).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Encoder<'m> {
    pub model: &'m Model,
    /// Default [`Quality::REFERENCE`].
    pub quality: Quality,
    /// Whether the ICC profile and the EXIF data go into the file. Default true.
    pub keep_metadata: bool,
    /// Weight of the rate when symbols are chosen, see [`quantize::quantize`]. Default [`quantize::LAMBDA`].
    pub lambda: f32,
    /// Improves the latents of each picture, see [`Refiner`]. Default none.
    pub refiner: Option<&'m Refiner<'m>>,
    /// Most tiles that pass through the network together. Default [`TILES_AT_ONCE`].
    pub tiles_at_once: usize,
}

impl<'m> Encoder<'m> {
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        Self {
            model,
            quality: Quality::default(),
            keep_metadata: true,
            lambda: quantize::LAMBDA,
            refiner: None,
            tiles_at_once: TILES_AT_ONCE,
        }
    }

    /// The whole road, from the picture to the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Misuse`](crate::Error::Misuse) for a picture that the format cannot hold, and
    /// [`Error::Network`](crate::Error::Network).
    pub fn encode(&self, picture: &Picture) -> Result<Vec<u8>> {
        let latents = self.refine(picture, self.analyse(picture)?)?;
        self.encode_latents(picture, &latents)
    }

    /// Improves the latents for the encoder's quality, if it has what that takes.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network).
    pub fn refine(&self, picture: &Picture, latents: Latents) -> Result<Latents> {
        match self.refiner {
            Some(refiner) => refiner.refine(picture, &latents, self.quality, self.lambda),
            None => Ok(latents),
        }
    }

    /// The first half of the road, which is slow and does not depend on the quality.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network).
    pub fn analyse(&self, picture: &Picture) -> Result<Latents> {
        let grid = grid(self.model, picture.width, picture.height);
        let tile_len = tile_len(self.model);
        let mut values = Vec::with_capacity(grid.len() * self.model.latents());
        let mut tiles = vec![0.0; tile_len * self.tiles_at_once.clamp(1, grid.len())];
        for first in (0..grid.len()).step_by(tiles.len() / tile_len) {
            let group = tiles.chunks_exact_mut(tile_len).zip(first..grid.len());
            let count = group.map(|(tile, index)| grid.cut(&picture.rgb, index, tile)).count();
            values.extend(self.model.analyse(&tiles[..count * tile_len])?);
        }
        self.model.quantizer().normalize(&mut values);
        Latents::new(latent_shape(&grid, self.model), values)
    }

    /// The second half of the road: quantizes and codes the latents of `picture`, which gives its size, alpha
    /// and metadata.
    ///
    /// # Errors
    /// As for [`Encoder::encode`].
    pub fn encode_latents(&self, picture: &Picture, latents: &Latents) -> Result<Vec<u8>> {
        let tables = self.model.prior().at(self.quality);
        let symbols = quantize::quantize(latents, &tables, self.quality, self.lambda)?;
        let (coder, coded) = entropy::encode(&symbols, &tables)?;
        let metadata = |bytes: &Option<Vec<u8>>| bytes.clone().filter(|_| self.keep_metadata);
        Container {
            header: Header {
                width: picture.width,
                height: picture.height,
                gray: picture.gray,
                quality: self.quality,
                coder,
                model: self.model.id(),
            },
            latents: coded,
            alpha: picture.alpha.clone(),
            icc: metadata(&picture.icc),
            exif: metadata(&picture.exif),
        }
        .to_bytes()
    }
}
