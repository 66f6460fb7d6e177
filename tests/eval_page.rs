//! `aez eval --out`: the comparison with other codecs, and the report page, also in a browser if one is installed.

mod common;

use std::{fs, path::Path};

use common::TestFolder;
use predicates::{prelude::*, str::contains};
use serde_json::Value;

/// A folder with two pictures. The name of one of them has characters that HTML must escape.
fn folder() -> TestFolder {
    let folder = TestFolder::new();
    folder.draw("photos/<b>&'.png", 60, 40);
    folder.draw("photos/wide.png", 260, 30);
    folder
}

fn eval(folder: &TestFolder, args: &[&str]) -> assert_cmd::Command {
    folder.aez(&[&["eval", "photos", "-Q", "20,80"], args].concat())
}

#[test]
fn missing_programs_are_named_and_skipped() {
    let folder = folder();
    let all = ["--codecs", "aez,jpeg,webp,avif,jxl", "--out", "out"];
    let run = eval(&folder, &all).env("PATH", "").assert().success();
    let packages = ["libjpeg-turbo-progs", "webp", "libavif-bin", "libjxl-tools"];
    let run =
        packages.iter().fold(run, |run, package| run.stderr(contains(format!("apt install {package}`"))));
    run.stdout(contains("aez").and(contains("jpeg").not()));
    let results: Value = serde_json::from_str(&folder.text("out/results.json")).unwrap();
    assert_eq!(results["curves"].as_object().unwrap().len(), 1);
    assert_eq!(results["images"].as_array().unwrap().len(), 4);

    let none = eval(&folder, &["--codecs", "jxl"]).env("PATH", "").assert().code(1);
    none.stderr(contains("none of the codecs can be measured"));
    eval(&folder, &["--codecs", "gif"]).assert().code(2).stderr(contains("possible values: aez, jpeg"));
}

#[test]
fn published_curves_are_plotted() {
    let folder = folder();
    let curves =
        r#"{"mine": {"bpp": [0.5, 1], "psnr": [25, 31], "ms_ssim": [0.8, 0.9], "source": "a paper"}}"#;
    folder.write("anchors/kodak_rd.json", curves);
    let anchors = ["--anchors", "anchors", "--out", "out", "--anchor-names"];
    eval(&folder, &anchors).arg("mine").assert().success().stderr("");
    for name in ["out/psnr.svg", "out/ms-ssim.svg", "out/index.html"] {
        assert!(folder.text(name).contains("mine (published)"), "{name}");
    }
    assert!(folder.text("out/ssimulacra2.svg").contains("SSIMULACRA 2"));
    assert!(folder.text("out/index.html").contains("a paper"));
    eval(&folder, &anchors).arg("yours").assert().code(1).stderr(contains("there are mine"));
    eval(&folder, &["--anchors", "anchors"]).assert().code(2).stderr(contains("--out"));
}

#[test]
fn the_page_shows_the_given_number_of_pictures() {
    let folder = folder();
    folder.write("model.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
    for (count, expected) in [("0", 0), ("1", 1), ("9", 2)] {
        eval(&folder, &["--out", "out", "-f", "--page-pictures", count]).assert().success();
        let page = folder.text("out/index.html");
        assert_eq!(page.matches("class=\"sample\"").count(), expected);
        assert_eq!(page.matches("data:image/png").count(), expected * 3, "the original and two qualities");
        assert_eq!(page.matches("data:image/svg+xml").count(), 1, "the loss curve of the model");
    }
}

#[test]
fn existing_files_are_kept_without_force() {
    let folder = folder();
    for name in ["index.html", "results.json", "psnr.svg", "ms-ssim.svg", "ssimulacra2.svg"] {
        let file = format!("out/{name}");
        folder.write(&file, "precious");
        let refused = eval(&folder, &["--out", "out"]).assert().code(1);
        refused.stderr(contains(format!("{file} exists")).and(contains("--force")));
        assert_eq!(folder.read(&file), b"precious");
        fs::remove_file(folder.path(&file)).unwrap();
    }
}

/// A script that runs when the page is loaded. It writes the number of images, of images that were decoded, of requests,
/// and whether the page is wider than the window into an element.
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
fn a_browser_shows_the_page_without_errors() {
    let folder = folder();
    let args = ["--codecs", "aez,jpeg", "--out", "out"];
    eval(&folder, &args).assert().success();
    let page = folder.text("out/index.html");
    let images = page.matches("<img ").count();
    assert!(images >= 6, "{images}");
    // The policy of the page forbids scripts; that of the copy allows them.
    let page =
        page.replace("style-src 'unsafe-inline'", "style-src 'unsafe-inline'; script-src 'unsafe-inline'");
    let copy = folder.path("copy.html");
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

/// The document after its scripts have run, and the log of the browser. `None` if no browser is installed.
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
