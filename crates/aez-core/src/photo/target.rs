//! The picture that latents should reproduce.

use super::{
    masking::mask,
    rows::{Rows, clear_row},
    scratch::{Lent, Scratch},
    synthesis::Grid,
};
use crate::{
    codec::Tune,
    error::{Error, Result},
    nn::taps::vectorized,
    parallel::*,
    picture::Picture,
};

/// From red, green and blue to luma and two chroma values, as in JPEG files.
const FROM_RGB: [[f32; 3]; 3] =
    [[0.299, 0.587, 0.114], [-0.168_736, -0.331_264, 0.5], [0.5, -0.418_688, -0.081_312]];
/// The inverse: red, green and blue of luma and chroma.
const TO_RGB: [[f32; 3]; 3] = [[1.0, 0.0, 1.402], [1.0, -0.344_136, -0.714_136], [1.0, 1.772, 0.0]];

/// A picture in luma and chroma.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) planes: Rows,
    rgb: Vec<u8>,
    /// The weight of the squared error of each pixel.
    weights: Vec<f32>,
}

impl Target {
    /// A target from a picture. Errors of fully transparent pixels do not count.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a picture that is empty or inconsistent.
    pub fn new(picture: &Picture) -> Result<Self> {
        let (rows, columns) = (picture.height as usize, picture.width as usize);
        if rows * columns == 0 || picture.rgb.len() != 3 * rows * columns {
            return Err(Error::Misuse(format!("a picture of {columns}x{rows} pixels is no target")));
        }
        let mut planes = Rows::new(3, rows, columns);
        for (y, line) in picture.rgb.chunks_exact(3 * columns).enumerate() {
            for (colour, weights) in FROM_RGB.iter().enumerate() {
                for (to, pixel) in planes.row_mut(colour, y).iter_mut().zip(line.as_chunks::<3>().0) {
                    *to = weights.iter().zip(pixel).map(|(w, &p)| w * (f32::from(p) / 255.0 - 0.5)).sum();
                }
            }
        }
        let weights = match &picture.alpha {
            Some(alpha) => alpha.iter().map(|&alpha| f32::from(u8::from(alpha > 0))).collect(),
            None => vec![1.0; rows * columns],
        };
        Ok(Self { planes, rgb: picture.rgb.clone(), weights })
    }

    /// The same target, whose errors count as `tune` wants it.
    #[must_use]
    pub fn tuned(mut self, tune: Tune) -> Self {
        if tune == Tune::Ssim {
            mask(&self.planes, &mut self.weights);
        }
        self
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.planes.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.planes.columns
    }

    /// Number of pixels.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.rows() * self.columns()
    }

    /// The weighted sum of squared errors of a picture in luma and chroma, over red, green and blue in [0, 1], and half of its gradient,
    /// times `weight`.
    pub(super) fn error<'a>(&self, picture: &Rows, weight: f32, scratch: &'a Scratch) -> (f64, Lent<'a>) {
        let mut gradient = scratch.like(picture);
        let (columns, step, first, row_step) =
            (picture.columns, picture.step, picture.in_row(0), picture.row_step());
        let rows = gradient.inner_mut().par_chunks_mut(row_step).enumerate();
        let errors: Vec<f32> = rows
            .map(|(y, row)| {
                let [here, there] = [picture, &self.planes].map(|rows| rows.place(0, y as isize, 0));
                let planes = [&picture.values[here..], &self.planes.values[there..]];
                clear_row(row, step, columns);
                row_error(planes, &self.weights[y * columns..][..columns], &mut row[first..], step, weight)
            })
            .collect();
        gradient.clear_ends();
        (errors.into_iter().map(f64::from).sum(), gradient)
    }

    /// For each pixel, the weighted squared error in red, green and blue, times `weight`.
    pub(super) fn error_map(&self, picture: &Rows, weight: f32, map: &mut [f32]) {
        map.par_chunks_mut(self.columns()).enumerate().for_each(|(y, row)| {
            let planes = [picture, &self.planes].map(|rows| [0, 1, 2].map(|colour| rows.row(colour, y)));
            row_errors(planes, &self.weights[y * self.columns()..], weight, row);
        });
    }

    /// The mean squared error of the picture as it is shown: clamped and rounded to 8 bits. In units of the full range.
    pub(super) fn shown_error(&self, picture: &Rows) -> f64 {
        let shown = to_rgb(picture);
        let squares = shown.iter().zip(&self.rgb).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2));
        squares.sum::<u64>() as f64 / (255.0 * 255.0 * self.rgb.len() as f64)
    }

    /// The latents of a Laplacian pyramid, in steps: each level corrects the enlarged coarser levels, whose latents are rounded.
    /// Channels after the third are 0.
    pub(super) fn pyramid(&self, channels: &[usize], steps: &[f32]) -> Vec<Vec<f32>> {
        let mut averages = vec![self.planes.clone()];
        for _ in 1..channels.len() {
            averages.push(halved(&averages[averages.len() - 1]));
        }
        let mut latents = vec![Vec::new(); channels.len()];
        let mut decoded: Option<Rows> = None;
        for level in (0..channels.len()).rev() {
            let wanted = &averages[level];
            let mut now = Rows::new(3, wanted.rows, wanted.columns);
            if let Some(mut coarser) = decoded.take() {
                coarser.extend_edges();
                super::resample::enlarge::<super::resample::Cubic>(&coarser, None, &mut now, 0);
            }
            for channel in 0..channels[level].min(3) {
                for y in 0..wanted.rows {
                    let line = now.row_mut(channel, y).iter_mut().zip(wanted.row(channel, y));
                    for (now, wanted) in line {
                        let latent = (wanted - *now) / steps[level];
                        latents[level].push(latent);
                        *now += latent.round() * steps[level];
                    }
                }
            }
            latents[level].resize(channels[level] * wanted.rows * wanted.columns, 0.0);
            decoded = Some(now);
        }
        latents
    }

    /// Grids of latents, one for each level.
    pub(super) fn grids<'a>(&self, latents: &'a [Vec<f32>]) -> Vec<Grid<'a>> {
        let grid = |(level, latents): (usize, &'a Vec<f32>)| Grid {
            latents,
            rows: self.rows().div_ceil(1 << level),
            columns: self.columns().div_ceil(1 << level),
        };
        latents.iter().enumerate().map(grid).collect()
    }
}

