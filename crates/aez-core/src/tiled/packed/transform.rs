//! The transforms that make the values of a row few and small: cosines over its places, principal axes over its channels.

use crate::parallel::*;

/// The orthonormal cosine transform of `edge` values: row `u` of the matrix is the wave of frequency `u`.
pub struct Cosines {
    edge: usize,
    matrix: Vec<f32>,
}

impl Cosines {
    pub fn new(edge: usize) -> Self {
        let entry = |index: usize| {
            let (u, i) = ((index / edge) as f64, (index % edge) as f64);
            let scale = if index < edge { 1.0 } else { 2.0 } / edge as f64;
            (scale.sqrt() * (std::f64::consts::PI * (2.0 * i + 1.0) * u / (2 * edge) as f64).cos()) as f32
        };
        Self { edge, matrix: (0..edge * edge).map(entry).collect() }
    }

    /// Replaces the values of a row, `[edge][edge][channels]`, by their transform over both edges.
    pub fn forward(&self, row: &mut [f32]) {
        self.both_edges(row, |u, i| self.matrix[u * self.edge + i]);
    }

    /// The inverse of [`Cosines::forward`].
    pub fn inverse(&self, row: &mut [f32]) {
        self.both_edges(row, |i, u| self.matrix[u * self.edge + i]);
    }

    fn both_edges(&self, row: &mut [f32], entry: impl Fn(usize, usize) -> f32) {
        let line = row.len() / self.edge;
        for inner in [line / self.edge, line] {
            let mut mixed = vec![0.0; row.len()];
            let outer = inner * self.edge;
            for (to, from) in mixed.chunks_exact_mut(outer).zip(row.chunks_exact(outer)) {
                for (a, to) in to.chunks_exact_mut(inner).enumerate() {
                    for (b, from) in from.chunks_exact(inner).enumerate() {
                        let factor = entry(a, b);
                        to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
                    }
                }
            }
            row.copy_from_slice(&mixed);
        }
    }
}

/// The principal axes of vectors of `channels` values each: orthonormal, one after another, the one with the largest variance first.
pub fn principal_axes(vectors: &[f32], channels: usize) -> Vec<f32> {
    let mut rows = gram(vectors, channels);
    let mut axes = vec![0.0; channels * channels];
    axes.iter_mut().step_by(channels + 1).for_each(|x| *x = 1.0);
    orthogonalize(&mut rows, &mut axes, channels);
    let variance = |row: usize| rows[row * channels..][..channels].iter().map(|x| x * x).sum::<f64>();
    let mut order: Vec<(usize, f64)> = (0..channels).map(|row| (row, variance(row))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order.iter().flat_map(|&(row, _)| &axes[row * channels..][..channels]).map(|&x| x as f32).collect()
}

/// The sums over all vectors of the products of their values.
fn gram(vectors: &[f32], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; channels * channels];
    sums.par_chunks_exact_mut(channels).enumerate().for_each(|(channel, sums)| {
        for vector in vectors.chunks_exact(channels) {
            let factor = f64::from(vector[channel]);
            sums.iter_mut().zip(vector).for_each(|(sum, &x)| *sum += factor * f64::from(x));
        }
    });
    sums
}

/// Rotates pairs of rows until all are orthogonal, and `axes` with them: Jacobi's method, one-sided (Hestenes 1958). If the rows are
/// those of a symmetric matrix, the axes become its eigenvectors.
fn orthogonalize(rows: &mut [f64], axes: &mut [f64], n: usize) {
    const MAX_SWEEPS: usize = 30;
    const PRECISION: f64 = 1e-9;
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for q in 1..n {
            for p in 0..q {
                let (a, b) = pair(rows, p, q, n);
                let (aa, ab, bb) = (dot(a, a), dot(a, b), dot(b, b));
                if ab.abs() <= PRECISION * (aa * bb).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (bb - aa) / (2.0 * ab);
                let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                for matrix in [&mut *rows, &mut *axes] {
                    let (a, b) = pair(matrix, p, q, n);
                    for (a, b) in a.iter_mut().zip(b) {
                        (*a, *b) = (cosine * (*a - tangent * *b), cosine * (*b + tangent * *a));
                    }
                }
            }
        }
        if !rotated {
            break;
        }
    }
}

/// Two rows of a matrix, `p` before `q`.
fn pair(matrix: &mut [f64], p: usize, q: usize, n: usize) -> (&mut [f64], &mut [f64]) {
    let (before, after) = matrix.split_at_mut(q * n);
    (&mut before[p * n..][..n], &mut after[..n])
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_orthonormal_and_find_a_wave() {
        let cosines = Cosines::new(6);
        let wave = |i: usize, u: usize| (std::f32::consts::PI * (2 * i + 1) as f32 * u as f32 / 12.0).cos();
        let row: Vec<f32> =
            (0..72).map(|at| wave(at / 12, 2) * wave(at / 2 % 6, 1) * (at % 2) as f32).collect();
        let mut transform = row.clone();
        cosines.forward(&mut transform);
        for (at, value) in transform.iter().enumerate() {
            // Waves of 6 values have the norm sqrt(3).
            let expected = if at == (2 * 6 + 1) * 2 + 1 { 3.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-5, "{value} at {at}");
        }
        cosines.inverse(&mut transform);
        assert!(row.iter().zip(transform).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn principal_axes_are_orthonormal_and_sorted() {
        // The axes are those of the first three, and the last two channels are equal.
        let vector = |i: usize| {
            let wave = |k: f32| (i as f32 * k).sin();
            let (a, b, c) = (5.0 * wave(1.1), 3.0 * wave(2.3), wave(0.7));
            [0.6 * a - 0.8 * b, 0.8 * a + 0.6 * b, c, c]
        };
        let vectors: Vec<f32> = (0..4000).flat_map(vector).collect();
        let axes: Vec<f64> = principal_axes(&vectors, 4).into_iter().map(f64::from).collect();
        for (i, a) in axes.chunks(4).enumerate() {
            for (j, b) in axes.chunks(4).enumerate() {
                assert!((dot(a, b) - f64::from(u8::from(i == j))).abs() < 1e-6);
            }
        }
        let expected =
            [[0.6, 0.8, 0.0, 0.0], [-0.8, 0.6, 0.0, 0.0], [0.0, 0.0, 0.5_f64.sqrt(), 0.5_f64.sqrt()]];
        for (axis, expected) in axes.chunks(4).zip(expected) {
            assert!(dot(axis, &expected).abs() > 0.999, "{axis:?}");
        }
        // Vectors of zeros have axes, too.
        assert_eq!(principal_axes(&[0.0; 4], 2), [1.0, 0.0, 0.0, 1.0]);
    }
}
