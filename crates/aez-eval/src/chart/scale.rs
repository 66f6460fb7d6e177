//! Ranges of axes, and ticks whose labels do not overlap.

use aez_core::{Error, Result};

use super::Axis;

/// The part of the range by which an axis without a given range extends beyond its points, on either side.
const MARGIN: f64 = 0.05;

/// An axis with its final range, in positions: values on a linear axis, their decimal logarithms on a logarithmic one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    logarithmic: bool,
    pub first: f64,
    pub last: f64,
}

/// A marked value of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub position: f64,
    pub label: String,
}

impl Scale {
    /// The scale of an axis that shows `values`.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the range that was asked for is empty, not finite, or not positive on a logarithmic axis.
    pub fn new(axis: &Axis, values: impl Iterator<Item = f64>) -> Result<Self> {
        let logarithmic = axis.logarithmic;
        let at = |value| position(logarithmic, value);
        if let Some((first, last)) = axis.range {
            return match (at(first), at(last)) {
                (Some(first), Some(last)) if first < last => Ok(Self { logarithmic, first, last }),
                _ => Err(Error::Misuse(format!(
                    "the axis {:?} cannot show the range from {first} to {last}",
                    axis.label
                ))),
            };
        }
        let (low, high) = values
            .filter_map(at)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low > high {
            return Ok(Self { logarithmic, first: 0.0, last: 1.0 });
        }
        // The points have only one value.
        let least = if logarithmic { 0.1 } else { (low.abs() * 0.01).max(0.005) };
        let margin = if high > low { (high - low) * MARGIN } else { least };
        Ok(Self { logarithmic, first: low - margin, last: high + margin })
    }

    /// The position of a value; `None` where it cannot be shown.
    pub fn position(&self, value: f64) -> Option<f64> {
        position(self.logarithmic, value)
    }

    /// The position of a value; `None` where it cannot be shown or lies outside of the range.
    pub fn shown(&self, value: f64) -> Option<f64> {
        self.position(value).filter(|position| (self.first..=self.last).contains(position))
    }

    /// As many ticks at round values as fit on an axis of `length` pixels. `extent` returns the number of pixels that a label takes
    /// along the axis, `gap` is the minimum number of pixels between two labels.
    pub fn ticks(&self, length: f64, gap: f64, extent: impl Fn(&str) -> f64) -> Vec<Tick> {
        let pixels = length / (self.last - self.first);
        let fits = |ticks: &Vec<Tick>| {
            ticks.windows(2).all(|pair| {
                let needed = (extent(&pair[0].label) + extent(&pair[1].label)) / 2.0 + gap;
                (pair[1].position - pair[0].position) * pixels >= needed
            })
        };
        let candidates = self.candidates();
        let first_fitting = candidates.into_iter().map(|values| self.labelled(&values)).find(fits);
        first_fitting.unwrap_or_default()
    }

    /// Sets of round values, the largest first. The last has at most one value.
    fn candidates(&self) -> Vec<Vec<f64>> {
        if !self.logarithmic {
            return steps(self.first, self.last);
        }
        let (first, last) = (10f64.powf(self.first), 10f64.powf(self.last));
        // Less than half a decade has too few powers of ten and their multiples.
        let narrow = self.last - self.first < 0.5;
        if narrow { steps(first, last) } else { ladders(self.first, self.last) }
    }

    fn labelled(&self, values: &[f64]) -> Vec<Tick> {
        let labels = labels(values, !self.logarithmic);
        let ticks = values.iter().zip(labels);
        ticks.filter_map(|(&value, label)| Some(Tick { position: self.position(value)?, label })).collect()
    }
}

fn position(logarithmic: bool, value: f64) -> Option<f64> {
    // Ranges of more extreme numbers overflow.
    let low = if logarithmic { 1e-300 } else { -1e300 };
    (low < value && value < 1e300).then(|| if logarithmic { value.log10() } else { value })
}

/// The number nearest to `digits * 10^power`, which is printed without rounding errors.
fn decimal(digits: f64, power: i32) -> f64 {
    format!("{digits}e{power}").parse().expect("a decimal number")
}

/// The multiples of a step within a range, for steps of 1, 2 and 5 times a power of ten, the smallest first. The last set has at
/// most one value.
fn steps(first: f64, last: f64) -> Vec<Vec<f64>> {
    let magnitude = (last - first).log10().floor() as i32;
    let step_sizes =
        (magnitude - 2..=magnitude + 1).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| (digit, power)));
    let multiples = |(digit, power): (f64, i32)| {
        let step = decimal(digit, power).max(f64::MIN_POSITIVE);
        let numbers = (first / step).ceil() as i64..=(last / step).floor() as i64;
        numbers.map(|number| decimal(number as f64 * digit, power)).collect()
    };
    let mut sets: Vec<Vec<f64>> = step_sizes.map(multiples).collect();
    // For a step far larger than the range.
    sets.push(if first <= 0.0 && last >= 0.0 { vec![0.0] } else { Vec::new() });
    sets
}

/// Multiples of powers of ten within a range that is given by decimal logarithms: first many multiples of each power, then fewer,
/// then every second power, every third, and so on.
fn ladders(first: f64, last: f64) -> Vec<Vec<f64>> {
    const FACTORS: [&[f64]; 4] = [
        &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        &[1.0, 2.0, 5.0],
        &[1.0],
    ];
    let powers = first.floor() as i32..=last.floor() as i32;
    let within = |value: &f64| (first..=last).contains(&value.log10());
    let multiples = |factors: &[f64]| {
        powers
            .clone()
            .flat_map(|power| factors.iter().map(move |&factor| decimal(factor, power)))
            .filter(within)
            .collect()
    };
    let every = |nth: i32| {
        powers
            .clone()
            .filter(|power| power % nth == 0)
            .map(|power| decimal(1.0, power))
            .filter(within)
            .collect()
    };
    FACTORS.into_iter().map(multiples).chain((2..=powers.clone().count() as i32 + 1).map(every)).collect()
}

/// The values as short texts: thousands and millions are abbreviated (`1.5k`, `2M`) unless that takes more than one decimal.
/// With `aligned`, values that are not abbreviated have equally many decimals.
fn labels(values: &[f64], aligned: bool) -> Vec<String> {
    let decimals = |text: &str| match text.split_once('.') {
        Some((_, decimals)) => decimals.chars().take_while(char::is_ascii_digit).count(),
        None => 0,
    };
    let is_short = |text: &String| text.ends_with(['k', 'M']);
    let mut texts: Vec<String> = values.iter().map(|&value| abbreviated(value)).collect();
    if texts.iter().any(|text| is_short(text) && decimals(text) > 1) {
        texts = values.iter().map(f64::to_string).collect();
    }
    if !aligned || texts.iter().any(|text| text.contains('e')) {
        return texts;
    }
    let digits = texts.iter().filter(|text| !is_short(text)).map(|text| decimals(text)).max().unwrap_or(0);
    let align =
        |(text, value): (String, &f64)| if is_short(&text) { text } else { format!("{value:.digits$}") };
    texts.into_iter().zip(values).map(align).collect()
}

fn abbreviated(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-4..1e9).contains(&size) => format!("{value:e}"),
        size if size >= 1e6 => format!("{}M", value / 1e6),
        size if size >= 1e3 => format!("{}k", value / 1e3),
        _ => value.to_string(),
    }
}
