//! The shape of the network.

use crate::{
    error::{Error, Result},
    nn::conv::{ConvShape, Direction},
};
use serde::{Deserialize, Serialize};

/// The hyperparameters of the autoencoder. The default is the paper's network: 13,695,608 parameters in the encoder and 13,750,323
/// in the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Width and height of a tile in pixels, a multiple of `2^reductions`, at most 512.
    pub tile: usize,
    /// Number of channels at full resolution, at most 256. Each reduction doubles it.
    pub channels: usize,
    /// How often the encoder halves the resolution, at most 5 times.
    pub reductions: usize,
    /// Number of latents per tile, at most 4096.
    pub latents: usize,
    /// The input is mapped from [0, 1] to [-1, 1].
    pub normalize: bool,
    /// Probability of dropping a channel before some of the strided layers in training, in [0, 1).
    pub dropout: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { tile: 96, channels: 48, reductions: 3, latents: 200, normalize: false, dropout: 0.0 }
    }
}

/// One convolution of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvLayer {
    /// Prefix of the names of its parameters, such as `encoder.conv0`.
    pub name: String,
    /// Channels and stride.
    pub shape: ConvShape,
    /// A convolution, or a transposed convolution.
    pub direction: Direction,
    /// A ReLU follows.
    pub relu: bool,
    /// The variant with dropout drops channels of this layer's input.
    pub dropout: bool,
}

impl ConvLayer {
    /// Number of output channels.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self.direction {
            Direction::Forward => self.shape.low,
            Direction::Adjoint => self.shape.high,
        }
    }
}

