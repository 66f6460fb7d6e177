//! Search for a zero of an increasing function that is expensive to compute.

/// An interval around the zero: the function is negative at one end and positive at the other.
#[derive(Debug, Clone)]
pub(super) struct Bracket {
    low: End,
    high: End,
    /// Whether the low end moved the last time.
    moved_low: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    at: f64,
    /// The function there, or half of it (see [`Bracket::narrow`]); `None` where it was not computed.
    value: Option<f64>,
}

/// The next place is at least this part of the interval away from both ends.
const MARGIN: f64 = 0.1;

impl Bracket {
    pub fn new(low: f64, high: f64) -> Self {
        let end = |at| End { at, value: None };
        Self { low: end(low), high: end(high), moved_low: None }
    }

    pub fn low(&self) -> f64 {
        self.low.at
    }

    pub fn high(&self) -> f64 {
        self.high.at
    }

    pub fn width(&self) -> f64 {
        self.high.at - self.low.at
    }

    /// Where the function should be computed next: the zero of the line through both ends, or the middle where one of them is unknown.
    pub fn next(&self) -> f64 {
        let part = match (self.low.value, self.high.value) {
            (Some(low), Some(high)) => low / (low - high),
            _ => 0.5,
        };
        self.low.at + self.width() * part.clamp(MARGIN, 1.0 - MARGIN)
    }

    /// The same among the integers between the ends.
    pub fn next_integer(&self) -> f64 {
        self.next().round().clamp(self.low.at + 1.0, self.high.at - 1.0)
    }

    /// Replaces an end by a place between both, where the function has this value, which is not 0. Where the same end is replaced twice in
    /// succession, the value at the other one is halved, so that it moves, too (the Illinois algorithm: Dowell and Jarratt, "A modified
    /// regula falsi method for computing the root of an equation", 1971).
    pub fn narrow(&mut self, at: f64, value: f64) {
        let is_low = value < 0.0;
        let (replaced, other) =
            if is_low { (&mut self.low, &mut self.high) } else { (&mut self.high, &mut self.low) };
        *replaced = End { at, value: Some(value) };
        if self.moved_low == Some(is_low) {
            other.value = other.value.map(|value| 0.5 * value);
        }
        self.moved_low = Some(is_low);
    }

    /// The same values at the ends of another interval.
    pub fn scaled_to(&self, low: f64, high: f64) -> Self {
        let end = |from: End, at| End { at, value: from.value };
        Self { low: end(self.low, low), high: end(self.high, high), moved_low: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of values until the function is nearly 0.
    fn count(function: impl Fn(f64) -> f64) -> usize {
        let mut bracket = Bracket::new(0.0, 101.0);
        (1..100)
            .find(|_| {
                let at = bracket.next();
                assert!(bracket.low() < at && at < bracket.high());
                let value = function(at);
                bracket.narrow(at, value);
                value.abs() < 1e-3
            })
            .unwrap()
    }

    #[test]
    fn few_values_are_needed() {
        for zero in [3.0, 20.7, 50.4, 70.0, 99.0] {
            assert!(count(|x| 0.05 * (x - zero)) <= 9, "line {zero}");
            let curved = |x: f64| (x.powi(2) + 900.0).ln() - (zero * zero + 900.0_f64).ln();
            assert!(count(curved) <= 9, "curve {zero}");
        }
    }

    #[test]
    fn integers_are_found_and_steps_are_no_obstacle() {
        for zero in [0.5, 1.5, 33.5, 99.5, 100.5] {
            let mut bracket = Bracket::new(0.0, 101.0);
            let mut tried = 0;
            while bracket.width() > 1.0 {
                let at = bracket.next_integer();
                assert!(at > bracket.low() && at < bracket.high() && at.fract() == 0.0);
                bracket.narrow(at, if at < zero { -1.0 } else { 5.0 });
                tried += 1;
            }
            assert!(bracket.low() < zero && zero < bracket.high() && tried <= 12, "{zero}: {tried}");
        }
    }
}
