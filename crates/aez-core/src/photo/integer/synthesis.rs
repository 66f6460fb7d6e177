//! The synthesis network in integer arithmetic.

use super::{
    super::{config::PASSES, quality::MULTIPLIER_BITS, rows::Rows},
    enlarge::Enlarger,
    layer::{IntegerLayer, Planes, RELU, SIGNED},
    network::SynthesisLayers,
    plan::PICTURE,
    window::Window,
};
use crate::{
    nn::taps::{LANES, vectorized},
    parallel::*,
};

/// Planes of the picture: luma and two of chroma.
const COLOURS: usize = 3;

/// What a level passes to the finer one. The edges of all planes are extended.
pub(super) struct Coarser {
    /// The picture, the carry, then the features that the context model of the finer level reads.
    pub planes: Rows<i16>,
    /// Number of planes of the carry.
    pub carried: usize,
}

impl Coarser {
    /// Number of planes.
    pub fn count(layers: &SynthesisLayers, guides: usize) -> usize {
        COLOURS + layers.carry.layer.outputs + guides
    }

    /// The features that the context model reads.
    pub fn guide(&self, guide: usize, row: usize) -> &[i16] {
        self.planes.row(COLOURS + self.carried + guide, row)
    }
}

/// A level, and what its synthesis reads.
pub(super) struct Level<'a> {
    pub layers: &'a SynthesisLayers,
    /// Factor of the step in units of 2^-12.
    pub multiplier: u32,
    /// The inputs of the context model, which begin with the latents, `[channel][pass]`.
    pub latents: &'a Rows<i16>,
    pub channels: usize,
    pub rows: usize,
    pub columns: usize,
    pub coarser: Option<&'a Coarser>,
}

impl Level<'_> {
    /// Computes a level that is not the finest.
    pub fn run(&self, guides: usize) -> Coarser {
        let carry = &self.layers.carry;
        let count = Coarser::count(self.layers, guides);
        let mut planes = Rows::<i16>::new(count, self.rows, self.columns);
        let (row_step, step, start) = (planes.row_step(), planes.step, planes.in_row(0));
        let band_rows = band_rows(self.rows);
        planes.inner_mut().par_chunks_mut(band_rows * row_step).enumerate().for_each(|(index, rows)| {
            let first = index * band_rows;
            let mut band = Band::new(self, first);
            for (y, row) in (first..).zip(rows.chunks_exact_mut(row_step)) {
                let (picture, rest) = row.split_at_mut(COLOURS * step);
                let (carried, guides) = rest.split_at_mut(carry.layer.outputs * step);
                band.picture(y, &mut picture[start..], step);
                if !carried.is_empty() {
                    carry.run(&[(&band.features, y)], &[], SIGNED, self.columns, &mut carried[start..], step);
                }
                for (plane, to) in guides.chunks_exact_mut(step).enumerate() {
                    to[start..start + self.columns].copy_from_slice(band.features.row(plane, y));
                }
            }
        });
        planes.extend_edges();
        Coarser { planes, carried: carry.layer.outputs }
    }

    /// Computes the finest level: red, green and blue of each pixel.
    pub fn pixels(&self) -> Vec<u8> {
        let mut pixels = vec![0; 3 * self.rows * self.columns];
        let (row_step, band_rows) = (3 * self.columns, band_rows(self.rows));
        if row_step == 0 {
            return pixels;
        }
        pixels.par_chunks_mut(band_rows * row_step).enumerate().for_each(|(index, rows)| {
            let (first, step) = (index * band_rows, self.groups());
            let mut band = Band::new(self, first);
            let mut picture = vec![0; COLOURS * step];
            let mut colours = vec![0; 3 * self.columns];
            for (y, row) in (first..).zip(rows.chunks_exact_mut(row_step)) {
                band.picture(y, &mut picture, step);
                let planes = [0, 1, 2].map(|plane| &picture[plane * step..][..self.columns]);
                to_rgb(planes, &mut colours, row);
            }
        });
        pixels
    }

    /// Upper bound of the bytes that both functions hold besides their results.
    pub fn memory(layers: &SynthesisLayers, channels: usize, columns: usize) -> u64 {
        let planes = channels + COLOURS + layers.first.layer.outputs + layers.second.layer.outputs;
        // Per column: values that are added, picture and colours, and enlarged rows.
        let row = 4 * layers.first.layer.outputs.max(COLOURS) + 3 * COLOURS + 8;
        let lists = 16 * 1024;
        let band = Window::bytes(planes, columns).saturating_add((columns as u64 + 64) * row as u64 + lists);
        band.saturating_mul(threads() as u64)
    }

    /// Whole groups of columns.
    fn groups(&self) -> usize {
        self.columns.next_multiple_of(LANES)
    }
}

