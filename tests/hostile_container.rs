//! Damaged and invented containers: each is refused with an error or parses to something valid, and nothing
//! panics, hangs or allocates beyond the limits.

use aez::{
    Error, Limits, Quality, Result,
    container::{Container, Header, ModelId},
    entropy::Coder,
};
use proptest::prelude::*;

const LIMITS: Limits = Limits { max_edge: 1 << 16, max_pixels: 1 << 22, max_memory: 1 << 24 };

fn plain() -> Container {
    let header = Header {
        width: 96,
        height: 130,
        gray: true,
        quality: Quality::REFERENCE,
        coder: Coder::Zstd,
        model: ModelId([1, 2, 3, 4]),
    };
    Container { header, latents: (0..60).collect(), alpha: None, icc: None, exif: None }
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

fn files() -> [Vec<u8>; 3] {
    [plain(), small(), with_sections()].map(|container| container.to_bytes().unwrap())
}

/// Parses hostile bytes; what is accepted must be storable, and then return unchanged.
fn parse(bytes: &[u8]) -> Result<Container> {
    let container = Container::parse(bytes, &LIMITS)?;
    let again = container.to_bytes().expect("what was read can be written");
    assert_eq!(Container::parse(&again, &LIMITS).expect("what was written can be read"), container);
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
                // Only the flag of sections and the dimensions decide on the checksum's kind; no other change
                // can even meet the checksum by chance.
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

const STARTS: &[&[u8]] = &[&[], &[0xAE, 0x5A], &[0xAE, 0x5A, 0x10, 0xCB], &[0xAE, 0x5A, 0x12, 0xCB, 9, 9]];

proptest! {
    #[test]
    fn arbitrary_bytes_behind_a_plausible_start(
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
        which in 0..3_usize,
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
    // Both dimensions as 2^32 - 1, and then as 2^32, which no header can mean.
    file.splice(4..7, [0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F]);
    assert!(matches!(parse(&file), Err(Error::Limit { what: "picture edge", .. })));
    file[4] = 0xFF;
    assert!(matches!(parse(&file), Err(Error::Damaged(_))));
}
