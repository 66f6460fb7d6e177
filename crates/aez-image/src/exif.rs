//! Exif blocks of pictures that are turned upright: the orientation, the dimensions and the thumbnail must follow.
//!
//! A block is a TIFF structure without pixels (CIPA DC-008, section 4.6). It is changed in place, because notes of camera makers refer
//! to positions in it.

use std::ops::Range;

use image::metadata::Orientation;

use crate::ifd::Directories;

/// What a JPEG segment with an Exif block begins with.
pub(crate) const JPEG_EXIF: &[u8] = b"Exif\0\0";
/// What a JPEG segment with an XMP packet begins with.
pub(crate) const JPEG_XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

const IMAGE_WIDTH: u16 = 0x0100;
const IMAGE_LENGTH: u16 = 0x0101;
const ORIENTATION: u16 = 0x0112;
const THUMBNAIL: u16 = 0x0201;
const THUMBNAIL_LENGTH: u16 = 0x0202;
const EXIF_DIRECTORY: u16 = 0x8769;
const INTEROPERABILITY_DIRECTORY: u16 = 0xA005;
const INTEROPERABILITY_INDEX: u16 = 0x0001;
const PIXEL_X_DIMENSION: u16 = 0xA002;
const PIXEL_Y_DIMENSION: u16 = 0xA003;

/// The orientation in a block, if there is one.
pub(crate) fn orientation(exif: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(exif)
}

/// Whether a block says that the colours are Adobe RGB, as cameras do without a profile (CIPA DC-009, section 3.3).
pub(crate) fn declares_adobe_rgb(exif: &[u8]) -> bool {
    let block = Directories::new(exif);
    let find = |at: usize, tag| block.entries(at).into_iter().find(|entry| entry.tag == tag);
    let follow = |at: usize, tag| find(at, tag).and_then(|entry| block.value(&entry)).map(|at| at as usize);
    let inner = block.first().and_then(|at| follow(at, EXIF_DIRECTORY));
    let last = inner.and_then(|at| follow(at, INTEROPERABILITY_DIRECTORY));
    let index = last.and_then(|at| find(at, INTEROPERABILITY_INDEX));
    index.is_some_and(|entry| exif.get(entry.value..).is_some_and(|value| value.starts_with(b"R03")))
}

/// Changes a block to that of a picture of `width * height` pixels that was turned upright: sets the orientation and the dimensions,
/// and removes the thumbnail with its directory.
pub(crate) fn set_upright(exif: &mut Vec<u8>, width: u32, height: u32) {
    let mut block = Directories::new(exif);
    let Some(first) = block.first() else { return };
    let entries = block.entries(first);
    block.remove_thumbnail(first, entries.len());
    let inner = entries.iter().find(|entry| entry.tag == EXIF_DIRECTORY).and_then(|entry| block.value(entry));
    let inner = inner.map_or_else(Vec::new, |at| block.entries(at as usize));
    for entry in entries.iter().chain(&inner) {
        match entry.tag {
            ORIENTATION => block.set(entry, 1),
            IMAGE_WIDTH | PIXEL_X_DIMENSION => block.set(entry, width),
            IMAGE_LENGTH | PIXEL_Y_DIMENSION => block.set(entry, height),
            _ => {}
        }
    }
}

/// Sets the orientation in an XMP packet, where it may be repeated.
pub(crate) fn set_upright_in_xmp(xmp: &mut [u8]) {
    const NAME: &[u8] = b"tiff:Orientation";
    for at in 0..xmp.len().saturating_sub(NAME.len() + 2) {
        // An attribute, name="6", or an element, <name>6</name>.
        let value = at + NAME.len() + if xmp[at + NAME.len()] == b'=' { 2 } else { 1 };
        if xmp[at..].starts_with(NAME) && xmp.get(value).is_some_and(|digit| (b'1'..=b'8').contains(digit)) {
            xmp[value] = b'1';
        }
    }
}

impl Directories<&mut Vec<u8>> {
    /// Removes the directory after the first one, which describes the thumbnail, and the thumbnail.
    fn remove_thumbnail(&mut self, first: usize, entries: usize) {
        let link = first + 2 + 12 * entries;
        let Some(second) = self.long(link).filter(|&at| at != 0).map(|at| at as usize) else { return };
        let described = self.entries(second);
        let find = |tag| described.iter().find(|entry| entry.tag == tag).and_then(|entry| self.value(entry));
        let thumbnail = find(THUMBNAIL).zip(find(THUMBNAIL_LENGTH)).map(|(at, len)| {
            let start = at as usize;
            start..start.saturating_add(len as usize)
        });
        self.clear(link..link + 4);
        // Nothing before the end of the first directory is cleared, whatever the block claims.
        let after = |range: Range<usize>| (range.start > link).then_some(range);
        for range in [thumbnail.and_then(after), after(second..second + 6 + 12 * described.len())] {
            self.remove(range.unwrap_or_default());
        }
    }

    /// Removes the bytes of a range at the end of the block, or else clears them, because other parts must stay where they are.
    fn remove(&mut self, range: Range<usize>) {
        let range = range.start.min(self.bytes.len())..range.end.min(self.bytes.len());
        if range.end == self.bytes.len() {
            self.bytes.truncate(range.start);
        } else {
            self.clear(range);
        }
    }

