//! Files that are cut short: `aez decompress --partial`, and the bytes of each level in `aez info`.

mod common;

use aez::picture::{self, PictureFormat};
use aez_core::picture::psnr;
use common::{TestFolder, waves};
use predicates::{prelude::*, str::contains};

/// A folder with the photo `a.png` of 90x70 pixels, its file `a.aez`, and a model of the photo family.
fn folder() -> TestFolder {
    let folder = TestFolder::new();
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/photo.safetensors");
    folder.write("model", std::fs::read(model).unwrap());
    let mut picture = waves(90, 70, 3);
    // Details of all sizes.
    let texture = |place: usize| ((place % 90 / 2) ^ (place / 270)).count_ones() as u8 * 8;
    picture.rgb.iter_mut().enumerate().for_each(|(at, level)| *level = *level / 2 + texture(at / 3));
    folder.write("a.png", picture::encode(&picture, PictureFormat::Png).unwrap());
    folder.run(&["compress", "a.png", "-q", "90"]);
    folder
}

/// Bytes of the levels, in the order of the file.
fn level_bytes(folder: &TestFolder, name: &str) -> Vec<usize> {
    serde_json::from_value(folder.json(&["info", name, "--json"])["level_bytes"].clone()).unwrap()
}

#[test]
fn more_of_a_file_shows_more_of_the_picture() {
    let folder = folder();
    let (original, file) = (folder.picture("a.png"), folder.read("a.aez"));
    let levels = level_bytes(&folder, "a.aez");
    assert_eq!(levels.len(), 3);
    let mut end = file.len() - levels.iter().sum::<usize>();
    let mut shown = Vec::new();
    for (index, bytes) in levels.iter().enumerate() {
        end += bytes;
        folder.write("cut.aez", &file[..end - 1]);
        folder
            .aez(&["decompress", "--partial", "cut.aez", "cut.png", "--force"])
            .assert()
            .success()
            .stderr(contains("warning: cut.aez").and(contains(format!("{index} of 3 levels"))));
        assert_eq!(folder.size("cut.png"), (90, 70));
        shown.push(psnr(&original, &folder.picture("cut.png")).unwrap());
    }
    assert!(shown.is_sorted_by(|a, b| b > a), "{shown:?}");
    folder.run(&["decompress", "--partial", "a.aez", "whole.png"]);
    folder.run(&["decompress", "a.aez", "same.png"]);
    assert_eq!(folder.read("whole.png"), folder.read("same.png"));
    // The last latents matter little, in either direction.
    let whole = psnr(&original, &folder.picture("whole.png")).unwrap();
    assert!((whole - shown[2]).abs() < 0.1, "{whole} {shown:?}");
}

#[test]
fn a_cut_photo_is_an_error_that_names_the_option() {
    let folder = folder();
    let file = folder.read("a.aez");
    folder.write("cut.aez", &file[..file.len() / 2]);
    let failed = folder.aez(&["decompress", "cut.aez"]).assert().code(1);
    failed.stderr(contains("checksum").and(contains("--partial")));
    assert!(!folder.exists("cut.png"));
    // Within the header there is nothing to show.
    folder.write("cut.aez", &file[..7]);
    folder.aez(&["decompress", "--partial", "cut.aez"]).assert().code(1).stderr(contains("model id"));
}

#[test]
fn tiles_are_decoded_as_a_whole_only() {
    let folder = TestFolder::new();
    folder.draw("a.png", 40, 25);
    folder.run(&["compress", "a.png"]);
    folder.run(&["decompress", "--partial", "a.aez", "b.png"]);
    let file = folder.read("a.aez");
    folder.write("cut.aez", &file[..file.len() - 1]);
    let partial = folder.aez(&["decompress", "--partial", "cut.aez"]).assert().code(1);
    partial.stderr(contains("tile").and(contains("as a whole only")));
    folder.aez(&["decompress", "cut.aez"]).assert().code(1).stderr(contains("--partial").not());
    assert!(folder.json(&["info", "a.aez", "--json"])["level_bytes"].is_null());
}

#[test]
fn info_shows_the_levels_of_photos() {
    let folder = folder();
    let info = folder.json(&["info", "a.aez", "--json"]);
    let levels = level_bytes(&folder, "a.aez");
    assert_eq!(levels.iter().sum::<usize>() as u64, info["latents_bytes"].as_u64().unwrap());
    let text = String::from_utf8(folder.run(&["info", "a.aez"])).unwrap();
    for (level, bytes) in levels.iter().rev().enumerate() {
        let size = [90_u32, 70].map(|edge| edge.div_ceil(1 << level));
        assert!(text.contains(&format!("{bytes} bytes, {} x {}", size[0], size[1])), "{text}");
    }
    // Another model cannot tell.
    folder.write("model", aez_core::testing::tiny_bytes());
    assert!(folder.json(&["info", "a.aez", "--json"])["level_bytes"].is_null());
}
