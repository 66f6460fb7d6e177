//! Random crops of pictures in memory.

use aez_core::{
    Limits,
    picture::{
        Picture,
        resample::{Filter, Window, centre, resample},
    },
};
use rand::RngExt;
use rayon::prelude::*;

use crate::{
    Error, Result,
    augment::{Key, Purpose, generator},
    folder::{self, Split},
    sources::thin,
    spec::{Source, Spec},
};

/// By how much crops are scaled down, each with the same probability: photographs come in many resolutions.
const SCALES: [f32; 5] = [1.0, 1.0, 0.75, 0.5, 0.35];
/// Part of the shorter side of a picture that a thumbnail shows at least.
const SMALLEST_THUMBNAIL: f32 = 0.45;
/// Probability that a crop's rows and columns are exchanged.
const TRANSPOSED: f32 = 0.3;
/// Maximum number of pictures whose centres are measured during the training.
const MAX_VALIDATION: usize = 8;

/// Pictures, and the crops that are made from them.
#[derive(Debug)]
pub struct Crops {
    edge: u32,
    /// Probability that a crop is a thumbnail.
    thumbnails: f32,
    pictures: Vec<Picture>,
    /// Indices of the pictures, each repeated by the weight of its source.
    visits: Vec<usize>,
    validation: Vec<Picture>,
    sources: Vec<(String, usize)>,
    skipped: Vec<String>,
}

impl Crops {
    /// Reads the pictures of folders, on all threads. `edge` is that of a crop in pixels. Pictures that are smaller, or that cannot be
    /// read, are skipped; see [`Crops::skipped`]. About 1 in 20 pictures of a folder, depending on a hash of its name, is not for
    /// training.
    ///
    /// # Errors
    /// [`aez_core::Error::Io`] if a folder cannot be read, [`aez_core::Error::Misuse`] for sources that are no folders of pictures,
    /// or if there are no training pictures.
    pub fn open(specs: &[Spec], edge: u32, limits: &Limits) -> Result<Self> {
        let mut crops = Self {
            edge,
            thumbnails: 0.0,
            pictures: Vec::new(),
            visits: Vec::new(),
            validation: Vec::new(),
            sources: Vec::new(),
            skipped: Vec::new(),
        };
        for spec in specs {
            crops.add(spec, limits)?;
        }
        if crops.pictures.is_empty() {
            let first = crops.skipped.first().map(|reason| format!("; {reason}")).unwrap_or_default();
            return Err(Error::misuse(format!("the data contain no training pictures{first}")));
        }
        crops.validation = thin(std::mem::take(&mut crops.validation), MAX_VALIDATION);
        Ok(crops)
    }

    /// The same pictures, with crops some of which show most of their picture. `part` is how many, 0 to 1.
    #[must_use]
    pub fn with_thumbnails(self, part: f32) -> Self {
        Self { thumbnails: part, ..self }
    }

    fn add(&mut self, spec: &Spec, limits: &Limits) -> Result<()> {
        let Source::Folder(folder) = &spec.source else {
            return Err(Error::misuse("the photo family is trained on folders of pictures, not on STL-10"));
        };
        let paths = aez_image::pictures_under(folder)?;
        let hashes: Vec<f64> = paths.iter().map(|path| folder::hash_of_name(path)).collect();
        let read = |path: &std::path::PathBuf| {
            let picture = folder::read_or_explain(path, limits)?;
            if picture.shortest_side() < self.edge {
                return Err(format!("{} is smaller than {} pixels", path.display(), self.edge));
            }
            Ok(Picture::from_rgb(picture.width, picture.height, picture.rgb))
        };
        let pictures: Vec<Result<Picture, String>> = paths.par_iter().map(read).collect();
        let first = self.pictures.len();
        for (picture, split) in pictures.into_iter().zip(folder::assign_splits(&hashes)) {
            match (picture, split) {
                (Ok(picture), Split::Train) => self.pictures.push(picture),
                (Ok(picture), Split::Validation) => self.validation.push(self.centre(&picture)),
                (Ok(_), Split::Test) => {}
                (Err(reason), _) => self.skipped.push(reason),
            }
        }
        let added = first..self.pictures.len();
        self.sources.push((folder::base_name(folder), added.len()));
        (0..spec.weight).for_each(|_| self.visits.extend(added.clone()));
        Ok(())
    }

    /// The centre of a picture, at its resolution.
    fn centre(&self, picture: &Picture) -> Picture {
        let Window { x, y, width, height } = centre(picture);
        let edge = self.edge as usize;
        let window =
            Window { x: x + (width - edge) / 2, y: y + (height - edge) / 2, width: edge, height: edge };
        self.resampled(picture, window)
    }

