//! The paper's experiment, with small networks on drawn pictures: through the library and through the program.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use aez::{
    Error, Limits, Quality, Result,
    model::{Config, Model, Storage},
    picture::{self, Picture, PictureFormat},
    train::{
        data::Dataset,
        experiment::{Experiment, Outcome, Variant},
        recipe::Recipe,
        run::{Event, Files, Options},
        spec::{Source, Spec},
    },
};
use assert_cmd::Command;
use predicates::{prelude::*, str::contains};

const CONFIG: Config =
    Config { tile: 8, channels: 4, reductions: 2, latents: 6, normalize: false, dropout: 0.0 };

struct Place {
    folder: tempfile::TempDir,
    data: Dataset,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pictures")).unwrap();
        for index in 0..20 {
            let png = picture::encode(&draw(index), PictureFormat::Png).unwrap();
            fs::write(folder.path().join(format!("pictures/{index}.png")), png).unwrap();
        }
        let spec = Spec { source: Source::Folder(folder.path().join("pictures")), weight: 1 };
        let data = Dataset::open(&[spec], CONFIG.tile, &Limits::default()).unwrap();
        Self { folder, data }
    }

    fn experiment(&self, name: &str) -> Experiment {
        let options = Options {
            config: CONFIG,
            recipe: Recipe { batch_size: 8, epochs: 3.0, ..Recipe::paper() },
            seed: 5,
            out: self.folder.path().join(name),
            weights: None,
            resume: false,
            budget: None,
            device: candle_core::Device::Cpu,
            measure_every: u64::MAX,
            checkpoint_every: Duration::ZERO,
            storage: Storage::Float32,
        };
        let qualities = [20, 60, 90].map(|quality| Quality::new(quality).unwrap()).to_vec();
        Experiment { options, qualities, anew: false, command: "aez experiment".into() }
    }

    /// Runs, and says of which variants steps were taken.
    fn run(&self, experiment: &Experiment) -> Result<([Outcome; 4], Vec<Variant>)> {
        let mut stepped = Vec::new();
        let outcomes = experiment.run(&self.data, &mut |variant, event| {
            if matches!(event, Event::Step { .. }) && !stepped.contains(&variant) {
                stepped.push(variant);
            }
        })?;
        Ok((outcomes, stepped))
    }
}

/// A slope in colours that vary with the index.
fn draw(index: u32) -> Picture {
    let pixel = |i: u32| [(i % 12 * (index + 3)) as u8, (i / 12 * 20) as u8, (index * 12) as u8];
    Picture::from_rgb(12, 12, (0..144).flat_map(pixel).collect())
}

fn model(experiment: &Experiment, variant: Variant) -> PathBuf {
    experiment.options.out.join(format!("{}.safetensors", variant.name()))
}

fn report(folder: &Path) -> String {
    fs::read_to_string(folder.join("README.md")).unwrap()
}

/// The cells of the first row of a report's tables that begins with these.
fn cells<'a>(report: &'a str, first: &str) -> Vec<&'a str> {
    let line = report.lines().find(|line| line.starts_with(&format!("| {first} |")));
    line.unwrap_or_else(|| panic!("no row {first} in {report}")).split('|').map(str::trim).collect()
}

#[test]
fn four_variants_are_trained_and_compared() {
    let place = Place::new();
    let experiment = place.experiment("out");
    let (outcomes, stepped) = place.run(&experiment).unwrap();
    assert_eq!(stepped, Variant::ALL);
    let out = &experiment.options.out;
    let text = report(out);
    for (variant, outcome) in Variant::ALL.into_iter().zip(&outcomes) {
        let path = model(&experiment, variant);
        let config = *Model::load(&path).unwrap().config();
        assert_eq!((config.normalize, config.dropout > 0.0), (variant.normalize, variant.dropout));
        // The figures of the report are those of the log's last line.
        let log = fs::read_to_string(Files::beside(&path).log).unwrap();
        let last: Vec<f64> = log.lines().last().unwrap().split(',').map(|x| x.parse().unwrap()).collect();
        let row = cells(&text, variant.name());
        for (cell, value, digits) in [(2, last[3], 6), (3, last[4], 6), (4, last[5], 6), (5, last[6], 2)] {
            assert_eq!(row[cell], format!("{value:.digits$}"), "{}", variant.name());
        }
        assert_eq!((last[0], last[1]), (3.0, 3.0 * place.data.len() as f64));
        let coded = outcome.coded[1];
        assert!(text.contains(&format!("| {:.1} bytes, {:.2} dB |", coded.bytes, coded.psnr)));
        let grid = picture::read(&Files::beside(&path).grid, &Limits::default()).unwrap();
        let shown = place.data.validation().len() / place.data.tile_len();
        assert_eq!((grid.width, grid.height), (8 * shown as u32, 16));
    }
    // What differs is not the order of the data, nor the start.
    let first = outcomes.each_ref().map(|outcome| outcome.rows[0].test_loss);
    assert!(first[0] == first[1] && first[2] == first[3] && first[0] != first[2], "{first:?}");
    assert_eq!(cells(&text, "tiles seen")[2], (3 * place.data.len()).to_string());
    assert!(text.contains("smaller than the paper's"));
    assert!(fs::read_to_string(out.join("losses.svg")).unwrap().contains("normalize-dropout"));

    // Once more: nothing to train, the same to say.
    let (again, stepped) = place.run(&experiment).unwrap();
    assert!(stepped.is_empty() && again.iter().zip(&outcomes).all(|(a, b)| a.coded == b.coded));
    assert_eq!(report(out), text);
}

