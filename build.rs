//! Chooses the files of the built-in models that this package contains or that environment variables name. A checkout without the file
//! of `tile` builds, too; the program then needs a model file.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    choose(&root, "AEZ_BUILTIN_MODEL", Some("models/tile.safetensors"));
    // Without the variable, the model is that of `aez-core`.
    choose(&root, "AEZ_BUILTIN_PHOTO_MODEL", None);
}

/// Sets the variable for the compiler to the file that it names in the environment, or to this package's file, or to an empty one.
fn choose(root: &Path, variable: &str, own: Option<&str>) {
    let own = own.map(|own| root.join(own)).filter(|own| own.exists());
    println!("cargo::rerun-if-env-changed={variable}");
    let chosen = env::var_os(variable).filter(|path| !path.is_empty()).map(|path| root.join(path));
    let model = chosen.or(own).unwrap_or_else(|| {
        let none = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("no-model");
        fs::write(&none, []).expect("cargo's folder for results can be written to");
        none
    });
    if !model.is_file() {
        println!("cargo::error={variable} names {}, which is no file", model.display());
    }
    println!("cargo::rerun-if-changed={}", model.display());
    println!("cargo::rustc-env={variable}={}", model.display());
}
