//! Files and texts that break one rule of the format each.

use std::fs;

use aez::{Decoder, Limits, Model, preview};
use aez_core::{
    container::{Container, Header, seal},
    entropy::Coder,
};

use super::{extremes, file, gray, recode, save, save_json, scene, with_alpha};
use crate::{Rejection, kind, path};

pub fn save_all(model: &Model) {
    save_rejected(
        "rejected",
        model,
        [headers(model), tables(model), payloads(model), frames(model)].concat(),
    );
    save_json("rejected_previews.json", &previews(model));
}

/// The name of a file, its bytes, and a part of the message.
pub type Broken = (&'static str, Vec<u8>, &'static str);

/// Writes files that are rejected with a model, and their list.
pub fn save_rejected(folder: &str, model: &Model, files: Vec<Broken>) {
    let _ = fs::remove_dir_all(path(folder));
    fs::create_dir_all(path(folder)).unwrap();
    let rejection = |(name, bytes, message): Broken| {
        let error = Decoder::new(model).decode(&bytes).expect_err(name);
        assert!(error.to_string().contains(message), "{name}: {error}");
        let input = format!("{name}.aez");
        save(&format!("{folder}/{input}"), &bytes);
        Rejection { input, kind: kind(&error).to_owned(), message: message.to_owned() }
    };
    let rejections: Vec<Rejection> = files.into_iter().map(rejection).collect();
    save_json(&format!("{folder}/rejected.json"), &rejections);
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    seal(&mut bytes).unwrap();
    bytes
}

fn with(bytes: &[u8], place: usize, new: &[u8], old_len: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.splice(place..place + old_len, new.iter().copied());
    bytes
}

/// In these files the checksum begins at byte 10 and the payload at byte 12.
fn headers(model: &Model) -> Vec<Broken> {
    let good = file(model, &scene(8, 8), 75, Coder::Range);
    let long = file(model, &scene(130, 3), 75, Coder::Range);
    let first = |byte: u8, place: usize| with(&good, place, &[byte], 1);
    let width = |new: &[u8]| with(&good, 4, new, 1);
    vec![
        ("empty", Vec::new(), "it begins with"),
        ("half_a_magic_number", good[..1].to_vec(), "it begins with"),
        ("png", b"\x89PNG\r\n\x1a\n".to_vec(), "it begins with bytes [89, 50]"),
        ("magic_number_only", good[..2].to_vec(), "within the version"),
        ("version_0", first(0x00, 2), "version 0 is not supported"),
        ("version_2", first(0x20, 2), "version 2 is not supported"),
        ("version_15_and_nothing_else", vec![0xAE, 0x5A, 0xF0], "version 15 is not supported"),
        ("reserved_bit_2", first(0x14, 2), "flags 0100"),
        ("reserved_bit_3", first(0x18, 2), "flags 1000"),
        ("quality_0", first(0x80, 3), "quality 0"),
        ("quality_101", first(0x80 | 101, 3), "quality 101"),
        ("quality_127", first(0xFF, 3), "quality 127"),
        ("overlong_width", width(&[0x87, 0x00]), "the width at byte 4 is not in its shortest form"),
        ("six_bytes_of_width", width(&[0x80, 0x80, 0x80, 0x80, 0x80, 1]), "not in its shortest form"),
        ("width_beyond_32_bits", width(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]), "exceeds 32 bits"),
        ("width_of_2_to_the_32", width(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]), "the width exceeds 2^32 - 1"),
        ("end_within_width", vec![0xAE, 0x5A, 0x10, 0xCB, 0x80], "within the width"),
        ("end_within_model_id", good[..8].to_vec(), "within the model id"),
        ("end_within_checksum", good[..11].to_vec(), "within the checksum"),
        ("edge_beyond_limits", sealed(width(&[0xFF, 0xFF, 0x7F])), "picture edge of 2097152 exceeds"),
        (
            "pixels_beyond_limits",
            sealed(with(&good, 4, &[0xDF, 0xD4, 0x03, 0xDF, 0xD4, 0x03], 2)),
            "number of pixels of 3600000000 exceeds",
        ),
        ("another_model", sealed(first(good[6] ^ 1, 6)), "the file needs model"),
        ("checksum_of_2_bytes", first(good[10] ^ 1, 10), "checksum"),
        ("checksum_of_4_bytes", with(&long, 12, &[long[12] ^ 0x80], 1), "checksum"),
        ("changed_latents", with(&good, good.len() - 1, &[good[good.len() - 1] ^ 4], 1), "checksum"),
        ("surplus_byte", [&good[..], &[1]].concat(), "checksum"),
        ("missing_byte", good[..good.len() - 1].to_vec(), "checksum"),
    ]
}

