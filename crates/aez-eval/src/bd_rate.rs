//! Bjøntegaard delta rate (BD-rate): the average difference in rate between two codecs at equal PSNR, or at another equal quality.

/// One point of a rate-distortion curve: the rate in bits per pixel or any other unit, and the quality, such as the PSNR in decibels.
pub type RatePoint = (f64, f64);

/// The average difference in rate between two curves.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct BdRate {
    /// The difference in percent of the rate of the second curve. Negative: the first curve needs fewer bits.
    pub percent: f64,
    /// The range of quality that both curves cover and that the difference is an average over.
    pub range: (f64, f64),
}

/// The average difference in rate between `curve` and `against`, over the range of quality that both cover.
///
/// It is the average difference of the logarithms of the rates (Bjøntegaard, "Calculation of average PSNR differences between
/// RD-curves", 2001). Curves are interpolated by monotone piecewise cubic polynomials (Fritsch and Butland, "A method for
/// constructing local monotone piecewise cubic interpolants", 1984), as is usual in publications on learned codecs.
///
/// Points may be in any order. Points for which another one has a higher quality at the same or a lower rate are ignored. There is no
/// extrapolation: the result is `None` if the curves have no range of quality in common, or fewer than two points remain of either.
#[must_use]
pub fn bd_rate(curve: &[RatePoint], against: &[RatePoint]) -> Option<BdRate> {
    let (a, b) = (Pieces::through(curve)?, Pieces::through(against)?);
    let range = (a.first().max(b.first()), a.last().min(b.last()));
    if range.0 >= range.1 {
        return None;
    }
    let difference = (a.integral(range) - b.integral(range)) / (range.1 - range.0);
    Some(BdRate { percent: difference.exp_m1() * 100.0, range })
}

/// A curve: the natural logarithm of the rate as a piecewise cubic function of the quality.
struct Pieces {
    knots: Vec<Knot>,
}

/// A point of the curve: quality, logarithm of the rate, and slope.
struct Knot {
    x: f64,
    y: f64,
    slope: f64,
}

impl Pieces {
    fn through(points: &[RatePoint]) -> Option<Self> {
        let mut points: Vec<_> =
            points.iter().copied().filter(|(rate, psnr)| *rate > 0.0 && (rate * psnr).is_finite()).collect();
        // The best of several points at equal rate is first.
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut best = f64::NEG_INFINITY;
        points.retain(|&(_, psnr)| {
            let better = psnr > best;
            best = best.max(psnr);
            better
        });
        let (y, x): (Vec<_>, Vec<_>) = points.iter().map(|(rate, psnr)| (rate.ln(), *psnr)).unzip();
        let slopes = slopes(&x, &y)?;
        let knots = x.into_iter().zip(y).zip(slopes).map(|((x, y), slope)| Knot { x, y, slope });
        Some(Self { knots: knots.collect() })
    }

    fn first(&self) -> f64 {
        self.knots[0].x
    }

    fn last(&self) -> f64 {
        self.knots[self.knots.len() - 1].x
    }

    /// The integral over a range that the knots cover.
    fn integral(&self, (from, to): (f64, f64)) -> f64 {
        let piece = |pair: &[Knot]| {
            let (a, b) = (from.clamp(pair[0].x, pair[1].x), to.clamp(pair[0].x, pair[1].x));
            let at = |x| cubic(&pair[0], &pair[1], x);
            // Simpson's rule is exact for cubic polynomials.
            (b - a) / 6.0 * (at(a) + 4.0 * at(f64::midpoint(a, b)) + at(b))
        };
        self.knots.windows(2).map(piece).sum()
    }
}

/// The cubic Hermite polynomial between two knots.
fn cubic(a: &Knot, b: &Knot, x: f64) -> f64 {
    let width = b.x - a.x;
    let t = (x - a.x) / width;
    let s = 1.0 - t;
    s * s * ((1.0 + 2.0 * t) * a.y + t * width * a.slope)
        + t * t * ((1.0 + 2.0 * s) * b.y - s * width * b.slope)
}

/// The slope at each point, such that the curve between two points stays within the range of their values. `None`: fewer than two
/// points.
fn slopes(x: &[f64], y: &[f64]) -> Option<Vec<f64>> {
    let widths: Vec<f64> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let secants: Vec<f64> =
        y.windows(2).zip(&widths).map(|(pair, width)| (pair[1] - pair[0]) / width).collect();
    let last = secants.len().checked_sub(1)?;
    if last == 0 {
        return Some(vec![secants[0]; 2]);
    }
    let inner = (0..last).map(|k| {
        let (left, right) = (secants[k], secants[k + 1]);
        if left * right <= 0.0 {
            return 0.0;
        }
        let (w, v) = (widths[k] + 2.0 * widths[k + 1], 2.0 * widths[k] + widths[k + 1]);
        (w + v) / (w / left + v / right)
    });
    let mut slopes = vec![end_slope(widths[0], widths[1], secants[0], secants[1])];
    slopes.extend(inner);
    slopes.push(end_slope(widths[last], widths[last - 1], secants[last], secants[last - 1]));
    Some(slopes)
}

