use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{
    model::{self, Calibration, Config, Provenance, Storage, calibrate, init},
    picture::psnr,
};

static MODEL: LazyLock<Model> = LazyLock::new(model::tiny);

/// A model that has more to say of a picture than the tiny one's 12 latents: 128, of tiles of 8 x 8 pixels.
static TALKATIVE: LazyLock<Model> = LazyLock::new(|| {
    let config = Config { tile: 8, channels: 12, reductions: 2, latents: 128, ..Config::default() };
    let tiles: Vec<f32> =
        (0..400).flat_map(|seed| rough(8, 8, seed).rgb).map(|x| f32::from(x) / 255.0).collect();
    let parameters = init::klt(config, tiles.clone(), 1).unwrap();
    let Calibration { quantizer, prior, .. } = calibrate(&parameters, &tiles, 192, 60.0, 1).unwrap();
    let provenance = Provenance::default();
    Model::from_bytes(Model::to_bytes(&parameters, &quantizer, &prior, &provenance, Storage::Int8).unwrap())
        .unwrap()
});

/// Slopes under noise.
fn rough(width: u32, height: u32, seed: u32) -> Picture {
    let noise = |i: u32| ((i + 7919 * seed + 1).wrapping_mul(2_654_435_761) >> 8) % 1000;
    let value = |i: u32| {
        let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
        let slope = |k: u32| noise(k + 10_000) * 60 / 1000;
        40 + slope(0) * x / width + slope(1) * y / height + slope(2 + c) + noise(i) * 60 / 1000
    };
    Picture::from_rgb(width, height, (0..width * height * 3).map(|i| value(i) as u8).collect())
}

