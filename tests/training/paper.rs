//! The recipe of the paper: its starting weights, and its losses compared with those of PyTorch.

use std::ops::Range;

use aez::Limits;
use aez_core::tiled::{Config, Parameters};
use aez_train::{
    data::Dataset,
    recipe::{Init, Recipe},
    run::{self, Event, Options},
    spec::{Source, Spec},
    start::Weights,
};

use super::{common::TestFolder, load};

/// The largest magnitude of the values of a parameter array.
fn largest(parameters: &Parameters, name: &str) -> f32 {
    let array = parameters.arrays.iter().find(|array| array.name == name).unwrap();
    array.values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()))
}

/// A value in [-1, 1) that depends on the name of a parameter array and on an index, as in `scripts/paper_losses.py`.
fn formula(name: &str, index: usize) -> f32 {
    let array = name.bytes().map(u32::from).sum::<u32>().wrapping_mul(1_000_003);
    let mut x = array.wrapping_add(index as u32).wrapping_mul(2_654_435_761);
    x = (x ^ (x >> 15)).wrapping_mul(2_246_822_519);
    x ^= x >> 13;
    (x >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// The weights of `scripts/paper_losses.py`.
fn formula_weights(config: Config) -> Parameters {
    let array = |name: &str, shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let bound = match shape {
            [_] => 0.1,
            _ => (14.0 * shape[shape.len() - 1] as f64 / count as f64).sqrt() as f32,
        };
        Ok((0..count).map(|index| formula(name, index) * bound).collect())
    };
    Parameters::from_fn(config, array).unwrap()
}

/// Pictures of `scripts/paper_losses.py` in the layout of STL-10.
fn formula_pictures(pictures: Range<usize>) -> Vec<u8> {
    let value = |picture: usize, i: usize| {
        let (channel, column, row) = (i / 96 / 96, i / 96 % 96, i % 96);
        ((3 * column + row * (picture % 5 + 1) + 40 * channel + 7 * picture) % 256) as u8
    };
    pictures.flat_map(|picture| (0..3 * 96 * 96).map(move |i| value(picture, i))).collect()
}

/// A folder in the layout of STL-10 with the pictures of `scripts/paper_losses.py`.
fn stl10_folder() -> TestFolder {
    let folder = TestFolder::new();
    folder.write("stl/train_X.bin", formula_pictures(0..48));
    folder.write("stl/unlabeled_X.bin", formula_pictures(1000..1066));
    folder.write("stl/test_X.bin", formula_pictures(2000..2070));
    folder
}

#[test]
fn the_recipe_of_the_paper_starts_from_the_weights_of_the_paper() {
    let folder = stl10_folder();
    let args = ["train", "--recipe", "paper", "--epochs", "0", "--channels", "4", "--limit", "4"];
    folder
        .aez(&[&args, &["--data", "stl10:stl", "--out", "x", "--weights", "f32"][..]].concat())
        .assert()
        .success();
    let parameters = load(&folder.path("x")).parameters().unwrap();
    let config = parameters.config;
    let check = |layer: &str, bound: f64, bias: f32| {
        let found = f64::from(largest(&parameters, &format!("{layer}.weight")));
        assert!(found <= bound && found > 0.9 * bound, "{layer}: {found}, not {bound}");
        let found = largest(&parameters, &format!("{layer}.bias"));
        assert!(
            if bias > 0.0 { found == bias } else { found <= bound as f32 && found != 0.01 },
            "{layer}: {found}"
        );
    };
    // Xavier and 0.01, except for the transposed convolutions, which keep the default of PyTorch.
    let xavier = |inputs: usize, outputs: usize| (6.0 / (inputs + outputs) as f64).sqrt();
    for layer in config.encoder() {
        check(&layer.name, xavier(9 * layer.shape.high, 9 * layer.shape.low), 0.01);
    }
    for layer in config.decoder() {
        check(&layer.name, 1.0 / (9.0 * layer.shape.high as f64).sqrt(), 0.0);
    }
    for layer in ["encoder.linear", "decoder.linear"] {
        check(layer, xavier(config.bottom(), config.latents), 0.01);
    }
}

/// The numbers are the output of `scripts/paper_losses.py reference`. The last batches of the validation and the test set are not full,
/// and the output of the network is not within [0, 1].
#[test]
fn the_log_has_the_losses_of_the_paper_on_the_whole_sets() {
    const EXPECTED: [(bool, [[f64; 3]; 3]); 2] = [
        (
            false,
            [
                [f64::NAN, 1.657412245, 1.663209145],
                [1.713317370, 0.399291946, 0.376344058],
                [0.406883568, 0.296487466, 0.298058506],
            ],
        ),
        (
            true,
            [
                [f64::NAN, 46.339527036, 43.633960693],
                [56.362857326, 11.822820674, 10.307922481],
                [15.269624077, 2.984289140, 2.225205202],
            ],
        ),
    ];
    let folder = stl10_folder();
    let spec = Spec { source: Source::Stl10(folder.path("stl")), weight: 1 };
    let data = Dataset::open_whole(&[spec], 96, &Limits::default()).unwrap();
    for (normalize, expected) in EXPECTED {
        let config = Config { channels: 2, latents: 8, normalize, ..Config::default() };
        let recipe = Recipe { init: Init::Weights, epochs: 2.0, ..Recipe::paper() };
        let start = Weights { name: "formula".into(), parameters: formula_weights(config) };
        let options = Options::new(config, recipe, folder.path("trained")).with_weights(start);
        let mut found = Vec::new();
        let mut record = |event: Event<'_>| {
            if let Event::Measured(row) = event {
                found.push([row.train_loss, row.validation_loss, row.test_loss]);
            }
        };
        run::train(&data, &options, &mut record).unwrap();
        assert_eq!(found.len(), expected.len());
        for (epoch, (found, expected)) in found.iter().zip(&expected).enumerate() {
            // The script computes with 64-bit floats. With training, rounding errors grow.
            let tolerance = if epoch == 0 { 1e-6 } else { 2e-5 };
            for (found, expected) in found.iter().zip(expected) {
                let agrees = (found - expected).abs() < tolerance * expected.max(1.0);
                assert!(
                    agrees || expected.is_nan() && found.is_nan(),
                    "{normalize}: {found}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn the_classes_of_a_data_set_are_printed() {
    let folder = stl10_folder();
    folder.write("stl/train_y.bin", [vec![1; 40], vec![2; 8]].concat());
    folder.write("stl/class_names.txt", "airplane\nbird\n");
    let output = folder.aez(&["dataset", "info", "stl"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[1..],
        [
            vec!["1", "airplane", "40", "0"],
            vec!["2", "bird", "8", "0"],
            vec!["all", "48", "70"],
            vec!["unlabeled", "66"],
        ]
    );
}
