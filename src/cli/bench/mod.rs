//! `aez bench`

mod photo;
mod tiles;

use std::time::Instant;

use aez_core::nn::InstructionSet;
use aez_train::Result;
use serde::Serialize;

use super::{
    common::Common,
    failure::Failure,
    output::{print_json, write_stdout},
};

/// Measure the speed of a model on this machine
///
/// Of the tiled family, runs the network without entropy coding on random tiles in memory: each result is the median of several runs,
/// after one that is not measured. Of the photo family, encodes and decodes whole files in memory: a drawn picture of 768x512 pixels
/// with structure of all sizes, at quality 50.
#[derive(clap::Args)]
pub struct Args {
    /// Tiled family: also measure a training step on 64 tiles: forward, backward and Adam
    #[arg(long)]
    train: bool,
    /// Tiled family: number of tiles per call of the network, 1 to 1024 [default: 48]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: Option<u16>,
    /// Photo family: effort of encoding, 0 to 9 [default: that of the family]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    effort: Option<u8>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let model = common.load_model()?;
        match model.tiled() {
            Some(tiled) => {
                Self::refuse("--effort", self.effort.is_some(), "tiled")?;
                self.print(&tiles::measure(tiled, &self, common)?)
            }
            None => {
                Self::refuse("--train", self.train, "photo")?;
                Self::refuse("--batch", self.batch.is_some(), "photo")?;
                self.print(&photo::measure(model, self.effort)?)
            }
        }
    }

    fn refuse(option: &str, is_given: bool, family: &str) -> Result<(), Failure> {
        match is_given {
            true => Err(Failure::Usage(format!(
                "{option} has no effect on what is measured of the {family} family"
            ))),
            false => Ok(()),
        }
    }

    fn print(&self, speeds: &impl Speeds) -> Result<(), Failure> {
        if self.json { print_json(speeds) } else { write_stdout(speeds.text().as_bytes()) }
    }
}

/// The instruction set that networks run with.
fn simd() -> String {
    format!("{:?}", InstructionSet::best()).to_lowercase()
}

/// What was measured.
trait Speeds: Serialize {
    fn text(&self) -> String;
}

/// The median over `runs` runs.
fn median_seconds<E>(runs: usize, mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[runs / 2])
}
