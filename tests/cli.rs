//! The real program, through files and pipes, with a tiny model.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use aez::{
    Limits,
    picture::{self, Picture, PictureFormat},
};
use assert_cmd::Command;
use predicates::{prelude::*, str::contains};
use serde_json::Value;

/// A folder of its own for each test, with a model and a picture in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(place.path("model"), aez::model::tiny_bytes()).unwrap();
        place.draw("a.png", 40, 25);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn draw(&self, name: &str, width: u32, height: u32) {
        let rgb =
            (0..width * height).flat_map(|i| [(i % width * 4) as u8, (i / width * 7) as u8, 99]).collect();
        let png = picture::encode(&Picture::from_rgb(width, height, rgb), PictureFormat::Png).unwrap();
        fs::write(self.path(name), png).unwrap();
    }

    /// The program in this folder.
    fn aez(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aez"));
        command.current_dir(&self.folder).args(["--model", "model"]).args(args);
        command
    }

    /// Runs and expects success in silence, but for what it returns: the standard output.
    fn run(&self, args: &[&str]) -> Vec<u8> {
        self.aez(args).assert().success().stderr("").get_output().stdout.clone()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.run(args)).unwrap()
    }
}

fn size(path: &Path) -> (u32, u32) {
    let picture = picture::read(path, &Limits::default()).unwrap();
    (picture.width, picture.height)
}

#[test]
fn a_picture_goes_through_files() {
    let place = Place::new();
    assert!(place.run(&["compress", "a.png"]).is_empty());
    place.run(&["decompress", "a.aez", "b.png"]);
    assert_eq!(size(&place.path("b.png")), (40, 25));
    place.run(&["compress", "a.png", "small.aez", "--quality", "5"]);
    let len = |name| fs::metadata(place.path(name)).unwrap().len();
    assert!(len("small.aez") < len("a.aez"));
    place.run(&["decompress", "small.aez", "--format", "jpg"]);
    assert!(fs::read(place.path("small.jpg")).unwrap().starts_with(b"\xff\xd8"));
}

