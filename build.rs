//! Chooses the files of the built-in models: those that environment variables name, or else the repository's. A checkout without them
//! builds, too; the program then needs model files.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    choose(&root, "AEZ_BUILTIN_MODEL", "models/tile.safetensors");
    choose(&root, "AEZ_BUILTIN_PHOTO_MODEL", "models/photo.safetensors");
}

/// Sets the variable for the compiler to the file that it names in the environment, or to the repository's file, or to an empty one.
fn choose(root: &Path, variable: &str, own: &str) {
    let own = root.join(own);
    println!("cargo::rerun-if-env-changed={variable}");
    let model = match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => root.join(path),
        None if own.exists() => own.clone(),
        None => {
            let none = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("no-model");
            fs::write(&none, []).expect("cargo's folder for results can be written to");
            none
        }
    };
    if !model.is_file() {
        println!("cargo::error={variable} names {}, which is no file", model.display());
    }
    println!("cargo::rerun-if-changed={}", model.display());
    println!("cargo::rustc-env={variable}={}", model.display());
}
