//! `aez compress`

use std::path::{Path, PathBuf};

use aez_core::{Quality, info::FileInfo};
use aez_image::{PictureFormat, has_picture_name, looks_like_picture};

use super::{
    batch::run_all,
    common::{Common, EffortArgs, LimitArgs, TuneArgs, quantity},
    encoders::{Aim, Encoded, Encoders},
    failure::{Failure, offer_photo, warn},
    files::{in_srgb, read_picture},
    jobs::{Job, Kind, Paths, is_aez},
    standard::is_standard_output,
};

/// Encode pictures as .aez files
#[derive(clap::Args)]
#[command(override_usage = "aez compress [OPTIONS] IN... [OUT | -o OUT | -o DIR]")]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Quality, from 1 (smallest file) to 100 (best picture)
    #[arg(short, short_alias = 'Q', long, default_value_t = Quality::default().get(), value_name = "1..100")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Maximum file size in bytes, such as 200 or 10k: encode with the best quality that fits
    #[arg(long, value_name = "N", value_parser = quantity, conflicts_with_all = ["quality", "target_psnr"])]
    target_bytes: Option<u64>,
    /// Minimum PSNR (peak signal-to-noise ratio) in dB, 1 to 100: encode with the lowest quality that reaches it
    #[arg(long, value_name = "DB", value_parser = decibels, conflicts_with = "quality")]
    target_psnr: Option<f64>,
    #[command(flatten)]
    effort: EffortArgs,
    #[command(flatten)]
    tune: TuneArgs,
    /// Leave out EXIF and XMP data, and the colour profile, after converting the colours to sRGB
    #[arg(long)]
    strip: bool,
    /// Keep the colours of fully transparent pixels, instead of those that take the fewest bytes
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Largest difference to a target PSNR, in dB, that is not reported.
const PSNR_TOLERANCE: f64 = 0.1;

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        check_second(&self.paths)?;
        let kind = Kind { is_input: has_picture_name, inputs: "pictures", extension: "aez" };
        let jobs = self.paths.jobs(&kind, common)?;
        jobs.iter().try_for_each(check_output_name)?;
        let quality = Quality::new(self.quality)?;
        let encoders = Encoders::new(common, &self.tune, |encoder| {
            let encoder = encoder.quality(quality).exact(self.exact).keep_metadata(!self.strip);
            self.effort.effort.map_or(encoder, |effort| encoder.effort(effort))
        })?;
        offer_photo(encoders.lack_photo());
        let limits = self.limits.limits();
        run_all(&jobs, &self.paths, common, |Job { input, .. }, gate| {
            let (mut picture, _stay) =
                gate.admit(|| read_picture(input, &limits), |picture| encoders.memory(picture))?;
            if self.strip {
                picture = in_srgb(input, picture);
            }
            let encoded = encoders.encode(&picture, self.aim())?;
            let (remark, bytes) = (self.remark(&encoded), encoded.bytes);
            remark.into_iter().chain(weight_of_metadata(&bytes)?).for_each(|remark| warn(input, &remark));
            Ok(bytes)
        })
    }

    fn aim(&self) -> Aim {
        match (self.target_bytes, self.target_psnr) {
            (Some(bytes), _) => Aim::Bytes(bytes),
            (None, Some(psnr)) => Aim::Psnr(psnr),
            (None, None) => Aim::Quality,
        }
    }

    /// A remark where the target was reached with a large difference.
    fn remark(&self, Encoded { bytes, psnr }: &Encoded) -> Option<String> {
        let found = match (self.aim(), psnr) {
            (Aim::Bytes(target), _) => {
                let size = bytes.len() as u64;
                let is_near = target.saturating_sub(size).saturating_mul(50) <= target;
                (!is_near).then(|| format!("{size} bytes instead of {target}"))
            }
            (Aim::Psnr(target), Some(psnr)) => {
                (*psnr > target + PSNR_TOLERANCE).then(|| format!("{psnr:.2} dB instead of {target} dB"))
            }
            _ => None,
        };
        found.map(|found| format!("{found}: no closer setting was found"))
    }
}

/// A remark on metadata that take more bytes than the picture.
fn weight_of_metadata(file: &[u8]) -> aez_core::Result<Option<String>> {
    let info = FileInfo::read(file)?;
    let metadata = info.icc_bytes + info.exif_bytes + info.xmp_bytes;
    let remark = || format!("its metadata take {metadata} of {} bytes: --strip leaves them out", file.len());
    Ok((2 * metadata > file.len()).then(remark))
}

fn decibels(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (1.0..=100.0).contains(&value) => Ok(value),
        _ => Err(format!("'{text}' is not a number from 1 to 100")),
    }
}

/// Rejects a number as the name of the output: other programs have the quality there.
fn check_second(Paths { paths, output, .. }: &Paths) -> Result<(), Failure> {
    let number = |path: &PathBuf| {
        path.to_str()
            .is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok())
    };
    match (output, paths.as_slice()) {
        (None, [_, second]) if number(second) => Err(Failure::Usage(format!(
            "the output would be a file named {0}: the quality is -q {0}, and a file with that name is ./{0}",
            second.display()
        ))),
        _ => Ok(()),
    }
}

/// Rejects an output that is a picture or is named like one: of two pictures without -o, the second would be overwritten.
fn check_output_name(Job { output, .. }: &Job) -> Result<(), Failure> {
    if is_standard_output(output) || is_aez(output) || !is_picture(output) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the output {} is a picture or has the name of one: to compress several pictures, name a folder with -o",
        output.display()
    )))
}

fn is_picture(path: &Path) -> bool {
    let has_name = path.extension().is_some() && PictureFormat::from_path(path).is_ok();
    has_name || has_picture_name(path) || looks_like_picture(path)
}
