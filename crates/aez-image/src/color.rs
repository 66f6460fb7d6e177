//! Colour spaces: profiles for what a file declares in other ways, and conversion to sRGB where a profile cannot be kept.

use aez_core::Picture;
use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, ProfileText, ToneReprCurve, TransferCharacteristics, TransformOptions, XyY,
};

/// Differences of chromaticities and gamma below this are rounding: PNG has five decimals, and programs write sRGB's in various ways.
const TOLERANCE: f32 = 0.002;
/// The exponent of sRGB, as PNG files declare it.
const SRGB_GAMMA: f32 = 0.45455;
/// White, red, green and blue of sRGB (IEC 61966-2-1).
const SRGB_CHROMATICITIES: Chromaticities = [(0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)];

/// Coordinates x and y of white, red, green and blue.
pub(crate) type Chromaticities = [(f32, f32); 4];

/// The colour space of a picture, where it is declared without an ICC profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ColorSpace {
    /// Numbers of Rec. ITU-T H.273.
    Codes { primaries: u8, transfer: u8, is_full_range: bool },
    /// The exponent from light to samples, and the primaries. What is not declared is that of sRGB.
    Gamma { gamma: Option<f32>, chromaticities: Option<Chromaticities> },
    /// Adobe RGB (1998).
    AdobeRgb,
}

/// A colour space that no profile can be made for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown;

/// An ICC profile for a colour space; `None` for sRGB.
pub(crate) fn profile_of(space: ColorSpace, gray: bool) -> Result<Option<Vec<u8>>, Unknown> {
    let mut profile = match space {
        ColorSpace::Codes { primaries: 1, transfer: 13, is_full_range: true } => return Ok(None),
        ColorSpace::Codes { primaries, transfer, is_full_range: true } => {
            profile_of_codes(primaries, transfer)?
        }
        ColorSpace::Codes { .. } => return Err(Unknown),
        ColorSpace::AdobeRgb => ColorProfile::new_adobe_rgb(),
        ColorSpace::Gamma { gamma, chromaticities } => {
            let is_srgb_gamma = gamma.is_none_or(|gamma| (gamma - SRGB_GAMMA).abs() < TOLERANCE);
            let chromaticities = chromaticities.filter(|found| !gray && differ(found, &SRGB_CHROMATICITIES));
            if is_srgb_gamma && chromaticities.is_none() {
                return Ok(None);
            }
            let curve = gamma.filter(|_| !is_srgb_gamma);
            profile_of_gamma(curve, &chromaticities.unwrap_or(SRGB_CHROMATICITIES))?
        }
    };
    if gray {
        profile = gray_profile(profile);
    }
    if space != ColorSpace::AdobeRgb {
        profile.description = Some(ProfileText::PlainString("from the picture file".into()));
    }
    profile.encode().map(Some).map_err(|_| Unknown)
}

fn profile_of_codes(primaries: u8, transfer: u8) -> Result<ColorProfile, Unknown> {
    let profile = ColorProfile::new_from_cicp(CicpProfile {
        color_primaries: CicpColorPrimaries::try_from(primaries).map_err(|_| Unknown)?,
        transfer_characteristics: TransferCharacteristics::try_from(transfer).map_err(|_| Unknown)?,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    });
    // The constructor leaves out what it does not know.
    if profile.red_trc.is_some() { Ok(profile) } else { Err(Unknown) }
}

fn profile_of_gamma(gamma: Option<f32>, chromaticities: &Chromaticities) -> Result<ColorProfile, Unknown> {
    let plausible = |&(x, y): &(f32, f32)| (0.0..=1.0).contains(&x) && (0.001..=1.0).contains(&y);
    if !chromaticities.iter().all(plausible) || gamma.is_some_and(|gamma| !(0.05..=10.0).contains(&gamma)) {
        return Err(Unknown);
    }
    let [white, red, green, blue] = chromaticities.map(|(x, y)| Chromaticity { x, y });
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    let white = XyY { x: white.x.into(), y: white.y.into(), yb: 1.0 };
    profile.update_rgb_colorimetry(white, ColorPrimaries { red, green, blue });
    if let Some(gamma) = gamma {
        let curve = Some(ToneReprCurve::Parametric(vec![1.0 / gamma]));
        (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
    }
    Ok(profile)
}

/// The profile of gray pictures with the tone curve of a profile for colours.
fn gray_profile(profile: ColorProfile) -> ColorProfile {
    let mut gray = ColorProfile::new_gray_with_gamma(1.0);
    gray.gray_trc = profile.green_trc;
    gray
}

fn differ(a: &Chromaticities, b: &Chromaticities) -> bool {
    a.iter().zip(b).any(|(a, b)| (a.0 - b.0).abs() > TOLERANCE || (a.1 - b.1).abs() > TOLERANCE)
}

/// Whether the colour space in a profile's header is that of the pixels. A CMYK profile does not apply to pixels that were converted to
/// RGB.
pub(crate) fn profile_fits(profile: &[u8], gray: bool) -> bool {
    profile.get(16..20) == Some(if gray { b"GRAY" } else { b"RGB " })
}

/// Converts the colours of a picture to sRGB, and removes its profile. Without a profile the picture is returned as it is: its colours
/// are sRGB by convention. Where the profile cannot be used, the colours stay as they are, and the second value is false.
#[must_use]
pub fn to_srgb(picture: Picture) -> (Picture, bool) {
    let Some(profile) = &picture.icc else { return (picture, true) };
    match converted(&picture, profile) {
        Some(rgb) => {
            let gray = picture.gray && rgb.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b);
            let srgb = Picture::from_rgb(picture.width, picture.height, rgb);
            (
                srgb.with_gray(gray).with_alpha(picture.alpha).with_exif(picture.exif).with_xmp(picture.xmp),
                true,
            )
        }
        None => (picture.with_icc(None), false),
    }
}

