//! `aez experiment`

use std::path::PathBuf;

use aez_core::{Limits, Quality, tiled::Config};
use aez_train::{
    data::Dataset,
    experiment::{Experiment, Variant},
    recipe::Recipe,
    run::Options,
    spec::{Source, Spec},
};

use super::{
    common::Common,
    failure::{Failure, log},
    progress,
};

/// Train and compare several networks
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Paper(Paper),
}

/// Train the paper's network with and without normalization, each with and without dropout
///
/// All four networks are trained by the paper's recipe, and measured on the whole validation and test set. The folder then has the models, their logs and loss curves, and a
/// comparison (README.md and losses.svg). Repeating the command continues an interrupted experiment.
#[derive(clap::Args)]
struct Paper {
    /// Training data: a folder of pictures, or stl10:DIR; with the suffix @N, each picture is used N times per epoch
    #[arg(long, required = true, num_args = 1.., value_name = "SPEC")]
    data: Vec<Spec>,
    /// Folder for the results; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Number of passes over the data
    #[arg(long, value_name = "N", default_value_t = 121, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Maximum number of training pictures, evenly spaced in the data [default: all; the paper uses 5000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Number of tiles per step, 1 to 4096
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: u32,
    /// Number of channels at full resolution, 1 to 256: fewer are faster and less accurate
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=256))]
    channels: u32,
    /// Also drop channels while measuring validation and test loss, as the paper's training loop did by leaving dropout on
    #[arg(long)]
    test_dropout: bool,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Qualities of the compared files, each 1 to 100
    #[arg(
        short,
        short_alias = 'Q',
        long,
        value_name = "Q,Q,...",
        value_delimiter = ',',
        default_value = "40,50,60,75,90"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Vec<u8>,
}

impl Args {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let Action::Paper(paper) = self.action;
        paper.run(common)
    }
}

impl Paper {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let experiment = self.experiment(common)?;
        let mut data = Dataset::open_whole(&self.data, experiment.options.config.tile, &Limits::default())?;
        data.skipped().iter().for_each(|skipped| log(skipped));
        if let Some(limit) = self.limit {
            data = data.keep(limit as usize)?;
        }
        let bar = progress::run(common.quiet);
        let mut current: Option<Variant> = None;
        experiment.run(&data, &mut |variant, event| {
            if current.replace(variant) != Some(variant) && !common.quiet {
                log(&format!("variant {}", variant.name()));
            }
            progress::show(&bar, event, common.quiet);
        })?;
        bar.finish_and_clear();
        if !common.quiet {
            log(&format!("wrote {}", self.out.join("README.md").display()));
        }
        Ok(())
    }

    fn experiment(&self, common: &Common) -> Result<Experiment, Failure> {
        let recipe = Recipe {
            epochs: self.epochs.into(),
            batch_size: self.batch_size as usize,
            test_dropout: self.test_dropout,
            ..Recipe::paper()
        };
        let config = Config { channels: self.channels as usize, ..Config::default() };
        let options = Options::new(config, recipe, &self.out)
            .with_seed(self.seed)
            .with_device(common.open_device()?)
            .with_measure_every(u64::MAX);
        let qualities = self.quality.iter().map(|&q| Quality::new(q)).collect::<Result<_, _>>()?;
        Ok(Experiment::new(options, qualities, self.command()).with_overwrite(common.force))
    }

    /// The command that repeats this experiment, for the report. Of folders it has only the names, because the report is read on
    /// other machines.
    fn command(&self) -> String {
        let name =
            |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let spec = |spec: &Spec| {
            let source = match &spec.source {
                Source::Stl10(path) => Source::Stl10(name(path).into()),
                Source::Folder(path) => Source::Folder(name(path).into()),
            };
            quoted(&Spec { source, ..spec.clone() }.to_string())
        };
        let data: Vec<String> = self.data.iter().map(spec).collect();
        let limit = self.limit.map(|limit| format!(" --limit {limit}")).unwrap_or_default();
        let dropout = if self.test_dropout { " --test-dropout" } else { "" };
        let qualities: Vec<String> = self.quality.iter().map(u8::to_string).collect();
        format!(
            "aez experiment paper --data {} --out {} --epochs {}{limit} --batch-size {} --channels {}{dropout} --seed {} --quality {}",
            data.join(" "),
            quoted(&name(&self.out)),
            self.epochs,
            self.batch_size,
            self.channels,
            self.seed,
            qualities.join(",")
        )
    }
}

/// A text as one word of a shell command.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        paper: Paper,
    }

    #[test]
    fn the_command_in_the_report_names_folders_without_their_paths() {
        let parse = |words: &[&str]| <Only as clap::Parser>::try_parse_from(words).unwrap().paper;
        let given =
            ["aez", "--data", "/a/b/photos@3", "stl10:c/d", "my 'own'/it's", "--out", "e/f", "--limit", "7"];
        let command = parse(&given).command();
        assert_eq!(
            command,
            r"aez experiment paper --data photos@3 stl10:d 'it'\''s' --out f --epochs 121 --limit 7 --batch-size 64 --channels 48 --seed 1 --quality 40,50,60,75,90"
        );
    }
}
