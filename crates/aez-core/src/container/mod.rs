//! The `.aez` container: a small header, a checksum, the payload, and optional sections for an alpha plane and metadata.
//!
//! `format-spec.md` in the repository defines it. The container is common to all families of models and does not interpret the
//! payload.

mod alpha;
mod checksum;
mod cursor;
mod header;
mod layout;
mod metadata;
mod section;

pub use header::{Family, Header, ModelId, VERSION};
pub use layout::{Layout, seal};

use std::ops::Range;

use section::Kind;

use crate::{
    error::{Error, Result},
    limits::Limits,
};

/// A file whose structure was checked, with its sections still compressed.
#[derive(Debug, Clone)]
pub struct File<'a> {
    /// All bytes of the file.
    pub bytes: &'a [u8],
    /// Its header.
    pub header: Header,
    /// The positions of its parts.
    pub layout: Layout,
}

impl<'a> File<'a> {
    /// Checks a file: see [`Layout::parse`].
    ///
    /// # Errors
    /// As for [`Layout::parse`].
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self> {
        let (header, layout) = Layout::parse(bytes, limits)?;
        Ok(Self { bytes, header, layout })
    }

    /// As [`File::parse`], for a file that is cut at its end: see [`Layout::parse_cut`].
    ///
    /// # Errors
    /// As for [`Layout::parse_cut`].
    pub fn parse_cut(bytes: &'a [u8], limits: &Limits) -> Result<Self> {
        let (header, layout) = Layout::parse_cut(bytes, limits)?;
        Ok(Self { bytes, header, layout })
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.layout.payload.clone()]
    }

    /// Number of bytes that the sections besides the payload take, compressed and decompressed together.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a section does not declare its length.
    pub fn section_memory(&self) -> Result<u64> {
        let mut memory = 0u64;
        if let Some(alpha) = self.section(&self.layout.alpha) {
            memory = memory.saturating_add(self.header.pixels()).saturating_add(alpha.len() as u64);
        }
        let Layout { icc, exif, xmp, .. } = &self.layout;
        for metadata in [icc, exif, xmp].into_iter().filter_map(|range| self.section(range)) {
            memory = memory
                .saturating_add(metadata::unpacked_len(metadata)?)
                .saturating_add(metadata.len() as u64);
        }
        Ok(memory)
    }

    /// Decompresses the alpha plane: `width * height` bytes. The caller has checked [`File::section_memory`].
    ///
    /// # Errors
    /// [`Error::Damaged`] for a malformed section.
    pub fn alpha(&self) -> Result<Option<Vec<u8>>> {
        let Header { width, height, .. } = self.header;
        self.section(&self.layout.alpha).map(|section| alpha::unpack(section, width, height)).transpose()
    }

    /// Decompresses the ICC profile. The caller has checked [`File::section_memory`].
    ///
    /// # Errors
    /// [`Error::Damaged`] for a malformed section.
    pub fn icc(&self) -> Result<Option<Vec<u8>>> {
        self.section(&self.layout.icc).map(metadata::unpack).transpose()
    }

    /// Decompresses the Exif block. The caller has checked [`File::section_memory`].
    ///
    /// # Errors
    /// [`Error::Damaged`] for a malformed section.
    pub fn exif(&self) -> Result<Option<Vec<u8>>> {
        self.section(&self.layout.exif).map(metadata::unpack).transpose()
    }

    /// Decompresses the XMP packet. The caller has checked [`File::section_memory`].
    ///
    /// # Errors
    /// [`Error::Damaged`] for a malformed section.
    pub fn xmp(&self) -> Result<Option<Vec<u8>>> {
        self.section(&self.layout.xmp).map(metadata::unpack).transpose()
    }

    fn section(&self, range: &Option<Range<usize>>) -> Option<&'a [u8]> {
        range.clone().map(|range| &self.bytes[range])
    }
}

/// The metadata of a picture, before compression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// ICC profile.
    pub icc: Option<&'a [u8]>,
    /// Exif block.
    pub exif: Option<&'a [u8]>,
    /// XMP packet.
    pub xmp: Option<&'a [u8]>,
}

/// The sections of a file besides its payload, compressed once for any number of files of one picture.
#[derive(Debug, Clone, Default)]
pub struct Sections {
    sections: Vec<(Kind, Vec<u8>)>,
}

impl Sections {
    /// Compresses an alpha plane of rows of `width` pixels and the metadata, as far as they are given.
    ///
    /// # Errors
    /// [`Error::Misuse`] for metadata that exceed the format's maximum of 16 MiB.
    pub fn pack(alpha: Option<&[u8]>, width: u32, metadata: Metadata<'_>) -> Result<Self> {
        let mut sections = Vec::new();
        if let Some(alpha) = alpha {
            sections.push((Kind::ALPHA, alpha::pack(alpha, width)?));
        }
        let Metadata { icc, exif, xmp } = metadata;
        for (kind, content) in [(Kind::ICC, icc), (Kind::EXIF, exif), (Kind::XMP, xmp)] {
            if let Some(content) = content {
                sections.push((kind, metadata::pack(content)?));
            }
        }
        Ok(Self { sections })
    }

    /// Assembles a file from its header, its payload and these sections.
    ///
    /// # Errors
    /// [`Error::Misuse`] when a dimension is zero, or a part exceeds what the format can hold.
    pub fn assemble(&self, header: &Header, payload: &[u8]) -> Result<Vec<u8>> {
        layout::assemble(header, payload, &self.sections)
    }
}

/// The content of an `.aez` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The fields of the header.
    pub header: Header,
    /// The encoded colours, whose meaning the family defines.
    pub payload: Vec<u8>,
    /// Opacity of each pixel, `width * height` bytes in row-major order.
    pub alpha: Option<Vec<u8>>,
    /// ICC profile.
    pub icc: Option<Vec<u8>>,
    /// Exif block.
    pub exif: Option<Vec<u8>>,
    /// XMP packet.
    pub xmp: Option<Vec<u8>>,
}

impl Container {
    /// Reads a file. Sizes are checked against `limits` before memory is allocated, and the checksum before anything is
    /// decompressed. Ancillary sections of unknown kinds are skipped.
    ///
    /// # Errors
    /// [`Error::NotAez`], [`Error::UnsupportedVersion`], [`Error::Unsupported`], [`Error::Limit`] or [`Error::Damaged`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let file = File::parse(bytes, limits)?;
        limits.check_memory(file.section_memory()?.saturating_add(file.payload().len() as u64))?;
        Ok(Self {
            header: file.header,
            payload: file.payload().to_vec(),
            alpha: file.alpha()?,
            icc: file.icc()?,
            exif: file.exif()?,
            xmp: file.xmp()?,
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error::Misuse`] when a dimension is zero, the alpha plane does not have the picture's size, or a part exceeds what the
    /// format can hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let expected = self.header.pixels();
        if let Some(found) = self.alpha.as_ref().map(Vec::len).filter(|&found| found as u64 != expected) {
            return Err(Error::Misuse(format!("the alpha plane has {found} bytes instead of {expected}")));
        }
        let (icc, exif, xmp) = (self.icc.as_deref(), self.exif.as_deref(), self.xmp.as_deref());
        Sections::pack(self.alpha.as_deref(), self.header.width, Metadata { icc, exif, xmp })?
            .assemble(&self.header, &self.payload)
    }
}

#[cfg(test)]
mod tests;
