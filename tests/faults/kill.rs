//! SIGKILL at random moments: the file is the old one or the new one.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aez::{
    Limits,
    codec::preview,
    model::{Config, Model, tiny},
    picture::{self, Picture, PictureFormat},
    train::{
        checkpoint::Checkpoint,
        data::Dataset,
        recipe::{Init, Recipe},
        run::{self, Files, Options},
        spec::{Source, Spec},
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Place, count};

const OLD: &[u8] = b"the old file";

/// Runs a command that is killed within the time that it would take, and says whether it was still alive.
fn kill(command: &mut Command, longest: Duration, rng: &mut ChaCha8Rng) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(longest.mul_f64(rng.random_range(0.0..1.1)));
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Runs a command that is killed within a tenth of a millisecond after its temporary file appears, when it is being
/// written or takes its name, and says whether it was still alive.
fn kill_while_writing(command: &mut Command, folder: &Path, rng: &mut ChaCha8Rng) -> bool {
    let is_temporary = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".aez-");
    let writes = || fs::read_dir(folder).unwrap().flatten().any(|entry| is_temporary(&entry.file_name()));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !writes() && child.try_wait().unwrap().is_none() {}
    std::thread::sleep(Duration::from_micros(rng.random_range(0..100)));
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Kills `args`, which write `output`, again and again.
fn old_or_new(place: &Place, args: &[&str], output: &str) {
    let start = Instant::now();
    place.run(args);
    let longest = start.elapsed();
    let new = place.read(output);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (mut killed, mut kept, mut unfinished) = (0, 0, 0);
    let rounds = count("AEZ_FAULT_ROUNDS", 4);
    for round in 0..rounds {
        place.write(output, OLD);
        let mut command = place.aez(args);
        killed += u32::from(if round % 2 == 0 {
            kill(&mut command, longest, &mut rng)
        } else {
            kill_while_writing(&mut command, place.folder.path(), &mut rng)
        });
        let found = place.read(output);
        kept += u32::from(found == OLD);
        assert!(found == OLD || found == new, "round {round}: {} bytes", found.len());
        unfinished += place.sweep();
    }
    println!(
        "{}: {killed} of {rounds} killed, {unfinished} while writing; {kept} kept the old file",
        args[0]
    );
}

#[test]
fn a_killed_compression_leaves_the_old_file_or_the_new_one() {
    let place = Place::new();
    // Opacities that cannot be compressed make a large file, which takes some time to write.
    let picture = super::draw(500, 400, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let alpha = Some((0..500 * 400).map(|_| rng.random()).collect());
    let picture = Picture { alpha, ..picture };
    place.write("a.png", picture::encode(&picture, PictureFormat::Png).unwrap());
    old_or_new(&place, &["compress", "--force", "--quality", "100", "a.png", "a.aez"], "a.aez");
}

#[test]
fn a_killed_decompression_leaves_the_old_file_or_the_new_one() {
    let place = Place::new();
    place.draw("a.png", 500, 400);
    place.run(&["compress", "a.png"]);
    old_or_new(&place, &["decompress", "--force", "a.aez", "a.bmp"], "a.bmp");
}

/// Writing eighteen megabytes takes long enough to be met in the middle.
#[test]
fn a_killed_run_that_writes_much_leaves_the_old_file_or_the_new_one() {
    let place = Place::new();
    let text = preview::encode(&tiny(), &super::draw(30, 20, 1), 20).unwrap();
    let args = ["preview", "--force", "--decode", &text, "--size", "3000x2000", "large.bmp"];
    old_or_new(&place, &args, "large.bmp");
}

/// Where several files are made, each is whole or not there at all.
#[test]
fn a_killed_run_over_many_files_leaves_whole_files() {
    let place = Place::new();
    let names: Vec<String> = (0..8).map(|index| format!("{index}.png")).collect();
    names.iter().for_each(|name| place.draw(name, 160, 120));
    let mut args = vec!["compress", "-o", "out"];
    args.extend(names.iter().map(String::as_str));
    let start = Instant::now();
    place.run(&args);
    let longest = start.elapsed();
    let whole: Vec<Vec<u8>> = (0..8).map(|index| place.read(&format!("out/{index}.aez"))).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    for _ in 0..count("AEZ_FAULT_ROUNDS", 4) {
        fs::remove_dir_all(place.path("out")).unwrap();
        kill(&mut place.aez(&args), longest, &mut rng);
        for (index, whole) in whole.iter().enumerate() {
            let made = fs::read(place.path(&format!("out/{index}.aez")));
            assert!(made.is_err() || made.unwrap() == *whole, "file {index}");
        }
        fs::create_dir_all(place.path("out")).unwrap();
    }
}

const CONFIG: Config =
    Config { tile: 16, channels: 12, reductions: 2, latents: 12, normalize: false, dropout: 0.0 };

/// A short run in `place` that saves a checkpoint after each step.
fn train(place: &Path, resume: bool) {
    let spec = Spec { source: Source::Folder(place.join("pictures")), weight: 1 };
    let data = Dataset::open(&[spec], CONFIG.tile, &Limits::default()).unwrap();
    let options = Options {
        config: CONFIG,
        recipe: Recipe { init: Init::Xavier, batch_size: 8, epochs: 2.0, quantize: true, ..Recipe::tuned() },
        seed: 5,
        out: place.join("trained"),
        weights: None,
        resume,
        budget: None,
        device: candle_core::Device::Cpu,
        measure_every: 64,
        checkpoint_every: Duration::ZERO,
        storage: aez::model::Storage::Float32,
    };
    run::train(&data, &options, &mut |_| {}).unwrap();
}

/// The process that the next test kills.
#[test]
#[ignore = "trains in the folder AEZ_FAULT_FOLDER"]
fn trains_until_killed() {
    let folder = std::env::var_os("AEZ_FAULT_FOLDER").expect("AEZ_FAULT_FOLDER");
    let folder = Path::new(&folder);
    train(folder, Files::beside(&folder.join("trained")).checkpoint.exists());
}

#[test]
fn a_killed_training_leaves_a_checkpoint_that_goes_on() {
    let place = Place::new();
    fs::create_dir(place.path("pictures")).unwrap();
    (0..24).for_each(|index| place.draw(&format!("pictures/{index}.png"), 20, 20 + index));
    let start = Instant::now();
    train(place.folder.path(), false);
    let longest = start.elapsed();
    let out = place.path("trained");
    let parameters = |out| Model::load(out).unwrap().id();
    let whole = parameters(&out);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--ignored", "kill::trains_until_killed"]);
    child.env("AEZ_FAULT_FOLDER", place.folder.path());
    let mut loaded = 0;
    let rounds = count("AEZ_FAULT_ROUNDS", 1);
    for _ in 0..rounds {
        let files = Files::beside(&out);
        for file in [&out, &files.checkpoint] {
            let _ = fs::remove_file(file);
        }
        // Killed twice, so that a resumed run is killed, too.
        for _ in 0..2 {
            kill(&mut child, longest, &mut rng);
            if files.checkpoint.exists() {
                Checkpoint::load(&files.checkpoint).expect("a whole checkpoint or none");
                loaded += 1;
            }
            if out.exists() {
                assert_eq!(parameters(&out), whole, "a whole model or none");
            }
        }
        if !out.exists() {
            train(place.folder.path(), files.checkpoint.exists());
        }
        assert_eq!(parameters(&out), whole, "killed runs end like one that was not");
    }
    println!("train: {rounds} rounds of two kills, {loaded} checkpoints found whole");
}
