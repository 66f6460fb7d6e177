//! The positions of the parts of a file.

use std::ops::Range;

use super::{
    checksum,
    cursor::Cursor,
    header::{Header, Opening},
    section::{self, Kind},
};
use crate::{
    error::{Error, Result},
    limits::Limits,
};

/// Byte ranges of the parts of a file. Every byte belongs to exactly one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// From the magic number to the model id.
    pub header: Range<usize>,
    /// The checksum of all other bytes.
    pub checksum: Range<usize>,
    /// The table of sections; empty in a file without.
    pub table: Range<usize>,
    /// The encoded colours, whose meaning the family defines.
    pub payload: Range<usize>,
    /// The compressed alpha plane.
    pub alpha: Option<Range<usize>>,
    /// The compressed ICC profile.
    pub icc: Option<Range<usize>>,
    /// The compressed Exif block.
    pub exif: Option<Range<usize>>,
    /// The compressed XMP packet.
    pub xmp: Option<Range<usize>>,
    /// Number of bytes in ancillary sections of kinds that this version does not know.
    pub unknown_bytes: usize,
}

impl Layout {
    /// Checks everything in a file but the contents of its sections, in this order: magic number, version, other fields of the header,
    /// limits, checksum, table of sections. Memory use does not depend on the file.
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

        Ok((header, Self::place(bytes, opening, false)?))
    }

    /// As [`Layout::parse`], for a file that is cut at its end: the checksum is not verified, the payload is what there is of it, and
    /// other sections that are not complete are left out.
    ///
    /// # Errors
    /// As for [`Layout::parse`]; [`Error::Damaged`] when the header or the table of sections is not complete.
    pub fn parse_cut(bytes: &[u8], limits: &Limits) -> Result<(Header, Self)> {
        let opening = Header::open(bytes)?;
        let header = opening.header;
        limits.check_size(header.width, header.height)?;
        Ok((header, Self::place(bytes, opening, true)?))
    }

    /// The positions of the parts of a file, which may be cut at its end.
    fn place(bytes: &[u8], opening: Opening, is_cut: bool) -> Result<Self> {
        let end = opening.checksum.end;
        let mut layout = Self {
            header: 0..opening.checksum.start,
            checksum: opening.checksum,
            table: end..end,
            payload: end..bytes.len(),
            alpha: None,
            icc: None,
            exif: None,
            xmp: None,
            unknown_bytes: 0,
        };
        if opening.has_sections {
            let mut cursor = Cursor::at(bytes, end);
            let lengths = section::read_table(&mut cursor)?;
            let start = cursor.position();
            let sections = if is_cut {
                section::place_cut(&lengths, start, bytes.len())
            } else {
                section::place(&lengths, start, bytes.len())?
            };
            layout.table.end = start;
            for (kind, range) in sections {
                match kind {
                    Kind::PAYLOAD => layout.payload = range,
                    Kind::ALPHA => layout.alpha = Some(range),
                    Kind::ICC => layout.icc = Some(range),
                    Kind::EXIF => layout.exif = Some(range),
                    Kind::XMP => layout.xmp = Some(range),
                    _ => layout.unknown_bytes += range.len(),
                }
            }
        }
        Ok(layout)
    }
}

/// Assembles a file. `sections` are the sections after the payload, in ascending order of their kinds.
pub(super) fn assemble(header: &Header, payload: &[u8], sections: &[(Kind, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    header.write(&mut bytes, !sections.is_empty())?;
    if !sections.is_empty() {
        let all: Vec<(Kind, &[u8])> = std::iter::once((Kind::PAYLOAD, payload))
            .chain(sections.iter().map(|(kind, section)| (*kind, &section[..])))
            .collect();
        section::write_table(&mut bytes, &all)?;
    }
    bytes.extend(payload);
    for (_, section) in sections {
        bytes.extend(section);
    }
    seal(&mut bytes)?;
    Ok(bytes)
}

/// Writes the correct checksum into a file: the last step of an encoder, or of a tool that edits files.
///
/// # Errors
/// Those of [`Header::parse`].
pub fn seal(bytes: &mut [u8]) -> Result<()> {
    let place = Header::open(bytes)?.checksum;
    let checksum = checksum::compute(bytes, place.clone());
    bytes[place].copy_from_slice(&checksum);
    Ok(())
}
