//! The encoder's choices: which symbols fit into a number of bytes with the least error, and make the check come out.

use super::{
    super::{Latents, quantize},
    stream::{self, Head},
};
use crate::{
    entropy::{Tables, range},
    error::{Error, Result},
    model::Model,
    symbols::{Quality, Symbols},
};

/// The largest lambda that is tried: few symbols are then other than the cheapest.
const MOST_LAMBDA: f32 = 16.0 * quantize::LAMBDA;
const HALVINGS: u32 = 12;
/// Symbols that may be changed to make the check come out. All sets of them are looked at, most often 64 times
/// more than the check needs.
const CHANGES: usize = 14;

/// The tile at one quality, as good as fits.
struct Candidate {
    quality: Quality,
    tables: Tables,
    lambda: f32,
    symbols: Symbols,
    /// Sum of the squared errors of the latents, in base steps.
    error: f32,
}

/// Codes a tile in at most `max` bytes.
///
/// # Errors
/// [`Error::Misuse`] where that is not possible.
pub fn code(model: &Model, head: &Head, latents: &Latents, max: usize) -> Result<Vec<u8>> {
    let mut candidates = Vec::new();
    for quality in stream::qualities() {
        // Where even the largest lambda does not help, a higher quality fits still less.
        let Some(candidate) = fit(model, head, latents, quality, max)? else { break };
        candidates.push(candidate);
    }
    // The steps of the latents are such that equal errors of them are equal errors of the pixels.
    candidates.sort_by(|a, b| a.error.total_cmp(&b.error));
    for candidate in &candidates {
        if let Some(bytes) = pass_check(model, head, latents, candidate, max)? {
            return Ok(bytes);
        }
    }
    Err(Error::Misuse(format!("{max} bytes are too few for a preview of this picture with this model")))
}

/// The symbols at one quality with the smallest lambda that fits.
fn fit(
    model: &Model,
    head: &Head,
    latents: &Latents,
    quality: Quality,
    max: usize,
) -> Result<Option<Candidate>> {
    let tables = model.prior().at(quality);
    let at = |lambda: f32| -> Result<Option<Symbols>> {
        let symbols = quantize::quantize(latents, &tables, quality, lambda)?;
        let fits = finish(stream::begin(head, quality), &symbols, &tables).len() <= max;
        Ok(fits.then_some(symbols))
    };
    let Some(mut symbols) = at(MOST_LAMBDA)? else { return Ok(None) };
    let (mut low, mut lambda) = (0.0, MOST_LAMBDA);
    for _ in 0..HALVINGS {
        let middle = (low + lambda) / 2.0;
        match at(middle)? {
            Some(better) => (symbols, lambda) = (better, middle),
            None => low = middle,
        }
    }
    let points = (0..).zip(symbols.values()).map(|(channel, &symbol)| tables.centroid(channel, symbol));
    let error = latents.values().iter().zip(points).map(|(u, point)| (u - point).powi(2)).sum();
    Ok(Some(Candidate { quality, tables, lambda, symbols, error }))
}

fn finish(mut encoder: range::Encoder, symbols: &Symbols, tables: &Tables) -> Vec<u8> {
    encoder.put_symbols(symbols, tables);
    encoder.finish()
}

/// A symbol that might be another: what that adds to the error and to the bits.
struct Change {
    channel: usize,
    symbol: i32,
    error: f32,
    bits: f32,
}

/// Changes those symbols that it costs least to change, until the check comes out.
fn pass_check(
    model: &Model,
    head: &Head,
    latents: &Latents,
    candidate: &Candidate,
    max: usize,
) -> Result<Option<Vec<u8>>> {
    let changes = cheapest_changes(latents, candidate);
    let chosen =
        |set: u32| changes.iter().enumerate().filter(move |(i, _)| set >> i & 1 == 1).map(|(_, c)| c);
    let mut sets: Vec<(f32, u32)> = (0..1u32 << changes.len())
        // A set that takes many more bits cannot fit, since the candidate has little room left.
        .filter(|&set| chosen(set).map(|change| change.bits).sum::<f32>() < 8.0)
        .map(|set| (chosen(set).map(|change| change.error).sum(), set))
        .collect();
    sets.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, set) in sets {
        let mut values = candidate.symbols.values().to_vec();
        chosen(set).for_each(|change| values[change.channel] = change.symbol);
        let symbols = Symbols::new(candidate.symbols.shape(), values)?;
        let bytes = finish(stream::begin(head, candidate.quality), &symbols, &candidate.tables);
        if bytes.len() <= max && stream::check(&bytes, model) {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// For each channel the best other symbol; of all these the ones that cost least.
fn cheapest_changes(latents: &Latents, candidate: &Candidate) -> Vec<Change> {
    let tables = &candidate.tables;
    let step = quantize::step(candidate.quality);
    let price = candidate.lambda * step * step;
    let mut changes: Vec<(f32, Change)> = Vec::new();
    for (channel, (&u, &now)) in latents.values().iter().zip(candidate.symbols.values()).enumerate() {
        let error = |symbol| (u - tables.centroid(channel, symbol)).powi(2);
        let others = quantize::candidates(u, step, tables.range(channel)).filter(|&symbol| symbol != now);
        let change = others.map(|symbol| {
            let error = error(symbol) - error(now);
            let bits = tables.bits(channel, symbol) - tables.bits(channel, now);
            (error + price * bits, Change { channel, symbol, error, bits })
        });
        changes.extend(change.min_by(|a, b| a.0.total_cmp(&b.0)));
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    changes.into_iter().take(CHANGES).map(|(_, change)| change).collect()
}
