//! Where the `aez` binary writes: through links, to devices and pipes, never over an input, and with which names.

mod common;

use std::{fs, path::Path};

use common::TestFolder;
use predicates::{prelude::*, str::contains};

/// A folder with the pictures `a.png` and `b.png`.
fn folder() -> TestFolder {
    let folder = TestFolder::new();
    folder.draw("a.png", 24, 16);
    folder.draw("b.png", 16, 24);
    folder
}

/// Checks that a command is wrong usage and leaves all of the files as they are.
fn refuses(folder: &TestFolder, args: &[&str], message: &str) {
    let names = folder.files(".");
    let content = |names: &[String]| -> Vec<_> {
        names.iter().filter(|name| folder.path(name).is_file()).map(|name| folder.read(name)).collect()
    };
    let before = content(&names);
    folder.aez(args).assert().code(2).stdout("").stderr(contains(message));
    assert_eq!(folder.files("."), names, "{args:?}");
    assert!(content(&names) == before, "{args:?} changed a file");
}

#[test]
fn an_input_is_never_the_output() {
    let folder = folder();
    folder.run(&["compress", "a.png"]);
    fs::copy(folder.path("a.png"), folder.path("photo")).unwrap();
    fs::copy(folder.path("a.aez"), folder.path("coded")).unwrap();
    fs::hard_link(folder.path("photo"), folder.path("hard")).unwrap();
    fs::create_dir(folder.path("sub")).unwrap();
    for args in [
        &["compress", "-f", "photo", "photo"][..],
        &["compress", "-f", "photo", "./photo"],
        &["compress", "-f", "photo", "sub/../photo"],
        &["compress", "-f", "photo", "hard"],
        &["compress", "-f", "photo", "-o", "photo"],
        &["compress", "-f", "a.png", "model"],
        &["compress", "-f", "a.aez"],
        &["decompress", "-f", "a.aez", "a.aez"],
        &["decompress", "-f", "--format", "png", "coded", "coded"],
        &["decompress", "-f", "--format", "aez", "a.aez"],
        &["decompress", "-f", "--format", "png", "a.png", "coded", "-o", "."],
        &["preview", "-f", "--decode", "AAAA", "model"],
    ] {
        refuses(&folder, args, "");
    }
    refuses(&folder, &["compress", "-f", "photo", "hard"], "the output hard is one of the inputs");
    // The input of the second job is the output of the first.
    fs::hard_link(folder.path("coded"), folder.path("sub/a.png")).unwrap();
    let message = "sub/a.png is one of the inputs";
    refuses(&folder, &["decompress", "-f", "a.aez", "coded", "-o", "sub"], message);
}

#[test]
fn two_files_of_one_kind_are_not_an_input_and_an_output() {
    let folder = folder();
    folder.run(&["compress", "a.png"]);
    for name in ["two.gif", "two.pgm", "photo"] {
        folder.write(name, folder.read("b.png"));
        refuses(&folder, &["compress", "-f", "a.png", name], "-o");
        refuses(&folder, &["compress", "a.png", name], "-o");
    }
    folder.write("b.aez", folder.read("a.aez"));
    folder.write("coded", folder.read("a.aez"));
    for name in ["b.aez", "coded"] {
        refuses(&folder, &["decompress", "-f", "--format", "png", "a.aez", name], "-o");
    }
}

#[test]
fn a_training_picture_is_not_overwritten() {
    let folder = folder();
    folder.write("photos/cat.png", folder.read("a.png"));
    let train = ["train", "--data", "photos", "--epochs", "0", "--out", "photos/cat", "-f"];
    folder.aez(&train).assert().code(2).stderr(contains("photos/cat.png is one of the inputs"));
    assert_eq!(folder.read("photos/cat.png"), folder.read("a.png"));
    let again = ["train", "--data", "photos", "--epochs", "0", "--init", "model", "--out", "model", "-f"];
    folder.aez(&again).assert().code(2).stderr(contains("model is one of the inputs"));
}

