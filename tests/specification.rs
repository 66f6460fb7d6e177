//! The worked example of `format-spec.md`: the library writes, byte for byte, what the document says.

use aez::{
    Limits, Quality, Shape, Symbols,
    container::{Container, Header, ModelId},
    entropy::{Coder, Prior, decode, encode},
};

const SPECIFICATION: &str = include_str!("../format-spec.md");

/// Two channels: four cells of two base steps, and two cells of one base step.
const PRIOR: &str = "04 00 00 02 00 00 9a 19 66 66 66 66 9a 19 02 00 00 01 00 00 00 40 00 c0";
const SYMBOLS: [i32; 4] = [4, -1, -3, 1];
const LATENTS: &str = "f9 a5";
const FILE: &str = "ae 5a 10 cb 63 3b 01 23 45 67 60 47 f9 a5";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn container() -> Container {
    let header = Header {
        width: 100,
        height: 60,
        gray: false,
        quality: Quality::REFERENCE,
        coder: Coder::Range,
        model: ModelId([0x01, 0x23, 0x45, 0x67]),
    };
    Container { header, latents: bytes(LATENTS), alpha: None, icc: None, exif: None }
}

#[test]
fn the_example_is_coded_as_documented() {
    let shape = Shape { rows: 1, columns: 2, channels: 2 };
    let tables = Prior::from_bytes(&bytes(PRIOR), 2).unwrap().at(Quality::REFERENCE);
    let symbols = Symbols::new(shape, SYMBOLS.to_vec()).unwrap();
    let (coder, latents) = encode(&symbols, &tables).unwrap();
    assert_eq!((coder, hex(&latents)), (Coder::Range, LATENTS.to_owned()));
    assert_eq!(decode(coder, &latents, shape, &tables, &Limits::default()).unwrap(), symbols);
    let centroids = [(0, 4), (1, -1), (0, -3), (1, 1)].map(|(channel, k)| tables.centroid(channel, k));
    assert_eq!(centroids, [3.75, -0.75, -3.0, 0.75]);
}

#[test]
fn the_example_file_is_stored_as_documented() {
    let file = container().to_bytes().unwrap();
    assert_eq!(hex(&file), FILE);
    assert_eq!(Container::parse(&file, &Limits::default()).unwrap(), container());
}

#[test]
fn the_document_shows_these_very_bytes() {
    for shown in [PRIOR, LATENTS, FILE] {
        assert!(SPECIFICATION.contains(shown), "format-spec.md does not show {shown}");
    }
}
