//! Sections of metadata: the length of the content as a variable-length integer, then a zstd frame.

use super::cursor::{Cursor, push_varint};
use crate::{
    entropy::frame,
    error::{Error, Result},
};

/// Most bytes of metadata that a section may hold: 16 MiB, many times what cameras and profiles take.
const MAX_LEN: u32 = 1 << 24;

/// # Errors
/// [`Error::Misuse`] for content beyond the format's cap.
pub fn pack(content: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(content.len()).ok().filter(|&length| length <= MAX_LEN).ok_or_else(|| {
        Error::Misuse(format!("metadata of {} bytes exceeds the format's {MAX_LEN}", content.len()))
    })?;
    let mut section = Vec::new();
    push_varint(&mut section, length);
    section.extend(frame::compress(content, None)?);
    Ok(section)
}

/// Length of the content that a section declares.
pub fn unpacked_len(section: &[u8]) -> Result<u64> {
    split(section).map(|(length, _)| length.into())
}

/// The content of a section whose [`unpacked_len`] is within the caller's limits.
pub fn unpack(section: &[u8]) -> Result<Vec<u8>> {
    let (length, frame) = split(section)?;
    frame::decompress(frame, length.into(), None)
}

fn split(section: &[u8]) -> Result<(u32, &[u8])> {
    let mut cursor = Cursor::new(section);
    let length = cursor.varint("length of the metadata")?;
    if length > MAX_LEN {
        return Err(Error::damaged(format_args!("{length} bytes of metadata exceed the format's {MAX_LEN}")));
    }
    Ok((length, &section[cursor.position()..]))
}
