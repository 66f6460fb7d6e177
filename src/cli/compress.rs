//! `aez compress`

use aez::{
    Quality,
    codec::Encoder,
    picture::{self, PictureFormat},
};

use super::{
    common::{Common, LimitArgs},
    failure::Failure,
    files::{Job, Paths, is_standard, read_input, run_all},
};

/// Turn pictures into .aez files
#[derive(clap::Args)]
#[command(override_usage = "aez compress [OPTIONS] IN... [OUT | -o DIR]")]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// From 1, the smallest file, to 100, the best picture
    #[arg(short = 'Q', long, default_value_t = Quality::default().get(), value_name = "1..100")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Leave out the colour profile and the EXIF data
    #[arg(long)]
    strip: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        let jobs = self.paths.jobs("aez")?;
        jobs.iter().try_for_each(check_output_name)?;
        let mut encoder = Encoder::new(common.load_model()?);
        encoder.quality = Quality::new(self.quality)?;
        encoder.keep_metadata = !self.strip;
        let limits = self.limits.limits();
        run_all(&jobs, common, |Job { input, .. }| {
            let picture = if is_standard(input) {
                picture::decode(&read_input(input, limits.max_memory)?, &limits)?
            } else {
                picture::read(input, &limits)?
            };
            encoder.encode(&picture)
        })
    }
}

/// Two pictures without -o would make the second the output of the first.
fn check_output_name(job: &Job) -> Result<(), Failure> {
    if job.output.extension().is_some() && PictureFormat::from_path(&job.output).is_ok() {
        let output = job.output.display();
        return Err(Failure::Usage(format!(
            "{output} is named like a picture but would be written: to compress several, name a folder with -o"
        )));
    }
    Ok(())
}
