//! Many pictures in one call, some of them broken: all good ones come through, each bad one is named with its reason, and
//! the memory does not grow with their number.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use aez::picture::{self, Picture, PictureFormat};

use super::{Place, count, draw, text};

/// Most memory that a process may take, in KiB: far less than all pictures together, were there a thousand.
const MOST_MEMORY: u64 = 48 << 10;

/// One picture of the mixture: its file name and bytes, and for a broken one what the complaint must say.
fn picture(index: u32) -> (String, Vec<u8>, Option<&'static str>) {
    let (width, height) = (1 + index * 37 % 190, 1 + index * 53 % 140);
    let plain = draw(width, height, index);
    let alpha = (0..width * height).map(|i| (i % width) as u8).collect();
    let gray = plain.rgb.chunks_exact(3).flat_map(|pixel| [pixel[0]; 3]).collect();
    let (picture, format, extension) = match index % 10 {
        0 => (Picture { alpha: Some(alpha), ..plain }, PictureFormat::Png, "png"),
        1 => (Picture { rgb: gray, gray: true, ..plain }, PictureFormat::Png, "png"),
        2 => (plain, PictureFormat::Jpeg, "jpg"),
        3 => (plain, PictureFormat::WebP, "webp"),
        4 => (plain, PictureFormat::Bmp, "bmp"),
        5 => (plain, PictureFormat::Tiff, "tiff"),
        6 => (Picture { alpha: Some(alpha), ..plain }, PictureFormat::Qoi, "qoi"),
        7 => (plain, PictureFormat::Ppm, "ppm"),
        _ => (plain, PictureFormat::Png, "png"),
    };
    let mut bytes = picture::encode(&picture, format).unwrap();
    let fault = match index % 25 {
        8 => {
            bytes.truncate(bytes.len() / 2);
            Some("damaged picture")
        }
        14 => {
            bytes = b"not a picture at all".to_vec();
            Some("damaged picture")
        }
        18 => {
            bytes.clear();
            Some("damaged picture")
        }
        _ => None,
    };
    (format!("in/{index:04}.{extension}"), bytes, fault)
}

/// Runs to the end, and tells the most memory that was seen meanwhile, in KiB.
fn run(command: &mut Command) -> (Output, u64) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        // The process is gone, or a zombie without memory, when there is no such line.
        while let Some(peak) = fs::read_to_string(&status).ok().as_deref().and_then(peak_memory) {
            most = most.max(peak);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        most
    });
    let output = child.wait_with_output().unwrap();
    (output, watcher.join().unwrap())
}

fn peak_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Checks that exactly the bad files are complained about, each with its reason, and counted.
fn check(output: &Output, bad: &[(String, &str)], total: u32) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (name, reason) in bad {
        let line = said.lines().find(|line| line.contains(name.as_str()));
        let line = line.unwrap_or_else(|| panic!("nothing is said of {name}: {said}"));
        assert!(line.contains(reason), "{line:?} does not say {reason:?}");
    }
    assert_eq!(said.lines().count(), bad.len() + 1, "{said}");
    assert!(said.ends_with(&format!("aez: {} of {total} files failed\n", bad.len())), "{said}");
}

#[test]
fn none_of_many_is_lost_for_another_that_is_bad() {
    let total = count("AEZ_LOAD", 100);
    let place = Place::new();
    fs::create_dir(place.path("in")).unwrap();
    let mut bad = Vec::new();
    let mut inputs = Vec::new();
    for (name, bytes, fault) in (0..total).map(picture) {
        place.write(&name, bytes);
        bad.extend(fault.map(|reason| (name.clone(), reason)));
        inputs.push(name);
    }
    let (output, compress_peak) = run(place.aez(&["compress", "-o", "small"]).args(&inputs));
    check(&output, &bad, total);
    let mut files = place.files("small");
    files.sort();
    assert_eq!(files.len() as u32 + bad.len() as u32, total);

    // Every ninth of what came out is damaged, each in its own way.
    let mut damaged = Vec::new();
    for (index, name) in files.iter().enumerate().step_by(9) {
        let mut bytes = place.read(&format!("small/{name}"));
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
        place.write(&format!("small/{name}"), bytes);
        damaged.push((format!("small/{name}"), reason));
    }
    let inputs: Vec<String> = files.iter().map(|name| format!("small/{name}")).collect();
    let (output, decompress_peak) = run(place.aez(&["decompress", "-o", "big"]).args(&inputs));
    check(&output, &damaged, files.len() as u32);
    assert_eq!(place.files("big").len(), files.len() - damaged.len());
    for name in place.files("big") {
        let index: u32 = name[..4].parse().unwrap();
        let found = picture::read(&place.path(&format!("big/{name}")), &aez::Limits::default()).unwrap();
        assert_eq!((found.width, found.height), (1 + index * 37 % 190, 1 + index * 53 % 140), "{name}");
    }
    println!(
        "{total} pictures: {} bad, {} damaged; at most {compress_peak} and {decompress_peak} KiB",
        bad.len(),
        damaged.len()
    );
    assert!(compress_peak.max(decompress_peak) < MOST_MEMORY, "{compress_peak}, {decompress_peak} KiB");
}
