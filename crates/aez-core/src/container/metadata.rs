//! Metadata sections: the length of the content as a variable-length integer, then a zstd frame.

use super::cursor::{Cursor, push_varint};
use crate::{
    entropy::frame,
    error::{Error, Result},
};

/// Maximum number of bytes of a section's content: 16 MiB.
const MAX_LEN: u32 = 1 << 24;

/// Compresses the content of a section.
///
/// # Errors
/// [`Error::Misuse`] for content of more than [`MAX_LEN`] bytes.
pub fn pack(content: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(content.len()).ok().filter(|&length| length <= MAX_LEN).ok_or_else(|| {
        Error::Misuse(format!("metadata of {} bytes exceeds the format's {MAX_LEN}", content.len()))
    })?;
    let mut section = Vec::new();
    push_varint(&mut section, length);
    section.extend(frame::compress(content)?);
    Ok(section)
}

/// The length of the content that a section declares.
pub fn unpacked_len(section: &[u8]) -> Result<u64> {
    split(section).map(|(length, _)| length.into())
}

/// The content of a section. The caller has checked its [`unpacked_len`] against its limits.
pub fn unpack(section: &[u8]) -> Result<Vec<u8>> {
    let (length, frame) = split(section)?;
    frame::decompress(frame, length.into())
}

fn split(section: &[u8]) -> Result<(u32, &[u8])> {
    let mut cursor = Cursor::new(section);
    let length = cursor.varint("length of the metadata")?;
    if length > MAX_LEN {
        return Err(Error::damaged(format_args!("{length} bytes of metadata exceed the format's {MAX_LEN}")));
    }
    Ok((length, &section[cursor.position()..]))
}
