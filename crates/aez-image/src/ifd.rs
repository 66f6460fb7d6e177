//! Directories of tags, as TIFF files and Exif blocks have them (TIFF 6.0, section 2).

pub(crate) const SHORT: u16 = 3;
pub(crate) const LONG: u16 = 4;

/// Replaces the value of a tag in the first directory of a TIFF file. Returns false where there is none, as in BigTIFF files, whose
/// directories are of another kind.
pub(crate) fn set(tiff: &mut Vec<u8>, tag: u16, value: u32) -> bool {
    if !tiff.starts_with(b"II*\0") && !tiff.starts_with(b"MM\0*") {
        return false;
    }
    let mut directories = Directories::new(tiff);
    let entries = directories.first().map_or_else(Vec::new, |at| directories.entries(at));
    let Some(entry) = entries.iter().find(|entry| entry.tag == tag) else { return false };
    directories.set(entry, value);
    true
}

/// A structure, which can be changed in place if its bytes can.
pub(crate) struct Directories<B> {
    pub bytes: B,
    is_little_endian: bool,
}

/// An entry of a directory with one value.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub tag: u16,
    pub kind: u16,
    /// Position of its value.
    pub value: usize,
}

impl<B: AsRef<[u8]>> Directories<B> {
    pub fn new(bytes: B) -> Self {
        let is_little_endian = bytes.as_ref().starts_with(b"II");
        Self { bytes, is_little_endian }
    }

    /// Position of the first directory.
    pub fn first(&self) -> Option<usize> {
        self.long(4).and_then(|at| usize::try_from(at).ok())
    }

    pub fn short(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.as_ref().get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.is_little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    pub fn long(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.as_ref().get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.is_little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// The entries of the directory at a position, as far as they lie in the block.
    pub fn entries(&self, directory: usize) -> Vec<Entry> {
        let count = usize::from(self.short(directory).unwrap_or(0));
        let entry =
            |at: usize| Some(Entry { tag: self.short(at)?, kind: self.short(at + 2)?, value: at + 8 });
        (0..count).map_while(|index| entry(directory + 2 + 12 * index)).collect()
    }

    pub fn value(&self, entry: &Entry) -> Option<u32> {
        match entry.kind {
            SHORT => self.short(entry.value).map(u32::from),
            LONG => self.long(entry.value),
            _ => None,
        }
    }
}

impl Directories<&mut Vec<u8>> {
    /// Replaces the value of an entry, if its type can hold it.
    pub fn set(&mut self, entry: &Entry, value: u32) {
        let bytes = match (entry.kind, u16::try_from(value)) {
            (SHORT, Ok(value)) if self.is_little_endian => value.to_le_bytes().to_vec(),
            (SHORT, Ok(value)) => value.to_be_bytes().to_vec(),
            (LONG, _) if self.is_little_endian => value.to_le_bytes().to_vec(),
            (LONG, _) => value.to_be_bytes().to_vec(),
            _ => return,
        };
        if let Some(place) = self.bytes.get_mut(entry.value..entry.value + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
    }
}
