use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{
    picture::psnr,
    testing,
    tiled::{Calibration, Config, Provenance, Storage, calibrate, init, processor},
};

static MODEL: LazyLock<Model> = LazyLock::new(testing::tiny);

/// A model with more latents than the 12 of the tiny one: 128 for tiles of 8 x 8 pixels.
static LARGE: LazyLock<Model> = LazyLock::new(|| {
    let config = Config { tile: 8, channels: 12, reductions: 2, latents: 128, ..Config::default() };
    let tiles: Vec<f32> =
        (0..400).flat_map(|seed| rough(8, 8, seed).rgb).map(|x| f32::from(x) / 255.0).collect();
    let parameters = init::from_components(config, 1, &testing::cosines(&config, &tiles)).unwrap();
    let Calibration { quantizer, prior, .. } =
        calibrate(&*processor(&parameters), &config, &tiles, 192, 60.0, 1).unwrap();
    let provenance = Provenance::default();
    let bytes = TiledModel::to_bytes(&parameters, &quantizer, &prior, &provenance, Storage::Int8);
    Model::from_bytes(bytes.unwrap()).unwrap()
});

/// Gradients with noise.
fn rough(width: u32, height: u32, seed: u32) -> Picture {
    let noise = |i: u32| ((i + 7919 * seed + 1).wrapping_mul(2_654_435_761) >> 8) % 1000;
    let value = |i: u32| {
        let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
        let slope = |k: u32| noise(k + 10_000) * 60 / 1000;
        40 + slope(0) * x / width + slope(1) * y / height + slope(2 + c) + noise(i) * 60 / 1000
    };
    Picture::from_rgb(width, height, (0..width * height * 3).map(|i| value(i) as u8).collect())
}

