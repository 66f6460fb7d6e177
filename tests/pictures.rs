//! What the `aez` binary makes of picture files that are not plain sRGB pixels, or not whole.

mod common;

use std::fs;

use aez::{
    Decoder, Encoder, Picture, Quality,
    picture::{self, PictureFormat},
};
use common::{TestFolder, waves};
use predicates::{prelude::*, str::contains};

/// A PNG file with a chunk behind its header.
fn with_chunk(png: &[u8], name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let named = [name, body].concat();
    let chunk =
        [&(body.len() as u32).to_be_bytes(), &named[..], &crc32fast::hash(&named).to_be_bytes()].concat();
    let (header, rest) = png.split_at(33);
    [header, &chunk, rest].concat()
}

fn png(picture: &Picture) -> Vec<u8> {
    picture::encode(picture, PictureFormat::Png).unwrap()
}

/// Flat gray in the linear light that `gAMA` declares: level 188 in sRGB.
fn linear(width: u32, height: u32) -> Vec<u8> {
    let flat = Picture::from_rgb(width, height, vec![128; (width * height * 3) as usize]);
    with_chunk(&png(&flat), b"gAMA", &100_000u32.to_be_bytes())
}

/// The mean level of a picture file.
fn mean(folder: &TestFolder, name: &str) -> f64 {
    let rgb = folder.picture(name).rgb;
    rgb.iter().map(|&level| f64::from(level)).sum::<f64>() / rgb.len() as f64
}

#[test]
fn declared_colours_become_a_profile_that_is_kept() {
    let folder = TestFolder::new();
    folder.write("a.png", linear(16, 16));
    folder
        .aez(&["compress", "a.png", "-q", "95"])
        .assert()
        .success()
        .stderr(contains("--strip leaves them out"));
    folder.run(&["decompress", "a.aez", "b.png"]);
    assert!(folder.picture("b.png").icc.is_some());
    assert!((mean(&folder, "b.png") - 128.0).abs() < 12.0);
    // A format without profiles gets the colours in sRGB.
    folder.run(&["decompress", "a.aez", "b.bmp"]);
    assert!((mean(&folder, "b.bmp") - 188.0).abs() < 12.0);
}

#[test]
fn stripped_pictures_and_previews_are_in_srgb() {
    let folder = TestFolder::new();
    folder.write("a.png", linear(16, 16));
    folder.run(&["compress", "a.png", "--strip", "-q", "95"]);
    folder.run(&["decompress", "a.aez", "b.png"]);
    assert!(folder.picture("b.png").icc.is_none());
    assert!((mean(&folder, "b.png") - 188.0).abs() < 12.0, "{}", mean(&folder, "b.png"));
    let text = String::from_utf8(folder.run(&["preview", "a.png", "--bytes", "60"])).unwrap();
    folder.run(&["preview", "--decode", text.trim(), "p.png"]);
    assert!((mean(&folder, "p.png") - 188.0).abs() < 12.0, "{}", mean(&folder, "p.png"));
}

#[test]
fn metadata_that_outweigh_the_picture_are_a_warning() {
    let folder = TestFolder::new();
    let mut seed = 1u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let exif =
        [&b"II*\0\x08\0\0\0\0\0\0\0\0\0"[..], &std::array::from_fn::<u8, 3000, _>(|_| noise())].concat();
    let xmp = b"<x:xmpmeta>someone, somewhere</x:xmpmeta>".to_vec();
    let picture = waves(30, 20, 1).with_exif(Some(exif.clone())).with_xmp(Some(xmp.clone()));
    folder.write("a.png", png(&picture));
    let warning = contains("aez: warning: a.png: its metadata take ").and(contains("--strip"));
    folder.aez(&["compress", "a.png"]).assert().success().stderr(warning);
    folder.run(&["compress", "a.png", "small.aez", "--strip"]);
    let info = folder.json(&["info", "--json", "a.aez"]);
    assert!(info["exif_bytes"].as_u64() > Some(2900) && info["xmp_bytes"].as_u64() > Some(20), "{info}");
    folder.run(&["decompress", "a.aez", "b.png"]);
    let found = folder.picture("b.png");
    assert_eq!((found.exif, found.xmp), (Some(exif), Some(xmp)));
    let stripped = folder.json(&["info", "--json", "small.aez"]);
    assert_eq!((&stripped["exif_bytes"], &stripped["xmp_bytes"]), (&0.into(), &0.into()));
}

#[test]
fn metadata_that_do_not_fit_into_a_jpeg_are_left_out_with_a_warning() {
    let folder = TestFolder::new();
    let exif = [&b"II*\0\x08\0\0\0\0\0\0\0\0\0"[..], &[5; 70_000]].concat();
    folder.write("a.png", png(&waves(30, 20, 1).with_exif(Some(exif))));
    folder.aez(&["compress", "a.png"]).assert().success();
    folder
        .aez(&["decompress", "a.aez", "b.jpg"])
        .assert()
        .success()
        .stderr(contains("aez: warning: b.jpg: the EXIF data of 70014 bytes are left out"));
    assert_eq!(folder.size("b.jpg"), (30, 20));
}

