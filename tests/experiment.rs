//! The experiment of the paper with small networks and test images: through the library and through the binary.

mod common;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use aez::{Error, Limits, Picture, Quality};
use aez_core::tiled::{Config, Storage, TiledModel};
use aez_image::PictureFormat;
use aez_train::{
    data::Dataset,
    experiment::{Experiment, Outcome, Variant},
    recipe::Recipe,
    run::{Event, Files, Options},
    spec::{Source, Spec},
};
use common::TestFolder;
use predicates::{prelude::*, str::contains};

const CONFIG: Config =
    Config { tile: 8, channels: 4, reductions: 2, latents: 6, normalize: false, dropout: 0.0 };

/// A folder with a data set of small pictures.
struct Setup {
    folder: TestFolder,
    data: Dataset,
}

impl Setup {
    fn new() -> Self {
        let folder = TestFolder::new();
        for index in 0..20 {
            let png = aez_image::encode(&draw(index), PictureFormat::Png).unwrap();
            folder.write(&format!("pictures/{index}.png"), png);
        }
        let spec = Spec { source: Source::Folder(folder.path("pictures")), weight: 1 };
        let data = Dataset::open(&[spec], CONFIG.tile, &Limits::default()).unwrap();
        Self { folder, data }
    }

    fn experiment(&self, name: &str) -> Experiment {
        let recipe = Recipe { batch_size: 8, epochs: 3.0, ..Recipe::paper() };
        let options = Options::new(CONFIG, recipe, self.folder.path(name))
            .with_seed(5)
            .with_measure_every(u64::MAX)
            .with_checkpoint_every(Duration::ZERO)
            .with_storage(Storage::Float32);
        let qualities = [20, 60, 90].map(|quality| Quality::new(quality).unwrap()).to_vec();
        Experiment::new(options, qualities, "aez experiment".into())
    }

    /// Runs the experiment. Returns the outcomes and the variants that were trained.
    fn run(&self, experiment: &Experiment) -> Result<([Outcome; 4], Vec<Variant>), aez_train::Error> {
        let mut stepped = Vec::new();
        let outcomes = experiment.run(&self.data, &mut |variant, event| {
            if matches!(event, Event::Step { .. }) && !stepped.contains(&variant) {
                stepped.push(variant);
            }
        })?;
        Ok((outcomes, stepped))
    }
}

/// A gradient whose colours depend on the index.
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

/// The cells of the first table row of a report whose first cell is `first`.
fn cells<'a>(report: &'a str, first: &str) -> Vec<&'a str> {
    let line = report.lines().find(|line| line.starts_with(&format!("| {first} |")));
    line.unwrap_or_else(|| panic!("no row {first} in {report}")).split('|').map(str::trim).collect()
}

#[test]
fn four_variants_are_trained_and_compared() {
    let setup = Setup::new();
    let experiment = setup.experiment("out");
    let (outcomes, stepped) = setup.run(&experiment).unwrap();
    assert_eq!(stepped, Variant::ALL);
    let out = &experiment.options.out;
    let text = report(out);
    for (variant, outcome) in Variant::ALL.into_iter().zip(&outcomes) {
        let path = model(&experiment, variant);
        let config = *TiledModel::from_bytes(fs::read(&path).unwrap()).unwrap().config();
        assert_eq!((config.normalize, config.dropout > 0.0), (variant.normalize, variant.dropout));
        // The report shows the values of the last line of the log.
        let log = fs::read_to_string(Files::beside(&path).log).unwrap();
        let last: Vec<f64> = log.lines().last().unwrap().split(',').map(|x| x.parse().unwrap()).collect();
        let row = cells(&text, variant.name());
        for (cell, value, digits) in [(2, last[3], 6), (3, last[4], 6), (4, last[5], 6), (5, last[6], 2)] {
            assert_eq!(row[cell], format!("{value:.digits$}"), "{}", variant.name());
        }
        assert_eq!((last[0], last[1]), (3.0, 3.0 * setup.data.len() as f64));
        let coded = outcome.coded[1];
        assert!(text.contains(&format!("| {:.1} bytes, {:.2} dB |", coded.bytes, coded.psnr)));
        let grid = aez_image::read(&Files::beside(&path).samples, &Limits::default()).unwrap();
        let shown = setup.data.validation().len();
        let rows = if variant.normalize { 4 } else { 2 };
        assert_eq!((grid.width, grid.height), (8 * shown as u32, 8 * rows));
    }
    // Variants with the same normalization begin with the same loss: they have the same initial weights.
    let first = outcomes.each_ref().map(|outcome| outcome.rows[0].test_loss);
    assert!(first[0] == first[1] && first[2] == first[3] && first[0] != first[2], "{first:?}");
    assert_eq!(cells(&text, "tiles seen")[2], (3 * setup.data.len()).to_string());
    assert!(text.contains("smaller than the paper's"));
    assert!(fs::read_to_string(out.join("losses.svg")).unwrap().contains("normalize-dropout"));

    // A second run trains nothing and writes the same report.
    let (again, stepped) = setup.run(&experiment).unwrap();
    assert!(stepped.is_empty() && again.iter().zip(&outcomes).all(|(a, b)| a.coded == b.coded));
    assert_eq!(report(out), text);
}

