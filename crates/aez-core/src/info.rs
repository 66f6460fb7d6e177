//! A description of an `.aez` file without decoding it.

use std::ops::Range;

use serde::Serialize;

use crate::{
    container::{Header, Layout, VERSION},
    error::Result,
    limits::Limits,
};

/// The properties of an `.aez` file. The fields that end in `_bytes` account for every byte of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Version of the format.
    pub format_version: u8,
    /// Number of the model's family: 0 is the tiled one, 3 that of photographs.
    pub family: u8,
    /// Name of the family, where it is known.
    pub family_name: Option<&'static str>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The picture is gray.
    pub gray: bool,
    /// Id of the model that decodes the file, in hexadecimal digits.
    pub model_id: String,
    /// Entropy coder: `zstd` or `range`.
    pub coder: &'static str,
    /// Quality from 1 to 100.
    pub quality: u8,
    /// Size of the header, the checksum and the table of sections.
    pub header_bytes: usize,
    /// Size of everything else.
    pub payload_bytes: usize,
    /// Size of the encoded colours.
    pub latents_bytes: usize,
    /// Size of the alpha plane.
    pub alpha_bytes: usize,
    /// Size of the ICC profile.
    pub icc_bytes: usize,
    /// Size of the Exif block.
    pub exif_bytes: usize,
    /// Size of the XMP packet.
    pub xmp_bytes: usize,
    /// Size of sections whose kind is unknown to this version.
    pub unknown_bytes: usize,
    /// Size of the file.
    pub total_bytes: usize,
    /// Bits of the file per pixel of the picture.
    pub bits_per_pixel: f64,
}

impl FileInfo {
    /// Describes a file of any family. The size of the picture is not limited, since memory use does not depend on it.
    ///
    /// # Errors
    /// As for [`Layout::parse`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let (header, layout) = Layout::parse(bytes, &Limits::NONE)?;
        Ok(Self::new(bytes.len(), &header, &layout))
    }

    fn new(total_bytes: usize, header: &Header, layout: &Layout) -> Self {
        let header_bytes = layout.header.len() + layout.checksum.len() + layout.table.len();
        let len = |section: &Option<Range<usize>>| section.as_ref().map_or(0, Range::len);
        Self {
            format_version: VERSION,
            family: header.family.number(),
            family_name: header.family.name(),
            width: header.width,
            height: header.height,
            gray: header.gray,
            model_id: header.model.to_string(),
            coder: header.coder.name(),
            quality: header.quality.get(),
            header_bytes,
            payload_bytes: total_bytes - header_bytes,
            latents_bytes: layout.payload.len(),
            alpha_bytes: len(&layout.alpha),
            icc_bytes: len(&layout.icc),
            exif_bytes: len(&layout.exif),
            xmp_bytes: len(&layout.xmp),
            unknown_bytes: layout.unknown_bytes,
            total_bytes,
            bits_per_pixel: total_bytes as f64 * 8.0 / header.pixels() as f64,
        }
    }
}
