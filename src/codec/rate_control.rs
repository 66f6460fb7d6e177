//! Encoding to a given size, or to a given distortion: the network runs once, then the settings of the second half
//! of the road are searched.
//!
//! The quality has a hundred steps; between two of them lambda, the weight of the rate when symbols are chosen,
//! is the dial that is turned.

use std::cmp::Ordering;

use super::{Decoder, Encoder, Latents};
use crate::{
    error::{Error, Result},
    limits::Limits,
    picture::{Picture, psnr},
    symbols::Quality,
};

/// As far above the encoder's own as lambda is turned: nearly all symbols are then the cheapest ones.
const MOST_LAMBDA: f32 = 64.0;
/// Halvings of the dial between two qualities.
const HALVINGS: u32 = 12;
/// A picture that is better than asked by no more than this, in decibels, is near enough.
const NEAR_PSNR: f64 = 0.02;

impl Encoder<'_> {
    /// Encodes the picture as well as fits into `target` bytes. The encoder's own quality does not count. The file
    /// is shorter where a symbol's bits, or the best quality, do not reach further: its length tells.
    ///
    /// # Errors
    /// As for [`Encoder::encode`], and [`Error::Misuse`] with the size of the smallest file where that is too large.
    pub fn encode_to_bytes(&self, picture: &Picture, target: u64) -> Result<Vec<u8>> {
        let latents = self.analyse(picture)?;
        let (bytes, quality) = self.fit(picture, &latents, target)?;
        if self.refiner.is_none() {
            return Ok(bytes);
        }
        let latents = Self { quality, ..*self }.refine(picture, latents)?;
        Ok(self.fit(picture, &latents, target)?.0)
    }

    /// The longest file that fits into `target` bytes, and its quality.
    fn fit(&self, picture: &Picture, latents: &Latents, target: u64) -> Result<(Vec<u8>, Quality)> {
        let (mut best, mut smallest) = (None::<(Vec<u8>, Quality)>, u64::MAX);
        self.search(|encoder| {
            let bytes = encoder.encode_latents(picture, latents)?;
            let len = bytes.len() as u64;
            smallest = smallest.min(len);
            if len <= target && best.as_ref().is_none_or(|(best, _)| best.len() < bytes.len()) {
                best = Some((bytes, encoder.quality));
            }
            Ok(len.cmp(&target))
        })?;
        best.ok_or_else(|| {
            Error::Misuse(format!(
                "the picture does not fit into {target} bytes: the smallest file takes {smallest}"
            ))
        })
    }

    /// Encodes the picture in as few bytes as reach a peak signal-to-noise ratio of `target` decibels over the
    /// whole picture, and returns them with the ratio reached. That is higher than asked by more than a trifle
    /// where even the smallest file is better. The encoder's own quality does not count.
    ///
    /// # Errors
    /// As for [`Encoder::encode`] and [`Decoder::decode`], and [`Error::Misuse`] with the best ratio that can be
    /// had where that is too low.
    pub fn encode_to_psnr(&self, picture: &Picture, target: f64) -> Result<(Vec<u8>, f64)> {
        let latents = self.analyse(picture)?;
        let (reached, quality) = self.reach(picture, &latents, target);
        if self.refiner.is_none() {
            return reached;
        }
        let latents = Self { quality, ..*self }.refine(picture, latents)?;
        self.reach(picture, &latents, target).0
    }

    /// The shortest file of at least `target` decibels with what it reaches, and the quality that came nearest.
    fn reach(&self, picture: &Picture, latents: &Latents, target: f64) -> (Result<(Vec<u8>, f64)>, Quality) {
        let decoder =
            Decoder { limits: Limits::NONE, tiles_at_once: self.tiles_at_once, ..Decoder::new(self.model) };
        let (mut best, mut highest) = (None::<(Vec<u8>, f64)>, f64::NEG_INFINITY);
        let mut quality = Quality::REFERENCE;
        let searched = self.search(|encoder| {
            quality = encoder.quality;
            let bytes = encoder.encode_latents(picture, latents)?;
            let reached = psnr(picture, &decoder.decode(&bytes)?)?;
            highest = highest.max(reached);
            if reached >= target && best.as_ref().is_none_or(|(best, _)| best.len() > bytes.len()) {
                best = Some((bytes, reached));
            }
            let is_near = (target..target + NEAR_PSNR).contains(&reached);
            Ok(if is_near { Ordering::Equal } else { reached.total_cmp(&target) })
        });
        let found = searched.and_then(|()| {
            best.ok_or_else(|| {
                Error::Misuse(format!(
                    "the picture cannot reach {target} dB: the best that this model does is {highest:.2} dB"
                ))
            })
        });
        (found, quality)
    }

    /// Tries settings on both sides of the place where `compare` turns from less to greater than what is wanted,
    /// ever nearer to it, until it is met.
    fn search(&self, mut compare: impl FnMut(&Self) -> Result<Ordering>) -> Result<()> {
        // The lowest quality that is too much: 101 where none is.
        let (mut too_little, mut too_much) = (0, 101);
        while too_much - too_little > 1 {
            let middle = (too_little + too_much) / 2;
            match compare(&Self { quality: Quality::new(middle)?, ..*self })? {
                Ordering::Less => too_little = middle,
                Ordering::Equal => return Ok(()),
                Ordering::Greater => too_much = middle,
            }
        }
        let quality = Quality::new(too_much.min(100))?;
        let lambda = |dial: f32| match too_much {
            101 => self.lambda * (1.0 - dial),
            // The cube makes it a fine dial near the encoder's own lambda.
            _ => self.lambda + MOST_LAMBDA * (1.0 - dial).powi(3),
        };
        let mut at = |dial: f32| compare(&Self { quality, lambda: lambda(dial), ..*self });
        // The dial's upper end was tried if it is too much, its lower end if it is too little.
        let end = match (too_little, too_much) {
            (_, 101) => at(1.0)?,
            (0, _) => at(0.0)?.reverse(),
            _ => Ordering::Greater,
        };
        if end != Ordering::Greater {
            return Ok(());
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            match at(middle)? {
                Ordering::Less => low = middle,
                Ordering::Equal => return Ok(()),
                Ordering::Greater => high = middle,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::model::{self, Model};

    static MODEL: LazyLock<Model> = LazyLock::new(model::tiny);

    /// Waves of several lengths, in 1 to 15 tiles.
    fn pictures() -> Vec<Picture> {
        let sizes = [(16, 16), (40, 25), (70, 44)];
        let picture = |(seed, &(width, height)): (u32, &(u32, u32))| {
            let value = |i: u32| {
                let (x, y, c) = ((i / 3 % width) as f32, (i / 3 / width) as f32, (i % 3 + seed) as f32);
                127.0 + 70.0 * (x * 0.2 + c).sin() + 50.0 * (y * 0.3 - c).cos() * (0.05 * x).sin()
            };
            Picture::from_rgb(width, height, (0..width * height * 3).map(|i| value(i) as u8).collect())
        };
        (0..).zip(&sizes).map(picture).collect()
    }

    fn len(encoder: Encoder<'_>, picture: &Picture) -> u64 {
        encoder.encode(picture).unwrap().len() as u64
    }

    #[test]
    fn sizes_are_met_from_below() {
        let encoder = Encoder::new(&MODEL);
        for picture in pictures() {
            let at = |quality| len(Encoder { quality: Quality::new(quality).unwrap(), ..encoder }, &picture);
            let (smallest, largest) = (at(10), at(98));
            for target in (smallest..=largest).step_by((largest - smallest) as usize / 7) {
                let found = encoder.encode_to_bytes(&picture, target).unwrap();
                let missing = target - found.len() as u64;
                assert!(missing <= 1.max(target / 50), "{missing} bytes less than {target}");
                let decoded = Decoder::new(&MODEL).decode(&found).unwrap();
                assert_eq!((decoded.width, decoded.height), (picture.width, picture.height));
            }
            let most = len(Encoder { quality: Quality::new(100).unwrap(), lambda: 0.0, ..encoder }, &picture);
            assert_eq!(encoder.encode_to_bytes(&picture, 1_000_000).unwrap().len() as u64, most);
        }
    }

    #[test]
    fn the_smallest_size_is_named_and_can_be_had() {
        let encoder = Encoder::new(&MODEL);
        for picture in pictures() {
            let error = encoder.encode_to_bytes(&picture, 5).unwrap_err().to_string();
            let smallest = error.rsplit(' ').next().unwrap().parse().unwrap();
            assert_eq!(
                encoder.encode_to_bytes(&picture, smallest).unwrap().len() as u64,
                smallest,
                "{error}"
            );
            assert!(encoder.encode_to_bytes(&picture, smallest - 1).is_err());
        }
    }

    #[test]
    fn ratios_are_met_from_above() {
        let encoder = Encoder::new(&MODEL);
        for picture in pictures() {
            let error = encoder.encode_to_psnr(&picture, 99.0).unwrap_err().to_string();
            let best: f64 = error.split(' ').rev().nth(1).unwrap().parse().unwrap();
            let (_, least) = encoder.encode_to_psnr(&picture, 1.0).unwrap();
            let steps = if picture.width > 16 { 6 } else { 2 };
            for step in 1..steps {
                let target = least + (best - 0.02 - least) * f64::from(step) / f64::from(steps);
                let (bytes, reached) = encoder.encode_to_psnr(&picture, target).unwrap();
                let over = reached - target;
                println!("{} bytes, {reached:.2} dB for {target:.2} dB", bytes.len());
                // A symbol of a few is a coarse dial.
                assert!(
                    (0.0..if picture.width > 40 { 0.2 } else { 1.0 }).contains(&over),
                    "{over} dB over {target}"
                );
                let decoded = Decoder::new(&MODEL).decode(&bytes).unwrap();
                assert_eq!(psnr(&picture, &decoded).unwrap(), reached);
            }
        }
    }
}
