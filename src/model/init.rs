//! Starting weights: the paper's, and the Karhunen-Loève transform.

use super::{
    config::{Config, ConvLayer},
    klt::Klt,
    parameters::Parameters,
};
use crate::{
    error::{Error, Result},
    nn::conv::Direction,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The paper's start: weights uniform after Glorot and Bengio (2010), biases 0.01.
///
/// # Errors
/// [`Error::Model`] when the configuration is impossible.
pub fn xavier(config: Config, seed: u64) -> Result<Parameters> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Parameters::from_fn(config, |_, shape| {
        let (window, channels) = shape.split_at(shape.len().saturating_sub(2));
        let &[inputs, outputs] = channels else {
            return Ok(vec![0.01; shape.iter().product()]);
        };
        let fan = window.iter().product::<usize>() * (inputs + outputs);
        let bound = (6.0 / fan as f32).sqrt();
        Ok((0..shape.iter().product()).map(|_| rng.random_range(-bound..bound)).collect())
    })
}

/// A network that computes the Karhunen-Loève transform of its training tiles exactly, as far as ReLU lets it.
///
/// The convolutions pass the picture on in the first of their channels: at stride 1 as it is, at stride 2 by moving
/// each square of four pixels into channels. The encoder's linear layer holds the principal components, with
/// biases that keep the latents positive; the decoder mirrors it all. The other channels begin like [`xavier`]'s, and
/// with zero weights towards the picture's channels.
///
/// `tiles` are whole tiles of values in [0, 1], channels last.
///
/// # Errors
/// [`Error::Misuse`] when the tiles are fewer than the latents, or the network has too few channels to pass the picture
/// on; [`Error::Model`] when the configuration is impossible.
pub fn klt(config: Config, mut tiles: Vec<f32>, seed: u64) -> Result<Parameters> {
    let mut parameters = xavier(config, seed)?;
    let needed = 3 << (2 * config.reductions);
    if needed > config.channels << config.reductions {
        return Err(Error::Misuse(format!(
            "starting from the KLT takes {} channels, but there are {}: use --init xavier",
            needed >> config.reductions,
            config.channels
        )));
    }
    // A normalized picture is negative in part: the first layer adds 1, and the last one takes it away again.
    let scale = if config.normalize { 2.0 } else { 1.0 };
    tiles.iter_mut().for_each(|x| *x *= scale);
    let klt = Klt::fit(tiles, config.tile_len(), config.latents, seed)?;
    for layer in config.encoder().iter().chain(&config.decoder()) {
        pass_picture(&mut parameters, layer, used_channels(&config, layer));
    }
    if config.normalize {
        parameters.get_mut("encoder.conv0.bias")[..3].fill(1.0);
        let last = config.decoder().len() - 1;
        parameters.get_mut(&format!("decoder.conv{last}.bias")).fill(-1.0);
    }
    set_linear(&mut parameters, &klt);
    Ok(parameters)
}

/// Channels that hold the picture on the high side of a layer: three, and four times as many after each reduction.
fn used_channels(config: &Config, layer: &ConvLayer) -> usize {
    if layer.shape.high == 3 {
        return 3;
    }
    3 << (2 * (layer.shape.high / config.channels).ilog2())
}

/// Makes the first channels of a layer pass the picture on: `used` channels on the high side.
fn pass_picture(parameters: &mut Parameters, layer: &ConvLayer, used: usize) {
    let stride = layer.shape.stride;
    let (high, low) = (layer.shape.high, layer.shape.low);
    let used_low = used * stride * stride;
    let weights = parameters.get_mut(&format!("{}.weight", layer.name));
    for (place, weight) in weights.iter_mut().enumerate() {
        let (into_used, tap) = match layer.direction {
            Direction::Forward => (place % low < used_low, place / (high * low)),
            Direction::Adjoint => (place / low % high < used, place / (high * low)),
        };
        if !into_used {
            continue;
        }
        let (from, to) = (place / low % high, place % low);
        // Tap (dy + 1, dx + 1) of stride 2 reads pixel (dy, dx) of a square of four.
        let (dy, dx) = ((tap / 3).wrapping_sub(1), (tap % 3).wrapping_sub(1));
        let passes = dy < stride && dx < stride && from < used && to == (dy * stride + dx) * used + from;
        *weight = if passes { 1.0 } else { 0.0 };
    }
    let used_outputs = if layer.direction == Direction::Forward { used_low } else { used };
    parameters.get_mut(&format!("{}.bias", layer.name))[..used_outputs].fill(0.0);
}

