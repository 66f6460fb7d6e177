//! Which bytes of a file hold what.

use std::ops::Range;

use super::{
    checksum,
    cursor::Cursor,
    header::Header,
    section::{self, Kind},
};
use crate::{
    error::{Error, Result},
    limits::Limits,
};

/// Where the parts of a file lie, in bytes. Every byte belongs to one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Magic number to model id.
    pub header: Range<usize>,
    pub checksum: Range<usize>,
    /// The table of sections; empty in a file of latents alone.
    pub table: Range<usize>,
    pub latents: Range<usize>,
    pub alpha: Option<Range<usize>>,
    pub icc: Option<Range<usize>>,
    pub exif: Option<Range<usize>>,
    /// Bytes of ancillary sections of a kind unknown to this version.
    pub unknown_bytes: usize,
}

impl Layout {
    /// Verifies all of a file but the contents of its sections, and allocates next to nothing: for `aez info`.
    /// Checks in this order: magic number, version, header, limits, checksum, sections.
    ///
    /// # Errors
    /// [`Error::NotAez`], [`Error::UnsupportedVersion`], [`Error::Unsupported`], [`Error::Limit`] or
    /// [`Error::Damaged`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<(Header, Self)> {
        let opening = Header::open(bytes)?;
        let header = opening.header;
        limits.check_size(header.width, header.height)?;

        let computed = checksum::compute(bytes, opening.checksum.clone());
        let stored = &bytes[opening.checksum.clone()];
        if computed != stored {
            return Err(Error::damaged(format_args!(
                "its checksum is {computed:02x?}, but {stored:02x?} is stored: some byte has changed"
            )));
        }

        let end = opening.checksum.end;
        let mut layout = Self {
            header: 0..opening.checksum.start,
            checksum: opening.checksum,
            table: end..end,
            latents: end..bytes.len(),
            alpha: None,
            icc: None,
            exif: None,
            unknown_bytes: 0,
        };
        if opening.has_sections {
            let mut cursor = Cursor::at(bytes, end);
            let sections = section::read_table(&mut cursor, bytes.len())?;
            layout.table.end = cursor.position();
            for (kind, range) in sections {
                match kind {
                    Kind::LATENTS => layout.latents = range,
                    Kind::ALPHA => layout.alpha = Some(range),
                    Kind::ICC => layout.icc = Some(range),
                    Kind::EXIF => layout.exif = Some(range),
                    _ => layout.unknown_bytes += range.len(),
                }
            }
        }
        Ok((header, layout))
    }
}

/// Writes a file of the given parts. `sections` are those beside the latents, in order of their kinds.
pub(super) fn assemble(header: &Header, latents: &[u8], sections: &[(Kind, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    header.write(&mut bytes, !sections.is_empty())?;
    if !sections.is_empty() {
        let all: Vec<(Kind, &[u8])> = std::iter::once((Kind::LATENTS, latents))
            .chain(sections.iter().map(|(kind, section)| (*kind, &section[..])))
            .collect();
        section::write_table(&mut bytes, &all)?;
    }
    bytes.extend(latents);
    for (_, section) in sections {
        bytes.extend(section);
    }
    seal(&mut bytes)?;
    Ok(bytes)
}

/// Stores the right checksum in a file: the last step of writing one, or of a tool that has edited one.
///
/// # Errors
/// Those of [`Header::parse`].
pub fn seal(bytes: &mut [u8]) -> Result<()> {
    let place = Header::open(bytes)?.checksum;
    let checksum = checksum::compute(bytes, place.clone());
    bytes[place].copy_from_slice(&checksum);
    Ok(())
}
