//! The text of the page.

use super::*;
use crate::{
    Distortion,
    anchors::AnchorPoint,
    plot,
    results::tests::{results as results_of, row as row_of},
};

const NAME: &str = "<img src=x onerror='alert(1)'>&\".png";

fn results() -> Results {
    let row = |codec: &str, quality: u32| Row {
        path: NAME.into(),
        codec: codec.into(),
        ..row_of(quality, u64::from(quality) * 100, 20.0 + f64::from(quality))
    };
    let mut results = results_of(vec![row("aez", 1), row("aez", 2), row("webp", 14), row("webp", 15)]);
    let [version, encode, decode] = ["1 < 2", "enc", "dec"].map(str::to_owned);
    results.programs.insert("webp".into(), Programs { version, encode, decode });
    results
}

fn page() -> String {
    let results = results();
    let distortion = Distortion { psnr: 20.0, ms_ssim: 0.5, ssimulacra2: Some(40.0) };
    let version = |codec: &str, too_large| {
        let (codec, png) = (codec.to_owned(), vec![4, 5, 6]);
        Version { codec, quality: 7, bytes: 12_345, distortion, too_large, png }
    };
    let sample = Sample {
        name: NAME.into(),
        width: 500,
        height: 100,
        original: vec![1, 2, 3],
        versions: vec![version("aez", false), version("webp", true)],
    };
    let anchor = Anchor {
        name: "a&b".into(),
        points: vec![AnchorPoint { bpp: 1.0, psnr: 30.0, ms_ssim: None }],
        source: Some("<b>".into()),
    };
    let plots = [(Metric::Psnr, plot::draw(&results, std::slice::from_ref(&anchor), Metric::Psnr).unwrap())];
    let (anchors, samples) = (&[anchor], &[sample]);
    Page { plots: &plots, anchors, samples, training: Some("<svg/>"), ..Page::new(&results) }.html()
}

#[test]
fn names_are_escaped_and_nothing_is_loaded() {
    let html = page();
    assert!(
        !html.contains("<img src=x")
            && html.contains("&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;.png")
    );
    assert!(html.contains("a&amp;b") && html.contains("1 &lt; 2") && html.contains("<code>&lt;b&gt;</code>"));
    let without_namespaces = html.replace("http://www.w3.org/2000/svg", "");
    assert!(!without_namespaces.contains("http://") && !without_namespaces.contains("https://"));
    assert!(!html.contains("<script"));
    assert_eq!(html.matches("<img ").count(), html.matches("src=\"data:").count());
    assert_eq!(html.matches("<img ").count(), html.matches(" alt=\"").count());
}

#[test]
fn measurements_are_shown() {
    let html = page();
    for text in [
        "<strong>AEZ 7</strong>12,345 bytes<br>20.00 dB</figcaption>",
        "<strong>WebP 7</strong>12,345 bytes<br>20.00 dB<span class=\"note\">its smallest file</span>",
        "500 × 100, the central 192 × 100 are shown",
        "data:image/png;base64,AQID",
        "data:image/svg+xml;base64,",
        "no PSNR in common: AEZ 21.00 to 22.00 dB, WebP 34.00 to 35.00 dB",
        "<th scope=\"row\" class=\"text\">AEZ</th><td>100</td><td>21.00</td><td>200</td><td>22.00</td><td>250.0</td><td>500.0</td>",
        "1 picture,",
    ] {
        assert!(html.contains(text), "{text} in {html}");
    }
    for tag in ["section", "table", "figure", "li", "dl", "details", "div"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn empty_results_make_a_page() {
    let results = Results::default();
    let page = Page { square: Some(96), ..Page::new(&results) };
    assert!(page.html().contains("0 pictures, their centre squares, scaled to 96 × 96 pixels"));
}

#[test]
fn digits_are_grouped() {
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}