/// Puts the components into both linear layers.
fn set_linear(parameters: &mut Parameters, klt: &Klt) {
    let config = parameters.config;
    let (latents, bottom) = (config.latents, config.bottom());
    let places: Vec<usize> = (0..config.tile_len()).map(|index| bottom_place(&config, index)).collect();
    // Far beyond any training tile, so that ReLU cuts nothing off.
    let offsets: Vec<f32> = klt.peaks.iter().map(|peak| 1.5 * peak).collect();
    let components = || klt.components.chunks_exact(config.tile_len());

    let weights = parameters.get_mut("encoder.linear.weight");
    weights.fill(0.0);
    let mut bias = offsets.clone();
    for (latent, component) in components().enumerate() {
        for (&place, &value) in places.iter().zip(component) {
            weights[place * latents + latent] = value;
        }
        bias[latent] -= dot(component, &klt.mean);
    }
    parameters.get_mut("encoder.linear.bias").copy_from_slice(&bias);

    let mut bias = klt.mean.clone();
    for (component, offset) in components().zip(&offsets) {
        bias.iter_mut().zip(component).for_each(|(bias, value)| *bias -= offset * value);
    }
    for (&place, bias) in places.iter().zip(bias) {
        parameters.get_mut("decoder.linear.bias")[place] = bias;
    }
    let weights = parameters.get_mut("decoder.linear.weight");
    for (weights, component) in weights.chunks_exact_mut(bottom).zip(components()) {
        places.iter().zip(component).for_each(|(&place, &value)| weights[place] = value);
    }
}

/// Where value `index` of a tile lies between the convolutions and the linear layers.
fn bottom_place(config: &Config, index: usize) -> usize {
    let (mut y, mut x, mut channel) = (index / 3 / config.tile, index / 3 % config.tile, index % 3);
    for reduction in 0..config.reductions {
        channel += (y % 2 * 2 + x % 2) * (3 << (2 * reduction));
        (y, x) = (y / 2, x / 2);
    }
    (y * config.bottom_edge() + x) * (config.channels << config.reductions) + channel
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::network::{Analysis, Synthesis},
        nn::Path,
    };

    /// Smooth random tiles, so that few components hold most of the variance.
    fn tiles(config: &Config, count: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut tiles = Vec::new();
        for _ in 0..count {
            let mut random = || rng.random_range(-0.3..0.3f32);
            let slopes: Vec<[f32; 4]> = (0..3).map(|_| [random(), random(), random(), random()]).collect();
            for place in 0..config.tile * config.tile {
                let (y, x) = (place / config.tile, place % config.tile);
                let (y, x) = (y as f32 / config.tile as f32, x as f32 / config.tile as f32);
                tiles.extend(slopes.iter().map(|s| {
                    (0.5 + s[0] + s[1] * (y - 0.5) + s[2] * (x * 6.0).sin() + s[3] * (y * 9.0).cos() * x)
                        .clamp(0.0, 1.0)
                }));
            }
        }
        tiles
    }

    fn mse(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64
    }

    #[test]
    fn the_fresh_network_is_the_transform_of_its_tiles() {
        for normalize in [false, true] {
            let config =
                Config { tile: 16, channels: 12, reductions: 2, latents: 6, normalize, dropout: 0.0 };
            let tiles = tiles(&config, 200);
            let transform = Klt::fit(tiles.clone(), config.tile_len(), config.latents, 9).unwrap();
            let mut expected = 0.0;
            for tile in tiles.chunks_exact(config.tile_len()) {
                let centred: Vec<f32> = tile.iter().zip(&transform.mean).map(|(x, mean)| x - mean).collect();
                let mut rest = centred.clone();
                for component in transform.components.chunks_exact(config.tile_len()) {
                    let amount = dot(component, &centred);
                    rest.iter_mut().zip(component).for_each(|(rest, value)| *rest -= amount * value);
                }
                expected += mse(&rest, &vec![0.0; rest.len()]);
            }
            expected /= 200.0;
            let parameters = klt(config, tiles.clone(), 9).unwrap();
            let latents = Analysis::new(config, &parameters, Path::best()).run(&tiles);
            assert!(latents.iter().all(|z| *z > 0.0));
            let decoded = Synthesis::new(config, &parameters, Path::best()).run(&latents);
            let lost = 10.0 * (mse(&tiles, &decoded) / expected).log10();
            assert!(lost.abs() < 0.05, "normalize {normalize}: {lost} dB from the transform");
        }
    }

    #[test]
    fn too_few_channels_are_refused() {
        let config = Config { tile: 16, channels: 8, reductions: 2, latents: 6, ..Config::default() };
        assert!(matches!(klt(config, tiles(&config, 20), 1), Err(Error::Misuse(_))));
    }
}
