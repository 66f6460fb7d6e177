use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::{dct::Pixels, *};
use crate::{
    container::Family,
    error::Error,
    picture::psnr,
    preview::{MAX_BYTES, MIN_BYTES, MODEL_FILE as FILE, stream::check},
};

static MODEL: LazyLock<PreviewModel> = LazyLock::new(|| PreviewModel::from_bytes(FILE).unwrap());

/// Smooth colours with an edge.
fn drawn(width: u32, height: u32) -> Picture {
    let pixel = |i: u32| {
        let (x, y) = ((i % width) as f32 / width as f32, (i / width) as f32 / height as f32);
        let wave = |phase: f32| (127.5 + 100.0 * phase.sin()) as u8;
        let beside = if x > 0.6 && y > 0.3 { 70 } else { 0 };
        [wave(2.0 * x) - beside / 4, wave(2.0 * y + 1.0).saturating_sub(beside), wave(x + 5.0 * y)]
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

fn encode(picture: &Picture, bytes: usize) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(MODEL.encode(picture, bytes).unwrap()).unwrap()
}

fn decode(bytes: &[u8], size: Option<(u32, u32)>) -> Result<Picture> {
    MODEL.decode(&BASE64_URL_SAFE_NO_PAD.encode(bytes), size, &Limits::default())
}

/// Texts that `scripts/preview` made of random symbols, some of them extreme, and the CRC-32 of the levels at 48x48 pixels that it
/// decodes them to.
#[test]
fn pixels_are_those_of_the_reference() {
    for (text, checksum) in [
        (
            "dc_Fbz7hAYmbj9oXuh8CF3jx43w0lxIYGmuTy_BroEKDbD0Cv3CppZ3131byhU0ii5QDglU5nSqMCszv_qJZm8wp1Y_5kX8rzw3U",
            0x70ef948e,
        ),
        (
            "hESjtRPOliSEeEG0lIlF5pq2odEMG1D73qBz99UaqbDBfQ_yqNtREIdI-ABT2cDqIor-nex6mm684_0RbbBC0n-wQ5frR3B__DwMixCiMdiok5TfhpbmtD-_BQU8ztqFwA",
            0x2ac4d47d,
        ),
        ("fPsCiM4Pfr_emmyqX58E1i3mbN0_g0FLUk6BQ9_YKJFG1jXM84F4suBwUg", 0xf853c33d),
    ] {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let (head, step, coded) = stream::read(&bytes, &MODEL).unwrap();
        let small = MODEL.small_picture(step, &coded, head.gray);
        assert_eq!(crc32fast::hash(&small.rgb), checksum, "{text}");
        let shown = decode(&bytes, None).unwrap();
        assert_eq!((shown.width, shown.height), (96, 96));
    }
}

#[test]
fn more_bytes_make_better_pictures() {
    let picture = drawn(96, 96);
    let mut last = 0.0;
    for bytes in [MIN_BYTES, 30, 60, MAX_BYTES] {
        let coded = encode(&picture, bytes);
        assert!(coded.len() <= bytes);
        let ratio = psnr(&picture, &decode(&coded, None).unwrap()).unwrap();
        println!("{bytes} bytes: {} used, {ratio:.2} dB", coded.len());
        assert!(ratio > last - 0.2);
        last = ratio;
    }
    assert!(last > 28.0);
}

#[test]
fn gray_and_opacities_are_kept() {
    let mut picture = drawn(60, 40);
    picture.rgb.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [pixel[0]; 3]);
    let alpha = (0..60 * 40).map(|i| if i % 60 < 30 { 255 } else { 0 }).collect();
    let coded = encode(&picture.with_gray(true).with_alpha(Some(alpha)), 40);
    let shown = decode(&coded, Some((30, 20))).unwrap();
    assert!(shown.gray && shown.rgb.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
    let alpha = shown.alpha.unwrap();
    assert!(alpha[5] > 200 && alpha[25] < 60, "{alpha:?}");
}

#[test]
fn cut_and_changed_bytes_are_errors() {
    let coded = encode(&drawn(30, 20), 21);
    let accepted = (0..coded.len()).filter(|&end| decode(&coded[..end], None).is_ok()).count();
    assert!(accepted <= 1, "{accepted} cut ones");
    for at in 0..coded.len() {
        let mut changed = coded.clone();
        changed[at] ^= 0x24;
        assert!(matches!(decode(&changed, None), Err(Error::Preview(_))));
    }
}

#[test]
fn the_gradient_is_that_of_the_error() {
    let picture = drawn(96, 96);
    let target = target::Target::new(&MODEL, &picture);
    let step = Step::at(5);
    let pixels: Pixels = target.pixels.iter().map(|x| (x / 256.0).round() as i16 * 256).collect();
    let error = |pixels: &[i16]| -> f64 {
        let decoded = MODEL.network.run(pixels, step);
        decoded.iter().zip(&target.pixels).map(|(&x, y)| (f64::from(x) - f64::from(*y)).powi(2)).sum::<f64>()
            / 2.0
    };
    let gradient = MODEL.network.gradient(&pixels, step, &target.pixels);
    let most = gradient.iter().fold(0f32, |most, x| most.max(x.abs()));
    let moved = |sign: f32| -> (Pixels, f64) {
        let change = gradient.iter().map(|g| (sign * 100.0 * g / most).round());
        let along = change.clone().zip(&gradient).map(|(c, g)| f64::from(c * g)).sum();
        (pixels.iter().zip(change).map(|(p, c)| p + c as i16).collect(), along)
    };
    let ((up, above), (down, below)) = (moved(1.0), moved(-1.0));
    let (found, expected) = (error(&up) - error(&down), above - below);
    println!("{found:.0} by difference, {expected:.0} by the gradient");
    assert!((found / expected - 1.0).abs() < 0.1);
}

#[test]
fn damaged_model_files_are_errors() {
    let is_error = |bytes: &[u8]| matches!(PreviewModel::from_bytes(bytes), Err(Error::Model(_)));
    for end in (0..FILE.len()).step_by(9973).chain([7, 8, 9, FILE.len() - 1]) {
        assert!(is_error(&FILE[..end]), "{end} bytes");
    }
    let replaced = |from: &str, to: &str| {
        let at = FILE.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        [&FILE[..at], to.as_bytes(), &FILE[at + from.len()..]].concat()
    };
    for (from, to) in [
        ("\\\"version\\\": 1", "\\\"version\\\": 2"),
        ("\\\"preview\\\"", "\\\"previeW\\\""),
        ("up.bias", "up.bios"),
        ("[64,16]", "[16,64]"),
        ("\"U8\"", "\"I8\""),
    ] {
        assert!(is_error(&replaced(from, to)), "{from}");
    }
    // All values too large.
    let data = FILE.len() - 122_405;
    for value in [0x7F, 0xFF] {
        let mut bytes = FILE.to_vec();
        bytes[data..].fill(value);
        assert!(is_error(&bytes), "{value}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// With a correct check, so that the range decoder is reached.
    #[test]
    fn any_bytes_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 1..=MAX_BYTES)) {
        let last = bytes.len() - 1;
        bytes[last] = (0..=255).find(|&byte| {
            bytes[last] = byte;
            check(&bytes, Family::PREVIEW, MODEL.id())
        }).unwrap();
        match decode(&bytes, Some((9, 5))) {
            Ok(picture) => prop_assert_eq!(picture.rgb.len(), 9 * 5 * 3),
            Err(error) => prop_assert!(matches!(error, Error::Preview(_))),
        }
    }
}
