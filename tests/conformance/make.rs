//! Writes `tests/vectors`: files and previews with their records, and files that must be rejected. The small models are
//! made only where their files are missing.

mod broken;
mod models;
mod moved;
mod photo;

use std::{ffi::OsStr, fs};

use aez::{Decoder, Encoder, Limits, Model, Picture, Quality, preview};
use aez_core::{
    container::{Container, Header, seal},
    entropy::{self, Coder, Tables, encode_with},
    symbols::{Shape, Symbols},
};
use aez_image::PictureFormat;
use serde::Serialize;

use super::{MODELS, MOVED, PHOTO, PreviewRecord, bytes, json, model, path, vectors::record};

#[test]
#[ignore = "writes tests/vectors"]
fn regenerate() {
    let old_previews: Vec<PreviewRecord> = json("previews.json");
    for old in fs::read_dir(path("")).unwrap().map(|entry| entry.unwrap().path()) {
        let is_kept = |extension: &OsStr| extension == "md" || extension == "safetensors";
        if old.is_file() && !old.extension().is_some_and(is_kept) {
            fs::remove_file(old).unwrap();
        }
    }
    let make: [fn() -> Vec<u8>; 5] =
        [models::small, models::normalized, models::packed, photo::model, moved::model];
    for (name, make) in MODELS.into_iter().zip(make) {
        if !path(name).exists() {
            save(name, &make());
        }
    }
    let [small, normalized, packed, photos, moved] = MODELS.map(model);
    for (name, file) in accepted(&small) {
        save_vector(name, &file, MODELS[0], &small);
    }
    for (name, coder) in [("normalized_range", Coder::Range), ("normalized_zstd", Coder::Zstd)] {
        save_vector(name, &file(&normalized, &scene(11, 6), 75, coder), MODELS[1], &normalized);
    }
    save_vector("packed", &file(&packed, &scene(21, 17), 75, Coder::Range), MODELS[2], &packed);
    for (name, file) in photo::accepted(&bytes(PHOTO), &photos) {
        save_vector(name, &file, PHOTO, &photos);
    }
    for (name, file) in moved::accepted(&bytes(MOVED)) {
        save_vector(name, &file, MOVED, &moved);
    }
    save_previews(&small, &old_previews);
    broken::save_all(&small);
    broken::save_rejected("rejected_photo", &photos, photo::rejected(&photos));
    broken::save_rejected("rejected_moved", &moved, moved::rejected(&bytes(MOVED)));
}

fn save(name: &str, bytes: &[u8]) {
    fs::write(path(name), bytes).unwrap();
}

fn save_json(name: &str, value: &impl Serialize) {
    save(name, (serde_json::to_string(value).unwrap() + "\n").as_bytes());
}

fn save_vector(name: &str, file: &[u8], model_name: &str, model: &Model) {
    save(&format!("{name}.aez"), file);
    save_json(&format!("{name}.json"), &record(file, model_name, model));
    save_png(name, Decoder::new(model).decode(file).unwrap());
}

/// Saves the pixels. Metadata are in the record.
fn save_png(name: &str, picture: Picture) {
    let picture = picture.with_icc(None).with_exif(None).with_xmp(None);
    save(&format!("{name}.png"), &aez_image::encode(&picture, PictureFormat::Png).unwrap());
}

/// A test image with smooth colours and an edge.
pub fn scene(width: u32, height: u32) -> Picture {
    let level = |x: u32, y: u32, c: u32| {
        let wave = (x as f32 * 0.35 + c as f32).sin() + (y as f32 * 0.25 - c as f32 * 0.5).cos();
        let edge = if 2 * x > y + width { 40.0 } else { 0.0 };
        (108.0 + 50.0 * wave + edge).clamp(0.0, 255.0) as u8
    };
    let rgb = (0..width * height).flat_map(|i| [0, 1, 2].map(|c| level(i % width, i / width, c)));
    Picture::from_rgb(width, height, rgb.collect())
}

pub fn gray(picture: Picture) -> Picture {
    let rgb = picture.rgb.chunks_exact(3).flat_map(|pixel| [pixel[1]; 3]).collect();
    Picture::from_rgb(picture.width, picture.height, rgb).with_alpha(picture.alpha).with_gray(true)
}

