//! Writes the seeds of the fuzz targets, `seeds/TARGET/*`, with the library's own writers.

use std::{fs, io, path::Path};

use aez::{
    Quality, Symbols,
    container::{Container, Header, ModelId},
    entropy::{Coder, Prior, encode_with},
};
use aez_fuzz::{CHANNELS, Case};

fn main() -> io::Result<()> {
    for (index, container) in containers().iter().enumerate() {
        let bytes = container.to_bytes().expect("a valid container");
        save("header", index, &bytes[..bytes.len().min(24)])?;
        save("container", index, &bytes)?;
    }
    for (index, channels) in [1, 3].into_iter().enumerate() {
        let samples = [0.0, -2.0, 7.5, 0.25, 30.0, -11.0];
        let prior = Prior::fit(&samples, channels).expect("whole rows");
        save("prior", index, &[&[channels as u8][..], &prior.to_bytes()].concat())?;
    }
    for (index, settings) in
        [[74, 1, 9, 90, 0, 3, 250, 77], [99, 5, 60, 127, 1, 2, 128, 30]].iter().enumerate()
    {
        save("range_decoder", index, &[&settings[..], &coded(Coder::Range, settings)].concat())?;
        save("zstd_decoder", index, &[&settings[..], &coded(Coder::Zstd, settings)].concat())?;
    }
    Ok(())
}

fn containers() -> [Container; 3] {
    let header = Header {
        width: 9,
        height: 6,
        gray: false,
        quality: Quality::REFERENCE,
        coder: Coder::Range,
        model: ModelId([0xA1, 0xB2, 0xC3, 0xD4]),
    };
    let small = Container { header, latents: (1..40).collect(), alpha: None, icc: None, exif: None };
    let large = Container { header: Header { width: 96, height: 1000, ..header }, ..small.clone() };
    let full = Container {
        alpha: Some((0..54).map(|i| i / 5 * 50).collect()),
        icc: Some(b"colour profile ".repeat(3)),
        exif: Some(b"II*\0\x08\0\0\0\0\0".to_vec()),
        ..small.clone()
    };
    [small, large, full]
}

/// Symbols of every size, as a case with these settings codes them.
fn coded(coder: Coder, settings: &[u8]) -> Vec<u8> {
    let Case { shape, tables, .. } = Case::new(settings).expect("enough settings");
    let count = shape.count().expect("a small shape") as usize;
    let symbol = |i: usize| {
        let max = *tables.range(i % CHANNELS as usize).end();
        (i as i32 * 7 - 5).clamp(-max, max)
    };
    let symbols = Symbols::new(shape, (0..count).map(symbol).collect()).expect("as many as the shape holds");
    encode_with(coder, &symbols, &tables).expect("symbols in range")
}

fn save(target: &str, index: usize, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(index.to_string()), bytes)
}
