//! Every instruction set and number of threads reads the same: the other tests of this program are run again in
//! processes that are held to each of them, and the real command decodes the files to the same pixels.

use std::process::Command;

use aez::{Limits, nn};

use super::{MODELS, Record, assert_near, json, names, path, png};

/// Each instruction set of this machine with one thread and with two.
fn settings() -> Vec<(&'static str, &'static str)> {
    let available = nn::Path::available();
    let paths = [(nn::Path::Scalar, "scalar"), (nn::Path::Avx2, "avx2"), (nn::Path::Avx512, "avx512")];
    let here = paths.into_iter().filter(|(path, name)| {
        let here = available.contains(path);
        if !here {
            println!("skipped: this machine has no {name}");
        }
        here
    });
    here.flat_map(|(_, name)| ["1", "2"].map(|threads| (name, threads))).collect()
}

#[test]
fn symbols_and_pixels_are_the_same_on_every_path() {
    for (simd, threads) in settings() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "vectors::files_are_read_as_recorded",
                "vectors::previews_are_read_as_recorded",
            ])
            .env("AEZ_SIMD", simd)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{simd}, {threads} threads: {report}");
        assert!(report.contains("2 passed"), "{report}");
    }
}

#[test]
fn the_command_decodes_the_same_pixels_on_every_path() {
    for model in MODELS {
        let mut own = names();
        own.retain(|name| json::<Record>(&format!("{name}.json")).model == model);
        for (simd, threads) in settings() {
            let folder = tempfile::tempdir().unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_aez"))
                .args(["decompress", "--threads", threads, "--model"])
                .arg(path(model))
                .arg("-o")
                .arg(folder.path())
                .args(own.iter().map(|name| path(&format!("{name}.aez"))))
                .env("AEZ_SIMD", simd)
                .output()
                .unwrap();
            assert!(output.status.success(), "{simd}: {}", String::from_utf8_lossy(&output.stderr));
            for name in &own {
                let shown = folder.path().join(format!("{name}.png"));
                let found = aez::picture::read(&shown, &Limits::default()).unwrap();
                assert_near(name, &found.rgb, &png(name).rgb);
                assert_eq!(found.alpha, png(name).alpha, "{name}");
            }
        }
    }
}
