//! `aez decompress`

use std::{fs::File, path::Path};

use aez_core::{
    Decoder, Error, Model, Picture,
    container::{Family, Header},
    info::FileInfo,
};
use aez_image::{PictureFormat, read_bounded};

use super::{
    batch::run_all,
    common::{Common, LimitArgs},
    failure::{Failure, warn},
    files::{encode_picture, format_of, read_input},
    jobs::{Job, Kind, Paths, is_aez},
};

/// Decode .aez files to pictures
#[derive(clap::Args)]
#[command(override_usage = "aez decompress [OPTIONS] IN... [OUT | -o OUT | -o DIR]")]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Format of the pictures as a file extension, such as png or jpg [default: the output's extension, else png]
    #[arg(long, value_name = "EXTENSION", value_parser = format)]
    format: Option<Format>,
    /// Decode also what there is of photos that are cut short: to pictures of full size, with less detail
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// A value of `--format`.
#[derive(Clone)]
struct Format {
    extension: String,
    format: PictureFormat,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        let extension = self.format.as_ref().map_or("png", |format| &format.extension);
        let jobs = self.paths.jobs(&Kind { is_input: is_aez, inputs: ".aez files", extension }, common)?;
        for job in &jobs {
            check_output_name(job)?;
            self.format_of(job).map_err(|e| Failure::Usage(e.to_string()))?;
        }
        let limits = self.limits.limits();
        let model = common.decoding_model()?;
        run_all(&jobs, &self.paths, common, |job, gate| {
            let read = || -> aez_core::Result<_> {
                let file = read_input(&job.input, limits.max_memory)?;
                Ok((model.for_file(&file)?, file))
            };
            let ((model, file), _stay) = gate.admit(read, |(model, file)| memory(model, file))?;
            let decoder = Decoder::new(model).limits(limits);
            let picture = if self.partial {
                decode_partial(&decoder, &file, &job.input)?
            } else {
                decoder.decode(&file).map_err(|error| with_hint(error, model, &file))?
            };
            encode_picture(&picture, &job.output, self.format_of(job)?)
        })
    }

    fn format_of(&self, job: &Job) -> aez_core::Result<PictureFormat> {
        self.format.as_ref().map_or_else(|| format_of(&job.output), |format| Ok(format.format))
    }
}

/// Bytes that decoding a file holds, for the gate. No bound for other families than that for photographs: one file of them occupies
/// all threads, so that there is nothing to gain from decoding several at a time.
fn memory(model: &Model, file: &[u8]) -> u64 {
    match Header::parse(file) {
        Ok((header, _)) if model.family() == Family::PHOTO => model.codec().memory(&header),
        _ => u64::MAX,
    }
}

/// Decodes a file that may be cut short. Prints a warning that says how much of it there is.
fn decode_partial(decoder: &Decoder<'_>, bytes: &[u8], input: &Path) -> aez_core::Result<Picture> {
    let found = decoder.decode_partial(bytes)?;
    if decoder.parse(bytes).is_err() {
        let (complete, levels) = (found.complete_levels, found.levels);
        let text = format!(
            "it is cut short or damaged: its {} bytes have {complete} of {levels} levels",
            bytes.len()
        );
        warn(input, &text);
    }
    Ok(found.picture)
}

/// Adds a hint to the error of a damaged file, if its family can show what there is of a file.
fn with_hint(error: Error, model: &Model, bytes: &[u8]) -> Error {
    match (error, Header::parse(bytes)) {
        (Error::Damaged(reason), Ok((header, _))) if model.codec().levels(&header) > 1 => {
            Error::Damaged(format!("{reason}; if it is cut short, --partial shows what there is of it"))
        }
        (error, _) => error,
    }
}

/// Rejects an output that is an AEZ file or is named like one: of two such files without -o, the second would be overwritten.
fn check_output_name(Job { output, .. }: &Job) -> Result<(), Failure> {
    if !is_aez(output) && !looks_like_aez(output) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the output {} is an AEZ file or has the name of one: to decompress several files, name a folder with -o",
        output.display()
    )))
}

/// Whether a regular file begins like an AEZ file, whatever its name.
fn looks_like_aez(path: &Path) -> bool {
    // Opening a pipe would wait for its writer.
    let file = path.is_file().then(|| File::open(path).ok()).flatten();
    let start = file.and_then(|file| read_bounded(std::io::Read::take(file, 64), 64).ok()).flatten();
    start.is_some_and(|start| !matches!(FileInfo::read(&start), Err(Error::NotAez(_))))
}

fn format(extension: &str) -> Result<Format, String> {
    let name = format!("picture.{extension}");
    let path = Path::new(&name);
    if path.extension().is_none_or(|found| found != extension) {
        return Err("expected a file extension such as png".into());
    }
    let format = PictureFormat::from_path(path).map_err(|error| error.to_string())?;
    Ok(Format { extension: extension.to_owned(), format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_file_extensions() {
        for extension in ["png", "JPG", "tif"] {
            assert_eq!(format(extension).unwrap().extension, extension);
        }
        for text in ["", "xyz", "a/b", "../png", ".png", "png/", "tar.png"] {
            assert!(format(text).is_err(), "{text}");
        }
    }
}