/// Rows that one thread computes at a time. The rows around them are computed twice.
fn band_rows(rows: usize) -> usize {
    match threads() {
        1 => rows.max(1),
        threads => rows.div_ceil(4 * threads).max(32),
    }
}

/// Computes rows of a level one after another, and keeps those that windows need.
struct Band<'a> {
    level: &'a Level<'a>,
    latents: Window,
    /// The picture without what the features add to it.
    picture: Window,
    hidden: Window,
    features: Window,
    /// The next rows of the picture, the hidden values and the features.
    next: [usize; 3],
    added: Vec<i32>,
    enlarger: Enlarger,
}

impl<'a> Band<'a> {
    /// A band whose first row is `row`.
    fn new(level: &'a Level<'a>, row: usize) -> Self {
        let window = |planes| Window::new(planes, level.rows, level.columns);
        Self {
            level,
            latents: window(level.channels),
            picture: window(COLOURS),
            hidden: window(level.layers.first.layer.outputs),
            features: window(level.layers.second.layer.outputs),
            next: [3, 2, 1].map(|before| row.saturating_sub(before)),
            added: Vec::new(),
            enlarger: Enlarger::default(),
        }
    }

    /// Writes the row `y` of the level's picture, in planes that begin `step` apart. Rows ascend.
    fn picture(&mut self, y: usize, to: &mut [i16], step: usize) {
        self.advance_features(y + 1);
        let (columns, groups) = (self.level.columns, self.level.groups());
        self.added.clear();
        self.added.resize(COLOURS * groups, 0);
        for (plane, row) in self.added.chunks_exact_mut(groups).enumerate() {
            let from = self.picture.row(plane, y);
            row.iter_mut().zip(from).for_each(|(to, &value)| *to = value.into());
        }
        let output = &self.level.layers.output;
        output.run(&[(&self.features, y)], &self.added, SIGNED, columns, to, step);
    }

    /// Computes the features up to the row `end`, as far as it exists.
    fn advance_features(&mut self, end: usize) {
        let Level { layers, rows, columns, .. } = *self.level;
        while self.next[2] <= end.min(rows - 1) {
            let y = self.next[2];
            self.advance_hidden(y + 1);
            let hidden = &self.hidden;
            self.features
                .write(y, |to, step| layers.second.run(&[(hidden, y)], &[], RELU, columns, to, step));
            self.next[2] += 1;
        }
    }

    fn advance_hidden(&mut self, end: usize) {
        let Level { layers, rows, columns, coarser, .. } = *self.level;
        while self.next[1] <= end.min(rows - 1) {
            let y = self.next[1];
            self.advance_picture(y + 1);
            self.start_adding(layers.first.layer.outputs);
            if let Some(Coarser { planes, carried }) = coarser {
                for (plane, row) in
                    self.added.chunks_exact_mut(self.level.groups()).enumerate().take(*carried)
                {
                    self.enlarger.linear(planes, COLOURS + plane, y, &mut row[..columns]);
                }
            }
            let inputs: [(&dyn Planes, usize); 2] = [(&self.latents, y), (&self.picture, y)];
            let added = &self.added;
            self.hidden.write(y, |to, step| layers.first.run(&inputs, added, RELU, columns, to, step));
            self.next[1] += 1;
        }
    }

