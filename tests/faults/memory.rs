//! Under a cap on the address space, files that claim much end in an error, and never in an abort.

use aez::{
    Quality,
    container::{Container, Header},
    entropy::Coder,
    model::tiny,
};

use super::{Place, assert_fails, text};

/// What `--max-memory` promises in these tests.
pub const PROMISED: u64 = 64 << 20;
/// Address space of the program itself, with the tiny model: code, libraries, stacks, the built-in model.
pub const PROGRAM: u64 = 176 << 20;

/// A shell's way to a process that gets no more memory.
pub fn capped(bytes: u64) -> String {
    // One arena: each further one reserves 64 MiB of addresses, used or not.
    format!("export MALLOC_ARENA_MAX=1; ulimit -v {}", bytes >> 10)
}

/// A file that claims a picture of that size, with arbitrary parts.
fn claim(width: u32, height: u32, coder: Coder, latents: &[u8], alpha: bool) -> Vec<u8> {
    let quality = Quality::REFERENCE;
    let header = Header { width, height, gray: false, quality, coder, model: tiny().id() };
    let container = Container { header, latents: latents.to_vec(), alpha: None, icc: None, exif: None };
    if !alpha {
        return container.to_bytes().unwrap();
    }
    // A plane of one pixel in the place of one for each.
    let one = Header { width: 1, height: 1, ..header };
    let mut bytes = Container { header: one, alpha: Some(vec![9]), ..container.clone() }.to_bytes().unwrap();
    let own = Container { header, ..container }.to_bytes().unwrap();
    let (len, one_len) = (Header::parse(&own).unwrap().1, Header::parse(&bytes).unwrap().1);
    let mut head = own[..len].to_vec();
    head[2] |= 2;
    bytes.splice(..one_len, head);
    aez::container::seal(&mut bytes).unwrap();
    bytes
}

#[test]
fn claims_beyond_the_limits_are_refused_within_them() {
    let place = Place::new();
    let promised = PROMISED.to_string();
    // Just within the promise, beyond it, and beyond all limits.
    let sizes = [
        (4700, 4700, ""),
        (5200, 5200, "memory use"),
        (65_535, 65_535, "number of pixels"),
        (1 << 31, 1, "picture edge"),
    ];
    let parts: [(Coder, &[u8], bool); 3] =
        [(Coder::Range, &[7; 30], false), (Coder::Zstd, &[7; 30], false), (Coder::Range, &[], true)];
    for (width, height, limit) in sizes {
        for (coder, latents, alpha) in parts {
            place.write("claim.aez", claim(width, height, coder, latents, alpha));
            let args = ["decompress", "--force", "--max-memory", &promised, "claim.aez", "out.png"];
            let output = place.aez_after(&capped(PROGRAM + PROMISED), &args).output().unwrap();
            // The plane of opacities by itself keeps the promise, and is looked at first.
            let limit = if alpha && limit == "memory use" { "a zstd frame holds 1 bytes" } else { limit };
            assert_fails(&output, &["claim.aez: ", limit]);
        }
    }
    assert!(!place.path("out.png").exists());
}

/// No latents at all are valid latents: the file is a picture, if one without sense. Where there is less memory than the
/// limits allow, that is an error as any other.
#[test]
fn less_memory_than_promised_is_an_error() {
    let place = Place::new();
    place.write("claim.aez", claim(9000, 9000, Coder::Range, &[], false));
    let output = place.aez_after(&capped(PROGRAM), &["decompress", "claim.aez", "out.png"]).output().unwrap();
    assert_fails(&output, &["cannot allocate"]);
}

#[test]
fn pictures_beyond_the_memory_are_an_error() {
    let place = Place::new();
    // A PNG of 60000 x 2000 pixels that ends after its header.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend([0, 0, 0xEA, 0x60, 0, 0, 0x07, 0xD0, 8, 2, 0, 0, 0]);
    png.extend(crc32fast::hash(&png[12..]).to_be_bytes());
    place.write("claim.png", png);
    let args = ["compress", "--max-memory", "64MiB", "claim.png", "out.aez"];
    assert_fails(&place.aez_after(&capped(PROGRAM + PROMISED), &args).output().unwrap(), &["claim.png"]);
}

#[test]
fn models_that_claim_much_are_an_error() {
    let place = Place::new();
    let mut model = aez::model::tiny_bytes();
    let claims = [u64::MAX, 1 << 40, 1 << 26];
    for claim in claims {
        model[..8].copy_from_slice(&claim.to_le_bytes());
        place.write("model", &model);
        let output = place.aez_after(&capped(PROGRAM), &["decompress", "x.aez", "out.png"]).output().unwrap();
        assert_fails(&output, &["not a usable AEZ model"]);
    }
}

/// The cap of these tests is one under which honest work is done.
#[test]
fn an_ordinary_picture_passes_under_the_same_cap() {
    let place = Place::new();
    place.draw("a.png", 500, 400);
    for args in [&["compress", "a.png", "a.aez"][..], &["decompress", "a.aez", "b.png"]] {
        let output = place.aez_after(&capped(PROGRAM), args).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
}
