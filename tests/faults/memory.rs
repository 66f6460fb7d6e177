//! Files that claim large pictures, under a limit on the address space: each fails with an error, and none with an abort.

use aez::Quality;
use aez_core::{
    container::{Container, Family, Header, seal},
    entropy::Coder,
    testing::{tiny, tiny_bytes},
};

use super::{assert_fails, folder, stderr};

/// The `--max-memory` of these tests, in bytes.
pub const MAX_MEMORY: u64 = 64 << 20;
/// Address space in bytes of the binary with the tiny model: code, libraries, stacks, the built-in model.
pub const PROGRAM: u64 = 176 << 20;

/// A shell command that limits the address space of the processes after it.
pub fn with_address_space(bytes: u64) -> String {
    // Each further arena of malloc would reserve 64 MiB of addresses, whether it uses them or not.
    format!("export MALLOC_ARENA_MAX=1; ulimit -v {}", bytes >> 10)
}

/// A file that claims a picture of that size, with an arbitrary payload.
fn claim(width: u32, height: u32, coder: Coder, payload: &[u8], alpha: bool) -> Vec<u8> {
    let (family, quality, model) = (Family::TILED, Quality::REFERENCE, tiny().id());
    let header = Header { family, width, height, gray: false, quality, coder, model };
    let container =
        Container { header, payload: payload.to_vec(), alpha: None, icc: None, exif: None, xmp: None };
    if !alpha {
        return container.to_bytes().unwrap();
    }
    // The alpha plane of one pixel instead of one of that size.
    let one = Header { width: 1, height: 1, ..header };
    let mut bytes = Container { header: one, alpha: Some(vec![9]), ..container.clone() }.to_bytes().unwrap();
    let own = Container { header, ..container }.to_bytes().unwrap();
    let (len, one_len) = (Header::parse(&own).unwrap().1, Header::parse(&bytes).unwrap().1);
    let mut head = own[..len].to_vec();
    head[2] |= 2;
    bytes.splice(..one_len, head);
    seal(&mut bytes).unwrap();
    bytes
}

#[test]
fn claims_beyond_the_limits_are_rejected_within_them() {
    let folder = folder();
    let max_memory = MAX_MEMORY.to_string();
    // Just within `--max-memory`, beyond it, and beyond the other limits.
    let sizes = [
        (4700, 4700, ""),
        (5200, 5200, "memory use"),
        (65_535, 65_535, "number of pixels"),
        (1 << 31, 1, "picture edge"),
    ];
    let parts: [(Coder, &[u8], bool); 3] =
        [(Coder::Range, &[7; 30], false), (Coder::Zstd, &[7; 30], false), (Coder::Range, &[], true)];
    for (width, height, limit) in sizes {
        for (coder, payload, alpha) in parts {
            folder.write("claim.aez", claim(width, height, coder, payload, alpha));
            let args = ["decompress", "--force", "--max-memory", &max_memory, "claim.aez", "out.png"];
            let output =
                folder.command_after(&with_address_space(PROGRAM + MAX_MEMORY), &args).output().unwrap();
            assert_fails(&output, &["claim.aez: ", limit]);
        }
    }
    assert!(!folder.exists("out.png"));
}

/// An empty payload is valid, so that this file is a picture. Too little memory for it is an ordinary error, although it is
/// within the limits.
#[test]
fn less_memory_than_promised_is_an_error() {
    let folder = folder();
    folder.write("claim.aez", claim(9000, 9000, Coder::Range, &[], false));
    let output = folder
        .command_after(&with_address_space(PROGRAM), &["decompress", "claim.aez", "out.png"])
        .output()
        .unwrap();
    assert_fails(&output, &["cannot allocate"]);
}

#[test]
fn pictures_beyond_the_memory_are_an_error() {
    let folder = folder();
    // A PNG file of 60000x2000 pixels that ends after its header.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend([0, 0, 0xEA, 0x60, 0, 0, 0x07, 0xD0, 8, 2, 0, 0, 0]);
    png.extend(crc32fast::hash(&png[12..]).to_be_bytes());
    folder.write("claim.png", png);
    let args = ["compress", "--max-memory", "64MiB", "claim.png", "out.aez"];
    assert_fails(
        &folder.command_after(&with_address_space(PROGRAM + MAX_MEMORY), &args).output().unwrap(),
        &["claim.png"],
    );
}

#[test]
fn models_that_claim_much_are_an_error() {
    let folder = folder();
    let mut model = tiny_bytes();
    let claims = [u64::MAX, 1 << 40, 1 << 26];
    for claim in claims {
        model[..8].copy_from_slice(&claim.to_le_bytes());
        folder.write("model", &model);
        let output = folder
            .command_after(&with_address_space(PROGRAM), &["decompress", "x.aez", "out.png"])
            .output()
            .unwrap();
        assert_fails(&output, &["not a usable AEZ model"]);
    }
}

/// The limit of these tests is sufficient for ordinary pictures.
#[test]
fn an_ordinary_picture_fits_in_the_same_memory() {
    let folder = folder();
    folder.draw("a.png", 500, 400);
    for args in [&["compress", "a.png", "a.aez"][..], &["decompress", "a.aez", "b.png"]] {
        let output = folder.command_after(&with_address_space(PROGRAM), args).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}