/// The slope at the first or last point, from the two nearest widths and secants: that of a parabola, limited so that the curve does
/// not overshoot.
fn end_slope(width: f64, next_width: f64, secant: f64, next_secant: f64) -> f64 {
    let slope = ((2.0 * width + next_width) * secant - width * next_secant) / (width + next_width);
    if slope * secant <= 0.0 {
        0.0
    } else if secant * next_secant <= 0.0 && slope.abs() > 3.0 * secant.abs() {
        3.0 * secant
    } else {
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: [RatePoint; 4] = [(0.2, 30.0), (0.35, 32.5), (0.5, 34.0), (1.0, 37.0)];
    const B: [RatePoint; 4] = [(0.25, 29.0), (0.4, 31.0), (0.8, 35.0), (1.1, 36.5)];
    const C: [RatePoint; 6] =
        [(10.0, 20.0), (12.0, 24.0), (30.0, 25.0), (35.0, 31.0), (90.0, 31.5), (100.0, 36.0)];

    fn percent(curve: &[RatePoint], against: &[RatePoint]) -> f64 {
        bd_rate(curve, against).unwrap().percent
    }

    /// Computed with SciPy: `PchipInterpolator(psnr, log(rate)).integrate`.
    #[test]
    fn values_match_scipy() {
        for (curve, against, expected) in [
            (&A[..], &B[..], -29.293_898_110_062_69),
            (&B, &A, 41.430_509_287_108_25),
            (&A, &C, -99.491_826_163_811_08),
            (&C, &A, 19_578.305_508_594_53),
            (&C, &B, 13_323.066_062_876_691),
            (&[(0.3, 31.0), (0.6, 33.0)], &A, 35.844_697_674_750_41),
        ] {
            let found = percent(curve, against);
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
        }
        assert_eq!(bd_rate(&A, &B).unwrap().range, (30.0, 36.5));
    }

    #[test]
    fn nothing_is_extrapolated() {
        let far = A.map(|(rate, psnr)| (rate, psnr + 7.0));
        assert_eq!(bd_rate(&A, &far), None, "ranges that only touch");
        assert_eq!(bd_rate(&far, &A), None);
        for poor in
            [&[][..], &A[..1], &[(1.0, 30.0), (2.0, 30.0)], &[(1.0, 30.0), (f64::NAN, 31.0), (0.0, 29.0)]]
        {
            assert_eq!(bd_rate(poor, &A), None, "{poor:?}");
            assert_eq!(bd_rate(&A, poor), None, "{poor:?}");
        }
    }

    #[test]
    fn points_worse_than_others_are_ignored() {
        let mut points = B.to_vec();
        points.extend([(0.9, 34.9), (0.4, 30.5), (2.0, 36.5)]);
        points.reverse();
        assert_eq!(bd_rate(&points, &A), bd_rate(&B, &A));
    }

    /// 2 to 9 points with increasing rate and PSNR.
    fn curve() -> impl Strategy<Value = Vec<RatePoint>> {
        let steps = prop::collection::vec((0.01f64..1.0, 0.1f64..3.0), 2..10);
        (0.01f64..10.0, 15.0f64..30.0, steps).prop_map(|(rate, psnr, steps)| {
            let step = |(rate, psnr): &mut RatePoint, (grows, rises): (f64, f64)| {
                (*rate, *psnr) = (*rate * (1.0 + grows), *psnr + rises);
                Some((*rate, *psnr))
            };
            steps.into_iter().scan((rate, psnr), step).collect()
        })
    }

    proptest! {
        #[test]
        fn a_constant_factor_is_found(points in curve(), factor in 0.1f64..10.0) {
            let other: Vec<_> = points.iter().map(|(rate, psnr)| (rate * factor, *psnr)).collect();
            prop_assert!((percent(&other, &points) - (factor - 1.0) * 100.0).abs() < 1e-6);
        }

        #[test]
        fn the_directions_are_reciprocal_and_within_the_extreme_ratios(a in curve(), b in curve()) {
            let (forward, reverse) = (bd_rate(&a, &b), bd_rate(&b, &a));
            prop_assert_eq!(forward.is_some(), reverse.is_some());
            if let (Some(forward), Some(reverse)) = (forward, reverse) {
                let ratio = 1.0 + forward.percent / 100.0;
                prop_assert!((ratio * (1.0 + reverse.percent / 100.0) - 1.0).abs() < 1e-9);
                let (low, high) = (a[0].0 / b[b.len() - 1].0, a[a.len() - 1].0 / b[0].0);
                prop_assert!(low - 1e-9 <= ratio && ratio <= high + 1e-9, "{} in {}..{}", ratio, low, high);
            }
        }
    }
}
