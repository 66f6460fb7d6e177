//! The command line: one module per subcommand, each with its arguments and a function `run`.
//!
//! Exit codes: 0 success, 1 an error, 2 wrong usage. Results go to the standard output, messages and progress to the
//! standard error.

mod batch;
mod bench;
mod common;
mod completions;
mod compress;
mod dataset;
mod decompress;
mod encoders;
mod eval;
mod experiment;
mod failure;
mod files;
mod gate;
mod info;
mod jobs;
mod man;
mod output;
mod pack;
mod preview;
mod progress;
mod standard;
mod text;
mod train;

use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

use self::{common::Common, failure::Failure};

/// A neural image codec for pictures that must fit in a hundred bytes
#[derive(Parser)]
#[command(name = "aez", version, propagate_version = true, disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
    /// Print version
    #[arg(id = "version", short = 'V', short_alias = 'v', long = "version", global = true, action = ArgAction::Version)]
    _version: Option<bool>,
}

#[derive(Subcommand)]
enum Command {
    #[command(alias = "encode")]
    Compress(compress::Args),
    #[command(alias = "decode")]
    Decompress(decompress::Args),
    Preview(preview::Args),
    Info(info::Args),
    Train(train::Args),
    Pack(pack::Args),
    Bench(bench::Args),
    Eval(eval::Args),
    Experiment(experiment::Args),
    Dataset(dataset::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Parses the command line, runs the subcommand and prints its error, if any.
pub fn run() -> ExitCode {
    let Cli { command, common, .. } = Cli::parse();
    failure::offer_limits(command.has_limits());
    match common.start().and_then(|()| command.run(&common)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

impl Command {
    /// Whether the subcommand has the options for limits.
    fn has_limits(&self) -> bool {
        match self {
            Self::Compress(_) | Self::Decompress(_) | Self::Preview(_) | Self::Eval(_) => true,
            Self::Dataset(args) => args.has_limits(),
            _ => false,
        }
    }

    fn run(self, common: &Common) -> Result<(), Failure> {
        match self {
            Self::Compress(args) => args.run(common),
            Self::Decompress(args) => args.run(common),
            Self::Preview(args) => args.run(common),
            Self::Info(args) => args.run(common),
            Self::Train(args) => args.run(common),
            Self::Pack(args) => args.run(common),
            Self::Bench(args) => args.run(common),
            Self::Eval(args) => args.run(common),
            Self::Experiment(args) => args.run(common),
            Self::Dataset(args) => args.run(common),
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_valid() {
        super::Cli::command().debug_assert();
    }
}
