//! The result of decoding does not depend on the instruction set or the number of threads. For each combination, the tests
//! of the vectors run again in a process that is restricted to it, and the binary decodes all files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use aez::Limits;
use aez_core::nn::InstructionSet;

use super::{MODELS, Record, assert_near, assert_shows, json, names, path, png, vectors::record};

/// The names of the instruction sets of this machine, each with one thread and with two.
fn settings() -> Vec<(&'static str, &'static str)> {
    use InstructionSet::{Avx2, Avx512, Scalar};
    let available = InstructionSet::available();
    let sets = [(Scalar, "scalar"), (Avx2, "avx2"), (Avx512, "avx512")].into_iter().filter(|(set, name)| {
        let is_available = available.contains(set);
        if !is_available {
            println!("skipped: this machine has no {name}");
        }
        is_available
    });
    sets.flat_map(|(_, name)| ["1", "2"].map(|threads| (name, threads))).collect()
}

/// Runs some tests of this program in a process restricted to an instruction set and a number of threads, and returns its
/// output.
fn run_again(tests: &mut Command, simd: &str, threads: &str) -> String {
    let output = tests.arg("--exact").envs([("AEZ_SIMD", simd), ("RAYON_NUM_THREADS", threads)]).output();
    let output = output.unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{simd}, {threads} threads: {report}");
    report
}

#[test]
fn symbols_and_pixels_do_not_depend_on_the_instruction_set() {
    for (simd, threads) in settings() {
        let tests = ["vectors::files_are_read_as_recorded", "vectors::previews_are_read_as_recorded"];
        let report = run_again(Command::new(std::env::current_exe().unwrap()).args(tests), simd, threads);
        assert!(report.contains("2 passed"), "{report}");
    }
}

#[test]
fn the_binary_decodes_the_same_pixels_on_every_instruction_set() {
    for model in MODELS {
        let mut own = names();
        own.retain(|name| json::<Record>(&format!("{name}.json")).model == model);
        for (simd, threads) in settings() {
            let folder = tempfile::tempdir().unwrap();
            let model_file = path(model);
            let arguments = ["decompress", "--threads", threads, "--model", model_file.to_str().unwrap()];
            let files: Vec<_> = own.iter().map(|name| path(&format!("{name}.aez"))).collect();
            aez(simd, &arguments, folder.path(), &files);
            for name in &own {
                let decoded = folder.path().join(format!("{name}.png"));
                let found = aez_image::read(&decoded, &Limits::default()).unwrap();
                assert_shows(name, model, &found.rgb, &png(name).rgb);
                assert_eq!(found.alpha, png(name).alpha, "{name}");
            }
        }
    }
}

/// Runs the binary on files, restricted to an instruction set.
fn aez(simd: &str, arguments: &[&str], out: &Path, files: &[PathBuf]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aez"));
    let output =
        command.args(arguments).arg("-o").arg(out).args(files).env("AEZ_SIMD", simd).output().unwrap();
    assert!(output.status.success(), "{simd}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files of a folder, sorted by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Prints the symbols of the files in the folder `AEZ_FILES`, in a process that is restricted to an instruction set.
#[test]
#[ignore = "a part of pictures_are_decoded_the_same_on_every_instruction_set"]
fn print_symbols() {
    let Some(folder) = std::env::var_os("AEZ_FILES") else { return };
    let model = aez::models::tile().unwrap();
    for file in files(Path::new(&folder)) {
        println!("symbols {:?}", record(&fs::read(file).unwrap(), "", model).symbols);
    }
}

#[test]
#[ignore = "takes minutes: encodes and decodes the pictures of the folder AEZ_PICTURES"]
fn pictures_are_decoded_the_same_on_every_instruction_set() {
    let pictures =
        files(&PathBuf::from(std::env::var_os("AEZ_PICTURES").expect("AEZ_PICTURES names a folder")));
    let work = tempfile::tempdir().unwrap();
    let folder = |name: &str| work.path().join(name);
    aez("", &["compress", "--quiet"], &folder("coded"), &pictures);
    let coded = files(&folder("coded"));
    let mut found: Vec<(Vec<String>, Vec<Vec<u8>>)> = Vec::new();
    for (simd, threads) in settings() {
        let decoded = folder(&format!("{simd}-{threads}"));
        aez(simd, &["decompress", "--quiet", "--threads", threads], &decoded, &coded);
        let read = |file: &PathBuf| aez_image::read(file, &Limits::default()).unwrap().rgb;
        let pixels = files(&decoded).iter().map(read).collect();
        let mut printer = Command::new(std::env::current_exe().unwrap());
        printer
            .args(["instruction_sets::print_symbols", "--ignored", "--nocapture"])
            .env("AEZ_FILES", folder("coded"));
        let report = run_again(&mut printer, simd, threads);
        let symbols = report.lines().filter(|line| line.starts_with("symbols")).map(str::to_owned).collect();
        found.push((symbols, pixels));
    }
    let (symbols, pixels) = &found[0];
    assert_eq!((symbols.len(), pixels.len()), (pictures.len(), pictures.len()));
    for (other_symbols, other_pixels) in &found[1..] {
        assert_eq!(symbols, other_symbols);
        for (a, b) in pixels.iter().zip(other_pixels) {
            assert_near("a picture", a, b);
        }
    }
    println!("{} pictures, {} settings: the same symbols", pictures.len(), found.len());
}
