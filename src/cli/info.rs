//! `aez info`

use std::{fmt::Write, path::PathBuf};

use aez::{
    Error, Limits,
    container::{Header, Layout, VERSION},
    model::Model,
};
use serde::Serialize;

use super::{
    common::Common,
    failure::Failure,
    files::{complaint, read_input, write_stdout},
};

/// Tell what an .aez file or a model file holds
#[derive(clap::Args)]
pub struct Args {
    /// An .aez file, a model file, `default` for the built-in model, or `-` for standard input
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        if self.file.as_os_str() == "default" {
            return self.print_model(Model::builtin()?);
        }
        let bytes = read_input(&self.file, Limits::default().max_memory)?;
        let named = |error: Error| match error {
            Error::Io { .. } => error,
            error => Error::Misuse(complaint(&self.file, &error)),
        };
        match Header::parse(&bytes) {
            Err(Error::NotAez(_)) => self.print_model(&Model::from_bytes(bytes).map_err(named)?),
            _ => self.print_file(&FileInfo::new(&bytes, common).map_err(named)?),
        }
    }

    fn print_model(&self, model: &Model) -> Result<(), Failure> {
        if self.json {
            return print_json(model.info());
        }
        let info = serde_json::to_value(model.info()).map_err(not_json)?;
        let mut text = String::new();
        for (name, value) in info.as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            line(&mut text, &name.replace('_', " "), value);
        }
        write_stdout(text.as_bytes())
    }

    fn print_file(&self, info: &FileInfo) -> Result<(), Failure> {
        if self.json { print_json(info) } else { write_stdout(info.text().as_bytes()) }
    }
}

/// What is known of an `.aez` file without decoding it. Header, latents, alpha, ICC, EXIF and unknown sections
/// take up all of its bytes.
#[derive(Serialize)]
struct FileInfo {
    format_version: u8,
    width: u32,
    height: u32,
    gray: bool,
    /// Unknown where the file's model is not at hand.
    tiles: Option<u64>,
    model_id: String,
    coder: &'static str,
    quality: u8,
    /// All that says what the file is: header, checksum and table of sections.
    header_bytes: usize,
    /// All else.
    payload_bytes: usize,
    latents_bytes: usize,
    alpha_bytes: usize,
    icc_bytes: usize,
    exif_bytes: usize,
    total_bytes: usize,
    bits_per_pixel: f64,
}

impl FileInfo {
    /// Nothing is allocated for the picture, so that its size needs no limit.
    fn new(bytes: &[u8], common: &Common) -> aez::Result<Self> {
        let (header, layout) = Layout::parse(bytes, &Limits::NONE)?;
        let header_bytes = layout.header.len() + layout.checksum.len() + layout.table.len();
        let len = |section: Option<std::ops::Range<usize>>| section.map_or(0, |range| range.len());
        Ok(Self {
            format_version: VERSION,
            width: header.width,
            height: header.height,
            gray: header.gray,
            tiles: tiles(&header, common),
            model_id: header.model.to_string(),
            coder: header.coder.name(),
            quality: header.quality.get(),
            header_bytes,
            payload_bytes: bytes.len() - header_bytes,
            latents_bytes: layout.latents.len(),
            alpha_bytes: len(layout.alpha),
            icc_bytes: len(layout.icc),
            exif_bytes: len(layout.exif),
            total_bytes: bytes.len(),
            bits_per_pixel: bytes.len() as f64 * 8.0 / header.pixels() as f64,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let colours = if self.gray { "gray" } else { "colour" };
        let alpha = if self.alpha_bytes > 0 { " with alpha" } else { "" };
        line(&mut text, "picture", format!("{} x {}, {colours}{alpha}", self.width, self.height));
        let tiles = self.tiles.map_or("of another model".into(), |tiles| tiles.to_string());
        line(&mut text, "tiles", tiles);
        line(&mut text, "quality", self.quality);
        line(&mut text, "model", &self.model_id);
        line(&mut text, "coder", self.coder);
        line(&mut text, "format version", self.format_version);
        line(&mut text, "header", format!("{} bytes", self.header_bytes));
        for (name, bytes) in [
            ("latents", self.latents_bytes),
            ("alpha", self.alpha_bytes),
            ("ICC profile", self.icc_bytes),
            ("EXIF", self.exif_bytes),
        ] {
            if bytes > 0 {
                line(&mut text, name, format!("{bytes} bytes"));
            }
        }
        line(
            &mut text,
            "total",
            format!("{} bytes, {:.4} bits per pixel", self.total_bytes, self.bits_per_pixel),
        );
        text
    }
}

/// Number of tiles, where the file's model is the one at hand.
fn tiles(header: &Header, common: &Common) -> Option<u64> {
    let model = common.load_model().ok().filter(|model| model.id() == header.model)?;
    let along = |edge: u32| u64::from(edge).div_ceil(model.tile() as u64);
    Some(along(header.width) * along(header.height))
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<16} {value}");
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut json = serde_json::to_string_pretty(value).map_err(not_json)?;
    json.push('\n');
    write_stdout(json.as_bytes())
}

fn not_json(error: serde_json::Error) -> Error {
    Error::io("cannot write JSON to", "standard output", error.into())
}