#[test]
fn one_output_has_the_name_that_the_user_typed() {
    let folder = folder();
    folder.run(&["compress", "a.png", "-o", "out.aez"]);
    folder.run(&["-j", "1", "compress", "-o", "first.aez", "-q", "75", "-e", "0", "--", "a.png"]);
    folder.run(&["encode", "a.png", "--output=long.aez", "-Q75"]);
    assert_eq!(folder.read("out.aez"), folder.read("first.aez"));
    assert_eq!(folder.read("out.aez"), folder.read("long.aez"));
    assert_eq!(folder.run(&["compress", "a.png", "-o", "-"]), folder.read("out.aez"));
    folder.run(&["decompress", "out.aez", "-o", "res.png"]);
    assert_eq!(folder.size("res.png"), (24, 16));
    folder.run(&["decode", "out.aez", "-o", "res/"]);
    folder.run(&["compress", "a.png", "b.png", "--out-dir", "res"]);
    assert_eq!(folder.files("res"), ["a.aez", "b.aez", "out.png"]);
    folder.run(&["compress", "a.png", "-q", "50", "small.aez"]);
    assert_eq!(folder.json(&["info", "--json", "small.aez"])["quality"], 50);
    refuses(&folder, &["compress", "a.png", "50"], "the quality is -q 50");
    refuses(&folder, &["compress", "a.png", "b.png", "-o", "out.aez"], "not a folder");
    let text = String::from_utf8(folder.run(&["preview", "a.png"])).unwrap();
    folder.run(&["preview", "--decode", text.trim(), "-o", "decoded.png"]);
    assert!(folder.exists("decoded.png"));
    for version in ["-v", "-V", "--version"] {
        folder.aez(&[version]).assert().success().stdout(contains(env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn folders_are_compressed_with_their_subfolders() {
    let folder = folder();
    for name in ["in/x.png", "in/a/x.png", "in/b/x.PNG"] {
        folder.write(name, folder.read("a.png"));
    }
    for name in ["in/._x.png", "in/.DS_Store", "in/a/Thumbs.db", "in/notes.txt"] {
        folder.write(name, "no picture");
    }
    // The outputs in an input folder are no inputs.
    folder.write("in/out/old.png", "no picture");
    folder.run(&["compress", "in", "-o", "in/out"]);
    assert_eq!(folder.files("in/out"), ["a", "b", "old.png", "x.aez"]);
    assert!(folder.exists("in/out/a/x.aez") && folder.exists("in/out/b/x.aez"));
    folder.run(&["decompress", "in/out", "-o", "back"]);
    assert_eq!(folder.files("back"), ["a", "b", "x.png"]);
    // Of several folders, each keeps its name.
    folder.run(&["compress", "in/a", "in/b", "a.png", "-o", "named"]);
    assert_eq!(folder.files("named"), ["a", "a.aez", "b"]);
    fs::remove_dir_all(folder.path("in/out")).unwrap();
    folder.run(&["compress", "in"]);
    assert!(folder.exists("in/x.aez") && folder.exists("in/a/x.aez"));
    let previews = String::from_utf8(folder.run(&["preview", "in"])).unwrap();
    assert_eq!(previews.lines().count(), 3, "{previews}");
    assert!(previews.contains("\tin/a/x.png\n"), "{previews}");

    fs::create_dir(folder.path("empty")).unwrap();
    for (command, inputs) in [("compress", "pictures"), ("decompress", ".aez files"), ("preview", "pictures")]
    {
        let message = format!("aez: the folder empty contains no {inputs}");
        folder.aez(&[command, "empty"]).assert().code(1).stderr(contains(message));
    }
    refuses(&folder, &["compress", "in", "named"], "-o");
    folder.write("in/x.bmp", "");
    refuses(&folder, &["compress", "in", "-o", "two"], "two of the files would be written to two/x.aez");
}

#[test]
fn existing_outputs_are_skipped_on_request() {
    let folder = folder();
    folder.write("out/a.aez", "precious");
    let skip = ["compress", "a.png", "b.png", "-o", "out", "--skip-existing"];
    folder.aez(&skip).assert().success().stderr("aez: skipped 1 of 2 files: their outputs exist\n");
    assert_eq!(folder.read("out/a.aez"), b"precious");
    assert!(folder.len("out/b.aez") > 20);
    folder.run(&[&skip[..], &["--quiet"]].concat());
    refuses(&folder, &[&skip[..], &["--force"]].concat(), "--skip-existing");
}

#[test]
fn the_modification_time_is_kept_on_request() {
    let folder = folder();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let input = fs::File::options().write(true).open(folder.path("a.png")).unwrap();
    input.set_modified(old).unwrap();
    let modified = |name: &str| fs::metadata(folder.path(name)).unwrap().modified().unwrap();
    folder.run(&["compress", "--preserve", "a.png"]);
    assert_eq!(modified("a.aez"), old);
    folder.run(&["compress", "a.png", "new.aez"]);
    assert_ne!(modified("new.aez"), old);
}

#[test]
fn a_refused_output_leaves_no_folder() {
    let folder = folder();
    folder.aez(&["compress", "a.png", "sub/a.png", "-o", "new"]).assert().code(2);
    folder.aez(&["compress", "missing.png", "-o", "new"]).assert().code(1);
    assert!(!folder.exists("new"));
}

#[test]
fn messages_are_single_lines() {
    let folder = folder();
    let check = |args: &[&str], code: i32, message: &str| {
        let done = folder.aez(args).assert().code(code).stderr(contains(message));
        let text = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
    };
    check(&["compress", "a\n\u{1b}[31m.png"], 1, r"cannot read a\n\u{1b}[31m.png: No such file");
    check(&["compress", "a.png", "\n.png"], 2, r"the output \n.png");
    check(&["compress", "a.png", "b", "c"], 2, "name one with -o (see 'aez help')");
    check(&["compress", "a.png", "--max-pixels", "9"], 1, "; --max-pixels raises it");
    check(&["compress", "a.png", "--max-memory", "900"], 1, "--max-memory raises");
    folder.write("photos/a.png", folder.read("a.png"));
    let pack = ["dataset", "pack", "photos", "-o", "packed", "--max-pixels", "9"];
    check(&pack, 1, "photos/a.png: number of pixels of 384 exceeds the limit of 9; --max-pixels raises it");
    check(&["eval", "gone/"], 1, "gone/");
    folder.draw("wide.png", 66_000, 1);
    check(&["compress", "wide.png"], 1, "scale the picture down");
    let info = folder.aez(&["info", "a.png"]).assert().code(1);
    info.stderr(contains("--max-").not());
}

#[cfg(unix)]
mod unix {
    use std::{
        os::unix::fs::{PermissionsExt, symlink},
        process::Command,
    };

    use super::*;

    fn is_link(folder: &TestFolder, name: &str) -> bool {
        fs::symlink_metadata(folder.path(name)).unwrap().is_symlink()
    }

    #[test]
    fn a_link_is_followed_and_its_file_needs_force() {
        let folder = folder();
        folder.write("sub/old.aez", "precious");
        symlink("sub/old.aez", folder.path("link.aez")).unwrap();
        symlink("sub/new.aez", folder.path("dangling.aez")).unwrap();
        folder.aez(&["compress", "a.png", "link.aez"]).assert().code(1).stderr(contains("link.aez exists"));
        folder.run(&["compress", "-f", "a.png", "link.aez"]);
        folder.run(&["compress", "a.png", "dangling.aez"]);
        assert_eq!(folder.read("sub/old.aez"), folder.read("sub/new.aez"));
        assert!(is_link(&folder, "link.aez") && is_link(&folder, "dangling.aez"));
        symlink("sub", folder.path("folder.aez")).unwrap();
        refuses(&folder, &["compress", "-f", "a.png", "folder.aez"], "folder.aez is a folder");
        folder.run(&["compress", "a.png", "-o", "folder.aez"]);
        assert!(folder.exists("sub/a.aez"));
        symlink("loop.aez", folder.path("loop.aez")).unwrap();
        let cycle = folder.aez(&["compress", "-f", "a.png", "loop.aez"]).assert().code(1);
        cycle.stderr(contains("cannot write loop.aez"));
        symlink("a.png", folder.path("to_a")).unwrap();
        refuses(&folder, &["compress", "-f", "a.png", "to_a"], "is one of the inputs");
    }

    #[test]
    fn the_mode_of_an_overwritten_file_is_kept() {
        let folder = folder();
        folder.write("secret.aez", "");
        let mode =
            |bits| fs::set_permissions(folder.path("secret.aez"), fs::Permissions::from_mode(bits)).unwrap();
        mode(0o600);
        folder.run(&["compress", "-f", "a.png", "secret.aez"]);
        let found = fs::metadata(folder.path("secret.aez")).unwrap().permissions().mode();
        assert_eq!(found & 0o777, 0o600);
        mode(0o444);
        let refused = folder.aez(&["compress", "-f", "b.png", "secret.aez"]).assert().code(1);
        refused.stderr(contains("aez: cannot write secret.aez: ").and(contains(".aez-").not()));
    }

    /// Runs a script of the shell in which `$aez` is the binary with its options.
    fn shell(folder: &TestFolder, script: &str) -> std::process::Output {
        let script = format!(r#"aez="$0 --model model"; {script}"#);
        let mut command = Command::new("/bin/sh");
        command.current_dir(folder.root()).args(["-c", &script, env!("CARGO_BIN_EXE_aez")]).output().unwrap()
    }

    #[test]
    fn open_files_are_written_and_not_replaced() {
        let folder = folder();
        let expected = folder.run(&["compress", "a.png", "-"]);
        symlink("/dev/fd/3", folder.path("link")).unwrap();
        for script in [
            "$aez compress a.png /dev/stdout > f",
            "$aez compress -f a.png /dev/stdout > f",
            "$aez compress a.png -o /dev/stdout > f",
            "$aez compress a.png /dev/fd/3 3> f",
            "$aez compress a.png link 3> f",
            "$aez compress a.png /dev/stdout | cat > f",
            "$aez compress /dev/stdin < a.png > f",
            "mkfifo p; cat p > f & $aez compress a.png p; wait; test -p p",
        ] {
            let done = shell(&folder, script);
            assert!(done.status.success() && done.stderr.is_empty(), "{script}: {done:?}");
            assert!(folder.read("f") == expected, "{script}");
            assert!(!folder.exists("/dev/stdin.aez"), "{script}");
        }
        for script in [
            "echo x > f; $aez compress a.png /dev/stdout >> f",
            "(echo x; $aez compress a.png /dev/stdout) > f",
        ] {
            assert!(shell(&folder, script).status.success());
            assert!(folder.read("f") == [b"x\n", &expected[..]].concat(), "{script}");
        }
        assert!(!fs::symlink_metadata("/dev/stdout").is_ok_and(|found| found.is_file()));
        let same = shell(&folder, "$aez compress -f - a.png < a.png");
        assert_eq!(same.status.code(), Some(2), "{same:?}");
    }

    #[test]
    fn a_full_device_is_an_error_and_stays_a_device() {
        if !Path::new("/dev/full").exists() {
            return println!("skipped: there is no /dev/full");
        }
        let folder = folder();
        symlink("/dev/full", folder.path("full.aez")).unwrap();
        for output in ["/dev/full", "full.aez"] {
            let full = folder.aez(&["compress", "a.png", output]).assert().code(1);
            full.stderr(contains(format!("cannot write {output}: No space left")));
        }
        assert!(is_link(&folder, "full.aez"));
        folder.run(&["compress", "a.png", "/dev/null"]);
    }

    #[test]
    fn other_outputs_follow_links_too() {
        let folder = folder();
        symlink("real.html", folder.path("index.html")).unwrap();
        folder.run(&["eval", "a.png", "-q", "50", "--out", ".", "--quiet"]);
        assert!(is_link(&folder, "index.html") && folder.len("real.html") > 100);
        symlink("real.png", folder.path("decoded.png")).unwrap();
        let text = String::from_utf8(folder.run(&["preview", "a.png"])).unwrap();
        folder.run(&["preview", "--decode", text.trim(), "decoded.png"]);
        assert!(is_link(&folder, "decoded.png") && folder.exists("real.png"));
        fs::create_dir(folder.path("packed")).unwrap();
        symlink("../train", folder.path("packed/train_X.bin")).unwrap();
        folder.write("photos/a.png", folder.read("a.png"));
        folder.run(&["dataset", "pack", "photos", "-o", "packed", "--test-fraction", "0"]);
        assert_eq!(folder.len("train"), 3 * 96 * 96);
    }

    #[test]
    fn folders_without_permission_are_named_and_not_the_temporary_file() {
        let folder = folder();
        folder.write("locked/x", "");
        fs::set_permissions(folder.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
        let done = folder.aez(&["compress", "a.png", "locked/a.aez"]).assert();
        fs::set_permissions(folder.path("locked"), fs::Permissions::from_mode(0o755)).unwrap();
        if done.get_output().status.success() {
            return println!("skipped: this user may write everywhere");
        }
        done.code(1).stderr("aez: cannot write locked/a.aez: Permission denied (os error 13)\n");
    }
}