/// Two pictures that differ only where they are transparent: `clean.png`, and `striped.png` with stripes there.
fn write_clean_and_striped(folder: &TestFolder) {
    let alpha: Vec<u8> = (0..32 * 32).map(|i| if i % 32 < 16 { 0 } else { 255 }).collect();
    let clean = waves(32, 32, 3).with_alpha(Some(alpha.clone()));
    let mut striped = clean.clone();
    let hidden = striped.rgb.chunks_exact_mut(3).zip(&alpha).filter(|(_, alpha)| **alpha == 0);
    hidden.enumerate().for_each(|(at, (pixel, _))| pixel.fill(if at % 3 == 0 { 255 } else { 0 }));
    folder.write("clean.png", png(&clean));
    folder.write("striped.png", png(&striped));
}

#[test]
fn hidden_colours_take_no_bytes_unless_wanted() {
    let folder = TestFolder::new();
    write_clean_and_striped(&folder);
    folder.run(&["compress", "clean.png", "striped.png", "-o", "."]);
    assert_eq!(folder.read("clean.aez"), folder.read("striped.aez"));
    folder.run(&["compress", "striped.png", "exact.aez", "--exact"]);
    assert_ne!(folder.read("exact.aez"), folder.read("striped.aez"));
}

#[test]
fn an_opaque_alpha_channel_takes_no_bytes_and_allows_jpeg() {
    let folder = TestFolder::new();
    // The encoder for PNG writes an opaque alpha channel as it is given.
    let picture = waves(30, 20, 2);
    let rgba: Vec<u8> = picture.rgb.chunks_exact(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
    image::RgbaImage::from_raw(30, 20, rgba).unwrap().save(folder.path("a.png")).unwrap();
    folder.write("b.png", png(&picture));
    folder.run(&["compress", "a.png", "b.png", "-o", "."]);
    assert_eq!(folder.read("a.aez"), folder.read("b.aez"));
    folder.run(&["decompress", "a.aez", "a.jpg"]);
}

#[test]
fn files_that_are_cut_short_are_named_and_skipped() {
    let folder = TestFolder::new();
    folder.draw("all/a.png", 32, 32);
    folder.draw("all/b.png", 32, 32);
    folder.draw("all/c.png", 32, 32);
    let jpeg = picture::encode(&waves(200, 150, 1), PictureFormat::Jpeg).unwrap();
    folder.write("all/cut.jpg", &jpeg[..jpeg.len() / 2]);
    let message =
        || contains("cut.jpg: the file is cut short: it ends after").and(contains("of 150 rows of pixels"));
    folder.aez(&["compress", "all", "-o", "out"]).assert().code(1).stderr(message());
    assert_eq!(folder.files("out"), ["a.aez", "b.aez", "c.aez"]);
    folder
        .aez(&["eval", "all"])
        .assert()
        .code(1)
        .stdout(contains("PSNR"))
        .stderr(message().and(contains("1 of 4 files failed")));
    let train =
        ["train", "--data", "all", "--epochs", "0", "--channels", "1", "--init", "xavier", "--out", "m"];
    folder.aez(&train).assert().success().stderr(contains("cut.jpg: the file is cut short"));
    assert!(fs::metadata(folder.path("m")).is_ok());
}

#[test]
fn evaluation_ignores_invisible_pixels() {
    let folder = TestFolder::new();
    write_clean_and_striped(&folder);
    let table = |name| folder.run(&["eval", name]);
    assert_eq!(table("clean.png"), table("striped.png"));
}

/// With the built-in model. No photograph has such colours: its analysis network misses some of them by far, and the latents of pure
/// green are outside of the range of the symbols.
#[test]
fn pure_colours_are_encoded() {
    let model = aez::models::tile().unwrap();
    let encoder = Encoder::new(model).quality(Quality::new(100).unwrap());
    for colour in 0..8 {
        let rgb: [u8; 3] = std::array::from_fn(|channel| if colour >> channel & 1 == 1 { 255 } else { 0 });
        let picture = Picture::from_rgb(96, 96, rgb.repeat(96 * 96));
        let decoded = Decoder::new(model).decode(&encoder.encode(&picture).unwrap()).unwrap();
        let psnr = picture::psnr(&picture, &decoded).unwrap();
        let least = if rgb == [0, 255, 0] { 20.0 } else { 28.0 };
        assert!(psnr > least, "{rgb:?}: {psnr:.1} dB");
    }
    let magenta = Picture::from_rgb(96, 96, [255, 0, 255].repeat(96 * 96));
    let (bytes, reached) = Encoder::new(model).encode_to_psnr(&magenta, 30.0).unwrap();
    assert!(reached >= 30.0 && bytes.len() < 150, "{reached} dB, {} bytes", bytes.len());
}