vectorized! {
    /// The weighted squared error of a row, whose planes are a step apart, and half of its weighted gradient.
    fn row_error(planes: [&[f32]; 2], weights: &[f32], gradient: &mut [f32], step: usize, weight: f32) -> f32 {
        let ([picture, target], columns) = (planes, weights.len());
        let plane = |colour: usize| colour * step..colour * step + columns;
        let [a, b, c] = [0, 1, 2].map(|colour| (&picture[plane(colour)], &target[plane(colour)]));
        let (first, rest) = gradient.split_at_mut(step);
        let (second, third) = rest.split_at_mut(step);
        let (first, second, third) = (&mut first[..columns], &mut second[..columns], &mut third[..columns]);
        let mut sums = [0.0; 8];
        for x in 0..columns {
            let [r, g, b] = rgb([a.0[x] - a.1[x], b.0[x] - b.1[x], c.0[x] - c.1[x]]);
            sums[x % 8] += weights[x] * (r * r + g * g + b * b);
            let weight = weight * weights[x];
            let back =
                |column: usize| weight * (TO_RGB[0][column] * r + TO_RGB[1][column] * g + TO_RGB[2][column] * b);
            (first[x], second[x], third[x]) = (back(0), back(1), back(2));
        }
        sums.iter().sum()
    }
}

vectorized! {
    /// The weighted squared errors of the pixels of a row, times `weight`.
    fn row_errors(planes: [[&[f32]; 3]; 2], weights: &[f32], weight: f32, errors: &mut [f32]) {
        let columns = errors.len();
        let [a, b, c] = [0, 1, 2].map(|colour| (&planes[0][colour][..columns], &planes[1][colour][..columns]));
        let weights = &weights[..columns];
        for x in 0..columns {
            let [r, g, b] = rgb([a.0[x] - a.1[x], b.0[x] - b.1[x], c.0[x] - c.1[x]]);
            errors[x] = weight * weights[x] * (r * r + g * g + b * b);
        }
    }
}

/// Red, green and blue of luma and chroma.
#[inline(always)]
fn rgb([luma, blue, red]: [f32; 3]) -> [f32; 3] {
    TO_RGB.map(|row| row[0] * luma + row[1] * blue + row[2] * red)
}

/// The pixels of a picture in luma and chroma, red, green and blue of each.
pub(super) fn to_rgb(picture: &Rows) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(3 * picture.rows * picture.columns);
    for y in 0..picture.rows {
        let planes = [0, 1, 2].map(|colour| picture.row(colour, y));
        for x in 0..picture.columns {
            pixels.extend(
                rgb(planes.map(|plane| plane[x]))
                    .map(|value| (255.0 * (value + 0.5)).round().clamp(0.0, 255.0) as u8),
            );
        }
    }
    pixels
}

/// Averages of 2x2 pixels, where the last row and column are repeated if needed.
fn halved(from: &Rows) -> Rows {
    let mut to = Rows::new(from.planes, from.rows.div_ceil(2), from.columns.div_ceil(2));
    for plane in 0..from.planes {
        for y in 0..to.rows {
            let lines = [2 * y, (2 * y + 1).min(from.rows - 1)].map(|y| from.row(plane, y));
            for (x, value) in to.row_mut(plane, y).iter_mut().enumerate() {
                let columns = [2 * x, (2 * x + 1).min(from.columns - 1)];
                *value = 0.25 * lines.iter().flat_map(|line| columns.map(|x| line[x])).sum::<f32>();
            }
        }
    }
    to
}
