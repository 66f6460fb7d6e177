//! The `aez` binary on files and pipes, with the tiny model.

mod common;

use std::{fs, process::Stdio};

use aez::{Limits, picture};
use aez_core::testing::tiny_tiled;
use common::TestFolder;
use predicates::{prelude::*, str::contains};
use serde_json::Value;

/// A folder with the picture `a.png` of 40x25 pixels.
fn folder() -> TestFolder {
    let folder = TestFolder::new();
    folder.draw("a.png", 40, 25);
    folder
}

#[test]
fn files_are_compressed_and_decompressed() {
    let folder = folder();
    assert!(folder.run(&["compress", "a.png"]).is_empty());
    folder.run(&["decompress", "a.aez", "b.png"]);
    assert_eq!(folder.size("b.png"), (40, 25));
    folder.run(&["compress", "a.png", "small.aez", "--quality", "5"]);
    assert!(folder.len("small.aez") < folder.len("a.aez"));
    folder.run(&["decompress", "small.aez", "--format", "jpg"]);
    assert!(folder.read("small.jpg").starts_with(b"\xff\xd8"));
}

#[test]
fn pipes_are_compressed_and_decompressed() {
    let folder = folder();
    let compressed =
        folder.aez(&["compress", "-"]).pipe_stdin(folder.path("a.png")).unwrap().output().unwrap();
    assert!(compressed.status.success() && compressed.stderr.is_empty());
    assert_eq!(compressed.stdout, folder.run(&["compress", "a.png", "-"]));
    let decompressed = folder.aez(&["decompress", "-", "-"]).write_stdin(compressed.stdout).output().unwrap();
    assert!(decompressed.status.success() && decompressed.stderr.is_empty());
    let picture = picture::decode(&decompressed.stdout, &Limits::default()).unwrap();
    assert_eq!((picture.width, picture.height), (40, 25));
    let empty = folder.aez(&["compress", "-"]).write_stdin("").assert().code(1);
    empty.stderr(contains("aez: standard input: the file is empty"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = folder();
    for args in [&["compress", "a.png", "-"][..], &["completions", "bash"], &["info", "model"], &["man"]] {
        let mut command = folder.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn files_are_not_overwritten_unless_forced() {
    let folder = folder();
    folder.write("a.aez", "precious");
    folder
        .aez(&["compress", "a.png"])
        .assert()
        .code(1)
        .stderr(contains("a.aez exists").and(contains("--force")));
    assert_eq!(folder.read("a.aez"), b"precious");
    folder.run(&["compress", "a.png", "--force"]);
    assert_ne!(folder.read("a.aez"), b"precious");
    // The default output is the original picture.
    folder.aez(&["decompress", "a.aez"]).assert().code(1).stderr(contains("a.png exists"));
}

#[test]
fn two_pictures_are_not_an_input_and_an_output() {
    let folder = folder();
    folder.draw("b.png", 9, 9);
    let before = folder.read("b.png");
    folder.aez(&["compress", "a.png", "b.png", "--force"]).assert().code(2).stderr(contains("-o"));
    assert_eq!(folder.read("b.png"), before);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let folder = folder();
    folder.draw("b.png", 9, 9);
    folder.write("bad.png", "no picture");
    folder
        .aez(&["compress", "bad.png", "a.png", "missing.png", "b.png", "-o", "out/new"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("aez: cannot read missing.png: No such file"))
        .stderr(contains("bad.png").and(contains("2 of 4 files failed")));
    folder.run(&["decompress", "out/new/a.aez", "out/new/b.aez", "-o", "out", "--format", "bmp"]);
    assert_eq!(folder.size("out/a.bmp"), (40, 25));
    assert_eq!(folder.size("out/b.bmp"), (9, 9));
    assert!(!folder.exists("out/new/bad.aez"));
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let folder = folder();
    for (args, message) in [
        (&["compress"][..], "IN... [OUT | -o OUT | -o DIR]"),
        (&["compress", "a", "b", "c"], "-o"),
        (&["compress", "a.png", "."], "-o ."),
        (&["compress", "a.png", "--quality", "0"], "1..=100"),
        (&["compress", "a.png", "--quality", "101"], "1..=100"),
        (&["compress", "-", "-o", "out"], "no name"),
        (&["compress", "a.png", "x/a.png", "-o", "out"], "two of the files"),
        (&["decompress", "a.aez", "a.xyz"], "xyz"),
        (&["compress", "a.png", "--device", "toaster"], "cuda:N"),
        (&["compress", "a.png", "--threads", "0"], "threads"),
        (&["compress", "a.png", "-q", "50", "--target-bytes", "100"], "cannot be used with"),
        (&["compress", "a.png", "--target-psnr", "30", "--target-bytes", "100"], "cannot be used with"),
        (&["compress", "a.png", "--target-psnr", "nan"], "1 to 100"),
        (&["preview", "a.png", "--bytes", "15"], "16..=200"),
        (&["preview", "a.png", "--size", "3x4"], "--decode"),
        (&["preview", "--decode", "abc", "x.png", "y.png"], "one file"),
        (&["preview", "--decode", "abc", "x.png", "--size", "3x0"], "320x200"),
        (&["preview", "--decode", "abc", "x.xyz"], "xyz"),
        (&["man", "no-such-thing"], "no-such-thing"),
        (&["no-such-thing"], "no-such-thing"),
    ] {
        folder.aez(args).assert().code(2).stdout("").stderr(contains(message));
    }
    assert!(!folder.exists("out"));
}

#[test]
fn failures_name_their_cause() {
    let folder = folder();
    folder.write("b.aez", "no such file");
    for (args, message) in [
        (&["decompress", "b.aez"][..], "aez: b.aez: not an AEZ file"),
        (&["compress", "missing.png"], "aez: cannot read missing.png: No such file"),
        (&["compress", "a.png", "no/such/folder/a.aez"], "no/such/folder/a.aez: No such file"),
        (&["compress", "a.png", "--max-pixels", "999"], "number of pixels of 1000 exceeds the limit of 999"),
        (&["compress", "a.png", "--max-memory", "1k"], "exceeds the limit of 1000"),
        (&["info", "b.aez"], "b.aez: not a usable AEZ model"),
        (&["info", "missing"], "cannot read missing"),
        (&["eval", "missing"], "cannot read missing"),
        (
            &["compress", "a.png", "--target-bytes", "9"],
            "a.png: the picture does not fit into 9 bytes: the smallest",
        ),
        (&["compress", "a.png", "--target-psnr", "99"], "a.png: the picture does not reach 99 dB: the best"),
        (&["preview", "--decode", "A?", "x.png"], "aez: not a valid preview: it is not base64url"),
        (&["preview", "--decode", "AAAA", "x.png"], "its check fails"),
    ] {
        folder.aez(args).assert().code(1).stderr(contains(message));
    }
}

#[test]
fn targets_are_met_and_a_missed_target_is_reported() {
    let folder = folder();
    folder.draw("b.png", 90, 70);
    folder.run(&["compress", "b.png", "--target-bytes", "200"]);
    assert!((196..=200).contains(&folder.len("b.aez")), "{}", folder.len("b.aez"));
    folder.aez(&["compress", "b.png", "c.aez", "--target-psnr", "20"]).assert().success();
    folder.run(&["decompress", "c.aez"]);
    assert!(picture::psnr(&folder.picture("b.png"), &folder.picture("c.png")).unwrap() >= 20.0);
    let missed = folder.aez(&["compress", "b.png", "d.aez", "--target-bytes", "1M"]).assert().success();
    missed.stderr(contains(format!("aez: warning: b.png: {} bytes instead of 1000000", folder.len("d.aez"))));
}

#[test]
fn previews_are_encoded_and_decoded() {
    let folder = folder();
    folder.draw("b.png", 30, 90);
    let text = String::from_utf8(folder.run(&["preview", "a.png", "--bytes", "16"])).unwrap();
    let text = text.trim_end();
    assert!(text.len() <= 22, "{text}");
    folder.run(&["preview", "--decode", text, "out.png"]);
    assert_eq!(folder.size("out.png"), (16, 10));
    folder.aez(&["preview", "--decode", text, "out.png"]).assert().code(1).stderr(contains("out.png exists"));
    let mut decode = folder.aez(&["preview", "--decode", "-", "-", "--size", "70x31"]);
    let png = decode.write_stdin(format!("{text}\n")).output().unwrap().stdout;
    let decoded = picture::decode(&png, &Limits::default()).unwrap();
    assert_eq!((decoded.width, decoded.height), (70, 31));

    let several = folder.aez(&["preview", "a.png", "missing.png", "b.png", "--bytes", "16"]).assert().code(1);
    let several = several.stdout(contains(format!("{text}\ta.png\n")).and(contains("\tb.png\n")));
    several.stderr(contains("1 of 3 files failed"));
    let json = folder.json(&["preview", "a.png", "--json", "--bytes", "16"]);
    assert_eq!(json[0]["preview"], text);
    assert_eq!((&json[0]["path"], &json[0]["width"]), (&"a.png".into(), &40.into()));
}

#[test]
fn a_text_chooses_its_built_in_model() {
    let folder = TestFolder::with_built_in_models();
    folder.draw("a.png", 120, 80);
    let text = |model: &[&str]| {
        let text = folder.run(&[&["preview", "a.png", "--bytes", "21"], model].concat());
        String::from_utf8(text).unwrap().trim_end().to_owned()
    };
    let (default, small, tile) = (text(&[]), text(&["--model", "preview"]), text(&["--model", "tile"]));
    assert_eq!(default, small);
    assert_ne!(default, tile);
    for (text, model, other) in [(&small, "preview", "tile"), (&tile, "tile", "preview")] {
        assert!(text.len() <= 28, "{text}");
        folder.run(&["preview", "-f", "--decode", text, "found.png"]);
        folder.run(&["preview", "-f", "--decode", text, "named.png", "--model", model]);
        assert_eq!(folder.size("found.png"), (96, 64));
        assert_eq!(folder.picture("found.png").rgb, folder.picture("named.png").rgb);
        let wrong =
            folder.aez(&["preview", "--decode", text, "wrong.png", "--model", other]).assert().code(1);
        wrong.stderr(contains("was made with a model of the family"));
    }
}

#[test]
fn the_model_for_previews_makes_no_files() {
    let folder = TestFolder::with_built_in_models();
    folder.draw("a.png", 120, 80);
    let compress = folder.aez(&["compress", "a.png", "--model", "preview"]).assert().failure();
    compress.stderr(contains("for previews and not for files"));
}

#[test]
fn info_accounts_for_every_byte_of_a_file() {
    let folder = folder();
    folder.run(&["compress", "a.png", "-q", "40"]);
    let info = folder.json(&["info", "a.aez", "--json"]);
    let total = folder.len("a.aez");
    let number = |name: &str| info[name].as_u64().unwrap_or_else(|| panic!("{name} in {info}"));
    assert_eq!((number("width"), number("height"), number("quality")), (40, 25, 40));
    assert_eq!((number("format_version"), number("total_bytes")), (1, total));
    let edge = tiny_tiled().tile() as u64;
    assert_eq!(number("tiles"), 40_u64.div_ceil(edge) * 25_u64.div_ceil(edge));
    assert!(number("header_bytes") <= 16);
    assert_eq!(number("header_bytes") + number("payload_bytes"), total);
    assert_eq!(info["bits_per_pixel"], total as f64 * 8.0 / 1000.0);
    assert_eq!(info["model_id"], tiny_tiled().id().to_string());
    assert!(["zstd", "range"].contains(&info["coder"].as_str().unwrap()));
    let text = folder.aez(&["info", "-"]).pipe_stdin(folder.path("a.aez")).unwrap().assert().success();
    text.stdout(contains("40 x 25").and(contains(format!("{total} bytes"))));
    folder.write("bad", "no model");
    for (model, message) in [("bad", "not a usable AEZ model"), ("missing", "cannot read the model missing")]
    {
        let mut aez = assert_cmd::cargo::cargo_bin_cmd!("aez");
        let unread = aez.current_dir(folder.root()).args(["info", "a.aez", "--model", model]).assert();
        unread.code(1).stdout("").stderr(contains(message));
    }
}

#[test]
fn info_describes_a_model() {
    let folder = folder();
    let id = tiny_tiled().id().to_string();
    assert_eq!(folder.json(&["info", "model", "--json"])["model_id"], id.as_str());
    folder.aez(&["info", "model"]).assert().success().stdout(contains(id));
}

#[test]
fn eval_measures_folders_and_files() {
    let folder = folder();
    folder.draw("more/deep/b.png", 70, 50);
    folder.write("more/bad.png", "no picture");
    let sweep = ["eval", "more", "a.png", "--square", "32", "-Q", "20,80", "--out", "results"];
    let table =
        folder.aez(&sweep).assert().code(1).stderr(contains("bad.png").and(contains("1 of 3 files failed")));
    table.stdout(contains("unquantized").and(contains("MS-SSIM")));
    let results: Value = serde_json::from_slice(&folder.read("results/results.json")).unwrap();
    let rows = results["images"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let bits = row["bytes"].as_f64().unwrap() * 8.0;
        assert_eq!(row["bpp"].as_f64().unwrap(), bits / 1024.0);
    }
    let curve = results["curves"]["aez"].as_array().unwrap();
    assert_eq!(curve.iter().map(|point| point["quality"].as_u64().unwrap()).collect::<Vec<_>>(), [20, 80]);
    assert!(curve[0]["bytes"].as_f64() < curve[1]["bytes"].as_f64());
    assert!(curve[0]["psnr"].as_f64() < curve[1]["psnr"].as_f64());
}

#[test]
fn a_folder_is_packed_as_a_data_set() {
    let folder = folder();
    folder.draw("photos/a.png", 120, 100);
    folder.draw("photos/b.png", 50, 60);
    let pack = ["dataset", "pack", "photos", "--out", "packed", "--test-fraction", "0"];
    folder.run(&pack);
    assert_eq!((folder.len("packed/train_X.bin"), folder.len("packed/test_X.bin")), (2 * 3 * 96 * 96, 0));
    folder.aez(&pack).assert().code(1).stderr(contains("train_X.bin exists"));
    folder.write("photos/bad.png", "no picture");
    folder
        .aez(&pack)
        .arg("--force")
        .assert()
        .code(1)
        .stderr(contains("bad.png").and(contains("1 of 3 files failed")));
}

#[test]
fn a_failed_download_names_the_address() {
    let folder = folder();
    // A port that was free a moment ago: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/x.tar.gz");
    folder.aez(&["dataset", "fetch", "stl10", "out", "--url", &url]).assert().code(1).stderr(contains(url));
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            String::from_utf8(folder.run(&["completions", shell])).unwrap().contains("decompress"),
            "{shell}"
        );
    }
    let page = |args: &[&str]| String::from_utf8(folder.run(args)).unwrap();
    assert!(page(&["man"]).contains("decompress"));
    assert!(page(&["man", "compress"]).contains("quality"));
}

/// Programs built without the feature `cuda` have no GPU support, and others may not find such a GPU. Both fail before
/// they write anything.
#[test]
fn a_missing_gpu_is_an_error() {
    let folder = folder();
    fs::create_dir(folder.path("photos")).unwrap();
    folder.run(&["compress", "a.png"]);
    let (code, reason) =
        if cfg!(feature = "cuda") { (1, "CUDA device 99") } else { (2, "built without CUDA") };
    for args in [
        &["compress", "a.png", "b.aez"][..],
        &["decompress", "a.aez", "b.png"],
        &["eval", "a.png"],
        &["bench"],
        &["train", "--data", "photos", "--out", "b"],
    ] {
        let device = [args, &["--device", "cuda:99"]].concat();
        folder.aez(&device).assert().code(code).stdout("").stderr(contains(reason));
    }
    for name in ["b.aez", "b.png", "b"] {
        assert!(!folder.exists(name), "{name}");
    }
}
