//! Training runs through the library: a small network learns from drawn pictures, and a run that was killed and resumed
//! ends with the weights of one that was not.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use aez::{
    Error, Limits, Result,
    model::{Config, Model, Storage},
    picture::{self, Picture, PictureFormat},
    train::{
        checkpoint::Checkpoint,
        data::Dataset,
        recipe::{Init, Recipe},
        run::{self, Event, Files, Options},
        spec::{Source, Spec},
        start::Weights,
    },
};
use safetensors::SafeTensors;
use serde_json::Value;

const CONFIG: Config =
    Config { tile: 16, channels: 12, reductions: 2, latents: 12, normalize: false, dropout: 0.0 };
/// Passes over the pictures. An epoch has a last batch that is not full.
const EPOCHS: f64 = 3.0;

/// A folder of pictures to learn from, and of models.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pictures")).unwrap();
        for index in 0..40 {
            let path = folder.path().join(format!("pictures/{index}.png"));
            fs::write(path, picture::encode(&draw(index), PictureFormat::Png).unwrap()).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> Dataset {
        let spec = Spec { source: Source::Folder(self.path("pictures")), weight: 1 };
        Dataset::open(&[spec], CONFIG.tile, &Limits::default()).unwrap()
    }

    /// A short run that saves a checkpoint after each step.
    fn options(&self, name: &str, config: Config) -> Options {
        Options {
            config,
            recipe: Recipe {
                init: Init::Xavier,
                batch_size: 16,
                epochs: EPOCHS,
                quantize: true,
                ..Recipe::tuned()
            },
            seed: 5,
            out: self.path(name),
            weights: None,
            resume: false,
            budget: None,
            device: candle_core::Device::Cpu,
            measure_every: 64,
            checkpoint_every: Duration::ZERO,
            storage: Storage::Float32,
        }
    }
}

/// A slope and a disc in colours and places that vary with the index.
fn draw(index: u32) -> Picture {
    let (width, height) = (20 + index % 7, 20 + index % 5);
    let pixel = |i: u32| {
        let (x, y) = (i % width, i / width);
        let disc = (x.abs_diff(index % 20)).pow(2) + y.abs_diff(index * 7 % 20).pow(2) < 30;
        if disc { [(index * 31) as u8, 200, 60] } else { [(x * 10) as u8, (y * 9) as u8, (index * 6) as u8] }
    };
    Picture::from_rgb(width, height, (0..width * height).flat_map(pixel).collect())
}

fn train(data: &Dataset, options: &Options) -> Result<()> {
    run::train(data, options, &mut |_| {})
}

/// Begins a run that is killed when `at` says so, and resumes it to its end.
fn train_killed(data: &Dataset, options: &Options, at: impl Fn(Event<'_>) -> bool) {
    let mut kill = |event: Event<'_>| {
        if at(event) {
            std::panic::resume_unwind(Box::new("killed"));
        }
    };
    let killed = catch_unwind(AssertUnwindSafe(|| run::train(data, options, &mut kill)));
    assert!(killed.is_err() && !options.out.exists(), "the run came to its end");
    train(data, &Options { resume: true, ..options.clone() }).unwrap();
}

/// The bytes of a model's tensors, and its metadata but for the time that training took.
fn content(path: &Path) -> (Vec<u8>, Value) {
    let file = fs::read(path).unwrap();
    let (header, index) = SafeTensors::read_metadata(&file).unwrap();
    let mut metadata: Value = serde_json::from_str(&index.metadata().as_ref().unwrap()["aez"]).unwrap();
    metadata["provenance"]["minutes"].take();
    (file[8 + header..].to_vec(), metadata)
}

/// The columns of a run's log, without that of the seconds.
fn log(options: &Options) -> Vec<Vec<String>> {
    let text = fs::read_to_string(Files::beside(&options.out).log).unwrap();
    let row = |line: &str| {
        let columns = line.split(',').enumerate().filter(|(column, _)| *column != 2);
        columns.map(|(_, value)| value.to_owned()).collect()
    };
    text.lines().map(row).collect()
}

