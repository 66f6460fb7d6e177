use proptest::prelude::*;

use super::*;
use crate::{entropy::Coder, error::LimitKind, symbols::Quality};

fn plain(width: u32, height: u32) -> Container {
    let header = Header {
        family: Family::TILED,
        width,
        height,
        gray: false,
        quality: Quality::new(60).unwrap(),
        coder: Coder::Range,
        model: ModelId([0x12, 0x34, 0xAB, 0xCD]),
    };
    Container { header, payload: vec![9, 8, 7], alpha: None, icc: None, exif: None, xmp: None }
}

fn with_everything() -> Container {
    Container {
        alpha: Some((0..35).collect()),
        icc: Some(b"a colour profile".to_vec()),
        exif: Some(vec![]),
        xmp: Some(b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>".to_vec()),
        ..plain(7, 5)
    }
}

fn parse(bytes: &[u8]) -> Result<Container> {
    Container::parse(bytes, &Limits::default())
}

#[test]
fn a_file_without_sections_has_twelve_bytes_besides_its_payload() {
    let bytes = plain(96, 96).to_bytes().unwrap();
    assert_eq!(bytes.len(), 12 + 3);
    assert_eq!(bytes[..10], [0xAE, 0x5A, 0x10, 0x80 | 60, 95, 95, 0x12, 0x34, 0xAB, 0xCD]);
    assert_eq!(bytes[12..], [9, 8, 7]);
    assert_eq!(Header::parse(&bytes).unwrap(), (plain(96, 96).header, 12));
}

#[test]
fn a_photograph_of_up_to_256_pixels_has_fourteen_bytes_besides_its_payload() {
    let photo = |width, height| {
        let mut container = plain(width, height);
        container.header.family = Family::PHOTO;
        container.to_bytes().unwrap().len() - container.payload.len()
    };
    assert_eq!([photo(96, 96), photo(256, 256), photo(257, 1)], [12, 14, 15]);
    assert_eq!(plain(256, 256).to_bytes().unwrap().len(), 16 + 3);
}

#[test]
fn all_parts_survive_a_round_trip() {
    for (width, height) in [(1, 1), (128, 128), (129, 1), (1, 129), (65_535, 2048)] {
        let container = plain(width, height);
        assert_eq!(parse(&container.to_bytes().unwrap()).unwrap(), container);
    }
    let container = with_everything();
    assert_eq!(parse(&container.to_bytes().unwrap()).unwrap(), container);
}

#[test]
fn the_layout_accounts_for_every_byte() {
    for container in [plain(5, 500), with_everything()] {
        let bytes = container.to_bytes().unwrap();
        let (_, layout) = Layout::parse(&bytes, &Limits::default()).unwrap();
        let sections = [&layout.alpha, &layout.icc, &layout.exif, &layout.xmp]
            .map(|range| range.as_ref().map_or(0, Range::len));
        let parts = [&layout.header, &layout.checksum, &layout.table, &layout.payload].map(Range::len);
        assert_eq!(parts.iter().chain(&sections).sum::<usize>(), bytes.len());
        assert_eq!(bytes[layout.payload], container.payload);
    }
}

#[test]
fn the_header_refuses_what_it_cannot_mean() {
    let good = plain(96, 96).to_bytes().unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&bytes).unwrap_err()
    };
    assert!(matches!(with(0, 0xAF), Error::NotAez(_)));
    assert!(matches!(with(1, 0x5B), Error::NotAez(_)));
    assert!(matches!(with(2, 0x20), Error::UnsupportedVersion { found: 2, supported: 1 }));
    for quality in [0, 101, 0x80, 0xFF] {
        assert!(with(3, quality).to_string().contains("quality"));
    }
    assert!(with(14, 0).to_string().contains("checksum"));
}

#[test]
fn the_family_is_stored_in_two_bits_and_covered_by_the_checksum() {
    let tiled = plain(96, 96).to_bytes().unwrap();
    for number in 0..4 {
        let family = Family::new(number).unwrap();
        let header = Header { family, ..plain(96, 96).header };
        let container = Container { header, ..plain(96, 96) };
        let bytes = container.to_bytes().unwrap();
        assert_eq!(bytes[2], 0x10 | number << 2);
        assert_eq!(parse(&bytes).unwrap(), container);
        let mut changed = tiled.clone();
        changed[2] = bytes[2];
        assert_eq!(parse(&changed).is_ok(), number == 0);
    }
    assert!(Family::new(4).is_err());
}

