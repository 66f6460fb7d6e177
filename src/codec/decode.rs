//! The bytes of an `.aez` file to a picture.

use super::{Latents, TILES_AT_ONCE, grid, latent_shape, quantize, tile_len};
use crate::{
    container::{Container, Header},
    entropy,
    error::{Error, Result},
    limits::Limits,
    model::Model,
    picture::{Picture, seams},
    symbols::Shape,
};

/// Decodes the files that were encoded with one model.
///
/// ```no_run
/// # fn main() -> aez::Result<()> {
/// let bytes = std::fs::read("photo.aez").unwrap();
/// let picture = aez::codec::Decoder::new(aez::model::Model::builtin()?).decode(&bytes)?;
/// println!("{} x {}", picture.width, picture.height);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Decoder<'m> {
    pub model: &'m Model,
    /// Caps on what the file may ask for.
    pub limits: Limits,
    /// Most tiles that pass through the network together. Default [`TILES_AT_ONCE`].
    pub tiles_at_once: usize,
}

impl<'m> Decoder<'m> {
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        Self { model, limits: Limits::default(), tiles_at_once: TILES_AT_ONCE }
    }

    /// The whole road, from the bytes of a file to the picture.
    ///
    /// # Errors
    /// Whatever bytes are given: [`Error::NotAez`], [`Error::Damaged`], [`Error::UnsupportedVersion`],
    /// [`Error::WrongModel`] or [`Error::Limit`]; else [`Error::Network`].
    pub fn decode(&self, bytes: &[u8]) -> Result<Picture> {
        let Container { header, latents: coded, alpha, icc, exif } = Container::parse(bytes, &self.limits)?;
        if header.model != self.model.id() {
            let (wanted, given) = (header.model.to_string(), self.model.id().to_string());
            return Err(Error::WrongModel { wanted, given });
        }
        let shape = latent_shape(&grid(self.model, header.width, header.height), self.model);
        self.limits.check_memory(memory(&header, shape, alpha.is_some()))?;
        let tables = self.model.prior().at(header.quality);
        let symbols = entropy::decode(header.coder, &coded, shape, &tables, &self.limits)?;
        let latents = quantize::reconstruct(&symbols, &tables)?;
        let rgb = self.synthesize(&latents, header.width, header.height, header.gray)?;
        Ok(Picture { width: header.width, height: header.height, rgb, alpha, gray: header.gray, icc, exif })
    }

    /// The second half of the road: the pixels that `latents` stand for, `width * height * 3` bytes. Where `gray`
    /// is set, the channels of each pixel are averaged.
    ///
    /// # Errors
    /// [`Error::Misuse`] where the shape of the latents is not that of such a picture, and [`Error::Network`].
    pub fn synthesize(&self, latents: &Latents, width: u32, height: u32, gray: bool) -> Result<Vec<u8>> {
        let grid = grid(self.model, width, height);
        let (expected, found) = (latent_shape(&grid, self.model), latents.shape());
        if found != expected {
            return Err(Error::Misuse(format!("latents of {found:?} where the picture has {expected:?}")));
        }
        let mut rgb = vec![0; width as usize * height as usize * 3];
        let group_len = self.tiles_at_once.max(1) * self.model.latents();
        let mut index = 0;
        for group in latents.values().chunks(group_len) {
            let mut group = group.to_vec();
            self.model.quantizer().denormalize(&mut group);
            let mut tiles = self.model.synthesize(&group)?;
            if gray {
                average_channels(&mut tiles);
            }
            for tile in tiles.chunks_exact(tile_len(self.model)) {
                grid.paste(tile, index, &mut rgb);
                index += 1;
            }
        }
        seams::soften(&mut rgb, &grid);
        Ok(rgb)
    }
}

/// Bytes that decoding holds at once beside the model and its activations: the pixels, and each latent as an
/// integer and as a float. Saturates.
fn memory(header: &Header, shape: Shape, has_alpha: bool) -> u64 {
    let pixels = u64::from(header.width) * u64::from(header.height);
    let planes = if has_alpha { 4 } else { 3 };
    let latents = shape.count().and_then(|count| count.checked_mul(8)).unwrap_or(u64::MAX);
    pixels.saturating_mul(planes).saturating_add(latents)
}

fn average_channels(tiles: &mut [f32]) {
    for pixel in tiles.chunks_exact_mut(3) {
        let mean = pixel.iter().sum::<f32>() / 3.0;
        pixel.fill(mean);
    }
}
