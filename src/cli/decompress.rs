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
    #[arg(long, value_name = "EXTENSION")]
    format: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        let jobs = self.paths.jobs(self.format.as_deref().unwrap_or("png"))?;
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
        match &self.format {
            Some(extension) => PictureFormat::from_path(Path::new(&format!("picture.{extension}"))),
            None => format_of(&job.output),
        }
    }
}
