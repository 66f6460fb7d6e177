//! The aspect ratio of a picture on a logarithmic scale.

use crate::{
    entropy::{Frequencies, RangeDecoder, RangeEncoder},
    error::{Error, Result},
};

/// Steps per factor of two. The ratios 4:3, 3:2 and 16:9 are within 0.2 percent of a step.
const STEPS_PER_OCTAVE: f64 = 24.0;
/// The largest number of steps, for 16:1; the smallest is for 1:16.
const MAX_STEPS: i32 = 96;

/// Width by height, `2^(steps / 24)`, within 1.5 percent of the picture's from 1:16 to 16:1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aspect {
    steps: i32,
}

impl Aspect {
    /// The ratio nearest to that of a picture.
    pub fn of(width: u32, height: u32) -> Result<Self> {
        if width == 0 || height == 0 {
            return Err(Error::Misuse(format!("a picture of {width}x{height} pixels has no preview")));
        }
        let octaves = (f64::from(width) / f64::from(height)).log2();
        Ok(Self { steps: ((octaves * STEPS_PER_OCTAVE).round() as i32).clamp(-MAX_STEPS, MAX_STEPS) })
    }

    /// Width and height of a picture with this ratio and the given longer side.
    pub fn fit(self, longer: u32) -> (u32, u32) {
        let ratio = (-f64::from(self.steps.abs()) / STEPS_PER_OCTAVE).exp2();
        let shorter = ((f64::from(longer) * ratio).round() as u32).max(1);
        if self.steps < 0 { (shorter, longer) } else { (longer, shorter) }
    }

    pub fn write(self, encoder: &mut RangeEncoder) {
        encoder.put(self.steps, &frequencies());
    }

    pub fn read(decoder: &mut RangeDecoder<'_>) -> Result<Self> {
        Ok(Self { steps: decoder.take(&frequencies())? })
    }
}

/// Frequencies of the ratios: 1:1, 4:3 and 3:2 are the most frequent, then 16:9, then all others up to 5:2.
fn frequencies() -> Frequencies {
    let weight = |steps: i32| match steps.abs() {
        0 | 10 | 14 => 64,
        20 => 32,
        1..=32 => 4,
        _ => 1,
    };
    Frequencies::of(-MAX_STEPS, &(-MAX_STEPS..=MAX_STEPS).map(weight).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ratios_are_kept(short in 400u32..6000, factor in 1f64..16.0, tall: bool) {
            let long = (f64::from(short) * factor) as u32;
            let (width, height) = if tall { (short, long) } else { (long, short) };
            let (columns, rows) = Aspect::of(width, height).unwrap().fit(100_000);
            let error = f64::from(columns) / f64::from(rows) / (f64::from(width) / f64::from(height));
            prop_assert!((error - 1.0).abs() < 0.015, "{width}x{height} became {columns}x{rows}");
        }
    }

    #[test]
    fn common_ratios_are_nearly_exact_and_take_few_bits() {
        for (width, height) in [(1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16)] {
            let aspect = Aspect::of(width, height).unwrap();
            let (columns, rows) = aspect.fit(96);
            let longer = 96.0 / f64::from(width.max(height));
            assert_eq!(f64::from(columns), (f64::from(width) * longer).round());
            assert_eq!(f64::from(rows), (f64::from(height) * longer).round());
            let mut encoder = RangeEncoder::new();
            (0..8).for_each(|_| aspect.write(&mut encoder));
            assert!(encoder.finish().len() <= 5, "{width}:{height}");
        }
    }

    #[test]
    fn extreme_ratios_are_clamped_and_empty_pictures_are_errors() {
        assert_eq!(Aspect::of(u32::MAX, 1).unwrap().fit(96), (96, 6));
        assert_eq!(Aspect::of(1, u32::MAX).unwrap().fit(8), (1, 8));
        assert!(matches!(Aspect::of(0, 3), Err(Error::Misuse(_))));
    }
}
