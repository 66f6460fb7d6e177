//! Scaling by separable, antialiased filters: when a window shrinks, the filter widens with it, so that every
//! source pixel counts.

use super::Picture;

/// The shape of the interpolation, at a radius of 1 or 3 target pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// A tent: bilinear when it enlarges, an area average with soft borders when it shrinks. Fast.
    Triangle,
    /// A windowed sinc: sharp.
    Lanczos3,
}

impl Filter {
    fn radius(self) -> f64 {
        match self {
            Self::Triangle => 1.0,
            Self::Lanczos3 => 3.0,
        }
    }

    /// The weight at a distance of `x` pixels.
    fn at(self, x: f64) -> f64 {
        let x = x.abs();
        if x >= self.radius() {
            return 0.0;
        }
        match self {
            Self::Triangle => 1.0 - x,
            Self::Lanczos3 => sinc(x) * sinc(x / 3.0),
        }
    }
}

fn sinc(x: f64) -> f64 {
    let a = x * std::f64::consts::PI;
    if a == 0.0 { 1.0 } else { a.sin() / a }
}

/// A rectangle of source pixels. It must lie within its picture and hold a pixel at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// Scales a window of a plane of interleaved bytes, `C` channels a pixel and `stride` pixels a row, to
/// `size.0` columns and `size.1` rows in `out`, interleaved likewise. Values stay in byte units, 0 to 255
/// ([`Filter::Lanczos3`] may overshoot). The pixels outside the window have no influence.
///
/// # Panics
/// When the window leaves the plane or `out` has not `size.0 * size.1 * C` values.
pub fn resample<const C: usize>(
    plane: &[u8],
    stride: usize,
    window: Window,
    filter: Filter,
    size: (usize, usize),
    out: &mut [f32],
) {
    let (columns, rows) = (taps(window.width, size.0, filter), taps(window.height, size.1, filter));
    assert_eq!(out.len(), size.0 * size.1 * C, "values of the scaled picture");
    let mut line = vec![0f32; window.width * C];
    for (target, row) in out.chunks_exact_mut(size.0 * C).zip(&rows) {
        line.fill(0.0);
        for (k, &weight) in row.weights.iter().enumerate() {
            let start = ((window.y + row.first + k) * stride + window.x) * C;
            for (sum, &byte) in line.iter_mut().zip(&plane[start..start + window.width * C]) {
                *sum += weight * f32::from(byte);
            }
        }
        for (pixel, column) in target.as_chunks_mut::<C>().0.iter_mut().zip(&columns) {
            *pixel = [0.0; C];
            for (source, weight) in line.as_chunks::<C>().0[column.first..].iter().zip(&column.weights) {
                for c in 0..C {
                    pixel[c] += weight * source[c];
                }
            }
        }
    }
}

/// The source pixels that make one target pixel, from `first` on; the weights sum to 1.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

fn taps(from: usize, to: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = filter.radius() * stretch;
    (0..to)
        .map(|target| {
            let centre = (target as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).floor().max(0.0) as usize;
            let end = ((centre + reach + 0.5).floor() as usize).min(from);
            let raw = (first..end).map(|source| filter.at((source as f64 + 0.5 - centre) / stretch));
            let sum: f64 = raw.clone().sum();
            Taps { first, weights: raw.map(|weight| (weight / sum) as f32).collect() }
        })
        .collect()
}

/// The whole picture scaled to `width` x `height`. Alpha is scaled like a colour, metadata is kept.
#[must_use]
pub fn scale(picture: &Picture, filter: Filter, width: u32, height: u32) -> Picture {
    let whole = Window { x: 0, y: 0, width: picture.width as usize, height: picture.height as usize };
    scale_window(picture, whole, filter, (width, height))
}

/// The centre square, as large as the picture allows. Where the difference of the sides is odd, the extra
/// pixel is left out right or below.
#[must_use]
pub fn centre(picture: &Picture) -> Window {
    let side = picture.shortest_side();
    let (x, y) = ((picture.width - side) as usize / 2, (picture.height - side) as usize / 2);
    Window { x, y, width: side as usize, height: side as usize }
}

