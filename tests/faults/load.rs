//! Many pictures in one call, some of them damaged: all others are converted, each damaged one is reported with its reason,
//! and the memory use does not grow with their number.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use aez::{
    Picture,
    picture::{self, PictureFormat},
};

use super::{count, folder, stderr};
use crate::common::waves;

/// Maximum memory use of a process in KiB, far less than a thousand of these pictures need together.
const MAX_MEMORY: u64 = 48 << 10;

/// One picture of the mixture: the name and the bytes of its file, and for a damaged one a part of the expected message.
fn picture(index: u32) -> (String, Vec<u8>, Option<&'static str>) {
    let (width, height) = (1 + index * 37 % 190, 1 + index * 53 % 140);
    let plain = waves(width, height, index);
    let alpha = (0..width * height).map(|i| (i % width) as u8).collect();
    let gray = || plain.rgb.chunks_exact(3).flat_map(|pixel| [pixel[0]; 3]).collect();
    let (picture, format, extension) = match index % 10 {
        0 => (plain.with_alpha(Some(alpha)), PictureFormat::Png, "png"),
        1 => (Picture::from_rgb(width, height, gray()).with_gray(true), PictureFormat::Png, "png"),
        2 => (plain, PictureFormat::Jpeg, "jpg"),
        3 => (plain, PictureFormat::WebP, "webp"),
        4 => (plain, PictureFormat::Bmp, "bmp"),
        5 => (plain, PictureFormat::Tiff, "tiff"),
        6 => (plain.with_alpha(Some(alpha)), PictureFormat::Qoi, "qoi"),
        7 => (plain, PictureFormat::Ppm, "ppm"),
        _ => (plain, PictureFormat::Png, "png"),
    };
    let mut bytes = picture::encode(&picture, format).unwrap();
    let fault = match index % 25 {
        8 => {
            bytes.truncate(bytes.len() / 2);
            Some("cut short")
        }
        14 => {
            bytes = b"not a picture at all".to_vec();
            Some("not a picture")
        }
        18 => {
            bytes.clear();
            Some("empty")
        }
        _ => None,
    };
    (format!("in/{index:04}.{extension}"), bytes, fault)
}

/// Runs a command until it ends. Returns its output and its peak memory use in KiB.
fn run(command: &mut Command) -> (Output, u64) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut max = 0;
        // There is no such line after the process has ended.
        while let Some(peak) = fs::read_to_string(&status).ok().as_deref().and_then(peak_memory) {
            max = max.max(peak);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        max
    });
    let output = child.wait_with_output().unwrap();
    (output, watcher.join().unwrap())
}

fn peak_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Checks that exactly the bad files are reported, each with its reason, and that they are counted.
fn check(output: &Output, bad: &[(String, &str)], total: u32) {
    let messages = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    for (name, reason) in bad {
        let line = messages.lines().find(|line| line.contains(name.as_str()));
        let line = line.unwrap_or_else(|| panic!("no message about {name}: {messages}"));
        assert!(line.contains(reason), "{line:?} does not contain {reason:?}");
    }
    assert_eq!(messages.lines().count(), bad.len() + 1, "{messages}");
    assert!(messages.ends_with(&format!("aez: {} of {total} files failed\n", bad.len())), "{messages}");
}

#[test]
fn bad_files_among_many_do_not_affect_the_others() {
    let total = count("AEZ_LOAD", 100);
    let folder = folder();
    let mut bad = Vec::new();
    let mut inputs = Vec::new();
    for (name, bytes, fault) in (0..total).map(picture) {
        folder.write(&name, bytes);
        bad.extend(fault.map(|reason| (name.clone(), reason)));
        inputs.push(name);
    }
    let (output, compress_peak) = run(folder.command(&["compress", "-o", "small"]).args(&inputs));
    check(&output, &bad, total);
    let files = folder.files("small");
    assert_eq!(files.len() as u32 + bad.len() as u32, total);

    // Every ninth of these files is damaged, in one of four ways.
    let mut damaged = Vec::new();
    for (index, name) in files.iter().enumerate().step_by(9) {
        let mut bytes = folder.read(&format!("small/{name}"));
        let (reason, length) = match index % 4 {
            0 => ("not an AEZ file", 0),
            1 => ("checksum", bytes.len() - 1),
            2 => ("damaged AEZ file", 5),
            _ => ("checksum", bytes.len()),
        };
        bytes.truncate(length);
        if let Some(last) = bytes.last_mut() {
            *last ^= 0x80;
        }
        folder.write(&format!("small/{name}"), bytes);
        damaged.push((format!("small/{name}"), reason));
    }
    let inputs: Vec<String> = files.iter().map(|name| format!("small/{name}")).collect();
    let (output, decompress_peak) = run(folder.command(&["decompress", "-o", "big"]).args(&inputs));
    check(&output, &damaged, files.len() as u32);
    assert_eq!(folder.files("big").len(), files.len() - damaged.len());
    for name in folder.files("big") {
        let index: u32 = name[..4].parse().unwrap();
        let size = folder.size(&format!("big/{name}"));
        assert_eq!(size, (1 + index * 37 % 190, 1 + index * 53 % 140), "{name}");
    }
    println!(
        "{total} pictures: {} bad, {} damaged; at most {compress_peak} and {decompress_peak} KiB",
        bad.len(),
        damaged.len()
    );
    assert!(compress_peak.max(decompress_peak) < MAX_MEMORY, "{compress_peak}, {decompress_peak} KiB");
}
