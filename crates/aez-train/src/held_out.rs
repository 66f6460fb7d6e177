//! Sets of tiles that are measured and not trained on.

use crate::sources::thin;
use aez_core::picture::Picture;
use std::ops::Range;

/// The tiles of the validation or the test set: centre squares of pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldOut {
    tile_len: usize,
    /// The tiles, concatenated, channels last. Bytes, because a whole set in floats would take a gigabyte.
    bytes: Vec<u8>,
    labels: Vec<u8>,
    origins: Vec<String>,
}

impl HeldOut {
    /// `labels` are empty, or have the class of each square, from 1. `origins` says where the squares come from.
    fn new(tile_len: usize, squares: &[Picture], labels: Vec<u8>, origins: Vec<String>) -> Self {
        let bytes = squares.iter().flat_map(|square| &square.rgb).copied().collect();
        Self { tile_len, bytes, labels, origins }
    }

    /// Number of tiles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.tile_len.max(1)
    }

    /// Whether there are no tiles, as for sources with too few pictures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Some of the tiles, concatenated: values in [0, 1], channels last.
    ///
    /// # Panics
    /// If the range ends after the last tile.
    #[must_use]
    pub fn tiles(&self, range: Range<usize>) -> Vec<f32> {
        let bytes = &self.bytes[range.start * self.tile_len..range.end * self.tile_len];
        bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect()
    }

    /// The first tiles, at most `count`; see [`HeldOut::tiles`].
    #[must_use]
    pub fn first(&self, count: usize) -> Vec<f32> {
        self.tiles(0..count.min(self.len()))
    }

    /// The class of each tile, from 1. Empty if the classes are not known.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Where the tiles come from, such as `8000 of stl10_binary/test_X.bin`. Empty if there are no tiles.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.origins
    }
}

/// The held-out pictures of several sources.
#[derive(Default)]
pub(crate) struct Part {
    squares: Vec<Picture>,
    labels: Vec<u8>,
    /// Name and number of pictures of each source.
    origins: Vec<(String, usize)>,
}

impl Part {
    pub fn add(&mut self, squares: Vec<Picture>, labels: Vec<u8>, origin: String) {
        self.origins.push((origin, squares.len()));
        self.squares.extend(squares);
        self.labels.extend(labels);
    }

    /// At most `bound` evenly spaced tiles of `tile_len` values. The labels of several sources are of different classes, and left out.
    pub fn held_out(self, tile_len: usize, bound: usize, labelled: bool) -> HeldOut {
        let (count, mut end) = (self.squares.len(), 0);
        let kept = thin((0..count).collect::<Vec<_>>(), bound);
        let mut origins = Vec::new();
        for (name, count) in self.origins {
            let range = end..end + count;
            end = range.end;
            let count = kept.iter().filter(|index| range.contains(index)).count();
            if count > 0 {
                origins.push(format!("{count} of {name}"));
            }
        }
        let labels = if labelled { thin(self.labels, bound) } else { Vec::new() };
        HeldOut::new(tile_len, &thin(self.squares, bound), labels, origins)
    }
}
