//! Training runs through the library: a small network learns from test images, and a run that was killed and resumed
//! gives the same weights as an uninterrupted one.

mod common;
#[path = "training/paper.rs"]
mod paper;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

use aez::{Error, Limits, Picture};
use aez_core::tiled::{Config, Storage, TiledModel};
use aez_image::PictureFormat;
use aez_train::{
    checkpoint::Checkpoint,
    data::Dataset,
    recipe::{Init, Recipe},
    run::{self, Event, Files, Options},
    spec::{Source, Spec},
    start::{Weights, load_weights},
};
use common::TestFolder;
use safetensors::SafeTensors;
use serde_json::Value;

const CONFIG: Config =
    Config { tile: 16, channels: 12, reductions: 2, latents: 12, normalize: false, dropout: 0.0 };
/// The last batch of an epoch is not full.
const EPOCHS: f64 = 3.0;

/// A folder with a data set of small pictures, in which models are trained.
struct Setup {
    folder: TestFolder,
    data: Dataset,
}

impl Setup {
    fn new() -> Self {
        let folder = TestFolder::new();
        for index in 0..40 {
            let png = aez_image::encode(&draw(index), PictureFormat::Png).unwrap();
            folder.write(&format!("pictures/{index}.png"), png);
        }
        let spec = Spec { source: Source::Folder(folder.path("pictures")), weight: 1 };
        let data = Dataset::open(&[spec], CONFIG.tile, &Limits::default()).unwrap();
        Self { folder, data }
    }

    /// A short run that saves a checkpoint after each step.
    fn options(&self, name: &str, config: Config) -> Options {
        let recipe =
            Recipe { init: Init::Xavier, batch_size: 16, epochs: EPOCHS, quantize: true, ..Recipe::tuned() };
        Options::new(config, recipe, self.folder.path(name))
            .with_seed(5)
            .with_measure_every(64)
            .with_checkpoint_every(Duration::ZERO)
            .with_storage(Storage::Float32)
    }
}

/// The options after a change.
fn changed(options: &Options, change: impl FnOnce(&mut Options)) -> Options {
    let mut options = options.clone();
    change(&mut options);
    options
}

/// A gradient and a disc whose colours and positions depend on the index.
fn draw(index: u32) -> Picture {
    let (width, height) = (20 + index % 7, 20 + index % 5);
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        let disc = (x.abs_diff(index % 20)).pow(2) + y.abs_diff(index * 7 % 20).pow(2) < 30;
        if disc { [(index * 31) as u8, 200, 60] } else { [(x * 10) as u8, (y * 9) as u8, (index * 6) as u8] }
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

fn load(model: &Path) -> TiledModel {
    TiledModel::from_bytes(fs::read(model).unwrap()).unwrap()
}

fn train(data: &Dataset, options: &Options) -> Result<(), aez_train::Error> {
    run::train(data, options, &mut |_| {})
}

/// Starts a run, kills it at the first event for which `at` is true, and resumes it until it is finished.
fn train_killed(data: &Dataset, options: &Options, at: impl Fn(Event<'_>) -> bool) {
    let mut kill = |event: Event<'_>| {
        if at(event) {
            std::panic::resume_unwind(Box::new("killed"));
        }
    };
    let killed = catch_unwind(AssertUnwindSafe(|| run::train(data, options, &mut kill)));
    assert!(killed.is_err() && !options.out.exists(), "the run was finished before it could be killed");
    train(data, &options.clone().with_resume(true)).unwrap();
}

/// The bytes of the tensors of a model, and its metadata without the training time.
fn content(path: &Path) -> (Vec<u8>, Value) {
    let file = fs::read(path).unwrap();
    let (header, index) = SafeTensors::read_metadata(&file).unwrap();
    let mut metadata: Value = serde_json::from_str(&index.metadata().as_ref().unwrap()["aez"]).unwrap();
    metadata["provenance"]["minutes"].take();
    (file[8 + header..].to_vec(), metadata)
}

/// The columns of the log of a run, except the time in seconds.
fn log(options: &Options) -> Vec<Vec<String>> {
    let text = fs::read_to_string(Files::beside(&options.out).log).unwrap();
    let row = |line: &str| {
        let columns = line.split(',').enumerate().filter(|(column, _)| *column != 2);
        columns.map(|(_, value)| value.to_owned()).collect()
    };
    text.lines().map(row).collect()
}

#[test]
fn a_resumed_run_gives_the_same_model_as_an_uninterrupted_one() {
    let setup = Setup::new();
    let data = &setup.data;
    for config in [CONFIG, Config { normalize: true, dropout: 0.2, ..CONFIG }] {
        let whole = setup.options("whole", config);
        train(data, &whole).unwrap();
        let tiles = |event: Event<'_>| if let Event::Step { tiles, .. } = event { tiles } else { 0 };
        let measured = |event: Event<'_>| if let Event::Measured(row) = event { row.tiles } else { 0 };
        let calibrating =
            |event: Event<'_>| matches!(event, Event::Busy(what) if what.contains("calibrating"));
        let per_epoch = data.len() as u64;
        // In the first step, in the middle of an epoch, between a row of the log and the checkpoint, and at the end.
        let kills: [&dyn Fn(Event<'_>) -> bool; 4] = [
            &|event| tiles(event) > 0,
            &|event| tiles(event) == per_epoch + 32,
            &|event| measured(event) == 2 * per_epoch,
            &calibrating,
        ];
        for (index, kill) in kills.into_iter().enumerate() {
            let killed = setup.options(&format!("killed{index}"), config);
            train_killed(data, &killed, kill);
            assert!(
                content(&killed.out) == content(&whole.out),
                "kill {index}: different weights ({config:?})"
            );
            assert_eq!(log(&killed), log(&whole), "kill {index}");
            fs::remove_file(&killed.out).unwrap();
        }
    }
}

#[test]
fn a_run_does_not_depend_on_the_number_of_threads() {
    let setup = Setup::new();
    let data = &setup.data;
    let run = |threads: usize| {
        let options = setup.options(&format!("on{threads}"), Config { dropout: 0.2, ..CONFIG });
        let options = changed(&options, |options| {
            options.recipe.init = Init::Klt;
            options.recipe.epochs = 1.0;
        });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(data, &options)).unwrap();
        content(&options.out)
    };
    assert!(run(1) == run(4));
}

#[test]
fn the_recipe_of_the_paper_learns_from_random_weights() {
    let setup = Setup::new();
    let data = &setup.data;
    let options = changed(&setup.options("trained", CONFIG), |options| {
        options.recipe = Recipe { batch_size: 8, epochs: 30.0, ..Recipe::paper() };
    });
    let mut losses = Vec::new();
    let mut record = |event: Event<'_>| {
        if let Event::Measured(row) = event {
            losses.push(row.train_loss);
        }
    };
    run::train(data, &options, &mut record).unwrap();
    // The first row was logged before the first step.
    assert!(losses.len() == 31 && losses[30] < 0.5 * losses[1], "{losses:?}");
    let model = load(&options.out);
    let provenance = model.provenance();
    assert_eq!((provenance.epochs, provenance.tiles), (30.0, 30 * data.len() as u64));
}

