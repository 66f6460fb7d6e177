//! Published rate-distortion curves, to be shown beside measured ones.

use std::{collections::BTreeMap, fs::File, path::Path};

use aez_core::{Error, LimitKind, Result};
use serde::Deserialize;

/// Name of the file that is read: a JSON object that maps the name of each codec to
/// `{"bpp": [...], "psnr": [...]}`, optionally with `"ms_ssim": [...]` and `"source": "..."`.
pub const FILE: &str = "kodak_rd.json";
/// The curves that are read when none are named: well-known codecs, few enough for one chart.
const DEFAULT_CURVES: [&str; 7] =
    ["jpeg", "jpeg2000", "webp", "av1", "vtm", "bmshj2018-hyperprior", "cheng2020-anchor"];
/// Maximum size of the file.
const MAX_BYTES: u64 = 1 << 24;

/// A published curve: averages over the 24 pictures of the Kodak test set.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// Name of the codec.
    pub name: String,
    /// The points in the order of the file.
    pub points: Vec<AnchorPoint>,
    /// Where the curve was published.
    pub source: Option<String>,
}

/// One point of a published curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnchorPoint {
    /// Bits per pixel, above 0.
    pub bpp: f64,
    /// PSNR in decibels over RGB.
    pub psnr: f64,
    /// MS-SSIM, 0 to 1.
    pub ms_ssim: Option<f64>,
}

/// One curve of the file.
#[derive(Deserialize)]
struct Columns {
    bpp: Vec<f64>,
    psnr: Vec<f64>,
    ms_ssim: Option<Vec<f64>>,
    source: Option<String>,
}

/// Reads curves from the file [`FILE`] of a folder: those with the given names, or a few well-known ones.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Limit`] when it is larger than 16 MiB, [`Error::Misuse`] when its content
/// is not valid or a curve is missing.
pub fn read(folder: &Path, names: Option<&[String]>) -> Result<Vec<Anchor>> {
    let path = folder.join(FILE);
    let text = File::open(&path).and_then(|file| aez_image::read_bounded(file, MAX_BYTES));
    let text = text.map_err(|e| Error::io("cannot read", &path, e))?;
    let text = text.ok_or(Error::Limit {
        limit: LimitKind::FileSize,
        found: path.metadata().map_or(MAX_BYTES + 1, |metadata| metadata.len()),
        allowed: MAX_BYTES,
    })?;
    parse(&text, names).map_err(|what| Error::Misuse(format!("{}: {what}", path.display())))
}

fn parse(text: &[u8], names: Option<&[String]>) -> Result<Vec<Anchor>, String> {
    let mut curves: BTreeMap<String, Columns> = serde_json::from_slice(text)
        .map_err(|e| format!("expected {{codec: {{\"bpp\": [...], \"psnr\": [...]}}}}: {e}"))?;
    let Some(names) = names else {
        let curves = DEFAULT_CURVES.iter().filter_map(|name| curves.remove_entry(*name));
        return curves.map(|(name, columns)| anchor(name, columns)).collect();
    };
    let known = curves.keys().cloned().collect::<Vec<_>>().join(", ");
    let find = |name: &String| match curves.remove(name) {
        Some(columns) => anchor(name.clone(), columns),
        None => Err(format!("no curve {name:?}, or it is named twice; there are {known}")),
    };
    names.iter().map(find).collect()
}

fn anchor(name: String, columns: Columns) -> Result<Anchor, String> {
    let Columns { bpp, psnr, ms_ssim, source } = columns;
    let count = bpp.len();
    if psnr.len() != count || ms_ssim.as_ref().is_some_and(|values| values.len() != count) {
        return Err(format!("the columns of {name:?} have different lengths"));
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
    fn curves_are_read_by_name_or_by_default() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), CURVES).unwrap();
        let default = read(folder.path(), None).unwrap();
        let points = vec![AnchorPoint { bpp: 0.3, psnr: 26.0, ms_ssim: Some(0.9) }];
        assert_eq!(default, [Anchor { name: "jpeg".into(), points, source: Some("somewhere".into()) }]);
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
    fn invalid_curves_are_errors() {
        for (text, message) in [
            ("", "expected"),
            ("[]", "expected"),
            (r#"{"jpeg": {"bpp": [1], "psnr": [1, 2]}}"#, "different lengths"),
            (r#"{"jpeg": {"bpp": [1], "psnr": [1], "ms_ssim": []}}"#, "different lengths"),
            (r#"{"jpeg": {"bpp": [0.0], "psnr": [1]}}"#, "above 0"),
            (r#"{"jpeg": {"bpp": [1], "psnr": [null]}}"#, "expected"),
        ] {
            let error = parse(text.as_bytes(), None).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn missing_and_oversized_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path(), None), Err(Error::Io { .. })));
        let file = File::create(folder.path().join(FILE)).unwrap();
        file.set_len(MAX_BYTES + 5).unwrap();
        let error = read(folder.path(), None).unwrap_err();
        assert!(
            matches!(error, Error::Limit { limit: LimitKind::FileSize, found, .. } if found == MAX_BYTES + 5)
        );
    }
}