/// Smooth colours, which the tiny model can represent.
fn smooth(width: u32, height: u32) -> Picture {
    let pixel = |i: u32| {
        let (x, y) = ((i % width) as f32 / width as f32, (i / width) as f32 / height as f32);
        let wave = |phase: f32| (127.5 + 100.0 * phase.sin()) as u8;
        [wave(2.0 * x), wave(2.0 * y + 1.0), wave(x + 2.0 * y)]
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

/// A smooth gray picture with transparent stripes.
fn gray_net(width: u32, height: u32) -> Picture {
    let mut picture = smooth(width, height);
    picture.rgb.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [pixel[0]; 3]);
    let alpha =
        (0..width * height).map(|i| if (i % width / 8).is_multiple_of(2) { 255 } else { 40 }).collect();
    picture.with_gray(true).with_alpha(Some(alpha))
}

fn len(text: &str) -> usize {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap().len()
}

#[test]
fn the_number_of_bytes_is_used_and_not_exceeded() {
    let holes = rough(8, 8, 1001).with_alpha(gray_net(8, 8).alpha);
    for (picture, step) in [(rough(8, 8, 1000), 1), (holes, 8)] {
        let mut ratios = Vec::new();
        for bytes in (MIN_BYTES..=MAX_BYTES).step_by(step) {
            let text = encode(&LARGE, &picture, bytes).unwrap();
            assert!(!text.contains(['=', '+', '/']));
            let found = len(&text);
            assert!(found <= bytes);
            // Beyond that, even this model has no more information.
            assert!(found + 1 >= bytes.min(48), "{found} bytes of {bytes}");
            ratios.push(
                psnr(&picture, &decode(&LARGE, &text, Some((8, 8)), &Limits::default()).unwrap()).unwrap(),
            );
        }
        let pairs = || ratios.iter().zip(&ratios[16 / step..]);
        assert!(pairs().all(|(fewer, more)| more > &(fewer - 0.2)), "{ratios:.1?}");
        assert!(pairs().next().is_some_and(|(fewer, more)| more > &(fewer + 1.0)), "{ratios:.1?}");
    }
}

#[test]
fn impossible_demands_are_refused() {
    let picture = smooth(20, 20);
    for bytes in [0, MIN_BYTES - 1, MAX_BYTES + 1, usize::MAX] {
        assert!(matches!(encode(&MODEL, &picture, bytes), Err(Error::Misuse(_))));
    }
    assert!(matches!(encode(&MODEL, &Picture::default(), 20), Err(Error::Misuse(_))));
    let text = encode(&MODEL, &picture, 20).unwrap();
    assert!(matches!(decode(&MODEL, &text, Some((0, 9)), &Limits::default()), Err(Error::Misuse(_))));
    for size in [(u32::MAX, 1), (60_000, 60_000), (10_000, 10_000)] {
        assert!(
            matches!(decode(&MODEL, &text, Some(size), &Limits::default()), Err(Error::Limit { .. })),
            "{size:?}"
        );
    }
}

#[test]
fn ratio_and_kind_are_kept() {
    for (width, height) in [(1, 1), (8, 1), (1, 8), (300, 40), (30, 40), (160, 90), (10, 300)] {
        let text = encode(&MODEL, &smooth(width, height), 16).unwrap();
        let shown = decode(&MODEL, &text, None, &Limits::default()).unwrap();
        assert_eq!(shown.width.max(shown.height), MODEL.block_edge().unwrap());
        let error = f64::from(width) * f64::from(shown.height) - f64::from(height) * f64::from(shown.width);
        let pixel = f64::from(width.max(height)) * 0.6;
        assert!(
            error.abs() <= pixel + 0.02 * f64::from(width * 16) || width * 16 < height,
            "{width}x{height}"
        );
        assert!(!shown.gray && shown.alpha.is_none());
        let larger = decode(&MODEL, &text, Some((33, 77)), &Limits::default()).unwrap();
        assert_eq!((larger.width, larger.height, larger.rgb.len()), (33, 77, 33 * 77 * 3));
    }
}

#[test]
fn gray_and_opacities_are_kept() {
    let original = gray_net(32, 16);
    let shown =
        decode(&MODEL, &encode(&MODEL, &original, 60).unwrap(), Some((32, 16)), &Limits::default()).unwrap();
    assert!(shown.gray && shown.rgb.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
    let alpha = shown.alpha.unwrap();
    assert!(alpha[4] > 200 && alpha[12] < 100, "{alpha:?}");
    let opaque = smooth(20, 20).with_alpha(Some(vec![255; 400]));
    assert_eq!(encode(&MODEL, &opaque, 20).unwrap(), encode(&MODEL, &smooth(20, 20), 20).unwrap());
}

#[test]
fn gray_pixels_are_gray_in_whatever_form() {
    let gray = gray_net(32, 16).with_alpha(None);
    let text = encode(&MODEL, &gray, 20).unwrap();
    assert_eq!(encode(&MODEL, &gray.with_gray(false), 20).unwrap(), text);
    assert!(decode(&MODEL, &text, None, &Limits::default()).unwrap().gray);
}

#[test]
fn any_wrong_character_and_nearly_all_prefixes_are_errors() {
    let text = encode(&MODEL, &smooth(30, 20), 21).unwrap();
    for at in 0..text.len() {
        for other in "ABYZaz09-_+/= \n".chars().filter(|&other| !text[at..].starts_with(other)) {
            let wrong = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(
                matches!(decode(&MODEL, &wrong, None, &Limits::default()), Err(Error::Preview(_))),
                "{wrong}"
            );
        }
    }
    // The check accepts one in 256.
    let shown =
        (0..text.len()).filter(|&end| decode(&MODEL, &text[..end], None, &Limits::default()).is_ok()).count();
    assert!(shown <= 1, "{shown} prefixes");
}

#[test]
fn the_text_of_another_model_is_an_error() {
    let text = encode(&LARGE, &rough(8, 8, 1000), 21).unwrap();
    let error = decode(&MODEL, &text, None, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains(&MODEL.id().to_string()) && error.contains("another model"), "{error}");
}

#[test]
fn the_head_of_a_text_is_decoded() {
    let text = encode(&MODEL, &smooth(60, 40), 16).unwrap();
    let (head, _, symbols) = stream::read_tiled(&parse(&text).unwrap(), MODEL.tiled().unwrap()).unwrap();
    assert_eq!((head.aspect.fit(3000), head.gray, head.alpha), ((3000, 2002), false, None));
    assert_eq!(symbols.values().len(), 12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_gives_an_error_or_a_picture(text in "[A-Za-z0-9_-]{0,300}|.{0,40}") {
        match decode(&MODEL, &text, Some((9, 5)), &Limits::default()) {
            Ok(picture) => prop_assert_eq!(picture.rgb.len(), 9 * 5 * 3),
            Err(error) => prop_assert!(matches!(error, Error::Preview(_))),
        }
    }

    /// With a correct check, so that the range decoder is reached.
    #[test]
    fn any_bytes_with_a_correct_check_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 1..=MAX_BYTES)) {
        let last = bytes.len() - 1;
        bytes[last] = (0..=255).find(|&byte| {
            bytes[last] = byte;
            stream::check(&bytes, Family::TILED, MODEL.id())
        }).unwrap();
        let text = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
        match decode(&MODEL, &text, None, &Limits::default()) {
            Ok(picture) => prop_assert_eq!(picture.width.max(picture.height), 16),
            Err(error) => prop_assert!(matches!(error, Error::Preview(_))),
        }
    }
}
