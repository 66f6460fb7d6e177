//! The photo family as a [`Codec`].

use std::borrow::Cow;

use super::{
    coefficients,
    decide::decide,
    fit::{Point, initial, optimize, rounded},
    integer::IntegerNetwork,
    model::PhotoModel,
    network::Network,
    quality::lambda,
    schedule::Schedule,
    scratch::Scratch,
    target::Target,
};
use crate::{
    codec::{Analysis, Codec, Payload, Settings, Tune},
    container::{Family, Header, ModelId},
    entropy::Coder,
    error::{Error, Result},
    limits::Limits,
    parallel::on_pool,
    picture::Picture,
};

/// The effort of an encoder that was given none.
const DEFAULT_EFFORT: u8 = 3;

/// How long an encoder searches.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// Steps of optimization.
    steps: usize,
    /// Passes over each level that decide how latents are rounded.
    passes: usize,
}

/// Pictures of so many pixels take the steps of their effort, smaller ones more of them.
const FULL_SIZE: usize = 1 << 18;
/// The largest factor of the steps of small pictures: more gain little.
const MAX_FACTOR: usize = 3;

/// The fewest steps: these take up to a second for 768x512 pixels on two threads.
const MIN_STEPS: usize = 20;

/// The work of an effort from 0 to 9 on a picture. Small ones take little time for each step.
fn work(effort: u8, target: &Target) -> Work {
    let effort = usize::from(effort);
    let factor = (FULL_SIZE / (target.rows() * target.columns())).isqrt().clamp(1, MAX_FACTOR);
    let steps = (16 + 16 * effort.pow(2)).max(MIN_STEPS);
    Work { steps: factor * steps, passes: (2 * effort).clamp(1, 8) }
}

/// More weight of the rate than this makes a file smaller than one of the next lower quality, also where that has another network.
const MAX_RATE_WEIGHT: f32 = 1.5;

impl Codec for PhotoModel {
    fn family(&self) -> Family {
        Family::PHOTO
    }

    fn id(&self) -> ModelId {
        PhotoModel::id(self)
    }

    fn info(&self) -> serde_json::Value {
        serde_json::json!({
            "model_id": self.id().to_string(),
            "family": "photo",
            "decoder_parameters": self.parameters(),
            "qualities": self.qualities(),
        })
    }

    fn default_effort(&self) -> u8 {
        DEFAULT_EFFORT
    }

    fn analyse<'a>(&'a self, picture: Cow<'a, Picture>, tune: Tune) -> Result<Box<dyn Analysis + 'a>> {
        Error::check_encode()?;
        let target = Target::new(&picture)?.tuned(tune);
        let work = work(0, &target);
        Ok(Box::new(AnalysedPhoto { model: self, target, work }))
    }

    fn memory(&self, header: &Header) -> u64 {
        self.network(header.quality).0.memory(header.height, header.width)
    }

    fn decode(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<Vec<u8>> {
        let (network, multiplier) = self.decoder(header)?;
        let pixels = network.decode(header.height, header.width, multiplier, payload, limits)?;
        Ok(finish(header, pixels))
    }

    fn levels(&self, header: &Header) -> usize {
        self.network(header.quality).0.config().levels.len()
    }

    fn decode_cut(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize)> {
        let (network, multiplier) = self.decoder(header)?;
        let (pixels, levels) =
            network.decode_cut(header.height, header.width, multiplier, payload, limits)?;
        Ok((finish(header, pixels), levels))
    }

    fn level_bytes(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<Vec<usize>> {
        let (network, multiplier) = self.decoder(header)?;
        network.level_bytes(header.height, header.width, multiplier, payload, limits)
    }
}

impl PhotoModel {
    /// What decodes files with this header.
    fn decoder(&self, header: &Header) -> Result<(&IntegerNetwork, u32)> {
        if header.coder != Coder::Range {
            return Err(Error::damaged("photographs are coded by the range coder only"));
        }
        Ok(self.network(header.quality))
    }
}

/// The pixels as the header describes them.
fn finish(header: &Header, mut pixels: Vec<u8>) -> Vec<u8> {
    if header.gray {
        gray(&mut pixels);
    }
    pixels
}

/// Replaces the three values of each pixel by their rounded mean.
fn gray(pixels: &mut [u8]) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let sum: u16 = pixel.iter().map(|&value| u16::from(value)).sum();
        pixel.fill(((2 * sum + 3) / 6) as u8);
    }
}

