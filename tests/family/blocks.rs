//! The family: average colours of square blocks. The quality determines the size of the blocks and the number of levels.
//! Each level is entropy-coded with a table that depends on the level of the block before.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aez::{Error, Limits, Model, Picture, Quality, Result};
use aez_core::{
    codec::{Analysis, Codec, Payload, Settings, Tune},
    container::{Family, Header, ModelId},
    entropy::{Coder, Frequencies, decode_adaptive, encode_adaptive},
};

pub const ID: ModelId = ModelId([0xB1, 0x0C, 0, 0]);

/// A model of the family.
pub struct Blocks {
    family: u8,
    id: ModelId,
    /// Number of calls of [`Codec::decode`].
    decoded: Arc<AtomicUsize>,
}

/// A model of family 1, and the number of payloads that it has decoded.
pub fn blocks() -> (Model, Arc<AtomicUsize>) {
    let decoded = Arc::default();
    (Model::custom(Blocks { family: 1, id: ID, decoded: Arc::clone(&decoded) }), decoded)
}

/// A model of the given family with the given id.
pub fn model(family: u8, id: ModelId) -> Model {
    Model::custom(Blocks { family, id, decoded: Arc::default() })
}

/// How a picture is divided and quantized.
struct Grid {
    edge: u32,
    columns: u32,
    rows: u32,
    channels: u32,
    levels: u32,
}

impl Grid {
    fn new(width: u32, height: u32, gray: bool, quality: Quality) -> Self {
        let quality = u32::from(quality.get());
        let edge = 1 + (100 - quality) / 8;
        let (columns, rows) = (width.div_ceil(edge), height.div_ceil(edge));
        Self { edge, columns, rows, channels: if gray { 1 } else { 3 }, levels: 2 + quality / 2 }
    }

    fn of(header: &Header) -> Self {
        Self::new(header.width, header.height, header.gray, header.quality)
    }

    fn count(&self) -> u64 {
        (u64::from(self.columns) * u64::from(self.rows)).saturating_mul(self.channels.into())
    }

    /// The index of the block of a pixel.
    fn block(&self, x: u32, y: u32) -> usize {
        (y / self.edge * self.columns + x / self.edge) as usize
    }

    /// The distance of two levels in the units of a pixel.
    fn step(&self) -> f32 {
        255.0 / (self.levels - 1) as f32
    }

    /// The frequencies of a level for each level of the block before: near levels are frequent.
    fn tables(&self) -> Vec<Frequencies> {
        let weight = |before: u32, level: u32| 1 + 1000 / (1 + level.abs_diff(before).pow(2));
        let table = |before| {
            let weights: Vec<u32> = (0..self.levels).map(|level| weight(before, level)).collect();
            Frequencies::from_weights(0, &weights).unwrap()
        };
        (0..self.levels).map(table).collect()
    }

    /// The index of the table for the level after these.
    fn context(&self, levels: &[i32]) -> usize {
        let before = levels.len().checked_sub(self.channels as usize);
        before.map_or(self.levels as usize / 2, |place| levels[place] as usize)
    }
}

impl Codec for Blocks {
    fn family(&self) -> Family {
        Family::new(self.family).unwrap()
    }

    fn id(&self) -> ModelId {
        self.id
    }

    fn info(&self) -> serde_json::Value {
        serde_json::json!({ "model_id": self.id.to_string() })
    }

    fn analyse<'a>(&'a self, picture: Cow<'a, Picture>, _: Tune) -> Result<Box<dyn Analysis + 'a>> {
        Ok(Box::new(Averages { picture }))
    }

    fn memory(&self, header: &Header) -> u64 {
        header.pixels().saturating_mul(3).saturating_add(Grid::of(header).count().saturating_mul(4))
    }

    fn decode(&self, header: &Header, payload: &[u8], limits: &Limits) -> Result<Vec<u8>> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        if header.coder != Coder::Range {
            return Err(Error::damaged("blocks are coded by the range coder"));
        }
        let grid = Grid::of(header);
        let tables = grid.tables();
        let levels = decode_adaptive(payload, grid.count(), limits, |before| {
            let table: &Frequencies = &tables[grid.context(before)];
            Ok(table)
        })?;
        let mut rgb = Vec::with_capacity(header.pixels() as usize * 3);
        for y in 0..header.height {
            for x in 0..header.width {
                let first = grid.block(x, y) * grid.channels as usize;
                let level = |channel: u32| levels[first + channel.min(grid.channels - 1) as usize];
                rgb.extend([0, 1, 2].map(|channel| (level(channel) as f32 * grid.step()).round() as u8));
            }
        }
        Ok(rgb)
    }
}

/// A picture that is encoded as averages of blocks.
struct Averages<'a> {
    picture: Cow<'a, Picture>,
}

impl Analysis for Averages<'_> {
    fn encode(&self, settings: &Settings) -> Result<Payload> {
        let Picture { width, height, gray, .. } = *self.picture;
        let grid = Grid::new(width, height, gray, settings.quality);
        let mut averages = vec![(0.0, 0.0); grid.count() as usize];
        for (place, pixel) in (0..).zip(self.picture.rgb.as_chunks::<3>().0) {
            let first = grid.block(place % width, place / width) * grid.channels as usize;
            for (average, &value) in averages[first..].iter_mut().zip(&pixel[..grid.channels as usize]) {
                *average = (average.0 + f32::from(value), average.1 + 1.0);
            }
        }
        let tables = grid.tables();
        let mut levels = Vec::new();
        for (sum, count) in averages {
            let (wanted, table) = (sum / count / grid.step(), &tables[grid.context(&levels)]);
            let cost =
                |level: i32| (level as f32 - wanted).powi(2) + settings.rate_weight * 0.2 * table.bits(level);
            levels.extend(table.symbols().min_by(|&a, &b| cost(a).total_cmp(&cost(b))));
        }
        let bytes = encode_adaptive(&levels, |before| {
            let table: &Frequencies = &tables[grid.context(before)];
            Ok(table)
        })?;
        Ok(Payload { coder: Coder::Range, bytes })
    }
}