/// A file whose table of sections, and all that follows it, is replaced.
fn with_table(model: &Model, table: &[u8]) -> Vec<u8> {
    let mut bytes = file(model, &with_alpha(scene(8, 8)), 75, Coder::Range);
    bytes.truncate(Header::parse(&bytes).unwrap().1);
    bytes.extend(table);
    sealed(bytes)
}

fn tables(model: &Model) -> Vec<Broken> {
    let of = |table: &[u8]| with_table(model, table);
    let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F];
    vec![
        ("no_table", of(&[]), "number of sections"),
        ("table_of_none", of(&[0]), "no section beside the latents"),
        ("table_of_one", of(&[1, 0, 1, 9]), "no section beside the latents"),
        ("end_within_table", of(&[2, 0, 0]), "table of sections"),
        ("end_within_length", of(&[2, 0]), "length of a section"),
        ("overlong_length", of(&[2, 0, 0x80, 0x00, 0x81, 0]), "length of a section at byte 16"),
        ("first_section_is_alpha", of(&[2, 1, 0, 0x81, 0]), "begin with the latents"),
        ("sections_out_of_order", of(&[3, 0, 0, 0x81, 0, 0x80, 0]), "kinds must ascend"),
        ("section_twice", of(&[3, 0, 0, 1, 0, 1, 0]), "kinds must ascend"),
        ("unknown_critical_section", of(&[2, 0, 0, 0x7F, 0]), "unknown kind 127"),
        ("sections_overlap_the_end", of(&[2, 0, 3, 0x90, 1, 9, 9, 9]), "4 bytes long, but 3 follow"),
        ("bytes_after_the_sections", of(&[2, 0, 3, 0x90, 1, 9, 9, 9, 9, 9]), "4 bytes long, but 5 follow"),
        (
            "lengths_beyond_64_bits",
            of(&[&[3, 0][..], &huge, &[0x80], &huge, &[0x81], &huge].concat()),
            "12884901885 bytes long, but 0 follow",
        ),
        ("empty_alpha", of(&[2, 0, 0, 1, 0]), "zstd frame"),
        ("empty_profile", of(&[2, 0, 0, 0x80, 0]), "length of the metadata"),
        ("huge_profile", of(&[2, 0, 0, 0x80, 4, 0x81, 0x80, 0x80, 8]), "exceed the format's"),
        ("huge_xmp", of(&[2, 0, 0, 0x82, 4, 0x81, 0x80, 0x80, 8]), "exceed the format's"),
        ("xmp_cut_short", of(&[2, 0, 0, 0x82, 5, 9, 0, 0x49, 0, 0]), "zstd frame"),
        ("xmp_before_exif", of(&[3, 0, 0, 0x82, 0, 0x81, 0]), "kinds must ascend"),
    ]
}

