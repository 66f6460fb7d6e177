//! JPEG files of all kinds of sampling and scans, against libjpeg-turbo's `djpeg`.

use std::{fs, path::Path, process::Command};

use aez_core::{Limits, Picture};
use aez_image::{PictureFormat, decode, encode};
use mozjpeg::{ColorSpace, Compress, ScanMode};
use tempfile::TempDir;

type Factors = [(u32, u32); 3];

/// The scans of a file: interleaved, or each component for itself, baseline or progressive.
const SCANS: [(&str, &str); 3] = [
    ("separate", "0;\n1;\n2;\n"),
    ("luma, then chroma", "0;\n1 2;\n"),
    (
        "separate and progressive",
        "0: 0-0, 0, 1;\n1: 0-0, 0, 0;\n2: 0-0, 0, 0;\n0: 1-63, 0, 2;\n1: 1-63, 0, 0;\n2: 1-63, 0, 0;\n0: 1-63, 2, 1;\n0: 0-0, 1, 0;\n0: 1-63, 1, 0;\n",
    ),
];

/// Waves and edges of strong colours.
fn drawn(width: u32, height: u32) -> Picture {
    let value = |i: u32| {
        let (x, y, c) = ((i / 3 % width) as f32, (i / 3 / width) as f32, (i % 3) as f32);
        let edge = if (x / 9.0 + c) as u32 % 2 == (y / 7.0) as u32 % 2 { 60.0 } else { 0.0 };
        (110.0 + 60.0 * (x * 0.3 + 2.0 * c).sin() + 40.0 * (y * 0.2 - c).cos() + edge) as u8
    };
    Picture::from_rgb(width, height, (0..width * height * 3).map(value).collect())
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("-version").output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// The bytes that `cjpeg` writes, or `None` where it refuses the options.
fn cjpeg(folder: &Path, picture: &Picture, options: &[&str]) -> Option<Vec<u8>> {
    let input = folder.join(format!("{}x{}.ppm", picture.width, picture.height));
    if !input.exists() {
        fs::write(&input, encode(picture, PictureFormat::Ppm).unwrap()).unwrap();
    }
    let output = Command::new("cjpeg").args(options).arg(&input).output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// The colours that `djpeg` decodes.
fn djpeg(folder: &Path, jpeg: &[u8]) -> Option<Vec<u8>> {
    let path = folder.join("x.jpg");
    fs::write(&path, jpeg).unwrap();
    let output = Command::new("djpeg").arg("-pnm").arg(&path).output().unwrap();
    output.status.success().then(|| decode(&output.stdout, &Limits::default()).unwrap().rgb)
}

/// Checks a file against `djpeg`: at most two levels, and half a level on average, or an error that says what is not supported.
fn check(folder: &Path, jpeg: &[u8], name: &str) {
    let found = decode(jpeg, &Limits::default());
    let Some(expected) = djpeg(folder, jpeg) else {
        let error = found.err().unwrap_or_else(|| panic!("{name}: decoded, and djpeg fails")).to_string();
        assert!(error.contains("not supported"), "{name}: {error}");
        return;
    };
    let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(found.rgb.len(), expected.len(), "{name}");
    let differences = found.rgb.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences.clone().map(u64::from).sum();
    assert!(differences.max() <= Some(2) && 2 * sum < expected.len() as u64, "{name}: {sum} levels in all");
}

/// All luma factors with plain chroma, all chroma factors with plain luma, and every `step`-th of all others.
fn sampling_factors(step: usize) -> Vec<Factors> {
    let factors: Vec<(u32, u32)> = (0..16).map(|i| (1 + i % 4, 1 + i / 4)).collect();
    let mut all: Vec<Factors> = factors.iter().flat_map(|&f| [[f, (1, 1), (1, 1)], [(1, 1), f, f]]).collect();
    all.extend((0..4096).step_by(step).map(|i| [factors[i % 16], factors[i / 16 % 16], factors[i / 256]]));
    all
}

/// `AEZ_ALL_JPEGS=1` tries all 4,096 combinations of factors instead of some.
#[test]
fn jpegs_of_every_sampling_decode_as_djpeg_does() {
    if !is_installed("cjpeg") || !is_installed("djpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scripts: Vec<_> = SCANS.iter().map(|(name, script)| (*name, write(&folder, name, script))).collect();
    let step = if std::env::var_os("AEZ_ALL_JPEGS").is_some() { 1 } else { 37 };
    let pictures = [drawn(33, 21), drawn(70, 50), drawn(5, 3)];
    let mut checked = 0;
    for (index, factors) in sampling_factors(step).into_iter().enumerate() {
        let picture = &pictures[index % pictures.len()];
        let sampling = factors.map(|(h, v)| format!("{h}x{v}")).join(",");
        let mut kinds: Vec<(&str, Vec<&str>)> = vec![
            ("baseline", vec![]),
            ("progressive", vec!["-progressive"]),
            ("restarts", vec!["-restart", "1"]),
        ];
        kinds.extend(scripts.iter().map(|(name, script)| (*name, vec!["-scans", script.as_str()])));
        kinds.push(("separate with restarts", vec!["-restart", "2B", "-scans", scripts[0].1.as_str()]));
        for (kind, options) in kinds {
            let options = [&["-quality", "85", "-sample", &sampling][..], &options].concat();
            // An interleaved unit has at most ten blocks.
            if let Some(jpeg) = cjpeg(folder.path(), picture, &options) {
                check(folder.path(), &jpeg, &format!("{kind} {sampling}"));
                checked += 1;
            }
        }
    }
    println!("{checked} files");
    assert!(checked > 200, "only {checked} files");
}

fn write(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(format!("{name}.txt"));
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn gray_rgb_and_arithmetic_jpegs_decode_as_djpeg_does() {
    if !is_installed("cjpeg") || !is_installed("djpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(1, 1), (17, 9), (64, 64)] {
        for options in [
            &["-grayscale"][..],
            &["-grayscale", "-progressive"],
            &["-grayscale", "-restart", "1"],
            &["-grayscale", "-sample", "3x4"],
            &["-rgb"],
            &["-rgb", "-progressive"],
            &["-arithmetic"],
            &["-arithmetic", "-progressive"],
        ] {
            let jpeg =
                cjpeg(folder.path(), &drawn(width, height), options).expect("options that cjpeg knows");
            check(folder.path(), &jpeg, &format!("{options:?} of {width}x{height}"));
            assert_eq!(decode(&jpeg, &Limits::default()).unwrap().gray, options[0] == "-grayscale");
        }
    }
}

#[test]
fn jpegs_of_four_inks_decode_as_djpeg_does() {
    if !is_installed("djpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for factors in [
        [(1, 1); 4],
        [(2, 2), (1, 1), (1, 1), (2, 2)],
        [(2, 1), (1, 1), (1, 1), (2, 1)],
        [(1, 2), (1, 1), (1, 1), (1, 2)],
        [(2, 2), (2, 1), (1, 2), (1, 1)],
        [(1, 1), (2, 2), (2, 2), (1, 1)],
        [(4, 1), (1, 1), (1, 1), (1, 1)],
    ] {
        for is_progressive in [false, true] {
            for mode in [ScanMode::AllComponentsTogether, ScanMode::ScanPerComponent] {
                let jpeg = inks(factors, is_progressive, mode);
                check(folder.path(), &jpeg, &format!("inks {factors:?}, progressive: {is_progressive}"));
            }
        }
    }
}

/// A CMYK file whose components have these factors.
fn inks(factors: [(i32, i32); 4], is_progressive: bool, mode: ScanMode) -> Vec<u8> {
    let (width, height) = (50, 39);
    let mut compress = Compress::new(ColorSpace::JCS_CMYK);
    compress.set_size(width, height);
    compress.set_quality(85.0);
    for (component, factors) in compress.components_mut().iter_mut().zip(factors) {
        (component.h_samp_factor, component.v_samp_factor) = factors;
    }
    if is_progressive {
        compress.set_progressive_mode();
    } else {
        compress.set_scan_optimization_mode(mode);
    }
    let colours = drawn(width as u32, height as u32).rgb;
    let samples: Vec<u8> =
        colours.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255 - g / 2]).collect();
    let mut started = compress.start_compress(Vec::new()).unwrap();
    started.write_scanlines(&samples).unwrap();
    started.finish().unwrap()
}

/// Files that `cjpeg` wrote of [`drawn`] pictures, for machines without it: the red, green and blue levels that `djpeg` decodes, at some
/// places.
#[test]
fn kept_jpegs_decode_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jpeg");
    let mut checked = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            let found = decode(&fs::read(&path).unwrap(), &Limits::default()).unwrap();
            let expected =
                decode(&fs::read(path.with_extension("png")).unwrap(), &Limits::default()).unwrap();
            let largest = found.rgb.iter().zip(&expected.rgb).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(largest <= Some(2), "{}: {largest:?}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked} files");
}