#[test]
fn the_loss_is_reported_by_class() {
    let setup = Setup::new();
    let records =
        |values: &[u8]| values.iter().flat_map(|&value| vec![value; 3 * 96 * 96]).collect::<Vec<_>>();
    setup.folder.write("stl/train_X.bin", records(&[10, 60, 90, 120, 250]));
    setup.folder.write("stl/test_X.bin", records(&[0, 200, 255]));
    setup.folder.write("stl/test_y.bin", [2, 1, 2]);
    setup.folder.write("stl/class_names.txt", "bird\ncat\n");
    let spec = Spec { source: Source::Stl10(setup.folder.path("stl")), weight: 1 };
    let data = Dataset::open_whole(&[spec], CONFIG.tile, &Limits::default()).unwrap();
    let mut experiment = setup.experiment("out");
    experiment.options.recipe.epochs = 1.0;
    let outcomes = experiment.run(&data, &mut |_, _| {}).unwrap();
    let text = report(&experiment.options.out);
    let [bird, cat] = ["bird", "cat"].map(|class| cells(&text, class));
    assert_eq!((bird[2], cat[2]), ("1", "2"));
    for (index, outcome) in outcomes.iter().enumerate() {
        let [bird, cat] = [bird[3 + index], cat[3 + index]].map(|cell| cell.parse::<f64>().unwrap());
        // The log has the loss of the same weights.
        assert!(((bird + 2.0 * cat) / 3.0 - outcome.last().test_loss).abs() < 1e-5, "{text}");
    }
    assert!(text.contains("all of the 3 test tiles (3 of stl10:stl/test_X.bin)"), "{text}");
}

#[test]
fn a_killed_experiment_resumes() {
    let setup = Setup::new();
    let (whole, killed) = (setup.experiment("whole"), setup.experiment("killed"));
    let (expected, _) = setup.run(&whole).unwrap();
    let [plain, dropout, normalize, both] = Variant::ALL;
    let per_epoch = setup.data.len() as u64;
    let mut kill = |variant, event: Event<'_>| match event {
        Event::Step { tiles, .. } if variant == dropout && tiles == per_epoch + 8 => {
            std::panic::resume_unwind(Box::new("killed"));
        }
        _ => {}
    };
    assert!(catch_unwind(AssertUnwindSafe(|| killed.run(&setup.data, &mut kill))).is_err());
    assert!(model(&killed, plain).exists() && !model(&killed, dropout).exists());
    let (found, stepped) = setup.run(&killed).unwrap();
    assert_eq!(stepped, [dropout, normalize, both]);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.coded, expected.coded, "{}", found.variant.name());
        assert_eq!(found.last().test_loss, expected.last().test_loss);
    }
}

#[test]
fn models_of_another_experiment_are_not_mixed_in() {
    let setup = Setup::new();
    let short = Recipe { batch_size: 8, epochs: 1.0, ..Recipe::paper() };
    let mut experiment = setup.experiment("out");
    experiment.options.recipe = short;
    setup.run(&experiment).unwrap();
    let kept = fs::read(model(&experiment, Variant::ALL[0])).unwrap();
    for change in [
        |options: &mut Options| options.seed = 6,
        |options: &mut Options| options.config.latents = 5,
        |options: &mut Options| options.recipe.batch_size = 4,
    ] {
        let mut other = experiment.clone();
        change(&mut other.options);
        let error = setup.run(&other).unwrap_err();
        let is_misuse = matches!(&error, aez_train::Error::Codec(Error::Misuse(_)));
        assert!(is_misuse && error.to_string().contains("holds an experiment"), "{error}");
        assert_eq!(fs::read(model(&experiment, Variant::ALL[0])).unwrap(), kept);
    }
    experiment.options.seed = 6;
    experiment.overwrite = true;
    assert_eq!(setup.run(&experiment).unwrap().1, Variant::ALL);
    experiment.overwrite = false;
    assert!(setup.run(&experiment).unwrap().1.is_empty());
}

/// A complete run of the binary would take too long, as its networks have tiles of 96x96 pixels.
#[test]
fn the_binary_rejects_invalid_experiments() {
    let setup = Setup::new();
    let folder = &setup.folder;
    let aez = |args: &[&str]| {
        folder.aez(&[&["experiment", "paper", "--out", "x/paper", "--data"], args].concat()).assert()
    };
    aez(&["pictures", "--epochs", "0"]).code(2).stderr(contains("--epochs"));
    aez(&["missing"]).code(1).stderr(contains("missing"));
    for name in ["1.png", "2.png"] {
        folder.write(&format!("two/{name}"), folder.read(&format!("pictures/{name}")));
    }
    aez(&["two"]).code(1).stderr(contains("too few to hold out"));
    folder.write("x/paper/dropout.safetensors", "precious");
    aez(&["pictures"])
        .code(1)
        .stderr(contains("x/paper holds an experiment").and(contains("dropout.safetensors")))
        .stderr(contains("--force"));
    assert_eq!(folder.read("x/paper/dropout.safetensors"), b"precious");
    fs::remove_file(folder.path("x/paper/dropout.safetensors")).unwrap();
    for name in ["README.md", "losses.svg", "settings.json", "dropout.safetensors.csv"] {
        let file = format!("x/paper/{name}");
        folder.write(&file, "precious");
        aez(&["pictures"]).code(1).stderr(contains(format!("({name})")).and(contains("--force")));
        assert_eq!(folder.read(&file), b"precious");
        fs::remove_file(folder.path(&file)).unwrap();
    }
}
