//! The header: what a reader must know before it allocates anything.

use std::{fmt, ops::Range, str::FromStr};

use super::cursor::{Cursor, push_varint};
use crate::{
    entropy::Coder,
    error::{Error, Result},
    symbols::Quality,
};

/// The version of the format that this library reads and writes.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 2] = [0xAE, 0x5A];
const GRAY: u8 = 1;
const SECTIONS: u8 = 2;
const KNOWN_FLAGS: u8 = GRAY | SECTIONS;
const CODER_IS_RANGE: u8 = 0x80;
/// Pictures up to this edge, without sections, have a checksum of 2 bytes instead of 4.
const SMALL_EDGE: u32 = 128;

/// Names a model by the first bytes of a digest; printed as eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelId(pub [u8; 4]);

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl FromStr for ModelId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_hex = text.len() == 8 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u32::from_str_radix(text, 16) {
            Ok(id) if is_hex => Ok(Self(id.to_be_bytes())),
            _ => Err(Error::Misuse(format!("model id {text:?} is not eight hexadecimal digits"))),
        }
    }
}

/// What a reader must know of a file before it reads the latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// Whether red, green and blue are to be averaged after decoding.
    pub gray: bool,
    pub quality: Quality,
    pub coder: Coder,
    /// The model that coded the picture, and alone can decode it.
    pub model: ModelId,
}

/// The header, and what it says of the rest of the file.
pub(super) struct Opening {
    pub header: Header,
    /// Whether a table of sections follows; otherwise the latents do, to the end of the file.
    pub has_sections: bool,
    /// Where the checksum is stored: the end of the header's bytes.
    pub checksum: Range<usize>,
}

impl Header {
    /// Reads a header without regard to what follows, and returns it with its length in bytes, checksum
    /// included. The checksum itself is verified by [`Layout::parse`](super::Layout::parse).
    ///
    /// # Errors
    /// [`Error::NotAez`], [`Error::UnsupportedVersion`], [`Error::Unsupported`] or [`Error::Damaged`].
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let opening = Self::open(bytes)?;
        Ok((opening.header, opening.checksum.end))
    }

    /// Number of pixels.
    #[must_use]
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    pub(super) fn open(bytes: &[u8]) -> Result<Opening> {
        if !bytes.starts_with(&MAGIC) {
            let start = &bytes[..bytes.len().min(MAGIC.len())];
            return Err(Error::NotAez(format!("it begins with bytes {start:02x?} instead of {MAGIC:02x?}")));
        }
        let mut cursor = Cursor::new(bytes);
        cursor.take::<2>("magic number")?;

        let [version_and_flags] = cursor.take("version")?;
        let (version, flags) = (version_and_flags >> 4, version_and_flags & 0x0F);
        if version != VERSION {
            return Err(Error::UnsupportedVersion { found: version, supported: VERSION });
        }
        if flags & !KNOWN_FLAGS != 0 {
            return Err(Error::Unsupported(format!(
                "it sets flags {flags:04b}, of which only 0011 are known"
            )));
        }

        let [quality_and_coder] = cursor.take("quality")?;
        let quality = Quality::new(quality_and_coder & !CODER_IS_RANGE).map_err(Error::damaged)?;
        let coder = if quality_and_coder & CODER_IS_RANGE == 0 { Coder::Zstd } else { Coder::Range };
        let width = read_edge(&mut cursor, "width")?;
        let height = read_edge(&mut cursor, "height")?;
        let model = ModelId(cursor.take("model id")?);
        let header = Self { width, height, gray: flags & GRAY != 0, quality, coder, model };

        let has_sections = flags & SECTIONS != 0;
        let start = cursor.position();
        cursor.advance(header.checksum_len(has_sections), "checksum")?;
        Ok(Opening { header, has_sections, checksum: start..cursor.position() })
    }

    /// Appends the header, with zeros for the checksum that is known last.
    pub(super) fn write(&self, bytes: &mut Vec<u8>, has_sections: bool) -> Result<()> {
        bytes.extend(MAGIC);
        let flags = if self.gray { GRAY } else { 0 } | if has_sections { SECTIONS } else { 0 };
        bytes.push(VERSION << 4 | flags);
        let coder = if self.coder == Coder::Range { CODER_IS_RANGE } else { 0 };
        bytes.push(self.quality.get() | coder);
        for edge in [self.width, self.height] {
            let below = edge.checked_sub(1).ok_or_else(|| {
                Error::Misuse(format!("a picture of {}x{} pixels cannot be stored", self.width, self.height))
            })?;
            push_varint(bytes, below);
        }
        bytes.extend(self.model.0);
        bytes.extend(&[0; 4][..self.checksum_len(has_sections)]);
        Ok(())
    }

    fn checksum_len(&self, has_sections: bool) -> usize {
        if !has_sections && self.width.max(self.height) <= SMALL_EDGE { 2 } else { 4 }
    }
}

fn read_edge(cursor: &mut Cursor<'_>, what: &str) -> Result<u32> {
    let below = cursor.varint(what)?;
    below.checked_add(1).ok_or_else(|| Error::damaged(format_args!("the {what} exceeds 2^32 - 1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_ids_print_as_they_parse() {
        let id = ModelId([0x00, 0xAB, 0x0C, 0xDE]);
        assert_eq!(id.to_string(), "00ab0cde");
        assert_eq!("00AB0cde".parse::<ModelId>().unwrap(), id);
        for wrong in ["", "00ab0cd", "00ab0cdef", "+0ab0cde", "00ab0cdg", "ää00"] {
            assert!(wrong.parse::<ModelId>().is_err(), "{wrong}");
        }
    }
}
