//! `aez dataset`

use std::path::PathBuf;

use aez::{
    Error,
    train::{fetch, stl10},
};
use indicatif::ProgressBar;

use super::{
    common::{Common, LimitArgs},
    failure::{Failure, complain},
    files::styled,
};

/// Make or download data to train with
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Pack(Pack),
    Fetch(Fetch),
}

/// Pack the pictures of a folder as files in STL-10's binary layout
#[derive(clap::Args)]
struct Pack {
    /// Folder of pictures, searched with its subfolders
    folder: PathBuf,
    /// Folder for train_X.bin, train_y.bin, test_X.bin, test_y.bin and class_names.txt, made if need be
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Part of the pictures that go into the test file
    #[arg(long, value_name = "0..1", default_value_t = 0.1)]
    test_fraction: f64,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Download a data set
#[derive(clap::Args)]
struct Fetch {
    name: DataSet,
    /// Folder to unpack it in, made if need be
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where to find the archive
    #[arg(long, default_value = fetch::STL10.url)]
    url: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum DataSet {
    /// 13,000 labelled and 100,000 unlabelled pictures of 96 x 96 pixels, 2.6 GB
    Stl10,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        match &self.action {
            Action::Pack(pack) => pack.run(common),
            Action::Fetch(fetch) => fetch.run(common),
        }
    }
}

impl Pack {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        if !(0.0..=1.0).contains(&self.test_fraction) {
            return Err(Failure::Usage(format!(
                "a fraction of {} is not between 0 and 1",
                self.test_fraction
            )));
        }
        let first = self.out.join("train_X.bin");
        if first.exists() && !common.force {
            return Err(Error::Misuse(format!("{} exists: --force overwrites it", first.display())).into());
        }
        let packed = stl10::pack(&self.folder, &self.out, self.test_fraction, &self.limits.limits())?;
        packed.skipped.iter().for_each(|why| complain(why));
        match packed.skipped.len() {
            0 => Ok(()),
            failed => Err(Failure::Files { failed, total: failed + packed.train + packed.test }),
        }
    }
}

impl Fetch {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let DataSet::Stl10 = self.name;
        let template = "{bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        let bar = if common.quiet { ProgressBar::hidden() } else { styled(0, template) };
        fetch::fetch_stl10(&self.url, &self.folder, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
        bar.finish_and_clear();
        Ok(())
    }
}
