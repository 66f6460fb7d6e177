//! `aez compress`

use aez::{
    Quality,
    codec::Encoder,
    picture::{Picture, PictureFormat},
};

use super::{
    common::{Common, EffortArgs, LimitArgs, quantity},
    failure::{Failure, complain},
    files::{Job, Paths, read_picture, run_all},
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
    /// Instead of a quality: the best picture in this many bytes, such as 200 or 10k
    #[arg(long, value_name = "N", value_parser = quantity, conflicts_with_all = ["quality", "target_psnr"])]
    target_bytes: Option<u64>,
    /// Instead of a quality: the smallest file with this peak signal-to-noise ratio in decibels
    #[arg(long, value_name = "DB", value_parser = decibels, conflicts_with = "quality")]
    target_psnr: Option<f64>,
    #[command(flatten)]
    effort: EffortArgs,
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
        let model = common.load_model()?;
        let refiner = self.effort.refiner(model)?;
        let mut encoder = Encoder { refiner: refiner.as_ref(), ..Encoder::new(model) };
        encoder.quality = Quality::new(self.quality)?;
        encoder.keep_metadata = !self.strip;
        let limits = self.limits.limits();
        run_all(&jobs, common, |Job { input, .. }| {
            let picture = read_picture(input, &limits)?;
            let (bytes, remark) = self.encode(&encoder, &picture)?;
            if let Some(remark) = remark {
                complain(&format!("{}: {remark}", input.display()));
            }
            Ok(bytes)
        })
    }

    /// The file, and what there is to say where a target was met, but not nearly.
    fn encode(&self, encoder: &Encoder<'_>, picture: &Picture) -> aez::Result<(Vec<u8>, Option<String>)> {
        if let Some(target) = self.target_bytes {
            let bytes = encoder.encode_to_bytes(picture, target)?;
            let is_near = (target - bytes.len() as u64).saturating_mul(50) <= target;
            let remark = format!("{} bytes are as near to {target} as it comes", bytes.len());
            Ok((bytes, (!is_near).then_some(remark)))
        } else if let Some(target) = self.target_psnr {
            let (bytes, psnr) = encoder.encode_to_psnr(picture, target)?;
            let remark = format!("{psnr:.2} dB are as near to {target} dB as it comes");
            Ok((bytes, (psnr > target + NEAR_PSNR).then_some(remark)))
        } else {
            Ok((encoder.encode(picture)?, None))
        }
    }
}

/// A target that is missed by more than so many decibels is worth a remark.
const NEAR_PSNR: f64 = 0.1;

fn decibels(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (1.0..=100.0).contains(&value) => Ok(value),
        _ => Err(format!("'{text}' is not a number from 1 to 100")),
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
