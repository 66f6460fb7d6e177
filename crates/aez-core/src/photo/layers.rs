//! The layers of the network: which values each reads, and where its weights are.

use std::ops::Range;

use super::config::{Config, PASSES};

/// One input of a layer: a plane, at a distance from the position that is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    pub plane: usize,
    pub row: isize,
    pub column: isize,
}

/// A linear map from taps to outputs, with weights `[tap][output]` and a bias for each output.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub taps: Vec<Tap>,
    pub outputs: usize,
    pub weights: Range<usize>,
    pub bias: Range<usize>,
}

impl Layer {
    pub fn multiplications(&self) -> usize {
        self.taps.len() * self.outputs
    }
}

/// The network that predicts the latents of one channel and phase: two hidden layers, and a map past them.
#[derive(Debug, Clone)]
pub(super) struct ContextNet {
    pub channel: usize,
    pub pass: usize,
    pub first: Layer,
    pub second: Layer,
    pub output: Layer,
    /// From the taps of the first layer directly to the outputs; its bias is empty.
    pub bypass: Layer,
}

/// The layers of the synthesis network of one level.
#[derive(Debug, Clone)]
pub(super) struct SynthesisNet {
    /// From latents to the picture, `[channel][colour]`.
    pub linear: Range<usize>,
    /// From latents and picture to features. Its input also has the `carry` of the coarser level.
    pub first: Layer,
    pub second: Layer,
    /// From features to the change of the picture.
    pub output: Layer,
    /// From features to what the first layer of the finer level adds; empty for the finest level.
    pub carry: Layer,
    /// Place of the logarithm of the step, relative to its initial value.
    pub gain: usize,
}

/// The planes that the context model of a level reads, each with the rows and columns of the coarser level.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContextPlanes {
    /// First plane of the coarser level's latents; before it are those of the level, `[channel][pass]`.
    pub coarser: usize,
    /// First plane of the features of the coarser level.
    pub guides: usize,
    pub count: usize,
}

/// All layers, from the finest level to the coarsest.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    pub contexts: Vec<Vec<ContextNet>>,
    pub synthesis: Vec<SynthesisNet>,
    pub planes: Vec<ContextPlanes>,
    /// Names of the arrays, with their places in the parameters.
    pub arrays: Vec<(String, Range<usize>)>,
}

impl Layers {
    pub fn new(config: &Config) -> Self {
        let mut arrays = Arrays::default();
        let levels = 0..config.levels.len();
        Self {
            planes: levels.clone().map(|level| context_planes(config, level)).collect(),
            contexts: levels.clone().map(|level| context_nets(config, level, &mut arrays)).collect(),
            synthesis: levels.map(|level| synthesis_net(config, level, &mut arrays)).collect(),
            arrays: arrays.named,
        }
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.arrays.last().map_or(0, |(_, range)| range.end)
    }

    /// The places of the parameters that no direction moves.
    pub fn still_arrays(&self) -> impl Iterator<Item = Range<usize>> {
        self.arrays.iter().filter(|(name, _)| !has_directions(name)).map(|(_, range)| range.clone())
    }

    /// Multiplications of the context model for each position of a level.
    pub fn context_cost(&self, level: usize) -> f64 {
        let cost = |net: &ContextNet| -> usize {
            [&net.first, &net.second, &net.output, &net.bypass].map(Layer::multiplications).iter().sum()
        };
        self.contexts[level].iter().map(cost).sum::<usize>() as f64 / PASSES.len() as f64
    }

    /// Multiplications of the synthesis network for each position of a level.
    pub fn synthesis_cost(&self, level: usize) -> f64 {
        let net = &self.synthesis[level];
        let layers = [&net.first, &net.second, &net.output, &net.carry].map(Layer::multiplications);
        let resampled = if level + 1 < self.synthesis.len() { 3 * 6 } else { 0 };
        (net.linear.len() + layers.iter().sum::<usize>() + resampled) as f64
    }
}

/// Whether directions move a layer, or an array of parameters, with this name: those of the finer levels, where most weights have many
/// positions to improve, but not the steps of latents.
pub(super) fn has_directions(name: &str) -> bool {
    let mut parts = name.split('.');
    let (net, level) = (parts.next(), parts.next().and_then(|level| level.parse::<usize>().ok()));
    let is_step = parts.next_back().is_some_and(|part| part == "scale" || part == "gain");
    match (net, level) {
        (Some("context"), Some(level)) => level <= 1,
        (Some("synthesis"), Some(level)) => level <= 2 && !is_step,
        _ => false,
    }
}

/// Assigns places in the parameters.
#[derive(Default)]
struct Arrays {
    named: Vec<(String, Range<usize>)>,
}

impl Arrays {
    fn add(&mut self, name: String, length: usize) -> Range<usize> {
        let start = self.named.last().map_or(0, |(_, range)| range.end);
        self.named.push((name, start..start + length));
        start..start + length
    }

    fn layer(&mut self, name: &str, taps: Vec<Tap>, outputs: usize) -> Layer {
        let weights = self.add(format!("{name}.weight"), taps.len() * outputs);
        let bias = self.add(format!("{name}.bias"), outputs);
        Layer { taps, outputs, weights, bias }
    }
}

fn context_planes(config: &Config, level: usize) -> ContextPlanes {
    let channels = |level: usize| config.levels.get(level).map_or(0, |level| level.channels);
    let coarser = PASSES.len() * channels(level);
    let guides = coarser + channels(level + 1);
    let has_coarser = level + 1 < config.levels.len();
    ContextPlanes {
        coarser,
        guides,
        count: guides + if has_coarser { config.levels[level].guides } else { 0 },
    }
}

