//! Caps on what untrusted input may ask for, checked before anything is allocated.

use crate::error::{Error, Result};

/// How much a picture, an `.aez` file or a model file may ask for. The defaults suit a program that opens
/// files from strangers; raise them for pictures that are known to be large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most columns, and most rows, of a picture. Default 65,535.
    pub max_edge: u32,
    /// Most pixels of a picture. Default 128 Mi (2^27).
    pub max_pixels: u64,
    /// Most bytes that decoding one file may hold at once, beside the model. Default 1 GiB.
    pub max_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_edge: 65_535, max_pixels: 1 << 27, max_memory: 1 << 30 }
    }
}

impl Limits {
    /// No caps but those of the format itself.
    pub const NONE: Self = Self { max_edge: u32::MAX, max_pixels: u64::MAX, max_memory: u64::MAX };

    /// Refuses a picture size that exceeds the caps.
    ///
    /// # Errors
    /// [`Error::Limit`] names the cap.
    pub fn check_size(&self, width: u32, height: u32) -> Result<()> {
        check("picture edge", width.max(height).into(), self.max_edge.into())?;
        check("number of pixels", u64::from(width) * u64::from(height), self.max_pixels)
    }

    /// Refuses an allocation that exceeds the cap on memory.
    ///
    /// # Errors
    /// [`Error::Limit`] names the cap.
    pub fn check_memory(&self, bytes: u64) -> Result<()> {
        check("memory use", bytes, self.max_memory)
    }
}

/// An empty vector with room for `count` values. Where a request within the limits still cannot be met, it is an
/// error and not the end of the program.
///
/// # Errors
/// [`Error::Io`] of kind `OutOfMemory`.
pub(crate) fn allocate<T>(count: u64) -> Result<Vec<T>> {
    let mut values = Vec::new();
    match usize::try_from(count).map(|count| values.try_reserve_exact(count)) {
        Ok(Ok(())) => Ok(values),
        _ => Err(Error::Io {
            context: format!("cannot allocate {count} values of {} bytes", size_of::<T>()),
            source: std::io::ErrorKind::OutOfMemory.into(),
        }),
    }
}

fn check(what: &'static str, found: u64, allowed: u64) -> Result<()> {
    if found > allowed { Err(Error::Limit { what, found, allowed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_on_the_border_pass_and_beyond_it_fail() {
        let limits = Limits { max_edge: 100, max_pixels: 2000, max_memory: 10 };
        assert!(limits.check_size(100, 20).is_ok());
        assert!(matches!(limits.check_size(101, 1), Err(Error::Limit { found: 101, .. })));
        assert!(matches!(limits.check_size(100, 21), Err(Error::Limit { found: 2100, .. })));
        assert!(limits.check_memory(10).is_ok() && limits.check_memory(11).is_err());
        assert!(Limits::NONE.check_size(u32::MAX, u32::MAX).is_ok());
    }
}
