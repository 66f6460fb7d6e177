//! Chooses the built-in model `tile`: the file that the environment variable `AEZ_BUILTIN_MODEL` names, or else the repository's.
//! A checkout without that file builds, too; the program then needs a model file.

use std::{env, fs, path::PathBuf};

const WANTED: &str = "AEZ_BUILTIN_MODEL";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let own = root.join("models/tile.safetensors");
    println!("cargo::rerun-if-env-changed={WANTED}");
    let model = match env::var_os(WANTED).filter(|path| !path.is_empty()) {
        Some(path) => root.join(path),
        None if own.exists() => own,
        None => {
            let none = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("no-model");
            fs::write(&none, []).expect("cargo's folder for results can be written to");
            none
        }
    };
    if !model.is_file() {
        println!("cargo::error={WANTED} names {}, which is no file", model.display());
    }
    println!("cargo::rerun-if-changed={}", model.display());
    println!("cargo::rustc-env={WANTED}={}", model.display());
}