fn context_nets(config: &Config, level: usize, arrays: &mut Arrays) -> Vec<ContextNet> {
    let sizes = &config.levels[level];
    let mut nets = Vec::new();
    for channel in 0..sizes.channels {
        for pass in 0..PASSES.len() {
            let name = format!("context.{level}.{channel}.{pass}");
            let taps = context_taps(config, level, channel, pass);
            let hidden = center_taps(0..sizes.hidden);
            let first = arrays.layer(&format!("{name}.first"), taps.clone(), sizes.hidden);
            let second = arrays.layer(&format!("{name}.second"), hidden.clone(), sizes.hidden);
            let output = arrays.layer(&format!("{name}.output"), hidden, 2);
            let weights = arrays.add(format!("{name}.bypass.weight"), 2 * taps.len());
            let bypass = Layer { taps, outputs: 2, bias: weights.end..weights.end, weights };
            nets.push(ContextNet { channel, pass, first, second, output, bypass });
        }
    }
    nets
}

/// The position and its neighbours, the nearest first.
const CROSS: [(isize, isize); 5] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)];

fn context_taps(config: &Config, level: usize, channel: usize, pass: usize) -> Vec<Tap> {
    let sizes = &config.levels[level];
    let planes = context_planes(config, level);
    let own = |channel: usize, (row, column): (isize, isize)| {
        let (y, x) = (PASSES[pass].0 as isize + row, PASSES[pass].1 as isize + column);
        let phase = (y.rem_euclid(2) as usize, x.rem_euclid(2) as usize);
        let index = PASSES.iter().position(|&pass| pass == phase).unwrap_or(0);
        Tap { plane: channel * PASSES.len() + index, row: y.div_euclid(2), column: x.div_euclid(2) }
    };
    let mut taps: Vec<Tap> =
        known_neighbours(pass).take(sizes.neighbours).map(|offset| own(channel, offset)).collect();
    if channel > 0 {
        taps.extend(CROSS.iter().take(sizes.before).map(|&offset| own(channel - 1, offset)));
    }
    if channel > 1 {
        taps.push(own(0, (0, 0)));
    }
    if let Some(coarser) = config.levels.get(level + 1) {
        let same = channel.min(coarser.channels - 1);
        let at = |channel: usize, (row, column)| Tap { plane: planes.coarser + channel, row, column };
        taps.extend(CROSS.iter().take(sizes.coarser).map(|&offset| at(same, offset)));
        if coarser.channels > 1 && sizes.coarser > 1 {
            let other = if same > 0 { 0 } else { coarser.channels - 1 };
            taps.push(at(other, (0, 0)));
        }
        taps.extend(center_taps(planes.guides..planes.guides + sizes.guides));
    }
    taps
}

/// Distances to positions of earlier passes, the nearest first.
fn known_neighbours(pass: usize) -> impl Iterator<Item = (isize, isize)> {
    let (y, x) = (PASSES[pass].0 as isize, PASSES[pass].1 as isize);
    let is_known = move |&(row, column): &(isize, isize)| {
        let phase = ((y + row).rem_euclid(2) as usize, (x + column).rem_euclid(2) as usize);
        PASSES[..pass].contains(&phase)
    };
    let mut known: Vec<(isize, isize)> =
        (-4..=4).flat_map(|row| (-4..=4).map(move |column| (row, column))).filter(is_known).collect();
    known.sort_by_key(|&(row, column)| (row * row + column * column, row.abs() + column.abs(), row, column));
    known.into_iter()
}

fn synthesis_net(config: &Config, level: usize, arrays: &mut Arrays) -> SynthesisNet {
    let sizes = &config.levels[level];
    let name = format!("synthesis.{level}");
    // The planes are the latents, the three colours, and the carry.
    let (channels, features) = (sizes.channels, sizes.features);
    let mut taps = window(0..channels + 1);
    taps.extend(if sizes.wide_chroma {
        window(channels + 1..channels + 3)
    } else {
        center_taps(channels + 1..channels + 3)
    });
    let second = if sizes.wide { window(0..features) } else { center_taps(0..features) };
    let output = if level == 0 { window(0..features) } else { center_taps(0..features) };
    let carried = if level == 0 { 0 } else { config.levels[level - 1].features };
    let carry_weights = |arrays: &mut Arrays| {
        let taps = center_taps(0..features);
        let weights = arrays.add(format!("{name}.carry.weight"), features * carried);
        Layer { taps, outputs: carried, bias: weights.end..weights.end, weights }
    };
    SynthesisNet {
        linear: arrays.add(format!("{name}.linear"), 3 * channels),
        first: arrays.layer(&format!("{name}.first"), taps, features),
        second: arrays.layer(&format!("{name}.second"), second, features),
        output: arrays.layer(&format!("{name}.output"), output, 3),
        carry: carry_weights(arrays),
        gain: arrays.add(format!("{name}.gain"), 1).start,
    }
}

fn center_taps(planes: Range<usize>) -> Vec<Tap> {
    planes.map(|plane| Tap { plane, row: 0, column: 0 }).collect()
}

/// A window of 3x3 of each plane.
fn window(planes: Range<usize>) -> Vec<Tap> {
    let at = |plane| (-1..=1).flat_map(move |row| (-1..=1).map(move |column| Tap { plane, row, column }));
    planes.flat_map(at).collect()
}
