//! A full disk, missing permissions, missing inputs, closed pipes.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use super::{assert_fails, count, folder, remove_temporary_files, stderr};

/// A shell command after which files cannot grow beyond that many blocks of 512 bytes.
fn full_after(blocks: u32) -> String {
    format!("trap '' XFSZ; ulimit -f {blocks}")
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = folder();
    folder.draw("a.png", 200, 150);
    folder.run(&["compress", "a.png"]);
    folder.write("old.bmp", "the old file");
    folder.write("old.aez", "the old file");
    for round in 0..count("AEZ_FAULT_ROUNDS", 4) {
        for (args, output, blocks) in [
            (["decompress", "--force", "a.aez", "old.bmp"], "old.bmp", round % 170),
            (["compress", "--force", "a.png", "old.aez"], "old.aez", 0),
        ] {
            let failed = folder.command_after(&full_after(blocks), &args).output().unwrap();
            assert_fails(&failed, &["cannot write old.", "File too large"]);
            assert_eq!(folder.read(output), b"the old file", "{blocks} blocks");
            assert_eq!(remove_temporary_files(&folder), 0, "a temporary file is left");
        }
    }
}

/// By default, the system sends a signal for a file that is too large. The old file stays then, too.
#[test]
fn a_file_size_signal_leaves_the_old_file() {
    let folder = folder();
    folder.draw("a.png", 200, 150);
    folder.run(&["compress", "a.png"]);
    folder.write("old.bmp", "the old file");
    let ended =
        folder.command_after("ulimit -f 3", &["decompress", "--force", "a.aez", "old.bmp"]).output().unwrap();
    assert!(!ended.status.success());
    assert_eq!(folder.read("old.bmp"), b"the old file");
}

#[test]
fn a_full_device_is_an_error() {
    if !Path::new("/dev/full").exists() {
        return println!("skipped: there is no /dev/full");
    }
    let folder = folder();
    folder.draw("a.png", 40, 30);
    folder.run(&["compress", "a.png"]);
    for args in [&["compress", "a.png", "-"][..], &["decompress", "a.aez", "-"], &["info", "a.aez"], &["man"]]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = folder.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_fails(&output, &["cannot write to standard output", "No space left on device"]);
    }
    assert_fails(
        &folder.command(&["compress", "a.png", "/dev/full"]).output().unwrap(),
        &["/dev/full", "No space left"],
    );
}

#[test]
fn a_pipe_closed_in_the_middle_is_no_error() {
    let folder = folder();
    folder.draw("a.png", 400, 300);
    folder.run(&["compress", "a.png"]);
    for args in ["decompress a.aez - --format bmp", "man", "completions bash"] {
        // The exit status of a pipeline is that of its last command. The status of the binary is passed in a file.
        let script =
            format!(r#"{{ "$0" --quiet --model model {args}; echo $? > status; }} | head -c 10 > taken"#);
        let shell = std::process::Command::new("/bin/sh")
            .current_dir(folder.root())
            .args(["-c", &script, env!("CARGO_BIN_EXE_aez")])
            .output()
            .unwrap();
        assert_eq!(stderr(&shell), "", "{args}");
        assert_eq!((folder.read("status"), folder.read("taken").len()), (b"0\n".to_vec(), 10), "{args}");
    }
}

#[test]
fn a_folder_without_write_permission_is_an_error() {
    let folder = folder();
    folder.draw("a.png", 40, 30);
    folder.write("locked/old.aez", "the old file");
    let locked = folder.path("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        return println!("skipped: this user may write everywhere");
    }
    for args in
        [&["compress", "a.png", "locked/new.aez"][..], &["compress", "--force", "a.png", "locked/old.aez"]]
    {
        assert_fails(&folder.command(args).output().unwrap(), &["cannot write locked/", "Permission denied"]);
    }
    assert_eq!(folder.read("locked/old.aez"), b"the old file");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_input_that_is_missing_or_no_file_is_an_error() {
    let folder = folder();
    std::os::unix::fs::symlink("nowhere", folder.path("dangling.png")).unwrap();
    for (input, reason) in
        [("gone.png", "No such file"), ("dangling.png", "No such file"), ("folder/x.png", "No such file")]
    {
        for command in ["compress", "decompress"] {
            let output = folder.command(&[command, input, "out.bin.aez.png"]).output().unwrap();
            if command == "decompress" {
                assert_fails(&output, &["cannot read", input, reason]);
            } else {
                assert_eq!(output.status.code(), Some(2), "the output has the extension of a picture");
            }
            assert_fails(
                &folder.command(&["compress", input, "out"]).output().unwrap(),
                &["cannot read", input, reason],
            );
        }
    }
    assert!(!folder.exists("out"));
}
