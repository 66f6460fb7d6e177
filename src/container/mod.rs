//! The `.aez` container: a small header, a checksum of everything, the coded latents, and on demand sections
//! for an alpha plane and metadata. `format-spec.md` is its definition; the latents are opaque here.

mod alpha;
mod checksum;
mod cursor;
mod header;
mod layout;
mod metadata;
mod section;

pub use header::{Header, ModelId, VERSION};
pub use layout::{Layout, seal};

use std::ops::Range;

use section::Kind;

use crate::{
    error::{Error, Result},
    limits::Limits,
};

/// What an `.aez` file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub header: Header,
    /// The symbols as [`Header::coder`] codes them.
    pub latents: Vec<u8>,
    /// Opacity of each pixel, `width * height` bytes in row-major order.
    pub alpha: Option<Vec<u8>>,
    /// An ICC colour profile.
    pub icc: Option<Vec<u8>>,
    /// An Exif block.
    pub exif: Option<Vec<u8>>,
}

impl Container {
    /// Reads a file. Sizes are checked against `limits` before anything is allocated, and the checksum before
    /// anything is decompressed. Ancillary sections of unknown kind are skipped.
    ///
    /// # Errors
    /// [`Error::NotAez`], [`Error::UnsupportedVersion`], [`Error::Unsupported`], [`Error::Limit`] or
    /// [`Error::Damaged`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let (header, layout) = Layout::parse(bytes, limits)?;
        let section = |range: &Option<_>| range.clone().map(|range: Range<usize>| &bytes[range]);
        let [alpha, icc, exif] = [&layout.alpha, &layout.icc, &layout.exif].map(section);

        let mut memory = layout.latents.len() as u64;
        if let Some(alpha) = alpha {
            memory = memory.saturating_add(header.pixels()).saturating_add(alpha.len() as u64);
        }
        for metadata in [icc, exif].into_iter().flatten() {
            memory = memory
                .saturating_add(metadata::unpacked_len(metadata)?)
                .saturating_add(metadata.len() as u64);
        }
        limits.check_memory(memory)?;

        Ok(Self {
            latents: bytes[layout.latents].to_vec(),
            alpha: alpha.map(|section| alpha::unpack(section, header.width, header.height)).transpose()?,
            icc: icc.map(metadata::unpack).transpose()?,
            exif: exif.map(metadata::unpack).transpose()?,
            header,
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Misuse`] when a dimension is zero, the alpha plane is not of the picture's size, or a part
    /// exceeds what the format can hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut sections = Vec::new();
        if let Some(alpha) = &self.alpha {
            if alpha.len() as u64 != self.header.pixels() {
                let (found, expected) = (alpha.len(), self.header.pixels());
                return Err(Error::Misuse(format!(
                    "the alpha plane has {found} bytes instead of {expected}"
                )));
            }
            sections.push((Kind::ALPHA, alpha::pack(alpha, self.header.width)?));
        }
        for (kind, metadata) in [(Kind::ICC, &self.icc), (Kind::EXIF, &self.exif)] {
            if let Some(metadata) = metadata {
                sections.push((kind, metadata::pack(metadata)?));
            }
        }
        layout::assemble(&self.header, &self.latents, &sections)
    }
}

#[cfg(test)]
mod tests;