/// Colours that change slowly, so that the tiny model can follow.
fn smooth(width: u32, height: u32) -> Picture {
    let pixel = |i: u32| {
        let (x, y) = ((i % width) as f32 / width as f32, (i / width) as f32 / height as f32);
        let wave = |phase: f32| (127.5 + 100.0 * phase.sin()) as u8;
        [wave(2.0 * x), wave(2.0 * y + 1.0), wave(x + 2.0 * y)]
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

/// The same in gray, with holes.
fn gray_net(width: u32, height: u32) -> Picture {
    let mut picture = smooth(width, height);
    picture.rgb.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [pixel[0]; 3]);
    let alpha =
        (0..width * height).map(|i| if (i % width / 8).is_multiple_of(2) { 255 } else { 40 }).collect();
    Picture { gray: true, alpha: Some(alpha), ..picture }
}

fn len(text: &str) -> usize {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap().len()
}

#[test]
fn no_number_of_bytes_is_exceeded_and_hardly_any_is_left() {
    let holes = Picture { alpha: gray_net(8, 8).alpha, ..rough(8, 8, 1001) };
    for (picture, step) in [(rough(8, 8, 1000), 1), (holes, 8)] {
        let mut ratios = Vec::new();
        for bytes in (MIN_BYTES..=MAX_BYTES).step_by(step) {
            let text = encode(&TALKATIVE, &picture, bytes).unwrap();
            assert!(!text.contains(['=', '+', '/']));
            let found = len(&text);
            assert!(found <= bytes);
            // Beyond that even this model has nothing more to say.
            assert!(found + 1 >= bytes.min(50), "{found} bytes of {bytes}");
            ratios.push(psnr(&picture, &decode(&TALKATIVE, &text, Some((8, 8))).unwrap()).unwrap());
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
    assert!(matches!(decode(&MODEL, &text, Some((0, 9))), Err(Error::Misuse(_))));
    for size in [(u32::MAX, 1), (60_000, 60_000), (10_000, 10_000)] {
        assert!(matches!(decode(&MODEL, &text, Some(size)), Err(Error::Limit { .. })), "{size:?}");
    }
}

#[test]
fn shape_and_kind_are_kept() {
    for (width, height) in [(1, 1), (8, 1), (1, 8), (300, 40), (30, 40), (160, 90), (10, 300)] {
        let text = encode(&MODEL, &smooth(width, height), 16).unwrap();
        let shown = decode(&MODEL, &text, None).unwrap();
        assert_eq!(shown.width.max(shown.height), MODEL.tile() as u32);
        let error = f64::from(width) * f64::from(shown.height) - f64::from(height) * f64::from(shown.width);
        let pixel = f64::from(width.max(height)) * 0.6;
        assert!(
            error.abs() <= pixel + 0.02 * f64::from(width * 16) || width * 16 < height,
            "{width}x{height}"
        );
        assert!(!shown.gray && shown.alpha.is_none());
        let larger = decode(&MODEL, &text, Some((33, 77))).unwrap();
        assert_eq!((larger.width, larger.height, larger.rgb.len()), (33, 77, 33 * 77 * 3));
    }
}

#[test]
fn grays_stay_gray_and_opacities_return_roughly() {
    let original = gray_net(32, 16);
    let shown = decode(&MODEL, &encode(&MODEL, &original, 60).unwrap(), Some((32, 16))).unwrap();
    assert!(shown.gray && shown.rgb.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
    let alpha = shown.alpha.unwrap();
    assert!(alpha[4] > 200 && alpha[12] < 100, "{alpha:?}");
    let opaque = Picture { alpha: Some(vec![255; 400]), ..smooth(20, 20) };
    assert_eq!(encode(&MODEL, &opaque, 20).unwrap(), encode(&MODEL, &smooth(20, 20), 20).unwrap());
}

#[test]
fn any_wrong_character_is_noticed_and_no_prefix_is_shown_twice() {
    let text = encode(&MODEL, &smooth(30, 20), 21).unwrap();
    for at in 0..text.len() {
        for other in "ABYZaz09-_+/= \n".chars().filter(|&other| !text[at..].starts_with(other)) {
            let wrong = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(matches!(decode(&MODEL, &wrong, None), Err(Error::Preview(_))), "{wrong}");
        }
    }
    // The check lets one of 256 pass.
    let shown = (0..text.len()).filter(|&end| decode(&MODEL, &text[..end], None).is_ok()).count();
    assert!(shown <= 1, "{shown} prefixes");
}

#[test]
fn another_model_is_refused_by_name() {
    let text = encode(&TALKATIVE, &rough(8, 8, 1000), 21).unwrap();
    let error = decode(&MODEL, &text, None).unwrap_err().to_string();
    assert!(error.contains(&MODEL.id().to_string()) && error.contains("--model"), "{error}");
}

#[test]
fn a_text_keeps_its_meaning() {
    let text = encode(&MODEL, &smooth(60, 40), 16).unwrap();
    let (head, _, symbols) = stream::read(&parse(&text).unwrap(), &MODEL).unwrap();
    assert_eq!((head.aspect.fit(3000), head.gray, head.alpha), ((3000, 2002), false, None));
    assert_eq!(symbols.values().len(), 12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_gives_an_error_or_a_picture(text in "[A-Za-z0-9_-]{0,300}|.{0,40}") {
        match decode(&MODEL, &text, Some((9, 5))) {
            Ok(picture) => prop_assert_eq!(picture.rgb.len(), 9 * 5 * 3),
            Err(error) => prop_assert!(matches!(error, Error::Preview(_))),
        }
    }

    /// Past the check, whatever the number says.
    #[test]
    fn any_bytes_with_a_right_check_do_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 1..=MAX_BYTES)) {
        let last = bytes.len() - 1;
        bytes[last] = (0..=255).find(|&byte| {
            bytes[last] = byte;
            stream::check(&bytes, &MODEL)
        }).unwrap();
        let text = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
        match decode(&MODEL, &text, None) {
            Ok(picture) => prop_assert_eq!(picture.width.max(picture.height), 16),
            Err(error) => prop_assert!(matches!(error, Error::Preview(_))),
        }
    }
}
