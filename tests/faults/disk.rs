//! No room, no rights, no input, no reader.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use super::{Place, assert_fails, count, text};

/// A shell's way to a disk on which files end after so many blocks of 512 bytes.
fn full_after(blocks: u32) -> String {
    format!("trap '' XFSZ; ulimit -f {blocks}")
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let place = Place::new();
    place.draw("a.png", 200, 150);
    place.run(&["compress", "a.png"]);
    place.write("old.bmp", "the old file");
    place.write("old.aez", "the old file");
    for round in 0..count("AEZ_FAULT_ROUNDS", 4) {
        for (args, output, blocks) in [
            (["decompress", "--force", "a.aez", "old.bmp"], "old.bmp", round % 170),
            (["compress", "--force", "a.png", "old.aez"], "old.aez", 0),
        ] {
            let failed = place.aez_after(&full_after(blocks), &args).output().unwrap();
            assert_fails(&failed, &["cannot write old.", "File too large"]);
            assert_eq!(place.read(output), b"the old file", "{blocks} blocks");
            assert_eq!(place.sweep(), 0, "a temporary file is left");
        }
    }
}

/// Where nobody told the system to ask for an error instead of sending a signal, the old file is there as well.
#[test]
fn a_file_size_signal_leaves_the_old_file() {
    let place = Place::new();
    place.draw("a.png", 200, 150);
    place.run(&["compress", "a.png"]);
    place.write("old.bmp", "the old file");
    let ended =
        place.aez_after("ulimit -f 3", &["decompress", "--force", "a.aez", "old.bmp"]).output().unwrap();
    assert!(!ended.status.success());
    assert_eq!(place.read("old.bmp"), b"the old file");
}

#[test]
fn a_full_device_is_told() {
    if !Path::new("/dev/full").exists() {
        return println!("skipped: there is no /dev/full");
    }
    let place = Place::new();
    place.draw("a.png", 40, 30);
    place.run(&["compress", "a.png"]);
    for args in [&["compress", "a.png", "-"][..], &["decompress", "a.aez", "-"], &["info", "a.aez"], &["man"]]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.aez(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_fails(&output, &["cannot write to standard output", "No space left on device"]);
    }
    assert_fails(
        &place.aez(&["compress", "a.png", "/dev/full"]).output().unwrap(),
        &["/dev/full", "No space left"],
    );
}

#[test]
fn a_reader_that_leaves_in_the_middle_is_no_error() {
    let place = Place::new();
    place.draw("a.png", 400, 300);
    place.run(&["compress", "a.png"]);
    for args in ["decompress a.aez - --format bmp", "man", "completions bash"] {
        // Without a pipefail the status of a pipe is that of its end: the program's own goes through a file.
        let script =
            format!(r#"{{ "$0" --quiet --model model {args}; echo $? > status; }} | head -c 10 > taken"#);
        let shell = std::process::Command::new("/bin/sh")
            .current_dir(&place.folder)
            .args(["-c", &script, env!("CARGO_BIN_EXE_aez")])
            .output()
            .unwrap();
        assert_eq!(text(&shell), "", "{args}");
        assert_eq!((place.read("status"), place.read("taken").len()), (b"0\n".to_vec(), 10), "{args}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told() {
    let place = Place::new();
    place.draw("a.png", 40, 30);
    let folder = place.path("locked");
    fs::create_dir(&folder).unwrap();
    place.write("locked/old.aez", "the old file");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.join("probe"), "").is_ok() {
        return println!("skipped: this user may write everywhere");
    }
    for args in
        [&["compress", "a.png", "locked/new.aez"][..], &["compress", "--force", "a.png", "locked/old.aez"]]
    {
        assert_fails(&place.aez(args).output().unwrap(), &["cannot write locked/", "Permission denied"]);
    }
    assert_eq!(place.read("locked/old.aez"), b"the old file");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_input_that_is_gone_or_no_file_is_told() {
    let place = Place::new();
    fs::create_dir(place.path("folder.png")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("dangling.png")).unwrap();
    for (input, reason) in [
        ("gone.png", "No such file"),
        ("dangling.png", "No such file"),
        ("folder.png", "Is a directory"),
        ("folder.png/x.png", "No such file"),
    ] {
        for command in ["compress", "decompress"] {
            let output = place.aez(&[command, input, "out.bin.aez.png"]).output().unwrap();
            if command == "decompress" {
                assert_fails(&output, &["cannot read", input, reason]);
            } else {
                assert_eq!(output.status.code(), Some(2), "the second is named like a picture");
            }
            assert_fails(
                &place.aez(&["compress", input, "out"]).output().unwrap(),
                &["cannot read", input, reason],
            );
        }
    }
    assert!(!place.path("out").exists());
}