#[test]
fn a_diverging_run_stops_and_can_be_resumed_at_a_lower_rate() {
    let setup = Setup::new();
    let data = &setup.data;
    let base = setup.options("trained", CONFIG);
    let diverging = changed(&base, |options| {
        let schedule = Recipe::paper().schedule;
        options.recipe = Recipe { rate: 1e6, linear_rate: 1e6, clip: None, schedule, ..base.recipe.clone() };
        options.checkpoint_every = Duration::MAX;
    });
    let error = train(data, &diverging).unwrap_err();
    assert!(
        matches!(&error, aez_train::Error::Codec(Error::Misuse(reason)) if reason.contains("diverged")),
        "{error}"
    );
    assert!(!diverging.out.exists());
    let saved = Checkpoint::load(&Files::beside(&diverging.out).checkpoint).unwrap();
    assert!(saved.parameters.arrays.iter().flat_map(|array| &array.values).all(|value| value.abs() < 10.0));
    let slower = changed(&diverging, |options| {
        options.recipe.rate = 1e-4;
        options.recipe.linear_rate = 1e-4;
        options.resume = true;
    });
    train(data, &slower).unwrap();
    load(&diverging.out);
}

#[test]
fn a_run_begins_with_given_weights() {
    let setup = Setup::new();
    let data = &setup.data;
    let first = setup.options("first", CONFIG);
    train(data, &first).unwrap();
    let weights = |path: &Path| load(path).parameters().unwrap();
    for (name, path) in
        [("first", first.out.clone()), ("first.checkpoint", Files::beside(&first.out).checkpoint)]
    {
        let parameters = load_weights(&path).unwrap();
        let start = Weights { name: name.to_owned(), parameters };
        let second = changed(&first, |options| {
            options.recipe.init = Init::Weights;
            options.recipe.epochs = 0.0;
            options.weights = Some(start);
            options.out = setup.folder.path("second");
        });
        train(data, &second).unwrap();
        assert_eq!(weights(&second.out), weights(&first.out));
        let other = changed(&second, |options| options.config.latents = 10);
        let error = train(data, &other).unwrap_err().to_string();
        assert!(error.contains("first") && error.contains("another network"), "{error}");
    }
}

#[test]
fn the_checkpoint_of_another_run_is_not_resumed() {
    let setup = Setup::new();
    let data = &setup.data;
    let options = setup.options("trained", CONFIG);
    let options = changed(&options, |options| options.recipe.epochs = 0.0);
    train(data, &options).unwrap();
    let resumed = options.with_resume(true);
    for (what, other) in [
        ("seed", changed(&resumed, |options| options.seed = 6)),
        ("network", changed(&resumed, |options| options.config.normalize = true)),
        ("recipe", changed(&resumed, |options| options.recipe.batch_size = 3)),
    ] {
        let error = train(data, &other).unwrap_err().to_string();
        assert!(error.contains(&format!("another {what}")), "{error}");
    }
}

#[test]
fn dropout_is_off_in_tests_unless_it_is_asked_for() {
    let setup = Setup::new();
    let config = Config { dropout: 0.5, ..CONFIG };
    let first_row = |test_dropout| {
        let options = changed(&setup.options("dropout", config), |options| {
            options.recipe = Recipe { epochs: 0.0, test_dropout, ..Recipe::paper() };
        });
        let mut row = None;
        let mut record = |event: Event<'_>| {
            if let Event::Measured(measured) = event {
                row = Some(*measured);
            }
        };
        run::train(&setup.data, &options, &mut record).unwrap();
        row.unwrap()
    };
    let [off, on] = [false, true].map(first_row);
    assert!(off.test_loss != on.test_loss && off.validation_loss != on.validation_loss);
    // The quality of the codec does not depend on it.
    assert_eq!((off.validation_psnr, off.coded_psnr), (on.validation_psnr, on.coded_psnr));
}
