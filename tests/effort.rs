//! The encoder's search for better latents, [`Encoder::effort`].

use std::sync::LazyLock;

use aez::{Decoder, Encoder, Model, Picture, Quality, picture::psnr};
use aez_core::{
    container::{Container, Header},
    testing::tiny_tiled,
    tiled::TiledModel,
};

/// The tiny model with a less accurate encoder, so that there is much to gain.
static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let tiny = tiny_tiled();
    let mut parameters = tiny.parameters().unwrap();
    for (index, weight) in parameters.get_mut("encoder.linear.weight").iter_mut().enumerate() {
        *weight *= 0.9 + 0.2 * (index as f32 * 1.7).sin();
    }
    TiledModel::from_parts(&parameters, tiny.quantizer().clone(), tiny.prior().clone()).unwrap().into()
});

/// A test image: waves of several lengths.
fn picture(width: u32, height: u32) -> Picture {
    let value = |i: u32| {
        let (x, y, c) = ((i / 3 % width) as f32, (i / 3 / width) as f32, (i % 3) as f32);
        127.0 + 70.0 * (x * 0.2 + c).sin() + 50.0 * (y * 0.3 - c).cos() * (0.05 * x).sin()
    };
    Picture::from_rgb(width, height, (0..width * height * 3).map(|i| value(i) as u8).collect())
}

fn quality(value: u8) -> Quality {
    Quality::new(value).unwrap()
}

/// The peak signal-to-noise ratio of an encoded picture in decibels.
fn ratio(original: &Picture, bytes: &[u8]) -> f64 {
    psnr(original, &Decoder::new(&MODEL).decode(bytes).unwrap()).unwrap()
}

#[test]
fn pictures_are_better_at_the_same_rate() {
    let original = picture(70, 44);
    for target in [80, 160, 320] {
        let encode = |effort| {
            let bytes = Encoder::new(&MODEL).effort(effort).encode_to_bytes(&original, target).unwrap();
            assert!(bytes.len() as u64 <= target);
            ratio(&original, &bytes)
        };
        let (without, little, much) = (encode(0), encode(2), encode(7));
        assert!(little > without + 0.05 && much > little, "{target} bytes: {without} {little} {much} dB");
    }
}

#[test]
fn pictures_have_a_lower_rate_at_the_same_distortion() {
    let original = picture(70, 44);
    for target in [18.0, 20.5] {
        let encode = |effort| Encoder::new(&MODEL).effort(effort).encode_to_psnr(&original, target).unwrap();
        let ((without, _), (with, reached)) = (encode(0), encode(5));
        assert!(reached >= target && ratio(&original, &with) == reached);
        println!("{target} dB: {} and {} bytes", without.len(), with.len());
        assert!(with.len() < without.len(), "{target} dB");
    }
}

#[test]
fn pictures_are_better_at_each_quality() {
    let original = picture(48, 48);
    for value in [40, 75, 95] {
        let encode = |effort| {
            let encoder = Encoder::new(&MODEL).quality(quality(value)).effort(effort);
            let bytes = encoder.encode(&original).unwrap();
            (bytes.len(), ratio(&original, &bytes))
        };
        let ((bytes, psnr), refined) = (encode(0), [1, 3, 9].map(encode));
        println!("quality {value}: {bytes} bytes, {psnr:.2} dB; refined: {refined:.2?}");
        for (refined_bytes, refined_psnr) in refined {
            assert!(refined_psnr > psnr + 0.5 && refined_bytes <= bytes + bytes / 10, "quality {value}");
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let original = picture(70, 44);
    let encode = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Encoder::new(&MODEL).effort(3).encode(&original)).unwrap()
    };
    assert_eq!(encode(1), encode(4));
}

#[test]
fn effort_zero_is_no_effort_and_large_efforts_are_nine() {
    let original = picture(20, 20);
    let encode = |effort| Encoder::new(&MODEL).effort(effort).encode(&original).unwrap();
    assert_eq!(encode(0), Encoder::new(&MODEL).encode(&original).unwrap());
    assert_ne!(encode(0), encode(9));
    assert_eq!(encode(9), encode(200));
}

/// A refined file is an ordinary file, and each quality of an analysed picture is refined separately.
#[test]
fn only_the_payload_differs() {
    let alpha = (0..40 * 25).map(|i| (i % 40) as u8).collect();
    let original = picture(40, 25).with_alpha(Some(alpha)).with_exif(Some(b"II*\0".to_vec()));
    let encoder = Encoder::new(&MODEL).effort(3);
    let analysed = encoder.analyse(&original).unwrap();
    for value in [30, 75] {
        let encoder = Encoder::new(&MODEL).quality(quality(value));
        let refined = analysed.encode_at(quality(value)).unwrap();
        assert_eq!(refined, encoder.effort(3).encode(&original).unwrap());
        let [refined, plain] = [refined, encoder.encode(&original).unwrap()]
            .map(|bytes| Container::parse(&bytes, &aez::Limits::default()).unwrap());
        assert_ne!(refined.payload, plain.payload);
        let Header { coder, .. } = refined.header;
        let plain =
            Container { payload: refined.payload.clone(), header: Header { coder, ..plain.header }, ..plain };
        assert_eq!(refined, plain);
    }
}
