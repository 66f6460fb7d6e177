//! Sample pictures for the report: the original beside the decoded pictures of each codec.

use aez_core::{Picture, Result};
use aez_image::PictureFormat;

use crate::{CODEC, Distortion, RoundTrip, external::InstalledCodec};

/// Maximum edge in pixels of the part that is shown. Of larger pictures, the centre is shown.
pub const WINDOW: u32 = 192;
/// Maximum number of AEZ's qualities that are shown of each picture.
const SHOWN_QUALITIES: usize = 4;

/// A picture as decoded by several codecs.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the picture.
    pub name: String,
    /// Width of the whole picture in pixels.
    pub width: u32,
    /// Height of the whole picture in pixels.
    pub height: u32,
    /// The shown part of the original as a PNG file.
    pub original: Vec<u8>,
    /// The decoded pictures.
    pub versions: Vec<Version>,
}

/// A picture as decoded by one codec at one quality.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Name of the codec.
    pub codec: String,
    /// Quality on the codec's own scale.
    pub quality: u32,
    /// Size of the whole file.
    pub bytes: u64,
    /// Similarity of the whole picture to the original.
    pub distortion: Distortion,
    /// This is the codec's smallest file, and still larger than the size that was to be matched.
    pub too_large: bool,
    /// The shown part as a PNG file.
    pub png: Vec<u8>,
}

impl Sample {
    /// Shows `round_trips` of AEZ at some of their qualities, and encodes the picture with each other codec at equal size: its best
    /// file that is not larger than the largest shown one of AEZ, or else its smallest file. If there are no files of AEZ, the
    /// smallest files of the other codecs are shown.
    ///
    /// # Errors
    /// As for [`Distortion::between`] and [`InstalledCodec::fit`].
    pub fn new(
        name: &str,
        picture: &Picture,
        round_trips: &[RoundTrip],
        others: &[InstalledCodec],
    ) -> Result<Self> {
        let mut versions = Vec::new();
        let qualities: Vec<u32> = round_trips.iter().map(|round_trip| round_trip.quality).collect();
        for quality in spread(&qualities) {
            let shown = round_trips.iter().find(|round_trip| round_trip.quality == quality);
            versions.push(Version::new(CODEC, shown.expect("one of their qualities"), picture, u64::MAX)?);
        }
        let bytes = versions.iter().map(|version| version.bytes).max().unwrap_or(0);
        for other in others {
            let round_trip = other.fit(picture, bytes)?;
            versions.push(Version::new(other.codec().name, &round_trip, picture, bytes)?);
        }
        let &Picture { width, height, .. } = picture;
        Ok(Self { name: name.to_owned(), width, height, original: png(picture)?, versions })
    }

    /// Width and height of the shown part in pixels.
    #[must_use]
    pub fn shown(&self) -> (u32, u32) {
        (self.width.min(WINDOW), self.height.min(WINDOW))
    }
}

impl Version {
    fn new(codec: &str, round_trip: &RoundTrip, original: &Picture, max_bytes: u64) -> Result<Self> {
        Ok(Self {
            codec: codec.to_owned(),
            quality: round_trip.quality,
            bytes: round_trip.bytes,
            distortion: Distortion::between(original, &round_trip.picture)?,
            too_large: round_trip.bytes > max_bytes,
            png: png(&round_trip.picture)?,
        })
    }
}

/// The lowest and the highest quality and some between them, at most [`SHOWN_QUALITIES`].
fn spread(qualities: &[u32]) -> Vec<u32> {
    let mut all = qualities.to_vec();
    all.sort_unstable();
    all.dedup();
    let (last, steps) = (all.len().saturating_sub(1), SHOWN_QUALITIES - 1);
    if last <= steps {
        return all;
    }
    (0..=steps).map(|step| all[(step * last + steps / 2) / steps]).collect()
}

/// The centre of a picture as a PNG file.
fn png(picture: &Picture) -> Result<Vec<u8>> {
    let (width, height) = (picture.width.min(WINDOW), picture.height.min(WINDOW));
    let (left, top) = ((picture.width - width) as usize / 2, (picture.height - height) as usize / 2);
    let rows = picture.rgb.chunks_exact(picture.width as usize * 3).skip(top).take(height as usize);
    let rgb = rows.flat_map(|row| &row[left * 3..(left + width as usize) * 3]).copied().collect();
    aez_image::encode(&Picture::from_rgb(width, height, rgb), PictureFormat::Png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sweep;
    use aez_core::{Limits, Quality, testing};

    fn ramp(width: u32, height: u32) -> Picture {
        let rgb = (0..width * height).flat_map(|i| [(i % width) as u8, (i / width) as u8, 99]).collect();
        Picture::from_rgb(width, height, rgb)
    }

    #[test]
    fn the_centre_of_a_large_picture_is_shown() {
        let shown = aez_image::decode(&png(&ramp(251, 95)).unwrap(), &Limits::default()).unwrap();
        assert_eq!((shown.width, shown.height, &shown.rgb[..6]), (192, 95, &[29, 0, 99, 30, 0, 99][..]));
        let last = [29 + 191, 94, 99];
        assert_eq!(shown.rgb[shown.rgb.len() - 3..], last);
    }

    #[test]
    fn qualities_are_spread_over_the_range() {
        assert_eq!(spread(&[90, 15, 30, 45, 60, 75]), [15, 45, 60, 90]);
        assert_eq!(spread(&[70, 20, 70]), [20, 70]);
        assert_eq!(spread(&[1, 2, 3, 4]), [1, 2, 3, 4]);
        assert!(spread(&[]).is_empty());
    }

    #[test]
    fn a_sample_shows_each_quality() {
        let qualities = [20, 80].map(|q| Quality::new(q).unwrap());
        let model = testing::tiny();
        let picture = ramp(40, 30);
        let swept = Sweep::new(&model, qualities.to_vec()).run(&picture).unwrap();
        let sample = Sample::new("x", &picture, &swept.round_trips, &[]).unwrap();
        assert_eq!((sample.shown(), sample.versions.len()), ((40, 30), 2));
        let [low, high] = &sample.versions[..] else { panic!() };
        assert!(low.bytes < high.bytes && !high.too_large && low.distortion.psnr < high.distortion.psnr);
        assert!(high.png.starts_with(b"\x89PNG"));
    }
}
