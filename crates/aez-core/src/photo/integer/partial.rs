//! Streams that are cut at their end, and the bytes of each level.

use std::borrow::Cow;

use super::{coding::Position, network::IntegerNetwork, tables::Tables};
use crate::{entropy::RangeDecoder, error::Result, limits::Limits};

impl IntegerNetwork {
    /// Decodes bytes of which any number at the end may be missing to the pixels of the whole picture, and returns them with the number
    /// of levels that are complete, counted from the coarsest. Latents and coefficients that depend on missing bytes are 0. Bytes that no encoder writes
    /// are taken as the end.
    ///
    /// The last latents of complete bytes are among those that depend on what follows: [`IntegerNetwork::decode`] decodes them.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) before an allocation above the limits.
    pub fn decode_cut(
        &self,
        height: u32,
        width: u32,
        multiplier: u32,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(Vec<u8>, usize)> {
        let sizes = self.checked_sizes(height, width, limits)?;
        let (tables, mut decoder) = (Tables::get(), RangeDecoder::new(bytes));
        let moved = self.take_moved(|table, _| decoder.take_certain(table));
        // The level in which the bytes end.
        let mut cut_at = if moved.is_ok() { None } else { Some(sizes.len() - 1) };
        let pixels = moved.unwrap_or(Cow::Borrowed(self)).run(&sizes, multiplier, |at| {
            if cut_at.is_none() {
                match tables.take(|table, _| decoder.take_certain(table), at.location, at.scale) {
                    Ok(latent) => return Ok(latent),
                    Err(_) => cut_at = Some(at.level),
                }
            }
            Ok(0)
        })?;
        Ok((pixels, cut_at.map_or(sizes.len(), |level| sizes.len() - 1 - level)))
    }

    /// Number of bytes that each level takes, from the coarsest, which is the first one, to the finest. The last byte of a level may
    /// hold bits of the next one. They sum to the number of all bytes.
    ///
    /// # Errors
    /// As for [`IntegerNetwork::decode`].
    pub fn level_bytes(
        &self,
        height: u32,
        width: u32,
        multiplier: u32,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Vec<usize>> {
        let sizes = self.checked_sizes(height, width, limits)?;
        let (tables, mut decoder) = (Tables::get(), RangeDecoder::new(bytes));
        let network = self.take_moved(|table, likely| decoder.take_near(table, likely))?;
        let mut ends = vec![0; sizes.len()];
        network.run(&sizes, multiplier, |at: Position| {
            let latent =
                tables.take(|table, likely| decoder.take_near(table, likely), at.location, at.scale)?;
            ends[sizes.len() - 1 - at.level] = (decoder.bits().div_ceil(8) as usize).min(bytes.len());
            Ok(latent)
        })?;
        decoder.finish()?;
        if let Some(last) = ends.last_mut() {
            *last = bytes.len();
        }
        let mut before = 0;
        Ok(ends.into_iter().map(|end| end - std::mem::replace(&mut before, end)).collect())
    }
}