    /// The crop of a number, which depends on nothing else but the seed and the pictures.
    #[must_use]
    pub fn crop(&self, seed: u64, number: u64) -> Picture {
        let mut rng = generator(Key { seed, epoch: 0, position: number }, Purpose::Tile);
        let picture = &self.pictures[self.visits[rng.random_range(0..self.visits.len())]];
        let shortest = picture.shortest_side();
        let side = if self.thumbnails > 0.0 && rng.random::<f32>() < self.thumbnails {
            let part = rng.random_range(SMALLEST_THUMBNAIL..=1.0);
            ((shortest as f32 * part).round() as u32).max(self.edge)
        } else {
            let scale = SCALES[rng.random_range(0..SCALES.len())];
            ((self.edge as f32 / scale).round() as u32).min(shortest)
        };
        let [x, y] = [picture.width, picture.height].map(|size| rng.random_range(0..=size - side) as usize);
        let side = side as usize;
        let mut crop = self.resampled(picture, Window { x, y, width: side, height: side });
        let row = 3 * self.edge as usize;
        if rng.random() {
            crop.rgb.chunks_exact_mut(row).for_each(|row| row.as_chunks_mut::<3>().0.reverse());
        }
        if rng.random::<f32>() < TRANSPOSED {
            transpose(&mut crop.rgb, self.edge as usize);
        }
        crop
    }

    fn resampled(&self, picture: &Picture, window: Window) -> Picture {
        let edge = self.edge as usize;
        let mut values = vec![0.0; 3 * edge * edge];
        resample::<3>(
            &picture.rgb,
            picture.width as usize,
            window,
            Filter::Lanczos3,
            (edge, edge),
            &mut values,
        );
        let rgb = values.into_iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
        Picture::from_rgb(self.edge, self.edge, rgb)
    }

    /// Number of training pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Always false: there are training pictures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The centres of held-out pictures.
    #[must_use]
    pub fn validation(&self) -> &[Picture] {
        &self.validation
    }

    /// The base name of each folder and the number of its training pictures.
    #[must_use]
    pub fn summary(&self) -> &[(String, usize)] {
        &self.sources
    }

    /// A message for each picture that is not used.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

/// Exchanges rows and columns of a square.
fn transpose(rgb: &mut [u8], edge: usize) {
    let pixels = rgb.as_chunks_mut::<3>().0;
    for y in 0..edge {
        for x in 0..y {
            pixels.swap(y * edge + x, x * edge + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_image::{PictureFormat, encode};

    /// A folder of pictures of growing width, whose red value is the column and whose green value is the row.
    fn folder(count: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..count {
            let (width, height) = (if i == 7 { 12 } else { 20 + 7 * i }, 60);
            let pixel = |k: u32| [(k % width).min(255) as u8, (k / width) as u8, i as u8];
            let rgb = (0..width * height).flat_map(pixel).collect();
            let png = encode(&Picture::from_rgb(width, height, rgb), PictureFormat::Png).unwrap();
            std::fs::write(dir.path().join(format!("{i}.png")), png).unwrap();
        }
        dir
    }

    #[test]
    fn crops_depend_on_their_number_and_come_from_the_training_pictures() {
        let dir = folder(30);
        let spec = dir.path().to_str().unwrap().parse().unwrap();
        let crops = Crops::open(&[spec], 16, &Limits::default()).unwrap();
        assert_eq!(crops.skipped().len(), 1, "one is too narrow");
        assert!(!crops.validation().is_empty() && crops.len() < 29);
        assert_eq!(crops.crop(1, 5), crops.crop(1, 5));
        assert_ne!(crops.crop(1, 5), crops.crop(2, 5));
        let held_out: Vec<u8> = crops.validation().iter().map(|picture| picture.rgb[2]).collect();
        let (mut transposed, mut mirrored) = (0, 0);
        for number in 0..100 {
            let crop = crops.crop(1, number);
            assert_eq!((crop.width, crop.height), (16, 16));
            assert!(!held_out.contains(&crop.rgb[2]));
            let last = |x: usize, y: usize| 3 * (16 * y + x);
            transposed += u32::from(crop.rgb[last(15, 0) + 1] != crop.rgb[1]);
            mirrored += u32::from(crop.rgb[last(15, 0)] < crop.rgb[0] || crop.rgb[last(0, 15)] < crop.rgb[0]);
        }
        assert!((15..50).contains(&transposed) && (30..70).contains(&mirrored), "{transposed} {mirrored}");
    }

    #[test]
    fn thumbnails_show_most_of_their_picture() {
        let dir = folder(30);
        let crops = Crops::open(&[dir.path().to_str().unwrap().parse().unwrap()], 16, &Limits::default());
        let crops = crops.unwrap();
        let widest = |crops: &Crops| {
            let shown = |number| {
                let crop = crops.crop(1, number);
                crop.rgb[1].abs_diff(crop.rgb[crop.rgb.len() - 2])
            };
            (0..100).map(shown).max().unwrap()
        };
        assert!(widest(&crops) < 46, "16 pixels show at most 16 / 0.35");
        assert!(widest(&crops.with_thumbnails(1.0)) > 50, "of 60 rows");
    }

    #[test]
    fn data_without_pictures_are_errors() {
        let open = |spec: &str| Crops::open(&[spec.parse().unwrap()], 16, &Limits::default());
        let empty = tempfile::tempdir().unwrap();
        let error = open(empty.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("no pictures"), "{error}");
        assert!(open("stl10:data").unwrap_err().to_string().contains("folders of pictures"));
    }
}
