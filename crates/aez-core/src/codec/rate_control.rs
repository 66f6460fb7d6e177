//! Encoding to a target size or a target quality: the picture is analysed once, then the settings are searched.
//!
//! The quality has a hundred steps. Between two of them the rate weight is the search variable.

use super::{Analysed, Analysis, Encoder, Settings, bracket::Bracket};
use crate::{
    error::{Error, Result},
    limits::Limits,
    picture::{Picture, mse_of_visible, psnr_of_mse},
    symbols::Quality,
};

/// Upper bound of the rate weight above the encoder's own, below the lowest quality: nearly all symbols are then the ones that take the
/// fewest bits.
const MAX_RATE_WEIGHT: f32 = 640.0;
/// Most settings that are tried between two qualities.
const MAX_TRIED: u32 = 10;
/// A search for a size ends when the file is smaller than the target by less than this part of it.
const SIZE_TOLERANCE: u64 = 500;
/// A search for a quality ends when the target is exceeded by less than this, in decibels.
const PSNR_TOLERANCE: f64 = 0.02;

impl Encoder<'_> {
    /// Encodes a picture with the best quality that fits into `target` bytes. The encoder's own quality is ignored. The file is smaller
    /// than requested where the size of a symbol, or the highest quality, does not allow a larger one.
    ///
    /// # Errors
    /// As for [`Encoder::encode`], and [`Error::SizeUnreachable`] where the smallest file is larger than `target`.
    pub fn encode_to_bytes(&self, picture: &Picture, target: u64) -> Result<Vec<u8>> {
        let analysed = self.analyse(picture)?;
        if let Some(searched) = analysed.for_search() {
            return Ok(fit(&analysed, searched.as_ref(), target)?.0);
        }
        let (file, settings) = fit(&analysed, analysed.analysis(), target)?;
        match analysed.refined(&settings)? {
            Some(refined) => Ok(fit(&analysed, refined.as_ref(), target)?.0),
            None => Ok(file),
        }
    }

    /// Encodes a picture with the fewest bytes that reach a peak signal-to-noise ratio of `target` decibels over the visible
    /// pixels, and returns them with the ratio reached. It exceeds the target considerably where even the smallest file is better. The encoder's
    /// own quality is ignored.
    ///
    /// # Errors
    /// As for [`Encoder::encode`], and [`Error::PsnrUnreachable`] where no setting reaches the target.
    pub fn encode_to_psnr(&self, picture: &Picture, target: f64) -> Result<(Vec<u8>, f64)> {
        let analysed = self.analyse(picture)?;
        if let Some(searched) = analysed.for_search() {
            return reach(&analysed, searched.as_ref(), target).0;
        }
        let (reached, nearest) = reach(&analysed, analysed.analysis(), target);
        if self.effective_effort() == 0 {
            return reached;
        }
        match analysed.refined(&nearest)? {
            Some(refined) => reach(&analysed, refined.as_ref(), target).0,
            None => reached,
        }
    }
}

/// The largest file of at most `target` bytes, and its settings.
fn fit(analysed: &Analysed<'_>, analysis: &dyn Analysis, target: u64) -> Result<(Vec<u8>, Settings)> {
    let (mut best, mut smallest) = (None::<(Vec<u8>, Settings)>, u64::MAX);
    search(analysed, analysis, |settings| {
        let file = analysed.assemble(settings, &analysis.encode(settings)?)?;
        let len = file.len() as u64;
        smallest = smallest.min(len);
        if len <= target && best.as_ref().is_none_or(|(best, _)| best.len() < file.len()) {
            best = Some((file, *settings));
        }
        let is_near = (target - target / SIZE_TOLERANCE..=target).contains(&len);
        Ok(if is_near { 0.0 } else { (len as f64 / target.max(1) as f64).ln() })
    })?;
    best.ok_or(Error::SizeUnreachable { target, smallest })
}

/// The smallest file of at least `target` decibels with the ratio that it reaches, and the settings that came nearest.
fn reach(
    analysed: &Analysed<'_>,
    analysis: &dyn Analysis,
    target: f64,
) -> (Result<(Vec<u8>, f64)>, Settings) {
    let (codec, original) = (analysed.model().codec(), analysed.picture());
    let (mut best, mut highest) = (None::<(Vec<u8>, f64)>, f64::NEG_INFINITY);
    let mut nearest = Settings::new(Quality::REFERENCE);
    let searched = search(analysed, analysis, |settings| {
        nearest = *settings;
        let payload = analysis.encode(settings)?;
        let decoded = codec.decode(&analysed.header(settings, &payload), &payload.bytes, &Limits::NONE)?;
        let reached = psnr_of_mse(mse_of_visible(&original.rgb, &decoded, analysed.opacities()));
        highest = highest.max(reached);
        if reached >= target {
            let file = analysed.assemble(settings, &payload)?;
            if best.as_ref().is_none_or(|(best, _)| best.len() > file.len()) {
                best = Some((file, reached));
            }
        }
        let is_near = (target..target + PSNR_TOLERANCE).contains(&reached);
        Ok(if is_near { 0.0 } else { reached - target })
    });
    let found = searched.and_then(|()| best.ok_or(Error::PsnrUnreachable { target, best: highest }));
    (found, nearest)
}