/// A picture whose latents are found anew for each quality.
struct AnalysedPhoto<'a> {
    model: &'a PhotoModel,
    target: Target,
    work: Work,
}

impl AnalysedPhoto<'_> {
    /// The same picture, with the work of an effort.
    fn with_effort(&self, effort: u8) -> Box<Self> {
        let work = work(effort, &self.target);
        Box::new(Self { model: self.model, target: self.target.clone(), work })
    }

    /// Optimizes latents and coefficients for some settings, with their network in floating point.
    fn fit(&self, settings: &Settings, network: &Network, scratch: &Scratch) -> Point {
        let (integer, steps) = (self.model.network(settings.quality).0, self.work.steps);
        let can_move = |coefficients: &[i32]| integer.can_move(coefficients);
        optimize(
            network,
            &self.target,
            initial(network, &self.target, lambda(settings.quality)),
            Schedule::new(steps),
            steps,
            &can_move,
            scratch,
        )
    }

    /// Encodes on the current thread, which hands parts to the others.
    fn encode_here(&self, settings: &Settings) -> Result<Payload> {
        let float = self.model.float_network(settings.quality, settings.rate_weight)?;
        let (network, multiplier) = self.model.network(settings.quality);
        let (height, width) = (self.target.rows() as u32, self.target.columns() as u32);
        let scratch = Scratch::default();
        let Point { latents, coefficients } = self.fit(settings, &float, &scratch);
        // Rounding would make zeros of them.
        if !latents.iter().flatten().chain(&coefficients).all(|value| value.is_finite()) {
            return Err(Error::Misuse(format!(
                "the search for latents diverged with model {}",
                self.model.id()
            )));
        }
        let coefficients = coefficients::coded(&coefficients);
        let moved = coefficients::moved(&float, &coefficients);
        let latents = decide(&moved, &self.target, &latents, self.work.passes, &scratch);
        let (bytes, _) = network.encode(height, width, multiplier, &rounded(&latents), &coefficients)?;
        Ok(Payload { coder: Coder::Range, bytes })
    }
}

