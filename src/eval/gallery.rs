//! Pictures side by side: the original, and what each codec makes of it.

use super::{CODEC, Coded, Distortion, peers::InstalledPeer};
use crate::{
    error::Result,
    picture::{self, Picture, PictureFormat},
};

/// Larger pictures are shown by their middle, of at most so many pixels on each side.
pub const WINDOW: u32 = 192;
/// Most qualities of this codec that are shown of each picture.
const SHOWN_QUALITIES: usize = 4;

/// A picture and its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct Exhibit {
    pub name: String,
    /// Of the whole picture.
    pub width: u32,
    pub height: u32,
    /// The part that is shown, as the bytes of a PNG file.
    pub original: Vec<u8>,
    pub versions: Vec<Version>,
}

/// What a codec made of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub codec: String,
    pub quality: u32,
    /// Of the whole file.
    pub bytes: u64,
    /// Of the whole picture.
    pub distortion: Distortion,
    /// The codec cannot make a file as small as it should have been.
    pub too_large: bool,
    /// The part that is shown, as the bytes of a PNG file.
    pub png: Vec<u8>,
}

impl Exhibit {
    /// Shows what this codec made of a picture at some of its qualities, and sends the picture through each other codec at equal
    /// size: the best file that takes no more bytes than the largest shown of this codec, or else the smallest file. Without files of
    /// this codec, the others' smallest ones are shown.
    ///
    /// # Errors
    /// As for [`Distortion::between`] and [`InstalledPeer::fit`].
    pub fn new(name: &str, picture: &Picture, ours: &[Coded], peers: &[InstalledPeer]) -> Result<Self> {
        let mut versions = Vec::new();
        let qualities: Vec<u32> = ours.iter().map(|coded| coded.quality).collect();
        for quality in spread(&qualities) {
            let coded = ours.iter().find(|coded| coded.quality == quality).expect("one of their qualities");
            versions.push(Version::new(CODEC, coded, picture, u64::MAX)?);
        }
        let bytes = versions.iter().map(|version| version.bytes).max().unwrap_or(0);
        for peer in peers {
            versions.push(Version::new(peer.peer().name, &peer.fit(picture, bytes)?, picture, bytes)?);
        }
        let &Picture { width, height, .. } = picture;
        Ok(Self { name: name.to_owned(), width, height, original: png(picture)?, versions })
    }

    /// Columns and rows of the part that is shown.
    #[must_use]
    pub fn shown(&self) -> (u32, u32) {
        (self.width.min(WINDOW), self.height.min(WINDOW))
    }
}

impl Version {
    fn new(codec: &str, coded: &Coded, original: &Picture, allowed: u64) -> Result<Self> {
        Ok(Self {
            codec: codec.to_owned(),
            quality: coded.quality,
            bytes: coded.bytes,
            distortion: Distortion::between(original, &coded.picture)?,
            too_large: coded.bytes > allowed,
            png: png(&coded.picture)?,
        })
    }
}

/// The lowest and the highest quality, and some between them.
fn spread<Q: Copy + Ord>(qualities: &[Q]) -> Vec<Q> {
    let mut all = qualities.to_vec();
    all.sort();
    all.dedup();
    let (last, steps) = (all.len().saturating_sub(1), SHOWN_QUALITIES - 1);
    if last <= steps {
        return all;
    }
    (0..=steps).map(|step| all[(step * last + steps / 2) / steps]).collect()
}

/// The middle of the picture as a PNG file.
fn png(picture: &Picture) -> Result<Vec<u8>> {
    let (width, height) = (picture.width.min(WINDOW), picture.height.min(WINDOW));
    let (left, top) = ((picture.width - width) as usize / 2, (picture.height - height) as usize / 2);
    let rows = picture.rgb.chunks_exact(picture.width as usize * 3).skip(top).take(height as usize);
    let rgb = rows.flat_map(|row| &row[left * 3..(left + width as usize) * 3]).copied().collect();
    picture::encode(&Picture::from_rgb(width, height, rgb), PictureFormat::Png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Quality, eval::Sweep, model};

    fn ramp(width: u32, height: u32) -> Picture {
        let rgb = (0..width * height).flat_map(|i| [(i % width) as u8, (i / width) as u8, 99]).collect();
        Picture::from_rgb(width, height, rgb)
    }

    #[test]
    fn the_middle_of_a_large_picture_is_shown() {
        let shown = picture::decode(&png(&ramp(251, 95)).unwrap(), &Limits::default()).unwrap();
        assert_eq!((shown.width, shown.height, &shown.rgb[..6]), (192, 95, &[29, 0, 99, 30, 0, 99][..]));
        let last = [29 + 191, 94, 99];
        assert_eq!(shown.rgb[shown.rgb.len() - 3..], last);
    }

    #[test]
    fn qualities_are_spread_over_the_range() {
        let spread = |qualities: &[u8]| {
            let qualities: Vec<_> = qualities.iter().map(|&q| Quality::new(q).unwrap()).collect();
            spread(&qualities).into_iter().map(Quality::get).collect::<Vec<_>>()
        };
        assert_eq!(spread(&[90, 15, 30, 45, 60, 75]), [15, 45, 60, 90]);
        assert_eq!(spread(&[70, 20, 70]), [20, 70]);
        assert_eq!(spread(&[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert!(spread(&[]).is_empty());
    }

    #[test]
    fn an_exhibit_shows_each_quality() {
        let qualities = [20, 80].map(|q| Quality::new(q).unwrap()).into();
        let model = model::tiny();
        let sweep = Sweep { model: &model, qualities, refiner: None };
        let picture = ramp(40, 30);
        let exhibit = Exhibit::new("x", &picture, &sweep.code(&picture).unwrap().coded, &[]).unwrap();
        assert_eq!((exhibit.shown(), exhibit.versions.len()), ((40, 30), 2));
        let [low, high] = &exhibit.versions[..] else { panic!() };
        assert!(low.bytes < high.bytes && !high.too_large && low.distortion.psnr < high.distortion.psnr);
        assert!(high.png.starts_with(b"\x89PNG"));
    }
}