/// Tries settings on both sides of the point where `excess` changes its sign, ever nearer to it, until it is 0. It is negative where the
/// file is too small or its picture is not good enough.
fn search(
    analysed: &Analysed<'_>,
    analysis: &dyn Analysis,
    mut excess: impl FnMut(&Settings) -> Result<f64>,
) -> Result<()> {
    let own = analysed.settings();
    let mut qualities = Bracket::new(0.0, 101.0);
    while qualities.width() > 1.0 {
        let quality = qualities.next_integer();
        let found = excess(&Settings { quality: Quality::new(quality as u8)?, ..own })?;
        if found == 0.0 {
            return Ok(());
        }
        qualities.narrow(quality, found);
    }
    let (too_low, too_high) = (qualities.low() as u8, qualities.high() as u8);
    let quality = Quality::new(too_high.min(100))?;
    let most = if too_low == 0 { MAX_RATE_WEIGHT } else { analysis.max_rate_weight() };
    // From 0, the fewest bits, to 1, the encoder's own rate weight or, above quality 100, none.
    let mut at = |position: f64| {
        let position = position as f32;
        let rate_weight = match too_high {
            101 => own.rate_weight * (1.0 - position),
            // The third power makes small steps near the encoder's own rate weight.
            _ => own.rate_weight + most * (1.0 - position).powi(3),
        };
        excess(&Settings { quality, rate_weight })
    };
    let mut positions = qualities.scaled_to(0.0, 1.0);
    // The end of the range that the qualities did not cover.
    if too_high == 101 || too_low == 0 {
        let end = if too_high == 101 { 1.0 } else { 0.0 };
        let found = at(end)?;
        if found == 0.0 || (found < 0.0) == (end == 1.0) {
            return Ok(());
        }
        positions.narrow(end, found);
    }
    for _ in 0..MAX_TRIED {
        let position = positions.next();
        let found = at(position)?;
        if found == 0.0 {
            break;
        }
        positions.narrow(position, found);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::{Decoder, model::Model, picture::psnr, testing};

    static MODEL: LazyLock<Model> = LazyLock::new(testing::tiny);

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
    fn files_are_at_most_as_large_as_requested_and_hardly_smaller() {
        let encoder = Encoder::new(&MODEL);
        for picture in pictures() {
            let at = |quality| len(encoder.quality(Quality::new(quality).unwrap()), &picture);
            let (smallest, largest) = (at(10), at(98));
            for target in (smallest..=largest).step_by((largest - smallest) as usize / 7) {
                let found = encoder.encode_to_bytes(&picture, target).unwrap();
                let missing = target - found.len() as u64;
                assert!(missing <= 1.max(target / 50), "{missing} bytes less than {target}");
                let decoded = Decoder::new(&MODEL).decode(&found).unwrap();
                assert_eq!((decoded.width, decoded.height), (picture.width, picture.height));
            }
            let most = len(encoder.quality(Quality::new(100).unwrap()).rate_weight(0.0), &picture);
            assert_eq!(encoder.encode_to_bytes(&picture, 1_000_000).unwrap().len() as u64, most);
        }
    }

    #[test]
    fn the_smallest_size_is_reported_and_can_be_reached() {
        let encoder = Encoder::new(&MODEL);
        for picture in pictures() {
            let error = encoder.encode_to_bytes(&picture, 5).unwrap_err();
            let Error::SizeUnreachable { target: 5, smallest } = error else { panic!("{error}") };
            assert_eq!(encoder.encode_to_bytes(&picture, smallest).unwrap().len() as u64, smallest);
            assert!(encoder.encode_to_bytes(&picture, smallest - 1).is_err());
        }
    }

    #[test]
    fn target_ratios_are_reached_and_hardly_exceeded() {
        let encoder = Encoder::new(&MODEL);
        for picture in pictures() {
            let error = encoder.encode_to_psnr(&picture, 99.0).unwrap_err();
            let Error::PsnrUnreachable { best, .. } = error else { panic!("{error}") };
            let (_, least) = encoder.encode_to_psnr(&picture, 1.0).unwrap();
            let steps = if picture.width > 16 { 6 } else { 2 };
            for step in 1..steps {
                let target = least + (best - 0.02 - least) * f64::from(step) / f64::from(steps);
                let (bytes, reached) = encoder.encode_to_psnr(&picture, target).unwrap();
                let over = reached - target;
                println!("{} bytes, {reached:.2} dB for {target:.2} dB", bytes.len());
                // With few symbols, each of them is a large step.
                assert!(
                    (0.0..if picture.width > 40 { 0.35 } else { 1.0 }).contains(&over),
                    "{over} dB over {target}"
                );
                let decoded = Decoder::new(&MODEL).decode(&bytes).unwrap();
                assert_eq!(psnr(&picture, &decoded).unwrap(), reached);
            }
        }
    }

    #[test]
    fn inconsistent_pictures_are_errors() {
        let encoder = Encoder::new(&MODEL);
        let mut short = Picture::from_rgb(4, 4, vec![0; 48]);
        short.rgb.pop();
        let mut flat = Picture::from_rgb(4, 4, vec![0; 48]);
        flat.alpha = Some(vec![0; 15]);
        for picture in [Picture::default(), short, flat] {
            assert!(matches!(encoder.encode(&picture), Err(Error::Misuse(_))));
        }
    }
}
