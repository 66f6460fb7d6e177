//! Standard input and output as paths on the command line: `-`, and the names that systems give them.

use std::path::Path;

/// Standard input as a file of the system. It names the file of a redirection such as `< FILE`.
pub const STANDARD_INPUT: &str = "/dev/stdin";

/// Whether an input is the standard input.
pub fn is_standard_input(path: &Path) -> bool {
    is_one_of(path, &["-", STANDARD_INPUT, "/dev/fd/0", "/proc/self/fd/0"])
}

/// Whether an output is the standard output. It is written through the open file, and not opened a second time: what was
/// written before remains, as in `(echo; aez ...) > FILE`.
pub fn is_standard_output(path: &Path) -> bool {
    is_one_of(path, &["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
}

/// The name of an input in messages.
pub fn name_of_input(path: &Path) -> &Path {
    if is_standard_input(path) { Path::new("standard input") } else { path }
}

/// On systems other than Unix, only `-` has a special meaning.
fn is_one_of(path: &Path, names: &[&str]) -> bool {
    let names = if cfg!(unix) { names } else { &names[..1] };
    names.iter().any(|name| path.as_os_str() == *name)
}
