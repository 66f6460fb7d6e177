//! A folder in which the tests run the `aez` binary, and a test image.

#![allow(dead_code, reason = "each test program uses some of these functions")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use aez::{
    Picture,
    picture::{self, PictureFormat},
};
use serde_json::Value;

/// A temporary folder with the tiny model in the file `model`.
pub struct TestFolder {
    folder: tempfile::TempDir,
    /// Options of every command that runs in the folder.
    options: Vec<&'static str>,
}

impl TestFolder {
    /// A folder whose commands use the tiny model.
    pub fn new() -> Self {
        Self::with_options(&[])
    }

    /// A folder whose commands use the tiny model and have further options.
    pub fn with_options(options: &[&'static str]) -> Self {
        let options = [&["--model", "model"], options].concat();
        let folder = Self { folder: tempfile::tempdir().unwrap(), options };
        folder.write("model", aez_core::testing::tiny_bytes());
        folder
    }

    /// A folder whose commands use the built-in models.
    pub fn with_built_in_models() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options: Vec::new() }
    }

    /// The path of the folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file, and creates its parent folder first.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The bytes of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The content of a text file.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// The size of a file in bytes.
    pub fn len(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}")).len()
    }

    /// Whether there is such a file or folder.
    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names of the files in one of the subfolders, sorted. `.` is the folder itself.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Writes a PNG file of that size. The test image depends on the name.
    pub fn draw(&self, name: &str, width: u32, height: u32) {
        let seed = name.bytes().fold(0_u8, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte));
        self.write(name, picture::encode(&waves(width, height, seed.into()), PictureFormat::Png).unwrap());
    }

    /// Reads a picture file.
    pub fn picture(&self, name: &str) -> Picture {
        picture::read(&self.path(name), &aez::Limits::default()).unwrap()
    }

    /// Width and height of a picture file.
    pub fn size(&self, name: &str) -> (u32, u32) {
        let picture = self.picture(name);
        (picture.width, picture.height)
    }

    /// `aez ARGS` in this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aez"));
        command.current_dir(self.root()).args(&self.options).args(args);
        command
    }

    /// `aez ARGS` in this folder, in a shell that first runs `setup`.
    pub fn command_after(&self, setup: &str, args: &[&str]) -> Command {
        let aez = self.command(args);
        let mut command = Command::new("/bin/sh");
        command.current_dir(self.root()).arg("-c").arg(format!(r#"{setup}; exec "$@""#)).arg("sh");
        command.arg(aez.get_program()).args(aez.get_args());
        command
    }

    /// `aez ARGS` in this folder, for assertions on its output.
    pub fn aez(&self, args: &[&str]) -> assert_cmd::Command {
        assert_cmd::Command::from_std(self.command(args))
    }

    /// Runs `aez ARGS`, which must succeed and print nothing on standard error. Returns the standard output.
    pub fn run(&self, args: &[&str]) -> Vec<u8> {
        self.aez(args).assert().success().stderr("").get_output().stdout.clone()
    }

    /// Runs a command that prints JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.run(args)).unwrap()
    }
}

/// A test image: waves in two directions whose phase and colour depend on the seed.
pub fn waves(width: u32, height: u32, seed: u32) -> Picture {
    let level =
        |x: u32, y: u32| (127.0 + 120.0 * ((x + seed) as f32 * 0.09).sin() * (y as f32 * 0.07).cos()) as u8;
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        [level(x, y), level(y, x), (seed * 40) as u8]
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}
