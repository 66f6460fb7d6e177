//! The path `-` on the command line, which is the standard input or output.

use std::path::Path;

/// Whether a path stands for the standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The name of an input in messages.
pub fn name_of_input(path: &Path) -> &Path {
    if is_standard(path) { Path::new("standard input") } else { path }
}
