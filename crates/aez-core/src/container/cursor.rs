//! A reader over bytes that checks every length, and variable-length integers.

use crate::error::{Error, Result};

/// A position in a byte slice.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::at(bytes, 0)
    }

    /// Starts at a position within `bytes`.
    pub fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    /// The next `count` bytes. `what` names them in the error for data that end too early.
    pub fn advance(&mut self, count: usize, what: &str) -> Result<&'a [u8]> {
        let Some(taken) = self.bytes[self.position..].get(..count) else {
            let length = self.bytes.len();
            return Err(Error::damaged(format_args!("it ends after {length} bytes, within the {what}")));
        };
        self.position += count;
        Ok(taken)
    }

    /// The next `N` bytes, as an array.
    pub fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.advance(N, what)?);
        Ok(taken)
    }

    /// A variable-length integer: seven bits per byte, low bits first, bit 7 set in all bytes but the last.
    pub fn varint(&mut self, what: &str) -> Result<u32> {
        let start = self.position;
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take(what)?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    break;
                }
                return u32::try_from(value)
                    .map_err(|_| Error::damaged(format_args!("the {what} at byte {start} exceeds 32 bits")));
            }
        }
        Err(Error::damaged(format_args!("the {what} at byte {start} is not in its shortest form")))
    }
}

/// Appends a variable-length integer, one to five bytes.
pub fn push_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<(u32, usize)> {
        let mut cursor = Cursor::new(bytes);
        Ok((cursor.varint("length")?, cursor.position()))
    }

    #[test]
    fn varints_have_their_documented_form() {
        for (value, form) in [
            (0, &[0_u8][..]),
            (127, &[0x7F]),
            (128, &[0x80, 1]),
            (300, &[0xAC, 2]),
            (u32::MAX, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
        ] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(bytes, form);
            assert_eq!(read(&bytes).unwrap(), (value, form.len()));
        }
    }

    #[test]
    fn overlong_oversized_and_truncated_varints_are_refused() {
        for form in [
            &[][..],
            &[0x80],
            &[0x80, 0],
            &[0xFF, 0x80, 0],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0x10],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 1],
        ] {
            assert!(matches!(read(form), Err(Error::Damaged(_))), "{form:x?}");
        }
    }

    proptest! {
        #[test]
        fn a_varint_that_reads_has_one_form(bytes in prop::collection::vec(any::<u8>(), 0..7)) {
            if let Ok((value, length)) = read(&bytes) {
                let mut form = Vec::new();
                push_varint(&mut form, value);
                prop_assert_eq!(form, &bytes[..length]);
            }
        }
    }
}
