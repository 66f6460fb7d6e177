//! Initial weights: random ones, and a linear transform.

use super::{
    config::{Config, ConvLayer},
    parameters::Parameters,
};
use crate::{
    error::{Error, Result},
    nn::conv::Direction,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random weights, uniform after Glorot and Bengio (2010), and biases of 0.01.
///
/// # Errors
/// [`Error::Model`] when the configuration is invalid.
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

/// Random weights with the distributions of the paper: those of [`xavier`] for the convolutions and the linear layers. The paper's
/// initialization does not reach the transposed convolutions. They keep the default of PyTorch: weights and biases are uniform in
/// ±1/sqrt(9 * outputs), because PyTorch takes the outputs of a transposed convolution for its inputs.
///
/// # Errors
/// [`Error::Model`] when the configuration is invalid.
pub fn paper(config: Config, seed: u64) -> Result<Parameters> {
    let mut parameters = xavier(config, seed)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Other random numbers than those of the other layers.
    rng.set_stream(1);
    for layer in config.decoder() {
        let bound = 1.0 / ((9 * layer.outputs()) as f32).sqrt();
        for part in ["weight", "bias"] {
            let values = parameters.get_mut(&format!("{}.{part}", layer.name));
            values.iter_mut().for_each(|value| *value = rng.random_range(-bound..bound));
        }
    }
    Ok(parameters)
}

/// A linear transform of tiles: the coordinates of a tile's distance from the mean along orthonormal components.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// The mean tile, `tile * tile * 3` values, channels last.
    pub mean: Vec<f32>,
    /// The components, one after another, one for each latent.
    pub components: Vec<f32>,
    /// Largest magnitude of a training tile's coordinate along each component.
    pub peaks: Vec<f32>,
}

/// Number of channels at full resolution that [`from_components`] needs: those of the picture after all reductions, divided by the
/// growth of the network's channels.
#[must_use]
pub fn channels_for_components(config: &Config) -> usize {
    (3usize << (2 * config.reductions)) >> config.reductions
}

/// A network that computes a linear transform exactly, as far as its ReLUs allow.
///
/// The convolutions pass the picture on in the first of their channels: at stride 1 unchanged, at stride 2 by moving each square of
/// four pixels into channels. The encoder's linear layer holds the components, with biases that keep the latents positive; the
/// decoder mirrors it. The other channels start like those of [`xavier`], with zero weights towards the channels of the picture.
///
/// Where the configuration normalizes its input, the components are those of tiles in [0, 2].
///
/// # Errors
/// [`Error::Misuse`] when the network has fewer channels than [`channels_for_components`], or the transform has another size;
/// [`Error::Model`] when the configuration is invalid.
pub fn from_components(config: Config, seed: u64, transform: &Components) -> Result<Parameters> {
    let mut parameters = xavier(config, seed)?;
    let needed = channels_for_components(&config);
    if needed > config.channels {
        return Err(Error::Misuse(format!(
            "a linear transform as initial weights needs {needed} channels, and the network has {}",
            config.channels
        )));
    }
    let (len, latents) = (config.tile_len(), config.latents);
    let Components { mean, components, peaks } = transform;
    if mean.len() != len || components.len() != len * latents || peaks.len() != latents {
        return Err(Error::Misuse(format!("the transform does not map tiles of {len} values to {latents}")));
    }
    for layer in config.encoder().iter().chain(&config.decoder()) {
        pass_picture(&mut parameters, layer, used_channels(&config, layer));
    }
    if config.normalize {
        // The input is from -1 to 1: the first layer adds 1 because of its ReLU, and the last one subtracts it.
        parameters.get_mut("encoder.conv0.bias")[..3].fill(1.0);
        let last = config.decoder().len() - 1;
        parameters.get_mut(&format!("decoder.conv{last}.bias")).fill(-1.0);
    }
    set_linear(&mut parameters, transform);
    Ok(parameters)
}

/// Number of channels that hold the picture on the high side of a layer: three, and four times as many after each reduction.
fn used_channels(config: &Config, layer: &ConvLayer) -> usize {
    if layer.shape.high == 3 {
        return 3;
    }
    3 << (2 * (layer.shape.high / config.channels).ilog2())
}

