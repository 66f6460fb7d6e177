//! A second family of models, in this test only: the container, limits, rate control, `info` and the errors work for it
//! without changes.

mod blocks;
#[path = "../common/mod.rs"]
mod common;

use std::{alloc::System, sync::atomic::Ordering};

use aez::{
    Decoder, Encoder, Error, FileInfo, LimitKind, Limits, Model, Picture, Quality,
    image_codec::{AezDecoder, AezEncoder},
    picture::psnr,
    preview,
};
use aez_core::{
    container::{Container, Header, Layout, ModelId, seal},
    testing::tiny,
};
use blocks::{ID, blocks, model};
use common::{TestFolder, waves};
use image::{DynamicImage, ImageDecoder};
use predicates::{prelude::*, str::contains};
use proptest::prelude::*;

/// All tests of this file together cannot allocate more.
#[global_allocator]
static ALLOCATOR: cap::Cap<System> = cap::Cap::new(System, 256 << 20);

fn quality(value: u8) -> Quality {
    Quality::new(value).unwrap()
}

fn encode(model: &Model, picture: &Picture) -> Vec<u8> {
    Encoder::new(model).quality(quality(80)).encode(picture).unwrap()
}

/// The file of a picture of 40x25 pixels.
fn file(family: u8) -> Vec<u8> {
    encode(&model(family, ID), &waves(40, 25, 1))
}

#[test]
fn every_size_survives_the_round_trip() {
    let (model, _) = blocks();
    for (width, height) in [(1, 1), (1, 40), (16, 16), (15, 17), (130, 97), (97, 200)] {
        let original = waves(width, height, 1);
        for (value, least) in [(100, 36.0), (80, 26.0), (30, 12.0), (1, 8.0)] {
            let bytes = Encoder::new(&model).quality(quality(value)).encode(&original).unwrap();
            let decoded = Decoder::new(&model).decode(&bytes).unwrap();
            assert_eq!((decoded.width, decoded.height), (width, height));
            let psnr = psnr(&original, &decoded).unwrap();
            assert!(psnr > least, "{width}x{height} at quality {value}: {psnr:.1} dB");
        }
    }
}

#[test]
fn gray_alpha_and_metadata_survive_the_round_trip() {
    let (model, _) = blocks();
    let alpha: Vec<u8> = (0..30 * 20).map(|i| (i / 7) as u8).collect();
    let gray = (0..30 * 20).flat_map(|i| [(i / 3) as u8; 3]).collect();
    for picture in [waves(30, 20, 2), Picture::from_rgb(30, 20, gray).with_gray(true)] {
        let (icc, exif) = (Some(b"a colour profile".to_vec()), Some(b"II*\0".to_vec()));
        let original = picture.with_alpha(Some(alpha.clone())).with_icc(icc).with_exif(exif);
        let decoded = Decoder::new(&model).decode(&encode(&model, &original)).unwrap();
        assert_eq!((decoded.gray, &decoded.alpha), (original.gray, &original.alpha));
        assert_eq!((&decoded.icc, &decoded.exif), (&original.icc, &original.exif));
        assert!(!decoded.gray || decoded.rgb.as_chunks::<3>().0.iter().all(|pixel| *pixel == [pixel[0]; 3]));
        let stripped = Encoder::new(&model).keep_metadata(false).encode(&original).unwrap();
        let decoded = Decoder::new(&model).decode(&stripped).unwrap();
        assert_eq!((decoded.icc, decoded.exif, decoded.alpha), (None, None, original.alpha));
    }
}

