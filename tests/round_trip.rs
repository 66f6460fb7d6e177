//! Pictures of every kind and size through the encoder and the decoder, with the tiny model.

use std::{io::Write, sync::LazyLock};

use aez::{
    Decoder, Encoder, Error, LimitKind, Limits, Model, Picture, Quality,
    picture::{self, PictureFormat, psnr},
};
use aez_core::{
    container::{Container, ModelId},
    entropy::Coder,
    testing::{tiny, tiny_bytes, tiny_tiled},
};
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use proptest::prelude::*;
use rayon::prelude::*;

static MODEL: LazyLock<Model> = LazyLock::new(tiny);

/// Colours that change slowly, which the tiny model can represent.
fn smooth(width: u32, height: u32) -> Picture {
    let wave = |phase: f32| (127.5 + 100.0 * phase.sin()) as u8;
    let pixel = |i: u32| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        [wave(x / 40.0), wave(y / 50.0 + 1.0), wave((x + y) / 60.0)]
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

fn round_trip(picture: &Picture) -> Picture {
    let bytes = Encoder::new(&MODEL).encode(picture).unwrap();
    Decoder::new(&MODEL).decode(&bytes).unwrap()
}

#[test]
fn every_size_survives_the_round_trip() {
    for (width, height) in [(1, 1), (1, 40), (16, 16), (15, 17), (95, 97), (97, 200)] {
        let original = smooth(width, height);
        let decoded = round_trip(&original);
        assert_eq!((decoded.width, decoded.height), (width, height));
        let psnr = psnr(&original, &decoded).unwrap();
        assert!(psnr > 20.0, "{width}x{height}: {psnr:.1} dB");
    }
}

#[test]
fn every_kind_of_picture_survives_the_round_trip() {
    let gray =
        DynamicImage::ImageLuma8(image::GrayImage::from_fn(40, 30, |x, y| [(3 * x + 2 * y) as u8].into()));
    let translucent = DynamicImage::ImageRgba8(image::RgbaImage::from_fn(40, 30, |x, y| {
        [(5 * x) as u8, (6 * y) as u8, 90, (x * y) as u8].into()
    }));
    let kinds = [
        (png(&gray), ColorType::L8),
        // An alpha channel that is opaque everywhere is left out.
        (png(&gray.to_luma_alpha8().into()), ColorType::L8),
        (png(&gray.to_luma16().into()), ColorType::L8),
        (png(&translucent.to_rgb8().into()), ColorType::Rgb8),
        (png(&translucent), ColorType::Rgba8),
        (png(&translucent.to_rgba16().into()), ColorType::Rgba8),
        (png(&translucent.to_luma_alpha16().into()), ColorType::La8),
        (palette_png(), ColorType::Rgb8),
    ];
    for (file, kind) in kinds {
        let original = picture::decode(&file, &Limits::default()).unwrap();
        let decoded = round_trip(&original);
        assert_eq!(decoded.alpha, original.alpha, "{kind:?}");
        let written = picture::encode(&decoded, PictureFormat::Png).unwrap();
        let reader = ImageReader::with_format(std::io::Cursor::new(&written), ImageFormat::Png);
        let decoder = reader.into_decoder().unwrap();
        assert_eq!(decoder.color_type(), kind);
        assert_eq!(decoder.dimensions(), (original.width, original.height), "{kind:?}");
    }
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_groups() {
    let original = smooth(97, 200);
    let with_tiles_at_once = |count: usize| Model::from(tiny_tiled().with_tiles_at_once(count));
    let encode = |threads: usize, tiles_at_once: usize| {
        let model = with_tiles_at_once(tiles_at_once);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Encoder::new(&model).encode(&original)).unwrap()
    };
    let bytes = encode(1, 32);
    for (threads, tiles_at_once) in [(4, 32), (1, 1), (4, 5), (2, 1000), (1, 0)] {
        assert_eq!(encode(threads, tiles_at_once), bytes, "{threads} threads, {tiles_at_once} tiles at once");
    }
    let decode = |count: usize| Decoder::new(&with_tiles_at_once(count)).decode(&bytes).unwrap();
    assert_eq!(decode(1), decode(32));
}

/// A thread of rayon runs other tasks while it waits: lazy initialization of a model must not deadlock there.
#[test]
fn many_pictures_are_decoded_at_once_with_an_unused_model() {
    let bytes = Encoder::new(&MODEL).encode(&smooth(40, 40)).unwrap();
    let file = tiny_bytes();
    for _ in 0..20 {
        let model = Model::from_bytes(file.clone()).unwrap();
        let pictures: Vec<Picture> =
            (0..64).into_par_iter().map(|_| Decoder::new(&model).decode(&bytes).unwrap()).collect();
        assert!(pictures.iter().all(|picture| *picture == pictures[0]));
    }
}

#[test]
fn a_higher_quality_gives_a_larger_file_and_a_better_picture() {
    let original = smooth(64, 64);
    let measure = |quality| {
        let encoder = Encoder::new(&MODEL).quality(Quality::new(quality).unwrap());
        let bytes = encoder.encode(&original).unwrap();
        (bytes.len(), psnr(&original, &Decoder::new(&MODEL).decode(&bytes).unwrap()).unwrap())
    };
    let (low, middle, high) = (measure(20), measure(60), measure(90));
    assert!(low.0 < middle.0 && middle.0 < high.0, "{low:?} {middle:?} {high:?}");
    assert!(low.1 < middle.1 && middle.1 < high.1, "{low:?} {middle:?} {high:?}");
}

#[test]
fn metadata_is_kept_by_default() {
    let (icc, exif) = (Some(b"a colour profile".to_vec()), Some(b"II*\0".to_vec()));
    let original = smooth(20, 20).with_icc(icc).with_exif(exif);
    let decoded = round_trip(&original);
    assert_eq!((&decoded.icc, &decoded.exif), (&original.icc, &original.exif));
    let bytes = Encoder::new(&MODEL).keep_metadata(false).encode(&original).unwrap();
    let decoded = Decoder::new(&MODEL).decode(&bytes).unwrap();
    assert_eq!((decoded.icc, decoded.exif), (None, None));
}

#[test]
fn a_file_of_another_model_is_an_error_with_both_ids() {
    let bytes = Encoder::new(&MODEL).encode(&smooth(20, 20)).unwrap();
    let mut container = Container::parse(&bytes, &Limits::default()).unwrap();
    container.header.model = ModelId([0xde, 0xad, 0xbe, 0xef]);
    let error = Decoder::new(&MODEL).decode(&container.to_bytes().unwrap()).unwrap_err();
    let Error::WrongModel { wanted, given } = error else { panic!("{error:?}") };
    assert_eq!((wanted.to_string().as_str(), given), ("deadbeef", MODEL.id()));
}

#[test]
fn limits_stop_a_tiny_file_that_claims_a_huge_picture() {
    let bytes = Encoder::new(&MODEL).encode(&smooth(20, 20)).unwrap();
    let mut container = Container::parse(&bytes, &Limits::default()).unwrap();
    (container.header.width, container.header.height) = (u32::MAX, u32::MAX);
    let huge = container.to_bytes().unwrap();
    for (limits, expected) in
        [(Limits::default(), LimitKind::Edge), (Limits::NONE.with_max_memory(1 << 20), LimitKind::Memory)]
    {
        let result = Decoder::new(&MODEL).limits(limits).decode(&huge);
        assert!(matches!(result, Err(Error::Limit { limit, .. }) if limit == expected), "{result:?}");
    }
    let result = Decoder::new(&MODEL).limits(Limits::default().with_max_pixels(399)).decode(&bytes);
    let Err(Error::Limit { limit, found, allowed }) = result else { panic!("{result:?}") };
    assert_eq!((limit, found, allowed), (LimitKind::Pixels, 400, 399));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The checksum is correct, so that the entropy decoders see these bytes.
    #[test]
    fn an_arbitrary_payload_does_no_harm(payload: Vec<u8>, range: bool, edge in 1u32..40) {
        let bytes = Encoder::new(&MODEL).encode(&smooth(edge, 20)).unwrap();
        let mut container = Container::parse(&bytes, &Limits::default()).unwrap();
        container.payload = payload;
        container.header.coder = if range { Coder::Range } else { Coder::Zstd };
        if let Ok(picture) = Decoder::new(&MODEL).decode(&container.to_bytes().unwrap()) {
            prop_assert_eq!(picture.rgb.len(), (edge * 20 * 3) as usize);
        }
    }
}

fn png(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG file of 20x10 pixels with a palette of four colours. The `image` crate reads such files, but does not write them.
fn palette_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], content: &[u8]| {
        bytes.extend((content.len() as u32).to_be_bytes());
        let body = [kind.as_slice(), content].concat();
        bytes.extend(&body);
        bytes.extend(crc32fast::hash(&body).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 20, 0, 0, 0, 10, 8, 3, 0, 0, 0]);
    chunk(b"PLTE", &[200, 30, 30, 30, 200, 30, 30, 30, 200, 220, 220, 220]);
    let mut pixels = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    for row in 0..10_u8 {
        pixels.write_all(&[0]).unwrap();
        pixels.write_all(&std::array::from_fn::<u8, 20, _>(|x| (x as u8 / 5 + row / 5) % 4)).unwrap();
    }
    chunk(b"IDAT", &pixels.finish().unwrap());
    chunk(b"IEND", &[]);
    bytes
}