impl Config {
    /// Checks that a network can be built, of at most 200 million parameters.
    ///
    /// # Errors
    /// [`Error::Model`] with the field that is out of its range.
    pub fn check(&self) -> Result<()> {
        let range = |name: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(Error::Model(format!("{name} is {value}, outside 1..={most}")))
            }
        };
        range("the tile edge", self.tile, 512)?;
        range("the number of channels", self.channels, 256)?;
        range("the number of reductions", self.reductions, 5)?;
        range("the number of latents", self.latents, 4096)?;
        if !self.tile.is_multiple_of(1 << self.reductions) {
            let Self { tile, reductions, .. } = self;
            return Err(Error::Model(format!("a tile of {tile} pixels cannot be halved {reductions} times")));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::Model(format!("dropout {} is not in 0..1", self.dropout)));
        }
        let parameters = self.encoder_parameters() + self.decoder_parameters();
        if parameters > 200_000_000 {
            return Err(Error::Model(format!("{parameters} parameters are too many")));
        }
        Ok(())
    }

    /// Width and height of the array between the convolutions and the linear layers.
    #[must_use]
    pub fn bottom_edge(&self) -> usize {
        self.tile >> self.reductions
    }

    /// Number of values between the convolutions and the linear layers: rows, columns, channels.
    #[must_use]
    pub fn bottom(&self) -> usize {
        self.bottom_edge().pow(2) * (self.channels << self.reductions)
    }

    /// Number of values of a tile: rows, columns, three colour channels.
    #[must_use]
    pub fn tile_len(&self) -> usize {
        self.tile * self.tile * 3
    }

    /// The encoder's convolutions in order.
    #[must_use]
    pub fn encoder(&self) -> Vec<ConvLayer> {
        let mut shapes = vec![(3, self.channels, 1), (self.channels, self.channels, 1)];
        for reduction in 0..self.reductions {
            let channels = self.channels << reduction;
            shapes.extend([(channels, 2 * channels, 2), (2 * channels, 2 * channels, 1)]);
        }
        let layer = |(index, (high, low, stride))| ConvLayer {
            name: format!("encoder.conv{index}"),
            shape: ConvShape { high, low, stride },
            direction: Direction::Forward,
            relu: true,
            dropout: index == 2 || index == 4,
        };
        shapes.into_iter().enumerate().map(layer).collect()
    }

    /// The decoder's transposed convolutions in order.
    #[must_use]
    pub fn decoder(&self) -> Vec<ConvLayer> {
        let mut shapes = Vec::new();
        for reduction in (0..self.reductions).rev() {
            let channels = self.channels << reduction;
            shapes.extend([(2 * channels, 2 * channels, 1), (channels, 2 * channels, 2)]);
        }
        shapes.extend([(self.channels, self.channels, 1), (3, self.channels, 1)]);
        let last = shapes.len() - 1;
        let layer = |(index, (high, low, stride))| ConvLayer {
            name: format!("decoder.conv{index}"),
            shape: ConvShape { high, low, stride },
            direction: Direction::Adjoint,
            relu: index != last,
            dropout: index == 3 || index == 5,
        };
        shapes.into_iter().enumerate().map(layer).collect()
    }

    /// Name and shape of every parameter array: convolutions first, then linear layers.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut arrays = Vec::new();
        let mut convolutions = |layers: Vec<ConvLayer>| {
            for layer in layers {
                arrays
                    .push((format!("{}.weight", layer.name), vec![3, 3, layer.shape.high, layer.shape.low]));
                arrays.push((format!("{}.bias", layer.name), vec![layer.outputs()]));
            }
        };
        convolutions(self.encoder());
        convolutions(self.decoder());
        for (name, inputs, outputs) in
            [("encoder", self.bottom(), self.latents), ("decoder", self.latents, self.bottom())]
        {
            arrays.push((format!("{name}.linear.weight"), vec![inputs, outputs]));
            arrays.push((format!("{name}.linear.bias"), vec![outputs]));
        }
        arrays
    }

    /// Number of parameters of the encoder.
    #[must_use]
    pub fn encoder_parameters(&self) -> usize {
        self.count("encoder.")
    }

    /// Number of parameters of the decoder.
    #[must_use]
    pub fn decoder_parameters(&self) -> usize {
        self.count("decoder.")
    }

    /// Number of multiplications per tile in the encoder. The decoder has the same number.
    #[must_use]
    pub fn multiplications(&self) -> usize {
        let mut edge = self.tile;
        let convolutions = self.encoder().into_iter().map(|layer| {
            edge = layer.shape.low_edge(edge);
            edge * edge * layer.shape.weights()
        });
        convolutions.sum::<usize>() + self.bottom() * self.latents
    }

    fn count(&self, prefix: &str) -> usize {
        let arrays = self.parameters();
        let of_part = arrays.iter().filter(|(name, _)| name.starts_with(prefix));
        of_part.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's table, layer by layer.
    #[test]
    fn parameters_are_those_of_the_paper() {
        let config = Config::default();
        let arrays = config.parameters();
        let layer = |name: &str| -> usize {
            let own =
                arrays.iter().filter(|(n, _)| n.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
            own.map(|(_, shape)| shape.iter().product::<usize>()).sum()
        };
        let encoder = [1_344, 20_784, 41_568, 83_040, 166_080, 331_968, 663_936, 1_327_488];
        let decoder = [1_327_488, 663_744, 331_968, 165_984, 83_040, 41_520, 20_784, 1_299];
        for (part, counts) in [("encoder", encoder), ("decoder", decoder)] {
            for (index, count) in counts.into_iter().enumerate() {
                assert_eq!(layer(&format!("{part}.conv{index}")), count, "{part}.conv{index}");
            }
        }
        assert_eq!((layer("encoder.linear"), layer("decoder.linear")), (11_059_400, 11_114_496));
        assert_eq!(config.multiplications(), 1_074_069_504);
        assert_eq!((config.encoder_parameters(), config.decoder_parameters()), (13_695_608, 13_750_323));
    }

    #[test]
    fn dropout_lies_before_the_strided_layers_that_the_paper_names() {
        let config = Config::default();
        let marked = |layers: Vec<ConvLayer>| -> Vec<usize> {
            let strided = layers.into_iter().filter(|layer| layer.shape.stride == 2);
            strided.enumerate().filter(|(_, layer)| layer.dropout).map(|(index, _)| index).collect()
        };
        assert_eq!((marked(config.encoder()), marked(config.decoder())), (vec![0, 1], vec![1, 2]));
    }

    #[test]
    fn absurd_configurations_are_refused() {
        let good = Config::default();
        assert!(good.check().is_ok());
        for bad in [
            Config { tile: 0, ..good },
            Config { tile: 100, ..good },
            Config { channels: usize::MAX, ..good },
            Config { reductions: 64, ..good },
            Config { latents: 0, ..good },
            Config { dropout: f32::NAN, ..good },
            Config { tile: 512, channels: 256, reductions: 5, latents: 4096, ..good },
        ] {
            assert!(matches!(bad.check(), Err(Error::Model(_))), "{bad:?}");
        }
    }
}
