//! Damaged and arbitrary container files: each fails with an error or parses to a valid container. Nothing panics, hangs
//! or allocates beyond the limits.

use aez_core::{
    Error, LimitKind, Limits, Quality, Result,
    container::{Container, Family, Header, ModelId},
    entropy::Coder,
};
use proptest::prelude::*;

const LIMITS: Limits = Limits::NONE.with_max_edge(1 << 16).with_max_pixels(1 << 22).with_max_memory(1 << 24);

fn plain() -> Container {
    let header = Header {
        family: Family::TILED,
        width: 96,
        height: 130,
        gray: true,
        quality: Quality::REFERENCE,
        coder: Coder::Zstd,
        model: ModelId([1, 2, 3, 4]),
    };
    Container { header, payload: (0..60).collect(), alpha: None, icc: None, exif: None, xmp: None }
}

fn small() -> Container {
    Container { header: Header { width: 5, height: 9, ..plain().header }, ..plain() }
}

fn with_sections() -> Container {
    Container {
        alpha: Some((0..45).map(|i| i * i).collect()),
        icc: Some(b"profile ".repeat(9)),
        exif: Some((0..30).collect()),
        ..small()
    }
}

/// A container of another family, with sections.
fn of_another_family() -> Container {
    let container = with_sections();
    Container { header: Header { family: Family::new(3).unwrap(), ..container.header }, ..container }
}

fn files() -> [Vec<u8>; 4] {
    [plain(), small(), with_sections(), of_another_family()].map(|container| container.to_bytes().unwrap())
}

/// Parses untrusted bytes. What is accepted must survive another round trip unchanged.
fn parse(bytes: &[u8]) -> Result<Container> {
    let container = Container::parse(bytes, &LIMITS)?;
    let again = container.to_bytes().expect("a parsed container can be written");
    assert_eq!(Container::parse(&again, &LIMITS).expect("a written container can be parsed"), container);
    Ok(container)
}

#[test]
fn no_prefix_of_a_file_is_a_file() {
    for file in files() {
        for length in 0..file.len() {
            let error = parse(&file[..length]).unwrap_err();
            assert!(matches!(error, Error::NotAez(_) | Error::Damaged(_)), "{length} bytes: {error}");
        }
    }
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    for file in files() {
        let original = parse(&file).unwrap();
        for at in 0..file.len() {
            for change in 1..=255 {
                let mut changed = file.clone();
                changed[at] ^= change;
                // The flag for sections and the dimensions determine the kind of the checksum. Only with another kind can
                // the checksum match by chance.
                if let Ok(container) = parse(&changed) {
                    assert!((2..6).contains(&at) && container != original, "byte {at} ^ {change:#04x}");
                }
            }
        }
    }
}

#[test]
fn surplus_bytes_are_noticed() {
    for file in files() {
        for surplus in 0..=255 {
            assert!(parse(&[&file[..], &[surplus]].concat()).is_err());
        }
    }
}

const STARTS: &[&[u8]] = &[
    &[],
    &[0xAE, 0x5A],
    &[0xAE, 0x5A, 0x10, 0xCB],
    &[0xAE, 0x5A, 0x12, 0xCB, 9, 9],
    &[0xAE, 0x5A, 0x1A, 0xCB, 9, 9],
];

proptest! {
    #[test]
    fn arbitrary_bytes_after_a_plausible_start(
        start in prop::sample::select(STARTS),
        rest in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = [start, &rest[..]].concat();
        let _ = parse(&bytes);
        if let Ok((header, length)) = Header::parse(&bytes) {
            prop_assert!(length <= bytes.len() && header.width > 0 && header.height > 0);
        }
    }

    #[test]
    fn several_changes_at_once(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = files()[which].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = parse(&bytes);
        let _ = parse(&bytes[..cut.index(bytes.len())]);
    }
}

#[test]
fn a_small_file_cannot_claim_a_huge_picture() {
    let mut file = plain().to_bytes().unwrap();
    // Both dimensions are 2^32 - 1. Then the width is 2^32, which no header can represent.
    file.splice(4..7, [0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F]);
    assert!(matches!(parse(&file), Err(Error::Limit { limit: LimitKind::Edge, .. })));
    file[4] = 0xFF;
    assert!(matches!(parse(&file), Err(Error::Damaged(_))));
}
