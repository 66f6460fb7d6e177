//! `aez experiment`

use std::{path::PathBuf, time::Duration};

use aez::{
    Limits, Quality,
    model::{Config, Storage},
    train::{
        data::Dataset,
        experiment::{Experiment, Variant},
        recipe::Recipe,
        run::Options,
        spec::{Source, Spec},
    },
};

use super::{
    common::Common,
    failure::{Failure, complain},
    train::{progress_bar, show},
};

/// Train several networks and compare them
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Paper(Paper),
}

/// Train the paper's network with and without normalization, with and without dropout
///
/// By the paper's recipe. The four models, their logs and curves, and a comparison (README.md and losses.svg) lie in one
/// folder. The same command again goes on with an experiment that was interrupted.
#[derive(clap::Args)]
struct Paper {
    /// Training data: a folder of pictures, or stl10:DIR. With @N after it, each picture is visited N times an epoch
    #[arg(long, required = true, num_args = 1.., value_name = "SPEC")]
    data: Vec<Spec>,
    /// Folder to write to, made if need be
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 121, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Most training pictures to use, evenly spaced [default: all; the paper has 5000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Tiles of a step
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: u32,
    /// Channels at full resolution: fewer make a faster, worse network
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=256))]
    channels: u32,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Qualities of the files to compare
    #[arg(
        short = 'Q',
        long,
        value_name = "Q,Q,...",
        value_delimiter = ',',
        default_value = "40,50,60,75,90"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Vec<u8>,
}

/// Time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(300);

impl Args {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let Action::Paper(paper) = self.action;
        paper.run(common)
    }
}

impl Paper {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let experiment = self.experiment(common)?;
        let mut data = Dataset::open(&self.data, experiment.options.config.tile, &Limits::default())?;
        data.skipped().iter().for_each(|why| complain(why));
        if let Some(limit) = self.limit {
            data = data.keep(limit as usize)?;
        }
        let bar = progress_bar(common);
        let mut current: Option<Variant> = None;
        experiment.run(&data, &mut |variant, event| {
            if current.replace(variant) != Some(variant) && !common.quiet {
                bar.suspend(|| complain(&format!("variant {}", variant.name())));
            }
            show(&bar, event, common.quiet);
        })?;
        bar.finish_and_clear();
        if !common.quiet {
            complain(&format!("wrote {}", self.out.join("README.md").display()));
        }
        Ok(())
    }

    fn experiment(&self, common: &Common) -> Result<Experiment, Failure> {
        let recipe =
            Recipe { epochs: self.epochs.into(), batch_size: self.batch_size as usize, ..Recipe::paper() };
        let options = Options {
            config: Config { channels: self.channels as usize, ..Config::default() },
            recipe,
            seed: self.seed,
            out: self.out.clone(),
            weights: None,
            resume: false,
            budget: None,
            device: common.open_device()?,
            measure_every: u64::MAX,
            checkpoint_every: CHECKPOINT_EVERY,
            storage: Storage::Int8,
        };
        let qualities = self.quality.iter().map(|&q| Quality::new(q)).collect::<Result<_, _>>()?;
        Ok(Experiment { options, qualities, anew: common.force, command: self.command() })
    }

    /// The command that does this again, folders by their names alone: the report is to be read elsewhere.
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
        let qualities: Vec<String> = self.quality.iter().map(u8::to_string).collect();
        format!(
            "aez experiment paper --data {} --out {} --epochs {}{limit} --batch-size {} --channels {} --seed {} --quality {}",
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

/// The text as one word of a shell.
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
    fn the_report_s_command_does_the_same_elsewhere() {
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
