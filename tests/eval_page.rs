//! `aez eval --out`: the comparison with other codecs and the page, in a browser where there is one.

use std::{fs, path::Path};

use aez::picture::{self, Picture, PictureFormat};
use assert_cmd::Command;
use predicates::{prelude::*, str::contains};
use serde_json::Value;

/// Two pictures, one of them with a name that is hard to write down as HTML, and a model.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model"), aez::model::tiny_bytes()).unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for (name, width, height) in [("<b>&'.png", 60, 40), ("wide.png", 260, 30)] {
        let rgb = (0..width * height).flat_map(|i| [(i % width) as u8, (i / width * 5) as u8, 99]).collect();
        let png = picture::encode(&Picture::from_rgb(width, height, rgb), PictureFormat::Png).unwrap();
        fs::write(folder.path().join("photos").join(name), png).unwrap();
    }
    folder
}

fn eval(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aez"));
    command.current_dir(folder).args(["eval", "photos", "--model", "model", "-Q", "20,80"]).args(args);
    command
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn programs_that_are_missing_are_named_and_left_out() {
    let place = place();
    let all = ["--codecs", "aez,jpeg,webp,avif,jxl", "--out", "out"];
    let run = eval(place.path(), &all).env("PATH", "").assert().success();
    let packages = ["libjpeg-turbo-progs", "webp", "libavif-bin", "libjxl-tools"];
    let run =
        packages.iter().fold(run, |run, package| run.stderr(contains(format!("apt install {package}`"))));
    run.stdout(contains("aez").and(contains("jpeg").not()));
    let results: Value = serde_json::from_str(&text(place.path(), "out/results.json")).unwrap();
    assert_eq!(results["curves"].as_object().unwrap().len(), 1);
    assert_eq!(results["images"].as_array().unwrap().len(), 4);

    let none = eval(place.path(), &["--codecs", "jxl"]).env("PATH", "").assert().code(1);
    none.stderr(contains("none of the codecs can be measured"));
    eval(place.path(), &["--codecs", "gif"]).assert().code(2).stderr(contains("possible values: aez, jpeg"));
}

#[test]
fn published_curves_are_drawn() {
    let place = place();
    fs::create_dir(place.path().join("anchors")).unwrap();
    let curves =
        r#"{"mine": {"bpp": [0.5, 1], "psnr": [25, 31], "ms_ssim": [0.8, 0.9], "source": "a paper"}}"#;
    fs::write(place.path().join("anchors/kodak_rd.json"), curves).unwrap();
    let anchors = ["--anchors", "anchors", "--out", "out", "--anchor-names"];
    eval(place.path(), &anchors).arg("mine").assert().success().stderr("");
    for name in ["out/psnr.svg", "out/ms-ssim.svg", "out/index.html"] {
        assert!(text(place.path(), name).contains("mine (published)"), "{name}");
    }
    assert!(text(place.path(), "out/index.html").contains("a paper"));
    eval(place.path(), &anchors).arg("yours").assert().code(1).stderr(contains("there are mine"));
    eval(place.path(), &["--anchors", "anchors"]).assert().code(2).stderr(contains("--out"));
}

#[test]
fn the_page_shows_as_many_pictures_as_it_should() {
    let place = place();
    fs::write(place.path().join("model.svg"), "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    for (count, expected) in [("0", 0), ("1", 1), ("9", 2)] {
        eval(place.path(), &["--out", "out", "--page-pictures", count]).assert().success();
        let page = text(place.path(), "out/index.html");
        assert_eq!(page.matches("class=\"exhibit\"").count(), expected);
        assert_eq!(page.matches("data:image/png").count(), expected * 3, "the original and two qualities");
        assert_eq!(page.matches("data:image/svg+xml").count(), 1, "the model's training");
    }
}

/// Runs in the page once all is loaded, and leaves what it finds in an element.
const PROBE: &str = r#"<script>
addEventListener("load", () => {
  const images = [...document.images];
  const found = document.createElement("output");
  found.id = "probe";
  found.textContent = [
    images.length,
    images.filter(image => image.complete && image.naturalWidth > 0).length,
    performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:")).length,
    document.documentElement.scrollWidth > innerWidth,
  ].join(" ");
  document.body.append(found);
});
</script>"#;

#[test]
fn the_page_is_sound_in_a_browser() {
    let place = place();
    let args = ["--codecs", "aez,jpeg", "--out", "out"];
    eval(place.path(), &args).assert().success();
    let page = text(place.path(), "out/index.html");
    let images = page.matches("<img ").count();
    assert!(images >= 6, "{images}");
    // The page forbids scripts; the copy lets this one in.
    let page =
        page.replace("style-src 'unsafe-inline'", "style-src 'unsafe-inline'; script-src 'unsafe-inline'");
    let copy = place.path().join("copy.html");
    fs::write(&copy, page.replace("</body>", &format!("{PROBE}</body>"))).unwrap();
    for width in [400, 1200] {
        let Some((document, log)) = browse(&copy, width) else {
            println!("skipped: chromium is not installed");
            return;
        };
        let probe = document.split("id=\"probe\">").nth(1).and_then(|rest| rest.split('<').next());
        assert_eq!(probe, Some(&*format!("{images} {images} 0 false")), "{width} pixels wide: {log}");
        assert!(!log.contains("CONSOLE"), "{log}");
    }
}

/// The document after scripts have run, and what the browser said; `None` where there is no browser.
fn browse(page: &Path, width: u32) -> Option<(String, String)> {
    let profile = tempfile::tempdir().unwrap();
    let url = format!("file://{}", page.display());
    let output = std::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output();
    match output {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        output => {
            let output = output.unwrap();
            let [document, log] =
                [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            assert!(output.status.success(), "{log}");
            Some((document, log))
        }
    }
}
