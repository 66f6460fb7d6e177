//! The encoder's choices: the step and symbols that fit into a number of bytes with the smallest error, and make the check succeed.

use super::{
    COUNT, EDGE, PreviewModel,
    dct::{self, STEPS, Step},
    prior::{Coded, MAX_MAGNITUDE},
    quantize::{Fit, fit},
    stream,
    target::Target,
};
use crate::{
    container::Family,
    error::{Error, Result},
    picture::{
        Picture, mse,
        resample::{self, Filter},
    },
    preview::stream::{Head, check},
};

/// Number of steps that are tried.
const TRIED_STEPS: usize = 6;
/// Number of steps whose symbols are improved by the gradient.
const IMPROVED_STEPS: usize = 2;
/// Rounds of improvement.
const ROUNDS: usize = 4;
/// Numbers of bits that are left free for the changes that make the check succeed. The next one is tried where one fails.
const FREE_BITS: [f32; 4] = [1.0, 6.0, 12.0, 30.0];
/// Number of changes of a symbol, of which sets are tried: the check accepts one in 256.
const CHANGES: usize = 24;
/// Number of sets of changes that pass the check and are compared.
const PASSED: usize = 6;

/// The symbols of a step.
struct Candidate {
    step: Step,
    fit: Fit,
    /// Mean squared error of the decoded picture at 96x96 pixels.
    error: f64,
}

/// What stays the same for all candidates.
struct Job<'a> {
    model: &'a PreviewModel,
    head: &'a Head,
    target: Target<'a>,
    max: usize,
}

/// Encodes a picture of 96x96 pixels in at most `max` bytes.
///
/// # Errors
/// [`Error::Misuse`] where that is impossible.
pub fn encode(model: &PreviewModel, head: &Head, picture: &Picture, max: usize) -> Result<Vec<u8>> {
    let job = Job { model, head, target: Target::new(model, picture), max };
    for free in FREE_BITS {
        let mut candidates = job.candidates(free)?;
        candidates.sort_by(|a, b| a.error.total_cmp(&b.error));
        for candidate in &candidates {
            if let Some(bytes) = job.pass_check(candidate)? {
                return Ok(bytes);
            }
        }
    }
    Err(Error::Misuse(format!("{max} bytes are too few for a preview of this picture with this model")))
}

