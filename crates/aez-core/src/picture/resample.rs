//! Scaling by separable filters with antialiasing: when a picture is scaled down, the filter is widened by the same factor.

use super::Picture;

/// The interpolation kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Triangle of radius 1: bilinear interpolation when scaling up. Fast.
    Triangle,
    /// Lanczos kernel of radius 3: sharp.
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

/// A rectangle of source pixels within a picture, of at least one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// Scales a window of interleaved bytes, with `C` channels per pixel and `stride` pixels per row, to `size.0` columns and
/// `size.1` rows in `out`, interleaved in the same way. The output has the range of the input, 0 to 255;
/// [`Filter::Lanczos3`] may overshoot. Pixels outside of the window have no influence.
///
/// # Panics
/// When the window exceeds the plane, or `out` does not have `size.0 * size.1 * C` values.
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

/// The weights of the source pixels from `first` on for one target pixel. Their sum is 1.
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

/// Scales a picture to `width` x `height` pixels. Alpha is scaled like a colour channel, metadata are kept.
#[must_use]
pub fn scale(picture: &Picture, filter: Filter, width: u32, height: u32) -> Picture {
    let whole = Window { x: 0, y: 0, width: picture.width as usize, height: picture.height as usize };
    scale_window(picture, whole, filter, (width, height))
}

/// The largest square in the centre of a picture. Where the difference of the sides is odd, the square lies half a pixel to the
/// left or above the centre.
#[must_use]
pub fn centre(picture: &Picture) -> Window {
    let side = picture.shortest_side();
    let (x, y) = ((picture.width - side) as usize / 2, (picture.height - side) as usize / 2);
    Window { x, y, width: side as usize, height: side as usize }
}

/// The centre square of a picture, scaled to `edge` x `edge` pixels by [`Filter::Lanczos3`].
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
    fn pixels_outside_of_a_window_have_no_influence() {
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