fn payloads(model: &Model) -> Vec<Broken> {
    let good = Container::parse(&file(model, &scene(24, 16), 75, Coder::Range), &Limits::NONE).unwrap();
    let zstd = Container::parse(&file(model, &scene(24, 16), 75, Coder::Zstd), &Limits::NONE).unwrap();
    let best = file(model, &scene(8, 8), 100, Coder::Zstd);
    let with = |payload: Vec<u8>| Container { payload, ..good.clone() }.to_bytes().unwrap();
    let with_zstd = |payload: Vec<u8>| Container { payload, ..zstd.clone() }.to_bytes().unwrap();
    let mut changed = recode(model, &best, Coder::Zstd, extremes);
    // The symbols of quality 100 have a wider range than those of quality 99.
    changed[3] -= 1;
    vec![
        ("latents_end_in_zero", with([&good.payload[..], &[0]].concat()), "range"),
        ("latents_too_long", with([&good.payload[..], &[1]].concat()), "range"),
        ("latents_of_other_symbols", with(vec![0xFF; 60]), "range"),
        ("zstd_latents_missing", with_zstd(Vec::new()), "zstd frame"),
        ("zstd_latents_cut", with_zstd(zstd.payload[..zstd.payload.len() - 1].to_vec()), "zstd frame"),
        ("zstd_latents_too_few", with_zstd(frame(&[0; 35])), "zstd frame"),
        ("zstd_latents_too_many", with_zstd(frame(&[0; 100])), "zstd frame"),
        ("zstd_latents_out_of_range", sealed(changed), "symbol"),
    ]
}

/// A zstd frame without its magic number.
fn frame(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, 3).unwrap().split_off(4)
}

/// A file of 8x8 pixels with the given alpha section.
fn with_frame(model: &Model, section: &[u8]) -> Vec<u8> {
    let good = Container::parse(&file(model, &scene(8, 8), 75, Coder::Range), &Limits::NONE).unwrap();
    let mut table = vec![2, 0, good.payload.len() as u8, 1];
    assert!(section.len() < 128 && good.payload.len() < 128);
    table.push(section.len() as u8);
    with_table(model, &[&table[..], &good.payload, section].concat())
}

fn frames(model: &Model) -> Vec<Broken> {
    let of = |section: &[u8]| with_frame(model, section);
    let good = frame(&[7; 64]);
    let whole = [&[0x28, 0xB5, 0x2F, 0xFD][..], &good].concat();
    // The beginning of a frame of 512 blocks of 2^17 equal bytes, 64 MiB.
    let bomb = [&[0x00, 0x78][..], &[0x02, 0x00, 0x10, 0x00].repeat(20), &[0x03, 0x00, 0x10, 0x00]].concat();
    vec![
        ("alpha_too_short", of(&frame(&[7; 63])), "zstd frame"),
        ("alpha_too_long", of(&frame(&[7; 65])), "zstd frame"),
        ("alpha_bomb", of(&bomb), "zstd frame"),
        ("alpha_with_magic_number", of(&whole), "zstd frame"),
        ("bytes_after_a_frame", of(&[&good[..], &[0]].concat()), "zstd frame"),
        (
            "two_frames",
            of(&[frame(&[7; 32]), [0x28, 0xB5, 0x2F, 0xFD].to_vec(), frame(&[7; 32])].concat()),
            "zstd frame",
        ),
        ("no_frame", of(&[9; 20]), "zstd frame"),
    ]
}

fn previews(model: &Model) -> Vec<Rejection> {
    let good = preview::encode(model, &gray(scene(30, 20)), 16).unwrap();
    let changed = |at: usize| {
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &good[..at], &good[at + 1..])
    };
    let texts = [
        (String::new(), "it has 0 characters"),
        ("A".repeat(268), "it has 268 characters"),
        ("A".into(), "base64url"),
        (format!("{good}="), "base64url"),
        (good.replacen(&good[3..4], "+", 1), "base64url"),
        (good.replacen(&good[3..4], " ", 1), "base64url"),
        (format!("{good}\u{e9}"), "base64url"),
        ("AB".into(), "base64url"),
        ("AA".into(), "check"),
        (changed(0), "check"),
        (changed(7), "check"),
        (good[..good.len() / 4 * 4 - 4].to_owned(), "check"),
    ];
    let rejection = |(input, message): (String, &str)| {
        let error = preview::decode(model, &input, None, &Limits::default()).expect_err(&input);
        assert!(error.to_string().contains(message), "{input}: {error}");
        Rejection { input, kind: kind(&error).to_owned(), message: message.to_owned() }
    };
    texts.into_iter().map(rejection).collect()
}