fn converted(picture: &Picture, profile: &[u8]) -> Option<Vec<u8>> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    let (layout, samples) = match profile.color_space {
        DataColorSpace::Gray if picture.gray => (Layout::Gray, 1),
        DataColorSpace::Rgb => (Layout::Rgb, 3),
        _ => return None,
    };
    let srgb = ColorProfile::new_srgb();
    let transform =
        profile.create_transform_8bit(layout, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let mut out = vec![0; picture.rgb.len()];
    let row_len = 3 * picture.width as usize;
    let mut row = Vec::with_capacity(row_len);
    for (from, to) in picture.rgb.chunks_exact(row_len).zip(out.chunks_exact_mut(row_len)) {
        row.clear();
        row.extend(from.iter().step_by(3 / samples));
        transform.transform(&row, to).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GAMMA_22: ColorSpace = ColorSpace::Gamma { gamma: Some(1.0 / 2.2), chromaticities: None };
    const LINEAR: ColorSpace = ColorSpace::Gamma { gamma: Some(1.0), chromaticities: None };
    /// Display P3: primaries of SMPTE EG 432-1, transfer of sRGB.
    const P3: ColorSpace = ColorSpace::Codes { primaries: 12, transfer: 13, is_full_range: true };

    fn converted_pixel(space: ColorSpace, pixel: [u8; 3], gray: bool) -> [u8; 3] {
        let profile = profile_of(space, gray).unwrap().unwrap();
        assert!(profile_fits(&profile, gray));
        let picture = Picture::from_rgb(1, 1, pixel.to_vec()).with_gray(gray).with_icc(Some(profile));
        let (srgb, is_converted) = to_srgb(picture);
        assert!(is_converted && srgb.icc.is_none());
        srgb.rgb.try_into().unwrap()
    }

    #[test]
    fn srgb_needs_no_profile() {
        let codes = ColorSpace::Codes { primaries: 1, transfer: 13, is_full_range: true };
        let near = SRGB_CHROMATICITIES.map(|(x, y)| (x + 0.0005, y - 0.0005));
        let declared = ColorSpace::Gamma { gamma: Some(0.45454), chromaticities: Some(near) };
        for space in [codes, declared, GAMMA_22] {
            assert_eq!(profile_of(space, false), Ok(None), "{space:?}");
        }
    }

    #[test]
    fn linear_samples_become_srgb() {
        // 128/255 of the light is level 188 in sRGB, 55/255 is 128.
        for gray in [false, true] {
            for (linear, srgb) in [(0, 0), (128, 188), (55, 128), (255, 255)] {
                let found = converted_pixel(LINEAR, [linear; 3], gray);
                assert!(found.iter().all(|value| value.abs_diff(srgb) <= 1), "{linear}: {found:?}");
            }
        }
    }

    #[test]
    fn display_p3_becomes_srgb() {
        // Values by the matrices of the two standards.
        for (p3, srgb) in
            [([200, 100, 50], [215, 93, 31]), ([128, 128, 128], [128, 128, 128]), ([255, 0, 0], [255, 0, 0])]
        {
            let found = converted_pixel(P3, p3, false);
            assert!(found.iter().zip(srgb).all(|(&a, b)| a.abs_diff(b) <= 1), "{p3:?}: {found:?}");
        }
    }

    #[test]
    fn adobe_rgb_becomes_srgb() {
        // Values by the matrices of the two standards.
        for (adobe, srgb) in [([255, 255, 255], [255, 255, 255]), ([128, 100, 60], [139, 100, 55])] {
            let found = converted_pixel(ColorSpace::AdobeRgb, adobe, false);
            assert!(found.iter().zip(srgb).all(|(&a, b)| a.abs_diff(b) <= 1), "{adobe:?}: {found:?}");
        }
    }

    #[test]
    fn impossible_spaces_have_no_profile() {
        let gamma = |gamma| ColorSpace::Gamma { gamma: Some(gamma), chromaticities: None };
        let zero = ColorSpace::Gamma { gamma: None, chromaticities: Some([(0.0, 0.0); 4]) };
        let codes =
            |primaries, transfer, is_full_range| ColorSpace::Codes { primaries, transfer, is_full_range };
        for space in [
            gamma(0.0),
            gamma(1e9),
            zero,
            codes(2, 13, true),
            codes(255, 13, true),
            codes(1, 2, true),
            codes(1, 13, false),
        ] {
            assert_eq!(profile_of(space, false), Err(Unknown), "{space:?}");
        }
    }

    #[test]
    fn unusable_profiles_are_reported() {
        let picture = Picture::from_rgb(1, 1, vec![1, 2, 3]).with_icc(Some(vec![7; 200]));
        let (same, is_converted) = to_srgb(picture);
        assert!(!is_converted && same.rgb == [1, 2, 3] && same.icc.is_none());
    }

    proptest! {
        #[test]
        fn any_profile_is_harmless(at in 0usize..400, value: u8, cut in 0usize..600) {
            let mut profile = profile_of(P3, false).unwrap().unwrap();
            let at = at % profile.len();
            profile[at] = value;
            profile.truncate(cut);
            let _ = to_srgb(Picture::from_rgb(2, 1, vec![9; 6]).with_icc(Some(profile)));
        }
    }
}
