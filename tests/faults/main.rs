//! The real program in bad circumstances: killed, without room, without rights, without memory, with a thousand files
//! of which some are broken. What is there afterwards is the old file or the new one, and the complaint says why.
//!
//! `AEZ_FAULT_ROUNDS` is the number of kills of each kind, default 4 and of trainings 1; `AEZ_LOAD` the number of pictures, default 100.
#![cfg(unix)]

mod bombs;
mod disk;
mod kill;
mod load;
mod memory;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use aez::picture::{self, Picture, PictureFormat};

/// A folder of its own for each test, with a tiny model in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(place.path("model"), aez::model::tiny_bytes()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn draw(&self, name: &str, width: u32, height: u32) {
        let picture = draw(width, height, u32::from(name.as_bytes()[0]));
        self.write(name, picture::encode(&picture, PictureFormat::Png).unwrap());
    }

    /// The program in this folder, with the tiny model and without progress.
    fn aez(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aez"));
        command.current_dir(&self.folder).args(["--quiet", "--threads", "1", "--model", "model"]).args(args);
        command
    }

    /// The program under a shell that does something before: `before; exec aez args`.
    fn aez_after(&self, before: &str, args: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        let script = format!(r#"{before}; exec "$@""#);
        command.current_dir(&self.folder).args(["-c", &script, "sh", env!("CARGO_BIN_EXE_aez")]);
        command.args(["--quiet", "--threads", "1", "--model", "model"]).args(args);
        command
    }

    fn run(&self, args: &[&str]) {
        let output = self.aez(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output));
    }

    /// Removes the temporary files that a killed run left behind, and counts them.
    fn sweep(&self) -> usize {
        let left: Vec<String> =
            self.files(".").into_iter().filter(|name| name.starts_with(".aez-")).collect();
        left.iter().for_each(|name| fs::remove_file(self.path(name)).unwrap());
        left.len()
    }

    /// Names of what lies in a folder of this one.
    fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Waves whose place varies with the seed.
fn draw(width: u32, height: u32, seed: u32) -> Picture {
    let level =
        |x: u32, y: u32| (127.0 + 120.0 * ((x + seed) as f32 * 0.09).sin() * (y as f32 * 0.07).cos()) as u8;
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        [level(x, y), level(y, x), (seed * 40) as u8]
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

/// What the program said on its standard error.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks that the program ended with the code, and not by a signal, and complained of it.
fn assert_fails(output: &Output, complaints: &[&str]) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(1), "{}: {said}", output.status);
    for complaint in complaints {
        assert!(said.contains(complaint), "{said:?} does not say {complaint:?}");
    }
    assert!(said.starts_with("aez: ") && !said.contains("panicked"), "{said}");
}

/// A count from the environment.
fn count(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|e| panic!("{name}={value}: {e}")))
}
