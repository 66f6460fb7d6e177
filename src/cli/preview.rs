//! `aez preview`

use std::{
    io::{Read, stdin},
    path::PathBuf,
};

use aez::{
    Error,
    codec::preview::{self, DEFAULT_BYTES, MAX_BYTES, MIN_BYTES},
    model::Model,
    picture,
};
use serde::Serialize;

use super::{
    common::{Common, LimitArgs},
    failure::{Failure, complain},
    files::{Job, complaint, format_of, read_picture, run_all, write_stdout},
};

/// Turn pictures into short texts that stand in for them, and back
///
/// The text is safe in URLs, HTML and JSON. For one picture it is printed alone, for several with a tab and the file's
/// name after it.
#[derive(clap::Args)]
#[command(override_usage = "aez preview [OPTIONS] IN...\n       aez preview --decode TEXT OUT [--size WxH]")]
pub struct Args {
    /// Pictures to read, or the one to write with --decode. `-` is standard input or output
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Most bytes that the text stands for, 16 to 200; three bytes are four characters
    #[arg(short, long, value_name = "N", default_value_t = DEFAULT_BYTES as u8, conflicts_with = "decode")]
    #[arg(value_parser = clap::value_parser!(u8).range(MIN_BYTES as i64..=MAX_BYTES as i64))]
    bytes: u8,
    /// Print JSON
    #[arg(long, conflicts_with = "decode")]
    json: bool,
    /// Make a picture of this text. `-` reads it from the standard input
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    decode: Option<String>,
    /// Size of that picture [default: the text's shape, as long as a tile of the model]
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
        let model = common.load_model()?;
        match &self.decode {
            Some(text) => self.show(text, model, common),
            None => self.print(model),
        }
    }

    fn show(&self, text: &str, model: &Model, common: &Common) -> Result<(), Failure> {
        let [output] = self.paths.as_slice() else {
            return Err(Failure::Usage("--decode makes one picture: name one file to write".into()));
        };
        let format = format_of(output).map_err(|e| Failure::Usage(e.to_string()))?;
        let job = Job { input: "preview".into(), output: output.clone() };
        run_all(&[job], common, |_| {
            let text = if text == "-" { read_text()? } else { text.to_owned() };
            picture::encode(&preview::decode(model, text.trim(), self.size)?, format)
        })
    }

    /// Prints a preview of each picture. One that fails is reported and does not keep the others from being made.
    fn print(&self, model: &Model) -> Result<(), Failure> {
        let mut previews = Vec::new();
        for path in &self.paths {
            let made = read_picture(path, &self.limits.limits()).and_then(|picture| {
                let (width, height) = (picture.width, picture.height);
                let preview = preview::encode(model, &picture, self.bytes.into())?;
                Ok(Preview { path: path.display().to_string(), preview, width, height })
            });
            match made {
                Ok(preview) => previews.push(preview),
                Err(error) => complain(&complaint(path, &error)),
            }
        }
        write_stdout(self.text(&previews)?.as_bytes())?;
        match self.paths.len() - previews.len() {
            0 => Ok(()),
            failed => Err(Failure::Files { failed, total: self.paths.len() }),
        }
    }

    fn text(&self, previews: &[Preview]) -> aez::Result<String> {
        if self.json {
            return serde_json::to_string_pretty(previews)
                .map(|json| json + "\n")
                .map_err(|e| Error::io("cannot write JSON to", "standard output", e.into()));
        }
        let line = |Preview { path, preview, .. }: &Preview| match self.paths.len() {
            1 => format!("{preview}\n"),
            _ => format!("{preview}\t{path}\n"),
        };
        Ok(previews.iter().map(line).collect())
    }
}

/// The standard input, as far as a preview can reach.
fn read_text() -> aez::Result<String> {
    let mut text = String::new();
    let unreadable = |e| Error::io("cannot read", "standard input", e);
    stdin().lock().take(4 * MAX_BYTES as u64).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Reads a size such as 320x200.
fn size(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('x').and_then(|(width, height)| width.parse().ok().zip(height.parse().ok()));
    match parts {
        Some((width, height)) if width > 0 && height > 0 => Ok((width, height)),
        _ => Err(format!("'{text}' is not a size such as 320x200")),
    }
}
