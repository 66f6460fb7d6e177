//! The command `aez`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
