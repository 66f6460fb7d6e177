//! `aez info`

use std::{fmt::Display, path::PathBuf};

use aez_core::{Decoder, Error, Limits, Model, info::FileInfo};
use serde::Serialize;

use super::{
    common::{Common, is_builtin},
    failure::Failure,
    files::read_input,
    output::{print_json, write_stdout},
    text::escape,
};

/// Show the contents of an .aez file or of a model
#[derive(clap::Args)]
pub struct Args {
    /// An .aez file, a model file, the name of a built-in model (tile, photo, preview), or `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is known about an .aez file.
#[derive(Serialize)]
struct Info {
    #[serde(flatten)]
    file: FileInfo,
    /// Number of tiles; `None` where the file's model is not at hand or not of the tiled family.
    tiles: Option<u64>,
    /// Bytes of each level, the coarsest first, which is the order in the file; `None` where the file's model is not at hand or its
    /// family has no levels.
    level_bytes: Option<Vec<usize>>,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        if is_builtin(&self.file) {
            return self.print_model(&aez::models::open(&self.file)?);
        }
        let bytes = read_input(&self.file, Limits::default().max_memory)
            .map_err(|error| Failure::in_file(&self.file, error))?;
        match FileInfo::read(&bytes) {
            Ok(file) => {
                let model = model_of(&file, &bytes, common)?;
                let tiles = model.and_then(|model| tiles(&file, model));
                let level_bytes = model.and_then(|model| level_bytes(&bytes, model));
                self.print_file(Info { file, tiles, level_bytes })
            }
            Err(Error::NotAez(_)) => self
                .print_model(&Model::from_bytes(bytes).map_err(|error| Failure::in_file(&self.file, error))?),
            Err(error) => Err(Failure::in_file(&self.file, error)),
        }
    }

    fn print_model(&self, model: &Model) -> Result<(), Failure> {
        let info = model.info();
        if self.json {
            return print_json(&info);
        }
        let line = |(name, value): (&String, &serde_json::Value)| {
            line(&name.replace('_', " "), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let text: String = info.as_object().into_iter().flatten().map(line).collect();
        write_stdout(text.as_bytes())
    }

    fn print_file(&self, info: Info) -> Result<(), Failure> {
        if self.json { print_json(&info) } else { write_stdout(info.text().as_bytes()) }
    }
}

impl Info {
    fn text(&self) -> String {
        let Self { file, tiles, level_bytes } = self;
        let colours = if file.gray { "gray" } else { "colour" };
        let alpha = if file.alpha_bytes > 0 { " with alpha" } else { "" };
        let mut text = line("picture", format!("{} x {}, {colours}{alpha}", file.width, file.height));
        if let Some(tiles) = tiles {
            text += &line("tiles", tiles);
        }
        text += &line("quality", file.quality);
        text += &line("model", &file.model_id);
        let unnamed = || format!("number {}, unknown to this program", file.family);
        text += &line("family", file.family_name.map_or_else(unnamed, str::to_owned));
        text += &line("coder", file.coder);
        text += &line("format version", file.format_version);
        text += &line("header", format!("{} bytes", file.header_bytes));
        if file.latents_bytes > 0 {
            text += &line("latents", format!("{} bytes", file.latents_bytes));
        }
        for (level, bytes) in level_bytes.iter().flat_map(|levels| (0..levels.len()).rev().zip(levels)) {
            let [width, height] = [file.width, file.height].map(|edge| edge.div_ceil(1 << level));
            text += &line(&format!("  level {level}"), format!("{bytes} bytes, {width} x {height}"));
        }
        for (name, bytes) in [
            ("alpha", file.alpha_bytes),
            ("ICC profile", file.icc_bytes),
            ("EXIF", file.exif_bytes),
            ("XMP", file.xmp_bytes),
            ("other sections", file.unknown_bytes),
        ] {
            if bytes > 0 {
                text += &line(name, format!("{bytes} bytes"));
            }
        }
        text + &line(
            "total",
            format!("{} bytes, {:.4} bits per pixel", file.total_bytes, file.bits_per_pixel),
        )
    }
}

/// The model at hand, if it is the file's. A model of `--model` that cannot be read is an error.
fn model_of(file: &FileInfo, bytes: &[u8], common: &Common) -> Result<Option<&'static Model>, Failure> {
    let model = common.decoding_model()?.for_file(bytes).ok();
    Ok(model.filter(|model| model.id().to_string() == file.model_id))
}

/// Number of tiles of a file, if its model has tiles.
fn tiles(file: &FileInfo, model: &Model) -> Option<u64> {
    let edge = u64::from(model.block_edge()?);
    Some(u64::from(file.width).div_ceil(edge) * u64::from(file.height).div_ceil(edge))
}

/// Bytes of each level of a file, if its family has levels.
fn level_bytes(bytes: &[u8], model: &Model) -> Option<Vec<usize>> {
    let decoder = Decoder::new(model);
    let levels = decoder.level_bytes(&decoder.parse(bytes).ok()?).ok()?;
    (levels.len() > 1).then_some(levels)
}

fn line(name: &str, value: impl Display) -> String {
    // A file can contain any text.
    format!("{:<16} {}\n", escape(name), escape(&value.to_string()))
}