    fn clear(&mut self, range: Range<usize>) {
        if let Some(place) = self.bytes.get_mut(range) {
            place.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ifd::{LONG, SHORT};
    use proptest::prelude::*;

    /// A block with an orientation, dimensions in both directories, a note of 4 bytes, and a thumbnail of 5 bytes.
    fn block(is_little_endian: bool) -> Vec<u8> {
        let short = |v: u16| if is_little_endian { v.to_le_bytes() } else { v.to_be_bytes() };
        let long = |v: u32| if is_little_endian { v.to_le_bytes() } else { v.to_be_bytes() };
        let entry = |tag, kind, value: u32| {
            let value =
                if kind == SHORT { [short(value as u16), [0; 2]].concat() } else { long(value).to_vec() };
            [&short(tag)[..], &short(kind), &long(1), &value].concat()
        };
        let mut bytes = if is_little_endian { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        bytes.extend(long(8));
        bytes.extend(short(3));
        bytes.extend(entry(IMAGE_WIDTH, LONG, 40));
        bytes.extend(entry(ORIENTATION, SHORT, 6));
        bytes.extend(entry(EXIF_DIRECTORY, LONG, 50));
        bytes.extend(long(84));
        assert_eq!(bytes.len(), 50);
        bytes.extend(short(2));
        bytes.extend(entry(PIXEL_X_DIMENSION, SHORT, 40));
        bytes.extend(entry(PIXEL_Y_DIMENSION, LONG, 30));
        bytes.extend(long(0));
        bytes.extend(b"note");
        assert_eq!(bytes.len(), 84);
        bytes.extend(short(3));
        bytes.extend(entry(ORIENTATION, SHORT, 6));
        bytes.extend(entry(THUMBNAIL, LONG, 126));
        bytes.extend(entry(THUMBNAIL_LENGTH, LONG, 5));
        bytes.extend(long(0));
        bytes.extend(b"thumb");
        bytes
    }

    #[test]
    fn a_turned_block_has_no_thumbnail_and_the_new_dimensions() {
        for is_little_endian in [true, false] {
            let mut bytes = block(is_little_endian);
            let before = bytes.clone();
            set_upright(&mut bytes, 30, 70_000);
            assert_eq!(orientation(&bytes), Some(Orientation::NoTransforms));
            assert_eq!(bytes.len(), 84, "the second directory and the thumbnail are removed");
            assert_eq!(bytes[80..], before[80..84], "the note is where it was");
            let block = Directories::new(&mut bytes);
            assert_eq!(block.long(46), Some(0), "no second directory");
            let values =
                |at| -> Vec<_> { block.entries(at).iter().map(|entry| block.value(entry)).collect() };
            assert_eq!(values(8), [Some(30), Some(1), Some(50)]);
            assert_eq!(values(50), [Some(30), Some(70_000)]);
        }
    }

    #[test]
    fn adobe_rgb_is_found_by_its_index() {
        let (entry, end) = (
            |tag: u16, kind: u16, value: [u8; 4]| {
                [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &[4, 0, 0, 0], &value].concat()
            },
            [0; 4],
        );
        let index = |text: [u8; 4]| {
            let first = [&[1, 0][..], &entry(EXIF_DIRECTORY, LONG, [26, 0, 0, 0]), &end].concat();
            let inner = [&[1, 0][..], &entry(INTEROPERABILITY_DIRECTORY, LONG, [44, 0, 0, 0]), &end].concat();
            let last = [&[1, 0][..], &entry(INTEROPERABILITY_INDEX, 2, text), &end].concat();
            [b"II*\0\x08\0\0\0", &first[..], &inner, &last].concat()
        };
        assert!(declares_adobe_rgb(&index(*b"R03\0")) && !declares_adobe_rgb(&index(*b"R98\0")));
        assert!((0..60).all(|len| !declares_adobe_rgb(&index(*b"R03\0")[..len.min(54)])));
    }

    #[test]
    fn a_thumbnail_before_other_data_is_cleared() {
        let mut bytes = block(true);
        bytes.extend(b"tail");
        set_upright(&mut bytes, 30, 40);
        assert!(bytes.ends_with(b"\0\0\0\0\0tail") && !bytes.windows(5).any(|part| part == b"thumb"));
    }

    #[test]
    fn the_orientation_in_xmp_is_set() {
        for (before, after) in [
            ("<a tiff:Orientation=\"6\" b=\"6\"/>", "<a tiff:Orientation=\"1\" b=\"6\"/>"),
            ("<tiff:Orientation>8</tiff:Orientation>", "<tiff:Orientation>1</tiff:Orientation>"),
            ("<tiff:Orientation>", "<tiff:Orientation>"),
            ("tiff:Orientation", "tiff:Orientation"),
        ] {
            let mut xmp = before.as_bytes().to_vec();
            set_upright_in_xmp(&mut xmp);
            assert_eq!(xmp, after.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_block_is_harmless(at in 0usize..131, value: u8, cut in 0usize..132, width: u32) {
            let mut bytes = block(at % 2 == 0);
            bytes[at] = value;
            bytes.truncate(cut);
            let len = bytes.len();
            set_upright(&mut bytes, width, 5);
            prop_assert!(bytes.len() <= len);
        }
    }
}
