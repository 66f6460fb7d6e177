//! `aez completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, failure::Failure, output::write_stdout};

/// Print a completion script for a shell
#[derive(clap::Args)]
pub struct Args {
    shell: Shell,
}

impl Args {
    pub fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "aez", &mut script);
        write_stdout(&script)
    }
}