impl Job<'_> {
    /// The best symbols of the best steps.
    fn candidates(&self, free: f32) -> Result<Vec<Candidate>> {
        let usual = (6.0 - 1.41 * (self.max as f32 / 13.0).log2()).round();
        let first = (usual as usize).saturating_sub(TRIED_STEPS / 2);
        let mut fits = Vec::new();
        for step in (first..STEPS).map(Step::at) {
            let wanted = &self.target.coefficients;
            if let Some(fit) = fit(self.model, self.head.gray, wanted, step, self.room(step, free), None)? {
                fits.push((self.linear_error(step, &fit.coded), step, fit));
            }
            if fits.len() == TRIED_STEPS {
                break;
            }
        }
        fits.sort_by(|a, b| a.0.total_cmp(&b.0));
        let best = fits.into_iter().take(IMPROVED_STEPS);
        best.map(|(_, step, fit)| self.improve(step, fit, free)).collect()
    }

    /// Number of bits for the symbols.
    fn room(&self, step: Step, free: f32) -> f32 {
        (8 * self.max) as f32 - stream::begin(self.head, step).bits() - free
    }

    /// Half the sum of the squared errors without the network.
    fn linear_error(&self, step: Step, coded: &Coded) -> f32 {
        let points = self.points(step, coded);
        points.iter().zip(&self.target.coefficients).map(|(z, y)| (z - y).powi(2)).sum::<f32>() / 2.0
    }

    /// The values of symbols, in 1/256.
    fn points(&self, step: Step, coded: &Coded) -> Vec<f32> {
        let symbols = coded.symbols.iter().zip(&coded.scales);
        symbols.map(|(&symbol, &scale)| self.model.point(step, symbol, scale) as f32).collect()
    }

    /// Mean squared error of the picture that symbols give.
    fn error(&self, step: Step, coded: &Coded) -> Result<f64> {
        let edge = 2 * EDGE as u32;
        let small = self.model.small_picture(step, coded, self.head.gray);
        let shown = resample::scale(&small, Filter::Lanczos3, edge, edge);
        mse(self.target.picture, &shown)
    }

    /// The gradient of half the squared error with respect to the coefficients, at the decoder's output.
    fn gradient(&self, step: Step, coded: &Coded) -> Vec<f32> {
        let pixels = dct::invert(&self.model.dequantize(step, coded));
        let gradient = self.model.network.gradient(&pixels, step, &self.target.pixels);
        self.model.of_coefficients(&gradient)
    }

    /// Moves the wanted coefficients along the gradient, and quantizes them again.
    fn improve(&self, step: Step, fit: Fit, free: f32) -> Result<Candidate> {
        let room = self.room(step, free);
        let mut wanted = self.target.coefficients.clone();
        let mut now = fit.clone();
        let mut best = Candidate { step, error: self.error(step, &fit.coded)?, fit };
        for _ in 0..ROUNDS {
            let gradient = self.gradient(step, &now.coded);
            let points = self.points(step, &now.coded);
            for ((wanted, point), gradient) in wanted.iter_mut().zip(points).zip(gradient) {
                *wanted += 0.5 * (point - gradient - *wanted);
            }
            let near = Some(now.cost);
            let Some(next) = self::fit(self.model, self.head.gray, &wanted, step, room, near)? else { break };
            let error = self.error(step, &next.coded)?;
            if error < best.error {
                best = Candidate { step, fit: next.clone(), error };
            }
            now = next;
        }
        Ok(best)
    }

    /// Changes symbols, with the smallest effect first, until the check succeeds. Of some such sets, the best one is taken.
    fn pass_check(&self, candidate: &Candidate) -> Result<Option<Vec<u8>>> {
        let (step, gray) = (candidate.step, self.head.gray);
        let (changes, room) = (self.changes(candidate), self.room(step, 0.0));
        let mut best: Option<(f64, Vec<u8>)> = None;
        let mut passed = 0;
        for set in sets(&changes) {
            let mut symbols = candidate.fit.coded.symbols.clone();
            set.iter().for_each(|&at| symbols[changes[at].at] = changes[at].symbol);
            let (coded, bits) = self.model.measure(gray, step, &symbols)?;
            if bits > room + 0.5 {
                continue;
            }
            let bytes = stream::write(stream::begin(self.head, step), self.model, gray, &coded);
            if bytes.len() > self.max || !check(&bytes, Family::PREVIEW, self.model.id()) {
                continue;
            }
            let error = self.error(step, &coded)?;
            if best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, bytes));
            }
            passed += 1;
            if passed == PASSED {
                break;
            }
        }
        Ok(best.map(|(_, bytes)| bytes))
    }

    /// The changes with the smallest loss.
    fn changes(&self, candidate: &Candidate) -> Vec<Change> {
        let Candidate { step, fit: Fit { coded, cost }, .. } = candidate;
        let gradient = self.gradient(*step, coded);
        let mut changes = Vec::new();
        for at in (0..COUNT).filter(|&at| !self.head.gray || self.model.channel(at) == 0) {
            let (now, scale) = (coded.symbols[at], coded.scales[at]);
            for symbol in [now - 1, now + 1].into_iter().filter(|symbol| symbol.abs() <= MAX_MAGNITUDE) {
                let [from, to] = [now, symbol].map(|symbol| self.model.point(*step, symbol, scale) as f32);
                let [before, after] = [now, symbol].map(|symbol| self.model.prior.bits(scale, symbol.abs()));
                let error = 2.0 * gradient[at] * (to - from) + (to - from).powi(2);
                let loss = error / (step.size() as f32).powi(2) + cost.exp2() * (after - before).max(-3.0);
                changes.push(Change { at, symbol, loss });
            }
        }
        changes.sort_by(|a, b| a.loss.total_cmp(&b.loss));
        changes.truncate(CHANGES);
        changes
    }
}

/// A change of a symbol by 1.
struct Change {
    at: usize,
    symbol: i32,
    /// The estimated squared error, in steps, and cost of the bits that it adds.
    loss: f32,
}

/// Sets of up to four changes, by their loss.
fn sets(changes: &[Change]) -> Vec<Vec<usize>> {
    let mut sets: Vec<(f32, Vec<usize>)> = vec![(0.0, Vec::new())];
    let mut from = 0;
    for _ in 0..4 {
        let end = sets.len();
        for at in from..end {
            let (loss, set) = sets[at].clone();
            let next = set.last().map_or(0, |last| last + 1);
            let more = (next..changes.len()).map(|change| {
                let larger = set.iter().copied().chain([change]).collect();
                (loss + changes[change].loss, larger)
            });
            sets.extend(more.collect::<Vec<_>>());
        }
        from = end;
    }
    sets.sort_by(|a, b| a.0.total_cmp(&b.0));
    sets.into_iter().map(|(_, set)| set).collect()
}