#[test]
fn limits_come_before_the_checksum_and_every_allocation() {
    let mut bytes = plain(60_000, 60_000).to_bytes().unwrap();
    bytes.pop();
    assert!(matches!(parse(&bytes), Err(Error::Limit { limit: LimitKind::Pixels, .. })));
    let bytes = with_everything().to_bytes().unwrap();
    let tight = Limits { max_memory: 40, ..Limits::default() };
    assert!(matches!(Container::parse(&bytes, &tight), Err(Error::Limit { limit: LimitKind::Memory, .. })));
}

/// A resealed file with the given table and payloads in place of its sections.
fn with_table(table: &[u8]) -> Vec<u8> {
    let mut bytes = with_everything().to_bytes().unwrap();
    bytes.truncate(Header::open(&bytes).unwrap().checksum.end);
    bytes.extend(table);
    seal(&mut bytes).unwrap();
    bytes
}

#[test]
fn malformed_tables_are_refused() {
    for (reason, table) in [
        ("number of sections", &[][..]),
        ("table of sections", &[2]),
        ("length of a section", &[2, 0]),
        ("no section beside", &[0]),
        ("no section beside", &[1, 0, 1, 9]),
        ("begin with the latents", &[2, 0x80, 0, 0x81, 0]),
        ("ascend", &[3, 0, 0, 0x81, 0, 0x80, 0]),
        ("ascend", &[3, 0, 0, 0x90, 0, 0x90, 0]),
        ("unknown kind 2", &[2, 0, 0, 2, 0]),
        ("4 bytes long, but 3 follow", &[2, 0, 3, 0x90, 1, 9, 9, 9]),
        ("4 bytes long, but 5 follow", &[2, 0, 3, 0x90, 1, 9, 9, 9, 9, 9]),
        (
            "bytes long, but 0 follow",
            &[2, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x90, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
        ),
        ("length of the metadata", &[2, 0, 0, 0x80, 0]),
        ("exceed the format's", &[2, 0, 0, 0x80, 4, 0x81, 0x80, 0x80, 8]),
        ("zstd frame", &[2, 0, 0, 1, 3, 1, 2, 3]),
        ("length of the metadata", &[2, 0, 0, 0x82, 0]),
        ("exceed the format's", &[2, 0, 0, 0x82, 4, 0x81, 0x80, 0x80, 8]),
    ] {
        let error = parse(&with_table(table)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}

#[test]
fn unknown_ancillary_sections_are_skipped() {
    let bytes = with_table(&[2, 0, 1, 0x90, 2, 55, 66, 66]);
    let (_, layout) = Layout::parse(&bytes, &Limits::default()).unwrap();
    assert_eq!(layout.unknown_bytes, 2);
    assert_eq!(parse(&bytes).unwrap(), Container { payload: vec![55], ..plain(7, 5) });
}

#[test]
fn content_that_cannot_be_stored_is_an_error() {
    let misuses = [
        plain(0, 5),
        plain(5, 0),
        Container { alpha: Some(vec![0; 34]), ..plain(7, 5) },
        Container { exif: Some(vec![0; (1 << 24) + 1]), ..plain(7, 5) },
        Container { xmp: Some(vec![0; (1 << 24) + 1]), ..plain(7, 5) },
    ];
    for container in misuses {
        assert!(matches!(container.to_bytes(), Err(Error::Misuse(_))));
    }
}

proptest! {
    #[test]
    fn any_container_survives_a_round_trip(
        (width, height) in (1_u32..300, 1_u32..300),
        (gray, coder) in (any::<bool>(), prop_oneof![Just(Coder::Zstd), Just(Coder::Range)]),
        (q, model) in (1_u8..=100, any::<[u8; 4]>()),
        (family, payload) in (0_u8..4, prop::collection::vec(any::<u8>(), 0..40)),
        has_alpha in any::<bool>(),
        [icc, exif, xmp] in prop::array::uniform3(prop::option::of(prop::collection::vec(any::<u8>(), 0..200))),
    ) {
        let family = Family::new(family).unwrap();
        let header = Header { family, width, height, gray, quality: Quality::new(q).unwrap(), coder, model: ModelId(model) };
        let alpha = has_alpha.then(|| vec![q; (width * height) as usize]);
        let container = Container { header, payload, alpha, icc, exif, xmp };
        prop_assert_eq!(parse(&container.to_bytes().unwrap()).unwrap(), container);
    }
}