#[test]
fn a_picture_goes_through_pipes() {
    let place = Place::new();
    let compressed = place.aez(&["compress", "-"]).pipe_stdin(place.path("a.png")).unwrap().output().unwrap();
    assert!(compressed.status.success() && compressed.stderr.is_empty());
    assert_eq!(compressed.stdout, place.run(&["compress", "a.png", "-"]));
    let decompressed = place.aez(&["decompress", "-", "-"]).write_stdin(compressed.stdout).output().unwrap();
    assert!(decompressed.status.success() && decompressed.stderr.is_empty());
    let picture = picture::decode(&decompressed.stdout, &Limits::default()).unwrap();
    assert_eq!((picture.width, picture.height), (40, 25));
    let nothing = place.aez(&["compress", "-"]).write_stdin("").assert().code(1);
    nothing.stderr(contains("aez: standard input: not a picture"));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let place = Place::new();
    let command = |args: &[&str]| {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("aez"));
        command.current_dir(&place.folder).args(["--model", "model"]).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for args in [&["compress", "a.png", "-"][..], &["completions", "bash"], &["info", "model"], &["man"]] {
        let mut child = command(args);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn files_are_not_overwritten_unless_forced() {
    let place = Place::new();
    fs::write(place.path("a.aez"), "precious").unwrap();
    place
        .aez(&["compress", "a.png"])
        .assert()
        .code(1)
        .stderr(contains("a.aez exists").and(contains("--force")));
    assert_eq!(fs::read(place.path("a.aez")).unwrap(), b"precious");
    place.run(&["compress", "a.png", "--force"]);
    assert_ne!(fs::read(place.path("a.aez")).unwrap(), b"precious");
    // The picture itself would be in the way.
    place.aez(&["decompress", "a.aez"]).assert().code(1).stderr(contains("a.png exists"));
}

#[test]
fn two_pictures_are_not_an_input_and_an_output() {
    let place = Place::new();
    place.draw("b.png", 9, 9);
    let before = fs::read(place.path("b.png")).unwrap();
    place.aez(&["compress", "a.png", "b.png", "--force"]).assert().code(2).stderr(contains("-o"));
    assert_eq!(fs::read(place.path("b.png")).unwrap(), before);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let place = Place::new();
    place.draw("b.png", 9, 9);
    fs::write(place.path("bad.png"), "no picture").unwrap();
    place
        .aez(&["compress", "bad.png", "a.png", "missing.png", "b.png", "-o", "out/new"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("aez: cannot read missing.png: No such file"))
        .stderr(contains("bad.png").and(contains("2 of 4 files failed")));
    place.run(&["decompress", "out/new/a.aez", "out/new/b.aez", "-o", "out", "--format", "bmp"]);
    assert_eq!(size(&place.path("out/a.bmp")), (40, 25));
    assert_eq!(size(&place.path("out/b.bmp")), (9, 9));
    assert!(!place.path("out/new/bad.aez").exists());
}

#[test]
fn wrong_use_is_told_from_failure() {
    let place = Place::new();
    for (args, complaint) in [
        (&["compress"][..], "IN... [OUT | -o DIR]"),
        (&["compress", "a", "b", "c"], "-o"),
        (&["compress", "a.png", "."], "-o ."),
        (&["compress", "a.png", "--quality", "0"], "1..=100"),
        (&["compress", "a.png", "--quality", "101"], "1..=100"),
        (&["compress", "-", "-o", "out"], "no name"),
        (&["compress", "a.png", "x/a.png", "-o", "out"], "two of the files"),
        (&["decompress", "a.aez", "a.xyz"], "xyz"),
        (&["compress", "a.png", "--device", "toaster"], "cuda:N"),
        (&["compress", "a.png", "--threads", "0"], "threads"),
        (&["compress", "a.png", "-Q", "50", "--target-bytes", "100"], "cannot be used with"),
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
        place.aez(args).assert().code(2).stdout("").stderr(contains(complaint));
    }
    assert!(!place.path("out").exists());
}

#[test]
fn failures_name_their_cause() {
    let place = Place::new();
    fs::write(place.path("b.aez"), "no such file").unwrap();
    for (args, complaint) in [
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
        (&["compress", "a.png", "--target-psnr", "99"], "a.png: the picture cannot reach 99 dB: the best"),
        (
            &["preview", "--decode", "A?", "x.png"],
            "aez: not a preview that can be shown: it is not base64url",
        ),
        (&["preview", "--decode", "AAAA", "x.png"], "its check fails"),
    ] {
        place.aez(args).assert().code(1).stderr(contains(complaint));
    }
}

#[test]
fn targets_are_met_and_a_miss_is_remarked_upon() {
    let place = Place::new();
    place.draw("b.png", 90, 70);
    place.run(&["compress", "b.png", "--target-bytes", "200"]);
    let len = |name| fs::metadata(place.path(name)).unwrap().len();
    assert!((196..=200).contains(&len("b.aez")), "{}", len("b.aez"));
    place.aez(&["compress", "b.png", "c.aez", "--target-psnr", "20"]).assert().success();
    place.run(&["decompress", "c.aez"]);
    let read = |name: &str| picture::read(&place.path(name), &Limits::default()).unwrap();
    assert!(picture::psnr(&read("b.png"), &read("c.png")).unwrap() >= 20.0);
    let remark = place.aez(&["compress", "b.png", "d.aez", "--target-bytes", "1M"]).assert().success();
    remark.stderr(contains(format!("b.png: {} bytes are as near to 1000000 as it comes", len("d.aez"))));
}

#[test]
fn previews_are_printed_and_shown() {
    let place = Place::new();
    place.draw("b.png", 30, 90);
    let text = String::from_utf8(place.run(&["preview", "a.png", "--bytes", "16"])).unwrap();
    let text = text.trim_end();
    assert!(text.len() <= 22, "{text}");
    place.run(&["preview", "--decode", text, "out.png"]);
    assert_eq!(size(&place.path("out.png")), (16, 10));
    place.aez(&["preview", "--decode", text, "out.png"]).assert().code(1).stderr(contains("out.png exists"));
    let mut show = place.aez(&["preview", "--decode", "-", "-", "--size", "70x31"]);
    let png = show.write_stdin(format!("{text}\n")).output().unwrap().stdout;
    let shown = picture::decode(&png, &Limits::default()).unwrap();
    assert_eq!((shown.width, shown.height), (70, 31));

    let several = place.aez(&["preview", "a.png", "missing.png", "b.png", "--bytes", "16"]).assert().code(1);
    let several = several.stdout(contains(format!("{text}\ta.png\n")).and(contains("\tb.png\n")));
    several.stderr(contains("1 of 3 files failed"));
    let json = place.json(&["preview", "a.png", "--json", "--bytes", "16"]);
    assert_eq!(json[0]["preview"], text);
    assert_eq!((&json[0]["path"], &json[0]["width"]), (&"a.png".into(), &40.into()));
}

#[test]
fn info_accounts_for_every_byte_of_a_file() {
    let place = Place::new();
    place.run(&["compress", "a.png", "-Q", "40"]);
    let info = place.json(&["info", "a.aez", "--json"]);
    let total = fs::metadata(place.path("a.aez")).unwrap().len();
    let number = |name: &str| info[name].as_u64().unwrap_or_else(|| panic!("{name} in {info}"));
    assert_eq!((number("width"), number("height"), number("quality")), (40, 25, 40));
    assert_eq!((number("format_version"), number("total_bytes")), (1, total));
    let edge = aez::model::tiny().tile() as u64;
    assert_eq!(number("tiles"), 40_u64.div_ceil(edge) * 25_u64.div_ceil(edge));
    assert!(number("header_bytes") <= 16);
    assert_eq!(number("header_bytes") + number("payload_bytes"), total);
    assert_eq!(info["bits_per_pixel"], total as f64 * 8.0 / 1000.0);
    assert_eq!(info["model_id"], aez::model::tiny().id().to_string());
    assert!(["zstd", "range"].contains(&info["coder"].as_str().unwrap()));
    let text = place.aez(&["info", "-"]).pipe_stdin(place.path("a.aez")).unwrap().assert().success();
    text.stdout(contains("40 x 25").and(contains(format!("{total} bytes"))));
}

#[test]
fn info_tells_of_a_model() {
    let place = Place::new();
    let id = aez::model::tiny().id().to_string();
    assert_eq!(place.json(&["info", "model", "--json"])["model_id"], id.as_str());
    place.aez(&["info", "model"]).assert().success().stdout(contains(id));
}

#[test]
fn eval_measures_folders_and_files() {
    let place = Place::new();
    fs::create_dir_all(place.path("more/deep")).unwrap();
    place.draw("more/deep/b.png", 70, 50);
    fs::write(place.path("more/bad.png"), "no picture").unwrap();
    let sweep = ["eval", "more", "a.png", "--square", "32", "-Q", "20,80", "--out", "results"];
    let table =
        place.aez(&sweep).assert().code(1).stderr(contains("bad.png").and(contains("1 of 3 files failed")));
    table.stdout(contains("unquantized").and(contains("MS-SSIM")));
    let results: Value =
        serde_json::from_slice(&fs::read(place.path("results/results.json")).unwrap()).unwrap();
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
    let place = Place::new();
    fs::create_dir(place.path("photos")).unwrap();
    place.draw("photos/a.png", 120, 100);
    place.draw("photos/b.png", 50, 60);
    let pack = ["dataset", "pack", "photos", "--out", "packed", "--test-fraction", "0"];
    place.run(&pack);
    let len = |name| fs::metadata(place.path(name)).unwrap().len();
    assert_eq!((len("packed/train_X.bin"), len("packed/test_X.bin")), (2 * 3 * 96 * 96, 0));
    place.aez(&pack).assert().code(1).stderr(contains("train_X.bin exists"));
    fs::write(place.path("photos/bad.png"), "no picture").unwrap();
    place
        .aez(&pack)
        .arg("--force")
        .assert()
        .code(1)
        .stderr(contains("bad.png").and(contains("1 of 3 files failed")));
}

#[test]
fn a_data_set_that_cannot_be_had_is_a_failure() {
    let place = Place::new();
    // Nothing listens on a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/x.tar.gz");
    place.aez(&["dataset", "fetch", "stl10", "out", "--url", &url]).assert().code(1).stderr(contains(url));
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            String::from_utf8(place.run(&["completions", shell])).unwrap().contains("decompress"),
            "{shell}"
        );
    }
    let page = |args: &[&str]| String::from_utf8(place.run(args)).unwrap();
    assert!(page(&["man"]).contains("decompress"));
    assert!(page(&["man", "compress"]).contains("quality"));
}

/// Without the feature `cuda` there is nothing to run on a GPU, and with it there may be no such GPU: either is said before
/// anything is written.
#[test]
fn a_gpu_that_is_not_there_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("photos")).unwrap();
    place.run(&["compress", "a.png"]);
    let (code, reason) =
        if cfg!(feature = "cuda") { (1, "CUDA device 99") } else { (2, "built without CUDA") };
    for args in [
        &["compress", "a.png", "b.aez"][..],
        &["decompress", "a.aez", "b.png"],
        &["eval", "a.png"],
        &["bench"],
        &["train", "--data", "photos", "--out", "b"],
    ] {
        place.aez(args).args(["--device", "cuda:99"]).assert().code(code).stdout("").stderr(contains(reason));
    }
    for name in ["b.aez", "b.png", "b"] {
        assert!(!place.path(name).exists(), "{name}");
    }
}