#[test]
fn a_killed_and_resumed_run_ends_like_one_that_was_not() {
    let place = Place::new();
    let data = place.data();
    for config in [CONFIG, Config { normalize: true, dropout: 0.2, ..CONFIG }] {
        let whole = place.options("whole", config);
        train(&data, &whole).unwrap();
        let tiles = |event: Event<'_>| if let Event::Step { tiles, .. } = event { tiles } else { 0 };
        let measured = |event: Event<'_>| if let Event::Measured(row) = event { row.tiles } else { 0 };
        let calibrating =
            |event: Event<'_>| matches!(event, Event::Busy(what) if what.contains("calibrating"));
        let per_epoch = data.len() as u64;
        // In the first step, in the middle of an epoch, between the log's row and the checkpoint, and at the end.
        let kills: [&dyn Fn(Event<'_>) -> bool; 4] = [
            &|event| tiles(event) > 0,
            &|event| tiles(event) == per_epoch + 32,
            &|event| measured(event) == 2 * per_epoch,
            &calibrating,
        ];
        for (index, kill) in kills.into_iter().enumerate() {
            let killed = place.options(&format!("killed{index}"), config);
            train_killed(&data, &killed, kill);
            assert!(content(&killed.out) == content(&whole.out), "kill {index}: other weights ({config:?})");
            assert_eq!(log(&killed), log(&whole), "kill {index}");
            fs::remove_file(&killed.out).unwrap();
        }
    }
}

#[test]
fn a_run_is_the_same_on_any_number_of_threads() {
    let place = Place::new();
    let data = place.data();
    let run = |threads: usize| {
        let options = place.options(&format!("on{threads}"), Config { dropout: 0.2, ..CONFIG });
        let options =
            Options { recipe: Recipe { init: Init::Klt, epochs: 1.0, ..options.recipe }, ..options };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(&data, &options)).unwrap();
        content(&options.out)
    };
    assert!(run(1) == run(4));
}

#[test]
fn the_paper_s_recipe_learns_from_random_weights() {
    let place = Place::new();
    let data = place.data();
    let options = place.options("model", CONFIG);
    let options = Options { recipe: Recipe { batch_size: 8, epochs: 30.0, ..Recipe::paper() }, ..options };
    let mut losses = Vec::new();
    let mut tell = |event: Event<'_>| {
        if let Event::Measured(row) = event {
            losses.push(row.train_loss);
        }
    };
    run::train(&data, &options, &mut tell).unwrap();
    // The first row is of the time before the first step.
    assert!(losses.len() == 31 && losses[30] < 0.5 * losses[1], "{losses:?}");
    let info = Model::load(&options.out).unwrap().info().clone();
    assert_eq!((info.provenance.epochs, info.provenance.tiles), (30.0, 30 * data.len() as u64));
}

#[test]
fn a_run_that_diverges_is_stopped_and_can_go_on_at_a_lower_rate() {
    let place = Place::new();
    let data = place.data();
    let sound = place.options("model", CONFIG);
    let wild = Recipe {
        rate: 1e6,
        linear_rate: 1e6,
        clip: None,
        schedule: Recipe::paper().schedule,
        ..sound.recipe
    };
    let wild = Options { recipe: wild, checkpoint_every: Duration::MAX, ..sound };
    let told = train(&data, &wild).unwrap_err();
    assert!(matches!(&told, Error::Misuse(what) if what.contains("diverged")), "{told}");
    assert!(!wild.out.exists());
    let saved = Checkpoint::load(&Files::beside(&wild.out).checkpoint).unwrap();
    assert!(saved.parameters.arrays.iter().flat_map(|array| &array.values).all(|value| value.abs() < 10.0));
    let calm = Recipe { rate: 1e-4, linear_rate: 1e-4, ..wild.recipe.clone() };
    train(&data, &Options { recipe: calm, resume: true, ..wild.clone() }).unwrap();
    assert!(Model::load(&wild.out).is_ok());
}

#[test]
fn a_run_begins_with_the_weights_of_a_model_or_of_a_checkpoint() {
    let place = Place::new();
    let data = place.data();
    let first = place.options("first", CONFIG);
    train(&data, &first).unwrap();
    let weights = |path: &Path| Model::load(path).unwrap().parameters().unwrap();
    for start in [first.out.clone(), Files::beside(&first.out).checkpoint] {
        let recipe = Recipe { init: Init::Weights, epochs: 0.0, ..first.recipe.clone() };
        let start = Some(Weights::File(start));
        let second = Options { recipe, weights: start, out: place.path("second"), ..first.clone() };
        train(&data, &second).unwrap();
        assert_eq!(weights(&second.out), weights(&first.out));
        let other = Options { config: Config { latents: 10, ..CONFIG }, ..second };
        let told = train(&data, &other).unwrap_err().to_string();
        assert!(told.contains("first") && told.contains("another network"), "{told}");
    }
}

#[test]
fn another_run_s_checkpoint_is_not_gone_on_with() {
    let place = Place::new();
    let data = place.data();
    let options = place.options("model", CONFIG);
    let options = Options { recipe: Recipe { epochs: 0.0, ..options.recipe }, ..options };
    train(&data, &options).unwrap();
    let resumed = Options { resume: true, ..options };
    for (what, other) in [
        ("seed", Options { seed: 6, ..resumed.clone() }),
        ("network", Options { config: Config { normalize: true, ..CONFIG }, ..resumed.clone() }),
        ("recipe", Options { recipe: Recipe { batch_size: 3, ..resumed.recipe.clone() }, ..resumed.clone() }),
    ] {
        let told = train(&data, &other).unwrap_err().to_string();
        assert!(told.contains(&format!("another {what}")), "{told}");
    }
}
