//! The encoder's choices: the symbols that fit into a number of bytes with the smallest error, and make the check succeed.

use super::stream::{self, Head};
use crate::{
    container::Family,
    entropy::{RangeEncoder, Tables},
    error::{Error, Result},
    symbols::{Latents, Quality, Symbols},
    tiled::{TiledModel, quantize},
};

/// Upper bound of lambda, at which nearly all symbols are those of the fewest bits.
const MAX_LAMBDA: f32 = 16.0 * quantize::LAMBDA;
const BISECTIONS: u32 = 12;
/// Number of symbols that may be changed to make the check succeed. All their subsets are tried: the check accepts one in 256.
const CHANGES: usize = 14;

/// The best encoding of the tile at one quality.
struct Candidate {
    quality: Quality,
    tables: Tables,
    lambda: f32,
    symbols: Symbols,
    /// Sum of the squared errors of the latents in base steps.
    error: f32,
}

/// Encodes a tile in at most `max` bytes.
///
/// # Errors
/// [`Error::Misuse`] where that is impossible.
pub fn encode(model: &TiledModel, head: &Head, latents: &Latents, max: usize) -> Result<Vec<u8>> {
    let mut candidates = Vec::new();
    for quality in stream::qualities() {
        // Higher qualities take more bytes.
        let Some(candidate) = fit(model, head, latents, quality, max)? else { break };
        candidates.push(candidate);
    }
    // By the choice of the base steps, the errors of the latents are proportional to those of the pixels.
    candidates.sort_by(|a, b| a.error.total_cmp(&b.error));
    for candidate in &candidates {
        if let Some(bytes) = pass_check(model, head, latents, candidate, max)? {
            return Ok(bytes);
        }
    }
    Err(Error::Misuse(format!("{max} bytes are too few for a preview of this picture with this model")))
}

/// The symbols at one quality with the smallest lambda for which they fit.
fn fit(
    model: &TiledModel,
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
    let Some(mut symbols) = at(MAX_LAMBDA)? else { return Ok(None) };
    let (mut low, mut lambda) = (0.0, MAX_LAMBDA);
    for _ in 0..BISECTIONS {
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

fn finish(mut encoder: RangeEncoder, symbols: &Symbols, tables: &Tables) -> Vec<u8> {
    encoder.put_symbols(symbols, tables);
    encoder.finish()
}

/// A change of a symbol, and its effect on the error and the bits.
struct Change {
    channel: usize,
    symbol: i32,
    error: f32,
    bits: f32,
}

/// Changes symbols, those with the smallest effect first, until the check succeeds.
fn pass_check(
    model: &TiledModel,
    head: &Head,
    latents: &Latents,
    candidate: &Candidate,
    max: usize,
) -> Result<Option<Vec<u8>>> {
    let changes = cheapest_changes(latents, candidate);
    let chosen =
        |set: u32| changes.iter().enumerate().filter(move |(i, _)| set >> i & 1 == 1).map(|(_, c)| c);
    let mut sets: Vec<(f32, u32)> = (0..1u32 << changes.len())
        // A set that takes many more bits does not fit.
        .filter(|&set| chosen(set).map(|change| change.bits).sum::<f32>() < 8.0)
        .map(|set| (chosen(set).map(|change| change.error).sum(), set))
        .collect();
    sets.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, set) in sets {
        let mut values = candidate.symbols.values().to_vec();
        chosen(set).for_each(|change| values[change.channel] = change.symbol);
        let symbols = Symbols::new(candidate.symbols.shape(), values)?;
        let bytes = finish(stream::begin(head, candidate.quality), &symbols, &candidate.tables);
        if bytes.len() <= max && stream::check(&bytes, Family::TILED, model.id()) {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// For each channel the best other symbol, and of these the ones with the lowest cost.
fn cheapest_changes(latents: &Latents, candidate: &Candidate) -> Vec<Change> {
    let tables = &candidate.tables;
    let step = quantize::step(candidate.quality);
    let weight = candidate.lambda * step * step;
    let mut changes: Vec<(f32, Change)> = Vec::new();
    for (channel, (&u, &now)) in latents.values().iter().zip(candidate.symbols.values()).enumerate() {
        let error = |symbol| (u - tables.centroid(channel, symbol)).powi(2);
        let others = quantize::candidates(u, step, tables.range(channel)).filter(|&symbol| symbol != now);
        let change = others.map(|symbol| {
            let error = error(symbol) - error(now);
            let bits = tables.bits(channel, symbol) - tables.bits(channel, now);
            (error + weight * bits, Change { channel, symbol, error, bits })
        });
        changes.extend(change.min_by(|a, b| a.0.total_cmp(&b.0)));
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    changes.into_iter().take(CHANGES).map(|(_, change)| change).collect()
}
