//! SIGKILL at random times: the output is the old file or the new one.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aez::{Limits, picture::PictureFormat, preview};
use aez_core::{
    testing::tiny,
    tiled::{Config, Storage, TiledModel},
};
use aez_train::{
    checkpoint::Checkpoint,
    data::Dataset,
    recipe::{Init, Recipe},
    run::{self, Files, Options},
    spec::{Source, Spec},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{count, folder, remove_temporary_files};
use crate::common::{TestFolder, waves};

const OLD: &[u8] = b"the old file";

/// Starts a command and kills it within its usual running time. Returns whether it was still running.
fn kill(command: &mut Command, longest: Duration, rng: &mut ChaCha8Rng) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(longest.mul_f64(rng.random_range(0.0..1.1)));
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Starts a command and kills it within a tenth of a millisecond after its temporary file appears, while it is being written
/// or renamed. Returns whether the command was still running.
fn kill_while_writing(command: &mut Command, folder: &Path, rng: &mut ChaCha8Rng) -> bool {
    let is_temporary = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".aez-");
    let writes = || fs::read_dir(folder).unwrap().flatten().any(|entry| is_temporary(&entry.file_name()));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !writes() && child.try_wait().unwrap().is_none() {}
    std::thread::sleep(Duration::from_micros(rng.random_range(0..100)));
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Repeatedly kills a command that writes `output`.
fn old_or_new(folder: &TestFolder, args: &[&str], output: &str) {
    let start = Instant::now();
    folder.run(args);
    let longest = start.elapsed();
    let new = folder.read(output);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut killed, mut kept, mut unfinished) = (0, 0, 0);
    let rounds = count("AEZ_FAULT_ROUNDS", 4);
    for round in 0..rounds {
        folder.write(output, OLD);
        let mut command = folder.command(args);
        killed += u32::from(if round % 2 == 0 {
            kill(&mut command, longest, &mut rng)
        } else {
            kill_while_writing(&mut command, folder.root(), &mut rng)
        });
        let found = folder.read(output);
        kept += u32::from(found == OLD);
        assert!(found == OLD || found == new, "round {round}: {} bytes", found.len());
        unfinished += remove_temporary_files(folder);
    }
    println!(
        "{}: {killed} of {rounds} killed, {unfinished} while writing; the old file stayed {kept} times",
        args[0]
    );
}

#[test]
fn a_killed_compression_leaves_the_old_file_or_the_new_one() {
    let folder = folder();
    // Random alpha values cannot be compressed. They make the file large, so that writing it takes some time.
    let picture = waves(500, 400, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let alpha = Some((0..500 * 400).map(|_| rng.random()).collect());
    folder.write("a.png", aez_image::encode(&picture.with_alpha(alpha), PictureFormat::Png).unwrap());
    old_or_new(&folder, &["compress", "--force", "--quality", "100", "a.png", "a.aez"], "a.aez");
}

#[test]
fn a_killed_decompression_leaves_the_old_file_or_the_new_one() {
    let folder = folder();
    folder.draw("a.png", 500, 400);
    folder.run(&["compress", "a.png"]);
    old_or_new(&folder, &["decompress", "--force", "a.aez", "a.bmp"], "a.bmp");
}

/// Writing 18 MB takes long enough to be interrupted in the middle.
#[test]
fn a_killed_run_with_a_large_output_leaves_the_old_file_or_the_new_one() {
    let folder = folder();
    let text = preview::encode(&tiny(), &waves(30, 20, 1), 20).unwrap();
    let args = ["preview", "--force", "--decode", &text, "--size", "3000x2000", "large.bmp"];
    old_or_new(&folder, &args, "large.bmp");
}

/// Each of several outputs is complete or does not exist.
#[test]
fn a_killed_run_over_many_files_leaves_complete_files() {
    let folder = folder();
    let names: Vec<String> = (0..8).map(|index| format!("{index}.png")).collect();
    names.iter().for_each(|name| folder.draw(name, 160, 120));
    let mut args = vec!["compress", "-o", "out"];
    args.extend(names.iter().map(String::as_str));
    let start = Instant::now();
    folder.run(&args);
    let longest = start.elapsed();
    let complete: Vec<Vec<u8>> = (0..8).map(|index| folder.read(&format!("out/{index}.aez"))).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    for _ in 0..count("AEZ_FAULT_ROUNDS", 4) {
        fs::remove_dir_all(folder.path("out")).unwrap();
        kill(&mut folder.command(&args), longest, &mut rng);
        for (index, complete) in complete.iter().enumerate() {
            let made = fs::read(folder.path(&format!("out/{index}.aez")));
            assert!(made.is_err() || made.unwrap() == *complete, "file {index}");
        }
        fs::create_dir_all(folder.path("out")).unwrap();
    }
}

const CONFIG: Config =
    Config { tile: 16, channels: 12, reductions: 2, latents: 12, normalize: false, dropout: 0.0 };

/// A short training run in a folder that saves a checkpoint after each step.
fn train(folder: &Path, resume: bool) {
    let spec = Spec { source: Source::Folder(folder.join("pictures")), weight: 1 };
    let data = Dataset::open(&[spec], CONFIG.tile, &Limits::default()).unwrap();
    let recipe = Recipe { init: Init::Xavier, batch_size: 8, epochs: 2.0, quantize: true, ..Recipe::tuned() };
    let options = Options::new(CONFIG, recipe, folder.join("trained"))
        .with_seed(5)
        .with_resume(resume)
        .with_measure_every(64)
        .with_checkpoint_every(Duration::ZERO)
        .with_storage(Storage::Float32);
    run::train(&data, &options, &mut |_| {}).unwrap();
}

/// The process that is killed in the next test.
#[test]
#[ignore = "trains in the folder AEZ_FAULT_FOLDER"]
fn trains_until_killed() {
    let folder = std::env::var_os("AEZ_FAULT_FOLDER").expect("AEZ_FAULT_FOLDER");
    let folder = Path::new(&folder);
    train(folder, Files::beside(&folder.join("trained")).checkpoint.exists());
}

#[test]
fn a_killed_training_run_leaves_a_checkpoint_to_resume() {
    let folder = folder();
    (0..24).for_each(|index| folder.draw(&format!("pictures/{index}.png"), 20, 20 + index));
    let start = Instant::now();
    train(folder.root(), false);
    let longest = start.elapsed();
    let out = folder.path("trained");
    let id = |model: &Path| TiledModel::from_bytes(fs::read(model).unwrap()).unwrap().id();
    let complete = id(&out);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "kill::trains_until_killed"]);
    child.env("AEZ_FAULT_FOLDER", folder.root());
    let mut loaded = 0;
    let rounds = count("AEZ_FAULT_ROUNDS", 1);
    for _ in 0..rounds {
        let files = Files::beside(&out);
        for file in [&out, &files.checkpoint] {
            let _ = fs::remove_file(file);
        }
        // The second kill interrupts a resumed run.
        for _ in 0..2 {
            kill(&mut child, longest, &mut rng);
            if files.checkpoint.exists() {
                Checkpoint::load(&files.checkpoint).expect("a complete checkpoint or none");
                loaded += 1;
            }
            if out.exists() {
                assert_eq!(id(&out), complete, "a complete model or none");
            }
        }
        if !out.exists() {
            train(folder.root(), files.checkpoint.exists());
        }
        assert_eq!(id(&out), complete, "killed runs give the same model as an uninterrupted one");
    }
    println!("train: {rounds} rounds of two kills, {loaded} complete checkpoints");
}