/// The picture with an alpha plane: a disc with a blurred edge.
pub fn with_alpha(picture: Picture) -> Picture {
    let (width, height) = (picture.width as f32, picture.height as f32);
    let alpha = (0..picture.width * picture.height).map(|i| {
        let (x, y) = ((i % picture.width) as f32 / width - 0.5, (i / picture.width) as f32 / height - 0.5);
        (600.0 - 1100.0 * x.hypot(y)).clamp(0.0, 255.0) as u8
    });
    let alpha = alpha.collect();
    picture.with_alpha(Some(alpha))
}

/// The header of an ICC profile with its colour space, RGB, and its signature; no program reads more of it here.
fn icc() -> Option<Vec<u8>> {
    let mut profile = vec![0; 128];
    profile[16..20].copy_from_slice(b"RGB ");
    profile[36..40].copy_from_slice(b"acsp");
    Some(profile)
}

/// A TIFF structure with one entry: the orientation, upright.
fn exif() -> Option<Vec<u8>> {
    Some(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0".to_vec())
}

/// An XMP packet with a title beyond ASCII.
fn xmp() -> Option<Vec<u8>> {
    let packet = "<?xpacket begin='\u{feff}' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>\
        <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about='' \
        xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/' photoshop:Headline='\u{e9}t\u{e9}'/></rdf:RDF>\
        </x:xmpmeta><?xpacket end='w'?>";
    Some(packet.into())
}

/// The file of a picture with the payload in the given code, even if it is not the smaller one.
fn file(model: &Model, picture: &Picture, quality: u8, coder: Coder) -> Vec<u8> {
    // Existing files must not depend on how an encoder fills what is hidden.
    let encoder = Encoder::new(model).quality(Quality::new(quality).unwrap()).exact(true);
    recode(model, &encoder.encode(picture).unwrap(), coder, |symbols, _, _| symbols)
}

/// The same file with other symbols, in the given code. `change` gets the symbols, their tables and the number of channels.
fn recode(
    model: &Model,
    file: &[u8],
    coder: Coder,
    change: impl FnOnce(Vec<i32>, &Tables, usize) -> Vec<i32>,
) -> Vec<u8> {
    let container = Container::parse(file, &Limits::default()).unwrap();
    let model = model.tiled().unwrap();
    let tables = model.prior().at(container.header.quality);
    let Header { width, height, coder: old, .. } = container.header;
    let edge = model.tile() as u32;
    let channels = model.latents() as u32;
    let shape = Shape { rows: height.div_ceil(edge), columns: width.div_ceil(edge), channels };
    let symbols = entropy::decode(old, &container.payload, shape, &tables, &Limits::default()).unwrap();
    let symbols = Symbols::new(shape, change(symbols.values().to_vec(), &tables, model.latents())).unwrap();
    let payload = encode_with(coder, &symbols, &tables).unwrap();
    Container { header: Header { coder, ..container.header }, payload, ..container }.to_bytes().unwrap()
}

/// Every symbol is the smallest or the largest of its range, which no encoder writes.
fn extremes(symbols: Vec<i32>, tables: &Tables, channels: usize) -> Vec<i32> {
    let end = |at: usize| {
        let range = tables.range(at % channels);
        if at.is_multiple_of(3) { *range.start() } else { *range.end() }
    };
    (0..symbols.len()).map(end).collect()
}

fn accepted(model: &Model) -> Vec<(&'static str, Vec<u8>)> {
    use Coder::{Range, Zstd};
    let of = |picture: &Picture, quality, coder| file(model, picture, quality, coder);
    let everything = with_alpha(scene(21, 10)).with_icc(icc()).with_exif(exif());
    let large = scene(24, 16);
    let best = [Range, Zstd].map(|coder| of(&large, 100, coder));
    vec![
        ("one_tile_range", of(&scene(8, 8), 75, Range)),
        ("one_tile_zstd", of(&scene(8, 8), 75, Zstd)),
        ("one_pixel", of(&scene(1, 1), 75, Range)),
        ("several_tiles", of(&large, 75, Range)),
        ("several_tiles_zstd", of(&large, 75, Zstd)),
        ("partial_tiles", of(&scene(19, 13), 60, Range)),
        ("long_checksum", of(&scene(130, 3), 75, Range)),
        ("tall", of(&scene(2, 131), 40, Range)),
        ("worst_quality", of(&large, 1, Range)),
        ("worst_quality_zstd", of(&large, 1, Zstd)),
        ("best_quality", best[0].clone()),
        ("best_quality_zstd", best[1].clone()),
        ("extreme_symbols", recode(model, &best[0], Range, extremes)),
        ("extreme_symbols_zstd", recode(model, &best[1], Zstd, extremes)),
        ("gray", of(&gray(scene(9, 17)), 75, Range)),
        ("alpha", of(&with_alpha(scene(13, 9)), 75, Range)),
        ("gray_alpha", of(&gray(with_alpha(scene(10, 10))), 75, Range)),
        ("icc", of(&scene(5, 7).with_icc(icc()), 75, Range)),
        ("exif", of(&scene(5, 7).with_exif(exif()), 75, Range)),
        ("empty_metadata", of(&scene(5, 7).with_exif(Some(Vec::new())), 75, Range)),
        ("everything", of(&everything, 75, Range)),
        ("everything_zstd", of(&everything, 75, Zstd)),
        ("xmp", of(&scene(5, 7).with_xmp(xmp()), 75, Range)),
        (
            "all_sections",
            of(&with_alpha(scene(9, 6)).with_icc(icc()).with_exif(exif()).with_xmp(xmp()), 75, Range),
        ),
        ("opaque_alpha", with_opaque_alpha(&of(&scene(8, 8), 75, Range))),
        ("unknown_ancillary_section", with_unknown_section(&of(&scene(8, 8), 75, Range))),
    ]
}

/// A file that had no sections, with an alpha plane that is opaque everywhere, which the encoder leaves out.
fn with_opaque_alpha(file: &[u8]) -> Vec<u8> {
    let container = Container::parse(file, &Limits::default()).unwrap();
    let alpha = vec![255; container.header.pixels() as usize];
    Container { alpha: Some(alpha), ..container }.to_bytes().unwrap()
}

/// A file that had no sections, with an ancillary section of a kind that is unknown to this version.
fn with_unknown_section(file: &[u8]) -> Vec<u8> {
    let container = Container::parse(file, &Limits::default()).unwrap();
    let payload = container.payload.clone();
    let mut bytes = Container { exif: Some(Vec::new()), ..container }.to_bytes().unwrap();
    bytes.truncate(Header::parse(&bytes).unwrap().1);
    bytes.extend([2, 0, payload.len() as u8, 0xF0, 3]);
    bytes.extend(payload);
    bytes.extend(b"new");
    seal(&mut bytes).unwrap();
    bytes
}

/// Keeps the texts that exist, because another encoder may choose others.
fn save_previews(model: &Model, old: &[PreviewRecord]) {
    let pictures = [
        ("preview", scene(30, 20), 16),
        ("preview_wide", scene(160, 20), 20),
        ("preview_tall_gray", gray(scene(10, 77)), 16),
        ("preview_alpha", with_alpha(scene(40, 40)), 24),
        ("preview_long", with_alpha(gray(scene(50, 30))), 60),
    ];
    let records = pictures.map(|(name, picture, bytes)| {
        let old = old.iter().find(|old| old.picture == name).map(|old| old.text.clone());
        let text = old.unwrap_or_else(|| preview::encode(model, &picture, bytes).unwrap());
        let edge = model.block_edge().unwrap();
        let decode = |size| preview::decode(model, &text, size, &Limits::default()).unwrap();
        save_png(name, decode(Some((edge, edge))));
        let default = decode(None);
        let (quality, symbols) = preview::symbols(model, &text).unwrap();
        PreviewRecord {
            text,
            picture: name.to_owned(),
            quality: quality.get(),
            size: (default.width, default.height),
            symbols: symbols.values().to_vec(),
        }
    });
    save_json("previews.json", &records);
}
