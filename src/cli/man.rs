//! `aez man`

use clap::CommandFactory;

use super::{Cli, failure::Failure, output::write_stdout};

/// Print the manual page of aez or of a subcommand, in roff format
#[derive(clap::Args)]
pub struct Args {
    /// Subcommand [default: aez itself]
    #[arg(value_name = "COMMAND")]
    subcommand: Option<String>,
}

impl Args {
    pub fn run(&self) -> Result<(), Failure> {
        let mut command = Cli::command();
        command.build();
        if let Some(name) = &self.subcommand {
            let found = command.find_subcommand(name).cloned();
            command = found.ok_or_else(|| Failure::Usage(format!("aez has no subcommand '{name}'")))?;
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(Failure::from_stdout)?;
        write_stdout(&page)
    }
}