#[test]
fn the_image_crate_reads_and_writes_the_family() {
    let (model, _) = blocks();
    let picture = waves(40, 25, 3);
    let image = image::RgbImage::from_raw(40, 25, picture.rgb.clone()).unwrap();
    let mut bytes = Vec::new();
    let encoder = AezEncoder::new_with_quality(&mut bytes, &model, quality(80));
    DynamicImage::from(image).write_with_encoder(encoder).unwrap();
    assert_eq!(bytes, encode(&model, &picture));
    let decoder = AezDecoder::new(&bytes[..], &model).unwrap();
    assert_eq!(decoder.dimensions(), (40, 25));
    let decoded = DynamicImage::from_decoder(decoder).unwrap().into_rgb8();
    assert_eq!(decoded.as_raw(), &Decoder::new(&model).decode(&bytes).unwrap().rgb);
}

#[test]
fn limits_come_before_the_payload_is_decoded() {
    let (model, decoded) = blocks();
    let bytes = encode(&model, &waves(40, 25, 1));
    let limit = |bytes: &[u8], limits| match Decoder::new(&model).limits(limits).decode(bytes) {
        Err(Error::Limit { limit, .. }) => limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit(&bytes, Limits::default().with_max_edge(39)), LimitKind::Edge);
    assert_eq!(limit(&bytes, Limits::default().with_max_pixels(999)), LimitKind::Pixels);
    // The pixels alone take 3000 bytes.
    assert_eq!(limit(&bytes, Limits::default().with_max_memory(3001)), LimitKind::Memory);
    let mut container = Container::parse(&bytes, &Limits::default()).unwrap();
    (container.header.width, container.header.height) = (u32::MAX, u32::MAX);
    let huge = container.to_bytes().unwrap();
    assert_eq!(limit(&huge, Limits::default()), LimitKind::Edge);
    assert_eq!(limit(&huge, Limits::NONE.with_max_memory(1 << 40)), LimitKind::Memory);
    assert_eq!(decoded.load(Ordering::Relaxed), 0);

    let needed = model.codec().memory(&Header::parse(&bytes).unwrap().0);
    let limits = Limits::NONE.with_max_edge(40).with_max_pixels(1000).with_max_memory(needed);
    Decoder::new(&model).limits(limits).decode(&bytes).unwrap();
    assert_eq!(decoded.load(Ordering::Relaxed), 1);
}

#[test]
fn another_model_is_an_error_with_both_ids() {
    let (own, other) = (model(1, ID), model(1, ModelId([1, 2, 3, 4])));
    let error = Decoder::new(&other).decode(&encode(&own, &waves(9, 9, 1))).unwrap_err();
    let Error::WrongModel { wanted, given } = error else { panic!("{error:?}") };
    assert_eq!((wanted, given), (own.id(), other.id()));
}

