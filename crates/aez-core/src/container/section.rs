//! The table of sections, which follows the header of a file with more than a payload.

use std::ops::Range;

use super::cursor::{Cursor, push_varint};
use crate::error::{Error, Result};

/// The kind of a section. Readers that do not know a kind skip the section if it is ancillary, and otherwise reject the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(u8);

impl Kind {
    pub const PAYLOAD: Self = Self(0);
    pub const ALPHA: Self = Self(1);
    pub const ICC: Self = Self(0x80);
    pub const EXIF: Self = Self(0x81);
    pub const XMP: Self = Self(0x82);

    fn is_ancillary(self) -> bool {
        self.0 & 0x80 != 0
    }

    fn is_known(self) -> bool {
        [Self::PAYLOAD, Self::ALPHA, Self::ICC, Self::EXIF, Self::XMP].contains(&self)
    }
}

/// Reads the table: the kind and length of each section.
pub fn read_table(cursor: &mut Cursor<'_>) -> Result<Vec<(Kind, u32)>> {
    let [count] = cursor.take("number of sections")?;
    let mut lengths = Vec::with_capacity(count.into());
    for index in 0..count {
        let kind = Kind(cursor.take::<1>("table of sections")?[0]);
        check_order(&lengths, kind)?;
        if !kind.is_known() && !kind.is_ancillary() {
            let number = kind.0;
            return Err(Error::Unsupported(format!("section {index} is of the unknown kind {number}")));
        }
        lengths.push((kind, cursor.varint("length of a section")?));
    }
    if count < 2 {
        return Err(Error::damaged("its table holds no section beside the latents"));
    }
    Ok(lengths)
}

fn check_order(before: &[(Kind, u32)], kind: Kind) -> Result<()> {
    let in_order = match before.last() {
        None => kind == Kind::PAYLOAD,
        Some(&(last, _)) => last < kind,
    };
    if in_order {
        return Ok(());
    }
    let (index, number) = (before.len(), kind.0);
    Err(Error::damaged(format_args!(
        "section {index} is of kind {number}: kinds must ascend, and begin with the latents, kind 0"
    )))
}

/// The positions of sections. They fill the file from the end of the table, `start`, without gaps.
pub fn place(lengths: &[(Kind, u32)], start: usize, file_len: usize) -> Result<Vec<(Kind, Range<usize>)>> {
    let total: u64 = lengths.iter().map(|&(_, length)| u64::from(length)).sum();
    let rest = (file_len - start) as u64;
    if total != rest {
        return Err(Error::damaged(format_args!("its sections are {total} bytes long, but {rest} follow")));
    }
    Ok(place_cut(lengths, start, file_len))
}

/// The positions of sections in a file that is cut at its end. Only the payload may be incomplete; other sections that are not complete
/// are left out.
pub fn place_cut(lengths: &[(Kind, u32)], start: usize, file_len: usize) -> Vec<(Kind, Range<usize>)> {
    let mut end = start;
    let place = |&(kind, length): &(Kind, u32)| {
        let from = end;
        let is_complete = length as usize <= file_len - from;
        end = if is_complete { from + length as usize } else { file_len };
        (is_complete || kind == Kind::PAYLOAD).then_some((kind, from..end))
    };
    lengths.iter().filter_map(place).collect()
}

/// Appends the table of the given sections, of which the payload is the first.
pub fn write_table(bytes: &mut Vec<u8>, sections: &[(Kind, &[u8])]) -> Result<()> {
    bytes.push(sections.len() as u8);
    for (kind, section) in sections {
        let length = u32::try_from(section.len())
            .map_err(|_| Error::Misuse(format!("a section of {} bytes cannot be stored", section.len())))?;
        bytes.push(kind.0);
        push_varint(bytes, length);
    }
    Ok(())
}
