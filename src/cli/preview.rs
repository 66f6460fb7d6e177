//! `aez preview`

use std::{
    io,
    path::{Path, PathBuf},
};

use aez_core::{
    Error, Model,
    preview::{self, DEFAULT_BYTES, MAX_BYTES, MIN_BYTES},
};
use rayon::prelude::*;
use serde::Serialize;

use super::{
    common::{Common, LimitArgs},
    failure::Failure,
    files::{check_output, encode_picture, format_of, in_srgb, read_picture, write_output},
    jobs::{check_overwritten, pictures_of},
    output::{print_json, write_stdout},
    progress,
    text::escape,
};

/// Encode pictures as short texts, or decode such a text
///
/// The texts are safe in URLs, HTML and JSON. For one picture the text is printed, for several pictures and for folders one line
/// for each picture: the text, a tab and the file's name.
#[derive(clap::Args)]
#[command(override_usage = "aez preview [OPTIONS] IN...\n       aez preview --decode TEXT OUT [--size WxH]")]
pub struct Args {
    /// Pictures and folders of pictures to read, or with --decode the picture to write; `-` is standard input or output
    #[arg(required_unless_present = "output", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The picture to write with --decode
    #[arg(short, long, value_name = "OUT", requires = "decode", conflicts_with = "paths")]
    output: Option<PathBuf>,
    /// Maximum number of bytes that the text represents, 16 to 200; three bytes are four characters
    #[arg(short, long, value_name = "N", default_value_t = DEFAULT_BYTES as u8, conflicts_with = "decode")]
    #[arg(value_parser = clap::value_parser!(u8).range(MIN_BYTES as i64..=MAX_BYTES as i64))]
    bytes: u8,
    /// Print JSON
    #[arg(long, conflicts_with = "decode")]
    json: bool,
    /// Decode this text to a picture; `-` reads the text from standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    decode: Option<String>,
    /// Size of the decoded picture in pixels [default: the text's aspect ratio, with the longer side of one tile, or of 96 pixels]
    #[arg(long, value_name = "WxH", value_parser = size, requires = "decode")]
    size: Option<(u32, u32)>,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(Serialize)]
struct Preview {
    path: String,
    preview: String,
    width: u32,
    height: u32,
}

impl Args {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        match &self.decode {
            Some(text) => self.decode(text, common),
            None => self.print(common),
        }
    }

    fn decode(&self, text: &str, common: &Common) -> Result<(), Failure> {
        let ((Some(output), _) | (None, [output])) = (&self.output, self.paths.as_slice()) else {
            return Err(Failure::Usage("--decode makes one picture: name one file to write".into()));
        };
        let format = format_of(output).map_err(|e| Failure::Usage(e.to_string()))?;
        let text_file = (text == "-").then_some(Path::new("-"));
        check_overwritten(text_file.into_iter().chain(common.model_file()), [output.as_path()].into_iter())?;
        check_output(output, common.force)?;
        let text = if text == "-" { read_text()? } else { text.to_owned() };
        let text = text.trim();
        let model = common.decoding_model()?.for_preview(text)?;
        let picture = preview::decode(model, text, self.size, &self.limits.limits())?;
        write_output(output, &encode_picture(&picture, output, format)?, None)
    }

    /// Prints a preview of each picture. Errors in pictures are printed, and the other pictures are still encoded.
    fn print(&self, common: &Common) -> Result<(), Failure> {
        let (paths, model) = (pictures_of(&self.paths)?, common.preview_model()?);
        let bar = progress::files(paths.len(), common.quiet);
        let encode = |path: &PathBuf| {
            progress::set_file(&bar, path);
            let preview = self.encode(path, model);
            bar.inc(1);
            preview
        };
        let results: Vec<_> = paths.par_iter().map(encode).collect();
        bar.finish_and_clear();
        let mut previews = Vec::new();
        for (path, result) in paths.iter().zip(results) {
            match result {
                Ok(preview) => previews.push(preview),
                Err(error) => {
                    Failure::in_file(path, error).print();
                }
            }
        }
        if self.json {
            print_json(&previews)?;
        } else {
            write_stdout(self.text(&previews).as_bytes())?;
        }
        match paths.len() - previews.len() {
            0 => Ok(()),
            failed => Err(Failure::Files { failed, total: paths.len() }),
        }
    }

    fn encode(&self, path: &Path, model: &Model) -> aez_core::Result<Preview> {
        // A preview has no profile.
        let picture = in_srgb(path, read_picture(path, &self.limits.limits())?);
        let preview = preview::encode(model, &picture, self.bytes.into())?;
        let (width, height) = (picture.width, picture.height);
        Ok(Preview { path: path.display().to_string(), preview, width, height })
    }

    fn text(&self, previews: &[Preview]) -> String {
        let is_one_file = matches!(self.paths.as_slice(), [path] if !path.is_dir());
        let line = |Preview { path, preview, .. }: &Preview| match is_one_file {
            true => format!("{preview}\n"),
            // A line feed in a name would look like another picture.
            false => format!("{preview}\t{}\n", escape(path)),
        };
        previews.iter().map(line).collect()
    }
}

/// Reads a text from the standard input.
fn read_text() -> aez_core::Result<String> {
    // Longer than any preview, for line feeds and spaces around it.
    let bytes = aez_image::read_bounded(io::stdin().lock(), 4 * MAX_BYTES as u64)
        .map_err(|e| Error::io("cannot read", "standard input", e))?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Error::Preview("it is too long or not UTF-8".into()))
}

/// Parses a size such as 320x200.
fn size(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('x').and_then(|(width, height)| width.parse().ok().zip(height.parse().ok()));
    match parts {
        Some((width, height)) if width > 0 && height > 0 => Ok((width, height)),
        _ => Err(format!("'{text}' is not a size such as 320x200")),
    }
}