#[test]
fn another_family_is_an_error() {
    let picture = waves(20, 20, 1);
    // A model of a family that this version of the library knows would decode the file.
    let error = Decoder::new(&model(1, ID)).decode(&encode(&tiny(), &picture)).unwrap_err();
    let Error::WrongModel { wanted, given } = error else { panic!("{error:?}") };
    assert_eq!((wanted, given), (tiny().id(), ID));
    for family in 1..=2 {
        // Also for models with the same id.
        for model in [tiny(), model(family % 2 + 1, ID)] {
            let error = Decoder::new(&model).decode(&file(family)).unwrap_err();
            assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
            assert!(error.to_string().contains(&format!("family {family}")), "{error}");
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    let (model, _) = blocks();
    let decoder = Decoder::new(&model).limits(Limits::default().with_max_memory(1 << 20));
    let alpha = Some((0..1000).map(|i| i as u8).collect());
    for bytes in [file(1), encode(&model, &waves(40, 25, 1).with_alpha(alpha))] {
        assert!(decoder.decode(&bytes).is_ok());
        for length in 0..bytes.len() {
            let error = decoder.decode(&bytes[..length]).unwrap_err();
            assert!(matches!(error, Error::NotAez(_) | Error::Damaged(_)), "{length} bytes: {error}");
        }
        for place in 0..bytes.len() {
            for change in [1, 0x10, 0x80, 0xFF] {
                let mut changed = bytes.clone();
                changed[place] ^= change;
                // Dimensions and flags determine the kind of the checksum.
                assert!(decoder.decode(&changed).is_err() || (2..6).contains(&place), "byte {place}");
                // With a correct checksum, the change can be valid.
                let _ = seal(&mut changed);
                if let Ok(picture) = decoder.decode(&changed) {
                    assert_eq!(
                        picture.rgb.len() as u64,
                        u64::from(picture.width) * u64::from(picture.height) * 3
                    );
                }
            }
        }
    }
    let container = Container::parse(&file(1), &Limits::default()).unwrap();
    for payload in [[&container.payload[..], &[1]].concat(), vec![0xFF; container.payload.len()]] {
        let bytes = Container { payload, ..container.clone() }.to_bytes().unwrap();
        assert!(matches!(decoder.decode(&bytes), Err(Error::Damaged(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_arbitrary_payload_does_no_harm(payload: Vec<u8>) {
        let (model, _) = blocks();
        let container = Container::parse(&file(1), &Limits::default()).unwrap();
        let bytes = Container { payload: payload.clone(), ..container }.to_bytes().unwrap();
        match Decoder::new(&model).decode(&bytes) {
            Ok(picture) => prop_assert_eq!(picture.rgb.len(), 3000),
            Err(error) => prop_assert!(matches!(error, Error::Damaged(_)), "{:?}", error),
        }
    }
}

#[test]
fn target_sizes_are_met_from_below() {
    let (model, _) = blocks();
    let encoder = Encoder::new(&model);
    let picture = waves(70, 44, 5);
    let len = |value| encoder.quality(quality(value)).encode(&picture).unwrap().len() as u64;
    let sizes: Vec<u64> = (1..=100).map(len).collect();
    for target in (len(10)..=len(98)).step_by((len(98) - len(10)) as usize / 12) {
        let bytes = encoder.encode_to_bytes(&picture, target).unwrap();
        let found = bytes.len() as u64;
        // The sizes that this family can reach have gaps.
        let largest = sizes.iter().filter(|&&size| size <= target).max().unwrap();
        assert!((*largest..=target).contains(&found), "{found} bytes for {target}, and not {largest}");
        assert!(Decoder::new(&model).decode(&bytes).is_ok());
    }
    let error = encoder.encode_to_bytes(&picture, 14).unwrap_err();
    let Error::SizeUnreachable { target: 14, smallest } = error else { panic!("{error:?}") };
    assert_eq!(encoder.encode_to_bytes(&picture, smallest).unwrap().len() as u64, smallest);
    assert!(matches!(
        encoder.encode_to_bytes(&picture, smallest - 1),
        Err(Error::SizeUnreachable { smallest: same, .. }) if same == smallest
    ));
}

#[test]
fn target_ratios_are_reached() {
    let (model, _) = blocks();
    let encoder = Encoder::new(&model);
    let picture = waves(70, 44, 5);
    let error = encoder.encode_to_psnr(&picture, 99.0).unwrap_err();
    let Error::PsnrUnreachable { target, best } = error else { panic!("{error:?}") };
    assert!(target == 99.0 && (30.0..60.0).contains(&best), "{best}");
    let mut last = 0;
    for target in [15.0, 20.0, 25.0, 30.0, best - 0.1] {
        let (bytes, reached) = encoder.encode_to_psnr(&picture, target).unwrap();
        assert!((target..target + 1.0).contains(&reached), "{reached} dB for {target} dB");
        let decoded = Decoder::new(&model).decode(&bytes).unwrap();
        assert_eq!(psnr(&picture, &decoded).unwrap(), reached);
        assert!(bytes.len() > last, "{} bytes for {target} dB", bytes.len());
        last = bytes.len();
    }
}

/// The family has no search and no network.
#[test]
fn optional_features_are_absent() {
    let (model, _) = blocks();
    let picture = waves(30, 20, 1);
    let encoder = Encoder::new(&model);
    assert_eq!(encoder.effort(9).encode(&picture).unwrap(), encoder.encode(&picture).unwrap());
    assert!(encoder.analyse(&picture).unwrap().unquantized().unwrap().is_none());
    assert!(model.block_edge().is_none() && model.tiled().is_none());
    let text = preview::encode(&tiny(), &picture, 20).unwrap();
    for error in [
        preview::encode(&model, &picture, 20).unwrap_err(),
        preview::decode(&model, &text, None, &Limits::default()).unwrap_err(),
        preview::symbols(&model, &text).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Misuse(_)), "{error:?}");
        assert!(error.to_string().contains("preview"), "{error}");
    }
}

#[test]
fn the_family_is_measured_like_others() {
    let (model, _) = blocks();
    let picture = waves(40, 40, 1);
    let result = aez_eval::Sweep::new(&model, vec![quality(30), quality(90)]).run(&picture).unwrap();
    assert!(result.unquantized.is_none() && result.block_edge.is_none());
    let [low, high] = &result.round_trips[..] else { panic!("{result:?}") };
    assert!(low.bytes < high.bytes);
    assert!(psnr(&picture, &low.picture).unwrap() < psnr(&picture, &high.picture).unwrap());
}

#[test]
fn a_file_is_described_without_its_model() {
    for family in 1..=2 {
        let bytes = file(family);
        let info = FileInfo::read(&bytes).unwrap();
        assert_eq!((info.family, info.family_name), (family, None));
        assert_eq!((info.width, info.height, info.quality, info.gray), (40, 25, 80, false));
        assert_eq!((info.model_id, info.coder), (ID.to_string(), "range"));
        assert_eq!(info.header_bytes + info.payload_bytes, bytes.len());
        let (header, layout) = Layout::parse(&bytes, &Limits::default()).unwrap();
        assert_eq!((header.family.number(), layout.payload.len()), (family, info.latents_bytes));
    }
    let info = FileInfo::read(&encode(&tiny(), &waves(9, 9, 1))).unwrap();
    assert_eq!((info.family, info.family_name), (0, Some("tiled")));
}

#[test]
fn the_binary_describes_the_file_and_does_not_decode_it() {
    let folder = TestFolder::new();
    for family in 1..=2 {
        let bytes = file(family);
        folder.write("blocks.aez", &bytes);
        let failed = folder.aez(&["decompress", "blocks.aez", "out.png"]).assert().code(1).stdout("");
        failed.stderr(
            contains("aez: blocks.aez: ")
                .and(contains("needs a newer aez"))
                .and(contains(format!("family {family}"))),
        );
        assert!(!folder.exists("out.png"));
        let text = folder.aez(&["info", "blocks.aez"]).assert().success().stderr("");
        text.stdout(
            contains("40 x 25")
                .and(predicate::str::is_match(format!("(?m)^family +number {family}\\b")).unwrap())
                .and(contains(ID.to_string()))
                .and(contains(format!("{} bytes", bytes.len()))),
        );
        let info = folder.json(&["info", "blocks.aez", "--json"]);
        assert_eq!((&info["family"], &info["family_name"]), (&family.into(), &serde_json::Value::Null));
        assert_eq!((&info["width"], &info["height"]), (&40.into(), &25.into()));
        assert_eq!((&info["tiles"], &info["model_id"]), (&serde_json::Value::Null, &ID.to_string().into()));
        assert_eq!(info["total_bytes"], bytes.len());
    }
    // Others in the same call are decoded.
    folder.draw("a.png", 20, 30);
    folder.run(&["compress", "a.png"]);
    let several = folder.aez(&["decompress", "blocks.aez", "a.aez", "-o", "out"]).assert().code(1);
    several.stderr(contains("1 of 2 files failed"));
    assert_eq!(folder.size("out/a.png"), (20, 30));
}