#[test]
fn a_killed_experiment_goes_on_where_it_was() {
    let place = Place::new();
    let (whole, killed) = (place.experiment("whole"), place.experiment("killed"));
    let (expected, _) = place.run(&whole).unwrap();
    let [plain, dropout, normalize, both] = Variant::ALL;
    let per_epoch = place.data.len() as u64;
    let mut kill = |variant, event: Event<'_>| match event {
        Event::Step { tiles, .. } if variant == dropout && tiles == per_epoch + 8 => {
            std::panic::resume_unwind(Box::new("killed"));
        }
        _ => {}
    };
    assert!(catch_unwind(AssertUnwindSafe(|| killed.run(&place.data, &mut kill))).is_err());
    assert!(model(&killed, plain).exists() && !model(&killed, dropout).exists());
    let (found, stepped) = place.run(&killed).unwrap();
    assert_eq!(stepped, [dropout, normalize, both]);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.coded, expected.coded, "{}", found.variant.name());
        assert_eq!(found.last().test_loss, expected.last().test_loss);
    }
}

#[test]
fn another_experiment_s_models_are_not_mixed_in() {
    let place = Place::new();
    let short = Recipe { batch_size: 8, epochs: 1.0, ..Recipe::paper() };
    let mut experiment = place.experiment("out");
    experiment.options.recipe = short;
    place.run(&experiment).unwrap();
    let kept = fs::read(model(&experiment, Variant::ALL[0])).unwrap();
    for change in [
        |options: &mut Options| options.seed = 6,
        |options: &mut Options| options.config.latents = 5,
        |options: &mut Options| options.recipe.batch_size = 4,
    ] {
        let mut other = experiment.clone();
        change(&mut other.options);
        let told = place.run(&other).unwrap_err();
        assert!(matches!(&told, Error::Misuse(what) if what.contains("--force")), "{told}");
        assert_eq!(fs::read(model(&experiment, Variant::ALL[0])).unwrap(), kept);
    }
    experiment.options.seed = 6;
    experiment.anew = true;
    assert_eq!(place.run(&experiment).unwrap().1, Variant::ALL);
    experiment.anew = false;
    assert!(place.run(&experiment).unwrap().1.is_empty());
}

/// To its end it would take the program too long, as all its networks see tiles of 96x96.
#[test]
fn the_program_refuses_what_cannot_be_compared() {
    let place = Place::new();
    let aez = |args: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("aez"));
        command
            .current_dir(&place.folder)
            .args(["experiment", "paper", "--out", "x/paper", "--data"])
            .args(args);
        command.assert()
    };
    aez(&["pictures", "--epochs", "0"]).code(2).stderr(contains("--epochs"));
    aez(&["missing"]).code(1).stderr(contains("missing"));
    let two = place.folder.path().join("two");
    fs::create_dir(&two).unwrap();
    for name in ["1.png", "2.png"] {
        fs::copy(place.folder.path().join("pictures").join(name), two.join(name)).unwrap();
    }
    aez(&["two"]).code(1).stderr(contains("too few to hold out"));
    fs::create_dir_all(place.folder.path().join("x/paper")).unwrap();
    fs::write(place.folder.path().join("x/paper/dropout.safetensors"), "precious").unwrap();
    aez(&["pictures"])
        .code(1)
        .stderr(contains("x/paper holds an experiment").and(contains("dropout.safetensors")));
    assert_eq!(fs::read(place.folder.path().join("x/paper/dropout.safetensors")).unwrap(), b"precious");
}
