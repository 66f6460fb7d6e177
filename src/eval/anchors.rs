//! Published curves, to be drawn beside one's own.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use serde::Deserialize;

use crate::error::{Error, Result};

/// The file of a folder that is read: codec to `{"bpp": [...], "psnr": [...]}`, and perhaps `"ms_ssim"` and `"source"`.
pub const FILE: &str = "kodak_rd.json";
/// The codecs that are drawn where nobody names others: what the field compares with, and not too much for a drawing.
const USUAL: [&str; 7] =
    ["jpeg", "jpeg2000", "webp", "av1", "vtm", "bmshj2018-hyperprior", "cheng2020-anchor"];
/// Far more than any such file has.
const MAX_BYTES: u64 = 1 << 24;

/// A published curve: means over the 24 Kodak photographs.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    pub name: String,
    pub points: Vec<AnchorPoint>,
    /// Where it was published.
    pub source: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnchorPoint {
    /// More than 0.
    pub bpp: f64,
    /// Decibels over RGB.
    pub psnr: f64,
    pub ms_ssim: Option<f64>,
}

/// One curve in the file.
#[derive(Deserialize)]
struct Columns {
    bpp: Vec<f64>,
    psnr: Vec<f64>,
    ms_ssim: Option<Vec<f64>>,
    source: Option<String>,
}

/// Reads curves from [`FILE`] in a folder: those named, or else some usual ones that are there.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Limit`] when it is too large, [`Error::Misuse`] when it makes no sense
/// or has no curve of a name.
pub fn read(folder: &Path, names: Option<&[String]>) -> Result<Vec<Anchor>> {
    let path = folder.join(FILE);
    let unreadable = |e| Error::io("cannot read", &path, e);
    let mut text = Vec::new();
    File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::Limit {
            what: "size of published curves",
            found: text.len() as u64,
            allowed: MAX_BYTES,
        });
    }
    parse(&text, names).map_err(|what| Error::Misuse(format!("{}: {what}", path.display())))
}

fn parse(text: &[u8], names: Option<&[String]>) -> Result<Vec<Anchor>, String> {
    let mut curves: BTreeMap<String, Columns> = serde_json::from_slice(text)
        .map_err(|e| format!("expected {{codec: {{\"bpp\": [...], \"psnr\": [...]}}}}: {e}"))?;
    let Some(names) = names else {
        let curves = USUAL.iter().filter_map(|name| curves.remove_entry(*name));
        return curves.map(|(name, columns)| anchor(name, columns)).collect();
    };
    let known = curves.keys().cloned().collect::<Vec<_>>().join(", ");
    let found = |name: &String| {
        let columns = curves
            .remove(name)
            .ok_or_else(|| format!("no curve {name:?} (or named twice); there are {known}"))?;
        anchor(name.clone(), columns)
    };
    names.iter().map(found).collect()
}

fn anchor(name: String, columns: Columns) -> Result<Anchor, String> {
    let Columns { bpp, psnr, ms_ssim, source } = columns;
    let count = bpp.len();
    if psnr.len() != count || ms_ssim.as_ref().is_some_and(|values| values.len() != count) {
        return Err(format!("the columns of {name:?} are of unequal length"));
    }
    if bpp.iter().any(|&bpp| bpp <= 0.0) {
        return Err(format!("{name:?} has a rate that is not above 0"));
    }
    let ms_ssim = |index: usize| ms_ssim.as_ref().map(|values| values[index]);
    let point = |(index, (bpp, psnr))| AnchorPoint { bpp, psnr, ms_ssim: ms_ssim(index) };
    Ok(Anchor { name, points: bpp.into_iter().zip(psnr).enumerate().map(point).collect(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CURVES: &str = r#"{
        "mine": {"bpp": [0.1, 0.2], "psnr": [25, 27.5], "macs": 7},
        "jpeg": {"bpp": [0.3], "psnr": [26.0], "ms_ssim": [0.9], "source": "somewhere"}
    }"#;

    #[test]
    fn curves_are_read_by_name_or_as_usual() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), CURVES).unwrap();
        let usual = read(folder.path(), None).unwrap();
        let points = vec![AnchorPoint { bpp: 0.3, psnr: 26.0, ms_ssim: Some(0.9) }];
        assert_eq!(usual, [Anchor { name: "jpeg".into(), points, source: Some("somewhere".into()) }]);
        let named = read(folder.path(), Some(&["mine".into(), "jpeg".into()])).unwrap();
        assert_eq!(
            named.iter().map(|a| (&*a.name, a.points.len())).collect::<Vec<_>>(),
            [("mine", 2), ("jpeg", 1)]
        );
        assert_eq!(named[0].points[1], AnchorPoint { bpp: 0.2, psnr: 27.5, ms_ssim: None });
        let error = read(folder.path(), Some(&["yours".into()])).unwrap_err().to_string();
        assert!(
            error.contains("\"yours\"") && error.contains("jpeg, mine") && error.contains(FILE),
            "{error}"
        );
    }

    #[test]
    fn curves_that_make_no_sense_are_refused() {
        for (text, complaint) in [
            ("", "expected"),
            ("[]", "expected"),
            (r#"{"jpeg": {"bpp": [1], "psnr": [1, 2]}}"#, "unequal length"),
            (r#"{"jpeg": {"bpp": [1], "psnr": [1], "ms_ssim": []}}"#, "unequal length"),
            (r#"{"jpeg": {"bpp": [0.0], "psnr": [1]}}"#, "above 0"),
            (r#"{"jpeg": {"bpp": [1], "psnr": [null]}}"#, "expected"),
        ] {
            let error = parse(text.as_bytes(), None).unwrap_err();
            assert!(error.contains(complaint), "{text}: {error}");
        }
        let missing = tempfile::tempdir().unwrap();
        assert!(matches!(read(missing.path(), None), Err(Error::Io { .. })));
    }
}
