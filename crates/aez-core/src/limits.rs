//! Upper bounds on what untrusted input may request, checked before memory is allocated.

use crate::error::{Error, LimitKind, Result};

/// Upper bounds for one picture, AEZ file or preview.
///
/// The defaults suit a program that opens untrusted files. Raise them for pictures that are known to be large:
///
/// ```
/// use aez_core::Limits;
/// let limits = Limits::default().with_max_pixels(1 << 30).with_max_memory(8 << 30);
/// assert!(limits.check_size(30_000, 30_000).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum width and height in pixels. Default 65,535.
    pub max_edge: u32,
    /// Maximum number of pixels. Default 2^27 (128 Mi).
    pub max_pixels: u64,
    /// Maximum number of bytes that one operation may hold at once, without the model. Default 2^30 (1 GiB).
    pub max_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_edge: 65_535, max_pixels: 1 << 27, max_memory: 1 << 30 }
    }
}

impl Limits {
    /// The bounds of the format itself.
    pub const NONE: Self = Self { max_edge: u32::MAX, max_pixels: u64::MAX, max_memory: u64::MAX };

    /// The same limits with another maximum width and height, in pixels.
    #[must_use]
    pub const fn with_max_edge(mut self, pixels: u32) -> Self {
        self.max_edge = pixels;
        self
    }

    /// The same limits with another maximum number of pixels.
    #[must_use]
    pub const fn with_max_pixels(mut self, pixels: u64) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// The same limits with another maximum memory use, in bytes.
    #[must_use]
    pub const fn with_max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Checks the size of a picture.
    ///
    /// # Errors
    /// [`Error::Limit`] for [`LimitKind::Edge`] or [`LimitKind::Pixels`].
    pub fn check_size(&self, width: u32, height: u32) -> Result<()> {
        check(LimitKind::Edge, width.max(height).into(), self.max_edge.into())?;
        check(LimitKind::Pixels, u64::from(width) * u64::from(height), self.max_pixels)
    }

    /// Checks the memory use of an operation, in bytes.
    ///
    /// # Errors
    /// [`Error::Limit`] for [`LimitKind::Memory`].
    pub fn check_memory(&self, bytes: u64) -> Result<()> {
        check(LimitKind::Memory, bytes, self.max_memory)
    }
}

/// An empty vector with room for `count` values.
///
/// # Errors
/// [`Error::Io`] of kind `OutOfMemory` when the allocation fails; the program is not aborted.
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

fn check(limit: LimitKind, found: u64, allowed: u64) -> Result<()> {
    if found > allowed { Err(Error::Limit { limit, found, allowed }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_a_limit_pass_and_values_above_it_fail() {
        let limits = Limits { max_edge: 100, max_pixels: 2000, max_memory: 10 };
        assert!(limits.check_size(100, 20).is_ok());
        assert!(matches!(limits.check_size(101, 1), Err(Error::Limit { found: 101, .. })));
        assert!(matches!(limits.check_size(100, 21), Err(Error::Limit { found: 2100, .. })));
        assert!(limits.check_memory(10).is_ok() && limits.check_memory(11).is_err());
        assert!(Limits::NONE.check_size(u32::MAX, u32::MAX).is_ok());
    }
}
