//! The network, which computes what is added to the pixels.

use super::{
    EDGE,
    dct::{AREA, Step},
    file::Tensors,
    layer::{Layer, Plan, constants, plan},
    planes::{Grid, Planes},
};
use crate::error::Result;

/// Channels of the fine and the coarse grid.
const FINE: usize = 24;
const COARSE: usize = 48;
/// Channels of the pixels on the fine grid, without the constant ones.
pub const PIXELS: usize = 12;
const CONSTANT: usize = 3;
const DILATIONS: [usize; 3] = [1, 2, 4];

/// Adds to each cell what nine cells around it and the step suggest.
pub struct Block {
    pub window: Layer,
    pub narrow: Layer,
}

/// The layers of the network.
pub struct Network {
    pub first: Layer,
    pub down: Layer,
    pub blocks: Vec<Block>,
    pub up: Layer,
    pub middle: Layer,
    pub last: Layer,
}

impl Network {
    pub fn read(tensors: &mut Tensors<'_>) -> Result<Self> {
        let mut layer = |name: &str, plan: Plan| Layer::read(tensors, name, plan);
        let mut block = |(at, dilation): (usize, usize)| {
            let window = Plan { dilation, by_step: true, ..plan(COARSE, COARSE, 3) };
            Ok(Block {
                window: layer(&format!("blocks.{at}.window"), window)?,
                narrow: layer(&format!("blocks.{at}.narrow"), plan(COARSE, COARSE, 1))?,
            })
        };
        let blocks = DILATIONS.into_iter().enumerate().map(&mut block).collect::<Result<_>>()?;
        Ok(Self {
            first: layer("first", Plan { bits: (12, 10), ..plan(PIXELS + CONSTANT, FINE, 3) })?,
            down: layer("down", plan(FINE, COARSE, 2))?,
            blocks,
            up: layer("up", plan(COARSE, 4 * FINE, 1))?,
            middle: layer("middle", plan(FINE, FINE, 3))?,
            last: layer("last", Plan { bits: (10, 12), ..plan(FINE, PIXELS, 3) })?,
        })
    }

    /// The pixels with what the network adds, in 1/4096.
    pub fn run(&self, pixels: &[i16], step: Step) -> Vec<i32> {
        let added = self.trace(&input(pixels, step), step).added;
        let add = |(at, &pixel): (usize, &i16)| {
            let (channel, y, x) = shuffled_place(at);
            i32::from(pixel) + i32::from(added.at(channel, y, x))
        };
        pixels.iter().enumerate().map(add).collect()
    }

    /// Runs the network.
    pub fn trace(&self, input: &Planes, step: Step) -> Trace {
        let fine = self.first.run(input, step, 0);
        let coarse = self.down.run(&fine.unshuffled(Grid::COARSE), step, 0);
        let (mut x, mut hidden) = (coarse.clone(), Vec::new());
        for block in &self.blocks {
            let inner = block.window.run(&x, step, 0);
            x.add(&block.narrow.run(&inner, step, i16::MIN), i16::MIN);
            hidden.push(inner);
        }
        let mut merged = self.up.run(&x, step, i16::MIN).shuffled(Grid::FINE);
        merged.add(&fine, 0);
        let mut refined = self.middle.run(&merged, step, i16::MIN);
        refined.add(&fine, 0);
        let added = self.last.run(&refined, step, i16::MIN);
        Trace { fine, coarse, hidden, merged, refined, added }
    }
}

/// What the layers compute.
pub struct Trace {
    pub fine: Planes,
    /// After `down`.
    pub coarse: Planes,
    /// Within the blocks.
    pub hidden: Vec<Planes>,
    /// After `up`.
    pub merged: Planes,
    /// After `middle`.
    pub refined: Planes,
    /// What is added to the pixels, unshuffled.
    pub added: Planes,
}

/// Channel, row and column in unshuffled planes of a pixel's value.
pub fn shuffled_place(at: usize) -> (usize, usize, usize) {
    let (channel, y, x) = (at / AREA, at / EDGE % EDGE, at % EDGE);
    (4 * channel + 2 * (y % 2) + x % 2, y / 2, x / 2)
}

/// The inverse of [`shuffled_place`].
pub fn pixel_of(channel: usize, y: usize, x: usize) -> usize {
    channel / 4 * AREA + (2 * y + channel / 2 % 2) * EDGE + 2 * x + channel % 2
}

/// The channels of the first layer: 2x2 pixels of each channel, and constant ones.
pub fn input(pixels: &[i16], step: Step) -> Planes {
    let constants = constants(Grid::FINE, step);
    Planes::from_fn(Grid::FINE, PIXELS + CONSTANT, |c, y, x| match c.checked_sub(PIXELS) {
        Some(kind) => constants[kind](y, x),
        None => pixels[pixel_of(c, y, x)],
    })
}