/// Sets the weights of a layer such that it passes the picture on in its first channels, `used` on the high side.
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

/// Sets the weights of both linear layers.
fn set_linear(parameters: &mut Parameters, transform: &Components) {
    let config = parameters.config;
    let (latents, bottom) = (config.latents, config.bottom());
    let places: Vec<usize> = (0..config.tile_len()).map(|index| bottom_place(&config, index)).collect();
    // Larger than for any training tile, so that the ReLU changes nothing.
    let offsets: Vec<f32> = transform.peaks.iter().map(|peak| 1.5 * peak).collect();
    let components = || transform.components.chunks_exact(config.tile_len());

    let weights = parameters.get_mut("encoder.linear.weight");
    weights.fill(0.0);
    let mut bias = offsets.clone();
    for (latent, component) in components().enumerate() {
        for (&place, &value) in places.iter().zip(component) {
            weights[place * latents + latent] = value;
        }
        bias[latent] -= dot(component, &transform.mean);
    }
    parameters.get_mut("encoder.linear.bias").copy_from_slice(&bias);

    let mut bias = transform.mean.clone();
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

/// The position of value `index` of a tile between the convolutions and the linear layers.
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
        nn::InstructionSet,
        testing,
        tiled::network::{Analysis, Synthesis},
    };

    #[test]
    fn the_network_computes_the_transform() {
        for normalize in [false, true] {
            let config =
                Config { tile: 16, channels: 12, reductions: 2, latents: 6, normalize, dropout: 0.0 };
            let scale = if normalize { 2.0 } else { 1.0 };
            let tiles: Vec<f32> =
                (0..30).flat_map(|index| testing::waves(config.tile, index as f32)).collect();
            let transform = testing::cosines(&config, &tiles.iter().map(|x| x * scale).collect::<Vec<_>>());
            let parameters = from_components(config, 9, &transform).unwrap();
            let latents = Analysis::new(config, &parameters, InstructionSet::best()).unwrap().run(&tiles);
            assert!(latents.iter().all(|z| *z > 0.0));
            let decoded = Synthesis::new(config, &parameters, InstructionSet::best()).unwrap().run(&latents);
            let pairs = tiles.chunks_exact(config.tile_len()).zip(decoded.chunks_exact(config.tile_len()));
            for (tile, decoded) in pairs {
                let centred: Vec<f32> =
                    tile.iter().zip(&transform.mean).map(|(x, mean)| x * scale - mean).collect();
                let mut expected = transform.mean.clone();
                for component in transform.components.chunks_exact(config.tile_len()) {
                    let amount = dot(component, &centred);
                    expected.iter_mut().zip(component).for_each(|(x, value)| *x += amount * value);
                }
                for (found, expected) in decoded.iter().zip(&expected) {
                    assert!(
                        (found - expected / scale).abs() < 2e-3,
                        "normalize {normalize}: {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn transposed_convolutions_of_the_paper_start_at_the_default_of_pytorch() {
        let parameters = paper(Config::default(), 1).unwrap();
        let largest = |name: &str| {
            let array = parameters.arrays.iter().find(|array| array.name == name).unwrap();
            array.values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()))
        };
        // 384 to 384 channels, and 48 to 3.
        for (layer, bound) in [("decoder.conv0", 0.0170), ("decoder.conv7", 0.1925)] {
            let found = largest(&format!("{layer}.weight"));
            assert!((0.99 * bound..1.01 * bound).contains(&found), "{layer}: {found}");
            let bias = largest(&format!("{layer}.bias"));
            assert!(bias != 0.01 && bias < 1.01 * bound, "{layer}: {bias}");
        }
    }

    #[test]
    fn too_few_channels_are_an_error() {
        let config = Config { tile: 16, channels: 8, reductions: 2, latents: 6, ..Config::default() };
        let tiles: Vec<f32> = testing::waves(config.tile, 0.0).collect();
        let transform = testing::cosines(&config, &tiles);
        assert!(matches!(from_components(config, 1, &transform), Err(Error::Misuse(_))));
    }
}
