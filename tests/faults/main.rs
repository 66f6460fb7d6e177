//! The `aez` binary under bad conditions: killed, with a full disk, without permissions, with little memory, with a thousand
//! files of which some are damaged. The output is the old file or the new one, and the message gives the cause.
//!
//! `AEZ_FAULT_ROUNDS` is the number of kills of each kind (default 4, for training 1), `AEZ_LOAD` the number of pictures
//! (default 100).
#![cfg(unix)]

mod bombs;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod kill;
mod load;
mod memory;

use std::{fs, process::Output};

use common::TestFolder;

/// A folder whose commands use the tiny model and one thread, and print no progress.
fn folder() -> TestFolder {
    TestFolder::with_options(&["--quiet", "--threads", "1"])
}

/// Removes the temporary files that a killed run left behind, and returns their number.
fn remove_temporary_files(folder: &TestFolder) -> usize {
    let temporary: Vec<String> =
        folder.files(".").into_iter().filter(|name| name.starts_with(".aez-")).collect();
    temporary.iter().for_each(|name| fs::remove_file(folder.path(name)).unwrap());
    temporary.len()
}

/// The standard error of a process.
fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks that the binary failed with exit code 1, not by a signal, and with messages that contain `parts`.
fn assert_fails(output: &Output, parts: &[&str]) {
    let messages = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{}: {messages}", output.status);
    for part in parts {
        assert!(messages.contains(part), "{messages:?} does not contain {part:?}");
    }
    assert!(messages.starts_with("aez: ") && !messages.contains("panicked"), "{messages}");
}

/// A number from an environment variable.
fn count(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|e| panic!("{name}={value}: {e}")))
}
