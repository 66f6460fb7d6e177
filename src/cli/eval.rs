//! `aez eval`

use std::{
    fs,
    path::{Path, PathBuf},
};

use aez::{
    Error, Limits, Quality,
    eval::{Measured, Results, Sweep},
    picture,
};

use super::{
    common::{Common, EffortArgs, LimitArgs},
    failure::{Failure, chain, complain},
    files::{complaint, progress_bar, write_stdout},
};

/// Measure size and quality over pictures
#[derive(clap::Args)]
pub struct Args {
    /// Pictures, and folders of pictures
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder for results.json, made if need be
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Measure the centre square of each picture, scaled to N x N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16384))]
    square: Option<u32>,
    /// Qualities to measure
    #[arg(
        short = 'Q',
        long,
        value_name = "Q,Q,...",
        value_delimiter = ',',
        default_value = "15,30,45,60,75,90"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Vec<u8>,
    #[command(flatten)]
    effort: EffortArgs,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        let paths = self.pictures()?;
        let qualities = self.quality.iter().map(|&q| Quality::new(q)).collect::<Result<_, _>>()?;
        let model = common.load_model()?;
        let refiner = self.effort.refiner(model)?;
        let sweep = Sweep { model, qualities, refiner: refiner.as_ref() };
        let limits = self.limits.limits();
        let bar = progress_bar(paths.len(), common.quiet);
        let mut measured = Vec::new();
        for path in &paths {
            bar.set_message(path.display().to_string());
            match self.measure(&sweep, path, &limits) {
                Ok(one) => measured.push(one),
                Err(error) => bar.suspend(|| complain(&complaint(path, &error))),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let (failed, total) = (paths.len() - measured.len(), paths.len());
        self.publish(&Results::new(measured))?;
        if failed == 0 { Ok(()) } else { Err(Failure::Files { failed, total }) }
    }

    /// The files that were named, and those in the folders that were named.
    fn pictures(&self) -> aez::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                found.extend(picture::pictures_under(path)?);
            } else {
                found.push(path.clone());
            }
        }
        Ok(found)
    }

    fn measure(&self, sweep: &Sweep, path: &Path, limits: &Limits) -> aez::Result<Measured> {
        let mut picture = picture::read(path, limits)?;
        if let Some(edge) = self.square {
            picture = picture::centre_square(&picture, edge);
        }
        sweep.measure(&path.display().to_string(), &picture)
    }

    fn publish(&self, results: &Results) -> Result<(), Failure> {
        let mut json = serde_json::to_string_pretty(results)
            .map_err(|e| Error::Misuse(format!("cannot write the results as JSON: {}", chain(&e))))?;
        json.push('\n');
        if let Some(folder) = &self.out {
            fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
            picture::write_atomically(&folder.join("results.json"), json.as_bytes())?;
        }
        let shown = if self.json { json } else { results.table() };
        write_stdout(shown.as_bytes())
    }
}
