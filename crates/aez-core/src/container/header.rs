//! The header: everything that a reader checks before it allocates memory.

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
/// Bits 2 and 3 of the flags.
const FAMILY_SHIFT: u8 = 2;
const CODER_IS_RANGE: u8 = 0x80;
/// Files without sections of pictures up to this width and height have a checksum of 2 bytes instead of 4.
const SMALL_EDGE: u32 = 128;
/// The same for photographs.
const SMALL_PHOTO_EDGE: u32 = 256;

/// Identifies a model: the first four bytes of a hash of everything that decides the decoded pixels. Printed as eight hexadecimal
/// digits.
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

/// The family of codecs that a model belongs to, from 0 to 3 in files. It defines what the payload of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Family(u8);

impl Family {
    /// Tiles that are encoded separately by a convolutional autoencoder: see [`tiled`](crate::tiled).
    pub const TILED: Self = Self(0);
    /// Photographs, as pyramids of latents.
    pub const PHOTO: Self = Self(3);
    /// Models of previews, which are texts: no file has this family.
    pub const PREVIEW: Self = Self(4);

    /// A family by its number.
    ///
    /// # Errors
    /// [`Error::Misuse`] for numbers above 3.
    pub fn new(number: u8) -> Result<Self> {
        match number {
            0..=3 => Ok(Self(number)),
            _ => Err(Error::Misuse(format!("family {number} is not between 0 and 3"))),
        }
    }

    /// The number, from 0 to 3 in files.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// The name of a family that this version of the library knows.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::TILED => Some("tiled"),
            Self::PHOTO => Some("photo"),
            Self::PREVIEW => Some("preview"),
            _ => None,
        }
    }

    /// The error for a file of a family that cannot be decoded here.
    pub(crate) fn unsupported(self) -> Error {
        let flags = self.0 << FAMILY_SHIFT;
        Error::Unsupported(format!("its flags {flags:04b} name model family {}, which is not known", self.0))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// The fields of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The family of the model.
    pub family: Family,
    /// Number of columns, at least 1.
    pub width: u32,
    /// Number of rows, at least 1.
    pub height: u32,
    /// The picture is gray.
    pub gray: bool,
    /// The quality that the picture was encoded with.
    pub quality: Quality,
    /// The entropy coder of the payload.
    pub coder: Coder,
    /// The model that encoded the picture; only this model can decode it.
    pub model: ModelId,
}

/// A header and the layout of the bytes that follow it.
pub(super) struct Opening {
    pub header: Header,
    /// A table of sections follows. Otherwise the payload does, up to the end of the file.
    pub has_sections: bool,
    /// Position of the checksum, directly after the other fields.
    pub checksum: Range<usize>,
}

impl Header {
    /// Reads a header, and returns it with its length in bytes including the checksum. The checksum is not verified:
    /// [`Layout::parse`](super::Layout::parse) does that.
    ///
    /// # Errors
    /// [`Error::NotAez`], [`Error::UnsupportedVersion`], [`Error::Unsupported`] or [`Error::Damaged`].
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let opening = Self::open(bytes)?;
        Ok((opening.header, opening.checksum.end))
    }

    /// Number of pixels, `width * height`.
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
        let family = Family(flags >> FAMILY_SHIFT);

        let [quality_and_coder] = cursor.take("quality")?;
        let quality = Quality::new(quality_and_coder & !CODER_IS_RANGE).map_err(Error::damaged)?;
        let coder = if quality_and_coder & CODER_IS_RANGE == 0 { Coder::Zstd } else { Coder::Range };
        let width = read_edge(&mut cursor, "width")?;
        let height = read_edge(&mut cursor, "height")?;
        let model = ModelId(cursor.take("model id")?);
        let header = Self { family, width, height, gray: flags & GRAY != 0, quality, coder, model };

        let has_sections = flags & SECTIONS != 0;
        let start = cursor.position();
        cursor.advance(header.checksum_len(has_sections), "checksum")?;
        Ok(Opening { header, has_sections, checksum: start..cursor.position() })
    }

    /// Appends the header with zeros in place of the checksum.
    pub(super) fn write(&self, bytes: &mut Vec<u8>, has_sections: bool) -> Result<()> {
        bytes.extend(MAGIC);
        let gray = if self.gray { GRAY } else { 0 };
        let flags = self.family.0 << FAMILY_SHIFT | gray | if has_sections { SECTIONS } else { 0 };
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
        let small = if self.family == Family::PHOTO { SMALL_PHOTO_EDGE } else { SMALL_EDGE };
        if !has_sections && self.width.max(self.height) <= small { 2 } else { 4 }
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
