//! `aez decompress`

use std::path::Path;

use aez_core::Decoder;
use aez_image::PictureFormat;

use super::{
    common::{Common, LimitArgs},
    failure::Failure,
    files::{Job, Paths, format_of, read_input, run_all},
};

/// Decode .aez files to pictures
#[derive(clap::Args)]
#[command(override_usage = "aez decompress [OPTIONS] IN... [OUT | -o DIR]")]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Format of the pictures as a file extension, such as png or jpg [default: the output's extension, else png]
    #[arg(long, value_name = "EXTENSION", value_parser = format)]
    format: Option<Format>,
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
        let jobs = self.paths.jobs(self.format.as_ref().map_or("png", |format| &format.extension))?;
        for job in &jobs {
            self.format_of(job).map_err(|e| Failure::Usage(e.to_string()))?;
        }
        let limits = self.limits.limits();
        let decoder = Decoder::new(common.load_model()?).limits(limits);
        run_all(&jobs, common, |job| {
            let picture = decoder.decode(&read_input(&job.input, limits.max_memory)?)?;
            aez_image::encode(&picture, self.format_of(job)?)
        })
    }

    fn format_of(&self, job: &Job) -> aez_core::Result<PictureFormat> {
        self.format.as_ref().map_or_else(|| format_of(&job.output), |format| Ok(format.format))
    }
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