impl Analysis for AnalysedPhoto<'_> {
    fn encode(&self, settings: &Settings) -> Result<Payload> {
        on_pool(|| self.encode_here(settings))
    }

    fn refine(&self, _: &Settings, effort: u8) -> Result<Option<Box<dyn Analysis + '_>>> {
        Ok(Some(self.with_effort(effort)))
    }

    fn for_search(&self, effort: u8) -> Option<Box<dyn Analysis + '_>> {
        Some(self.with_effort(effort))
    }

    fn max_rate_weight(&self) -> f32 {
        MAX_RATE_WEIGHT
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        integer::tests::trained,
        tests::{picture, small_network},
    };
    use super::*;
    use crate::{Decoder, Encoder, Model, picture::psnr, symbols::Quality};

    fn model() -> Model {
        let quality = |q| Quality::new(q).unwrap();
        let network = trained();
        let bytes = PhotoModel::to_bytes(&[(quality(60), &network), (quality(26), &network)]).unwrap();
        Model::from_bytes(bytes).unwrap()
    }

    #[test]
    fn small_pictures_take_more_steps() {
        for (width, height, steps) in
            [(1, 1, 480), (96, 96, 480), (256, 256, 320), (257, 256, 160), (512, 768, 160)]
        {
            let picture = Picture::from_rgb(width, height, vec![9; 3 * (width * height) as usize]);
            assert_eq!(work(3, &Target::new(&picture).unwrap()).steps, steps, "{width}x{height}");
        }
        let large = Target::new(&Picture::from_rgb(512, 512, vec![9; 3 << 18])).unwrap();
        for (effort, steps, passes) in [(0, 20, 1), (1, 32, 2), (9, 1312, 8)] {
            let work = work(effort, &large);
            assert_eq!((work.steps, work.passes), (steps, passes), "effort {effort}");
        }
    }

    #[test]
    fn files_survive_a_round_trip_at_each_effort() {
        let model = model();
        for gray in [false, true] {
            let mut original = picture(40, 27);
            if gray {
                original.rgb.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [pixel[0]; 3]);
                original = original.with_gray(true);
            }
            let quality = |q| Encoder::new(&model).quality(Quality::new(q).unwrap());
            let shown = |file: &[u8]| psnr(&original, &Decoder::new(&model).decode(file).unwrap()).unwrap();
            let low = quality(10).encode(&original).unwrap();
            let high = quality(80).encode(&original).unwrap();
            assert!(low.len() < high.len() && shown(&low) < shown(&high));
            let loss = |file: &[u8]| {
                let mse = 10_f64.powf(-0.1 * shown(file));
                8.0 * file.len() as f64 / (40.0 * 27.0)
                    + mse / f64::from(super::super::lambda(Quality::new(26).unwrap()))
            };
            // The network was trained for seconds, for which few steps are as good as many.
            let [few, many] =
                [0, 3].map(|effort| loss(&quality(26).effort(effort).encode(&original).unwrap()));
            assert!(many < 1.02 * few && few < 1.1 * many, "{few} {many}");
        }
    }

    #[test]
    fn pictures_of_all_sizes_move_the_weights() {
        let quality = |q| Quality::new(q).unwrap();
        let network = trained().with_random_directions(2, 1).unwrap();
        let directions = network.directions.iter().map(|x| 5.0 * x).collect();
        let network = network.with_directions(directions).unwrap();
        let bytes = PhotoModel::to_bytes(&[(quality(60), &network)]).unwrap();
        let (photo, model) = (PhotoModel::from_bytes(&bytes).unwrap(), Model::from_bytes(bytes).unwrap());
        for edge in [128, 33, 9] {
            let original = picture(edge, edge);
            let target = Target::new(&original).unwrap();
            let analysed = AnalysedPhoto { model: &photo, target, work: Work { steps: 9, passes: 1 } };
            let settings = Settings::new(quality(60));
            let point = analysed.fit(
                &settings,
                &photo.float_network(settings.quality, 1.0).unwrap(),
                &Scratch::default(),
            );
            assert_ne!(coefficients::coded(&point.coefficients), [0, 0], "{edge} pixels");
            let file = Encoder::new(&model).quality(quality(60)).encode(&original).unwrap();
            let shown = Decoder::new(&model).decode(&file).unwrap();
            assert!(psnr(&original, &shown).unwrap() > 15.0);
        }
    }

    #[test]
    fn cut_files_are_decoded_as_far_as_they_go() {
        let model = model();
        let original = picture(40, 27).with_alpha(Some((0..40 * 27).map(|i| (i % 7 * 40) as u8).collect()));
        let file = Encoder::new(&model).quality(Quality::new(60).unwrap()).encode(&original).unwrap();
        let decoder = Decoder::new(&model);
        let whole = decoder.decode_partial(&file).unwrap();
        assert_eq!(whole.picture, decoder.decode(&file).unwrap());
        assert_eq!((whole.levels, whole.complete_levels), (3, 3));
        let layout = decoder.parse(&file).unwrap().layout;
        for length in 0..file.len() {
            let partial = decoder.decode_partial(&file[..length]);
            if length < layout.table.end {
                assert!(partial.is_err());
                continue;
            }
            let partial = partial.unwrap();
            assert!(partial.picture.alpha.is_none() && partial.complete_levels <= 3);
            assert_eq!(partial.picture.rgb.len(), original.rgb.len());
        }
        let levels = decoder.level_bytes(&decoder.parse(&file).unwrap()).unwrap();
        assert_eq!((levels.len(), levels.iter().sum()), (3, layout.payload.len()));
        let tiles = crate::testing::tiny();
        let file = Encoder::new(&tiles).encode(&original).unwrap();
        let decoder = Decoder::new(&tiles);
        assert_eq!(decoder.level_bytes(&decoder.parse(&file).unwrap()).unwrap().len(), 1);
        assert_eq!(decoder.decode_partial(&file).unwrap().picture, decoder.decode(&file).unwrap());
        assert!(matches!(decoder.decode_partial(&file[..file.len() - 1]), Err(Error::Misuse(_))));
    }

    #[test]
    fn damaged_model_files_are_errors() {
        let quality = Quality::new(41).unwrap();
        let bytes = PhotoModel::to_bytes(&[(quality, &small_network())]).unwrap();
        for length in (0..bytes.len()).step_by(97) {
            assert!(PhotoModel::from_bytes(&bytes[..length]).is_err());
        }
        let pair = (quality, &small_network());
        assert!(PhotoModel::to_bytes(&[pair, pair]).is_err() && PhotoModel::to_bytes(&[]).is_err());
        let mut other = bytes.clone();
        let last = other.len() - 1;
        other[last] ^= 0x40;
        assert!(
            PhotoModel::from_bytes(&other).map(|model| model.id()).ok()
                != Some(PhotoModel::from_bytes(&bytes).unwrap().id())
        );
    }
}