    fn advance_picture(&mut self, end: usize) {
        let Level { layers, rows, columns, coarser, .. } = *self.level;
        while self.next[0] <= end.min(rows - 1) {
            let y = self.next[0];
            let level = self.level;
            self.latents.write(y, |to, step| level.latents(y, to, step));
            self.start_adding(COLOURS);
            if let Some(Coarser { planes, .. }) = coarser {
                for (plane, row) in self.added.chunks_exact_mut(self.level.groups()).enumerate() {
                    self.enlarger.cubic(planes, plane, y, &mut row[..columns]);
                }
            }
            let (latents, added) = (&self.latents, &self.added);
            self.picture
                .write(y, |to, step| layers.linear.run(&[(latents, y)], added, SIGNED, columns, to, step));
            self.next[0] += 1;
        }
    }

    /// Makes room for rows that are added to the outputs of a layer; for none at the coarsest level.
    fn start_adding(&mut self, outputs: usize) {
        self.added.clear();
        if self.level.coarser.is_some() {
            self.added.resize(outputs * self.level.groups(), 0);
        }
    }
}

impl Level<'_> {
    /// Writes the latents of a row, in units of the picture.
    fn latents(&self, y: usize, to: &mut [i16], step: usize) {
        let scale = Scale::new(&self.layers.scale, self.multiplier);
        for channel in 0..self.channels {
            for (pass, _) in PASSES.iter().enumerate().filter(|(_, phase)| phase.0 == y % 2) {
                let from = self.latents.row(channel * PASSES.len() + pass, y / 2);
                let row = &mut to[channel * step..][..self.columns];
                let places = row.iter_mut().skip(PASSES[pass].1).step_by(2);
                places.zip(from).for_each(|(to, &latent)| *to = scale.apply(latent));
            }
        }
    }
}

/// From a latent to its value in units of the picture.
#[derive(Clone, Copy)]
struct Scale {
    factor: i64,
    shift: u32,
}

impl Scale {
    fn new(layer: &IntegerLayer, multiplier: u32) -> Self {
        let factor = i64::from(layer.weights[0]) * i64::from(multiplier);
        Self { factor, shift: u32::from(layer.shifts[0]) + MULTIPLIER_BITS }
    }

    fn apply(self, latent: i16) -> i16 {
        let exact = i64::from(latent) * self.factor + (1 << (self.shift - 1));
        (exact >> self.shift).clamp(SIGNED.into(), 32_767) as i16
    }
}

vectorized! {
    /// Red, green and blue of luma and chroma. `colours` has room for the three planes of a row.
    fn to_rgb(picture: [&[i16]; 3], colours: &mut [u8], pixels: &mut [u8]) {
        /// In units of 2^-13: `round(2^5 255 weight)`.
        const WEIGHTS: [[i32; 3]; 3] = [[8160, 0, 11_440], [8160, -2808, -5827], [8160, 14_460, 0]];
        const SHIFT: u32 = PICTURE + 5;
        let columns = picture[0].len();
        let planes = picture.map(|plane| &plane[..columns]);
        for (weights, row) in WEIGHTS.into_iter().zip(colours.chunks_exact_mut(columns)) {
            for x in 0..columns {
                let [y, u, v] = planes.map(|plane| i32::from(plane[x]));
                let sum = weights[0] * y + weights[1] * u + weights[2] * v;
                row[x] = ((sum + (255 << (SHIFT - 1)) + (1 << (SHIFT - 1))) >> SHIFT).clamp(0, 255) as u8;
            }
        }
        let [red, green, blue] = [0, 1, 2].map(|colour| &colours[colour * columns..][..columns]);
        for (x, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = [red[x], green[x], blue[x]];
        }
    }
}
