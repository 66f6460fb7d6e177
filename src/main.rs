//! The command `aez`.

mod cli;

/// Encoding photographs allocates and frees large arrays in each step. The allocator of glibc would return each to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