/// The centre square scaled to `edge` x `edge` by [`Filter::Lanczos3`]: how STL-10 was made of photographs.
#[must_use]
pub fn centre_square(picture: &Picture, edge: u32) -> Picture {
    scale_window(picture, centre(picture), Filter::Lanczos3, (edge, edge))
}

fn scale_window(picture: &Picture, window: Window, filter: Filter, size: (u32, u32)) -> Picture {
    let stride = picture.width as usize;
    Picture {
        width: size.0,
        height: size.1,
        rgb: scale_plane::<3>(&picture.rgb, stride, window, filter, size),
        alpha: picture.alpha.as_ref().map(|alpha| scale_plane::<1>(alpha, stride, window, filter, size)),
        ..picture.clone_metadata()
    }
}

fn scale_plane<const C: usize>(
    plane: &[u8],
    stride: usize,
    window: Window,
    filter: Filter,
    size: (u32, u32),
) -> Vec<u8> {
    let size = (size.0 as usize, size.1 as usize);
    let mut scaled = vec![0f32; size.0 * size.1 * C];
    resample::<C>(plane, stride, window, filter, size, &mut scaled);
    scaled.into_iter().map(|value| value.round() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::imageops::{self, FilterType};
    use proptest::prelude::*;

    fn noise(width: u32, height: u32) -> Picture {
        let bytes = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
        Picture::from_rgb(width, height, bytes.collect())
    }

    proptest! {
        #[test]
        fn a_flat_picture_stays_flat(from in (1u32..50, 1u32..50), to in (1u32..50, 1u32..50), value: u8) {
            let picture = Picture {
                alpha: Some(vec![value; (from.0 * from.1) as usize]),
                ..Picture::from_rgb(from.0, from.1, vec![value; (from.0 * from.1 * 3) as usize])
            };
            for filter in [Filter::Triangle, Filter::Lanczos3] {
                let scaled = scale(&picture, filter, to.0, to.1);
                prop_assert_eq!(scaled.rgb.len(), (to.0 * to.1 * 3) as usize);
                prop_assert!(scaled.rgb.iter().chain(scaled.alpha.iter().flatten()).all(|&byte| byte == value));
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let picture = noise(17, 9);
        assert_eq!(scale(&picture, Filter::Triangle, 17, 9), picture);
        assert_eq!(scale(&picture, Filter::Lanczos3, 17, 9), picture);
    }

    #[test]
    fn agrees_with_another_implementation() {
        for (filter, theirs) in
            [(Filter::Triangle, FilterType::Triangle), (Filter::Lanczos3, FilterType::Lanczos3)]
        {
            for (width, height) in [(23, 31), (60, 20), (7, 90), (96, 96)] {
                let picture = noise(61, 47);
                let image = image::RgbImage::from_raw(61, 47, picture.rgb.clone()).unwrap();
                let expected = imageops::resize(&image, width, height, theirs).into_raw();
                let found = scale(&picture, filter, width, height).rgb;
                let worst = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(worst <= 1, "{filter:?} to {width}x{height}: {worst}");
            }
        }
    }

    #[test]
    fn nothing_outside_a_window_counts() {
        let mut inside = vec![200; 10 * 10];
        let window = Window { x: 3, y: 2, width: 4, height: 5 };
        for (i, value) in inside.iter_mut().enumerate() {
            if (3..7).contains(&(i % 10)) && (2..7).contains(&(i / 10)) {
                *value = 50;
            }
        }
        let mut out = [0.0; 9 * 2];
        resample::<1>(&inside, 10, window, Filter::Lanczos3, (9, 2), &mut out);
        assert!(out.iter().all(|value| (value - 50.0).abs() < 1e-3), "{out:?}");
    }

    #[test]
    fn the_centre_square_is_cut_in_the_middle() {
        let pixels = (0..3).flat_map(|y| (0..8).map(move |x| [x * 10, y * 10, 0]));
        let picture = Picture::from_rgb(8, 3, pixels.flatten().collect());
        let square = centre_square(&picture, 3);
        let reds: Vec<u8> = square.rgb.iter().step_by(3).copied().collect();
        assert_eq!(reds, [20, 30, 40, 20, 30, 40, 20, 30, 40]);
    }
}
