//! Gradients against finite differences, and training on small pictures.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    coefficients,
    config::{Config, Level},
    fit::{fit, initial, nearest},
    integer::tests::trained,
    network::Network,
    objective,
    scratch::Scratch,
    target::Target,
    train::{Recipe, Trainer},
};
use crate::{codec::Tune, picture::Picture};

/// A network of three levels in which no weight is 0.
pub(super) fn small_network() -> Network {
    let level = Config::default().levels[2];
    let levels = vec![
        Level {
            channels: 1,
            features: 5,
            wide: false,
            wide_chroma: false,
            hidden: 4,
            neighbours: 8,
            before: 0,
            coarser: 1,
            guides: 2,
        },
        Level { channels: 2, features: 4, hidden: 5, guides: 3, ..level },
        Level { channels: 5, features: 6, hidden: 7, guides: 0, ..level },
    ];
    let network = Network::new(Config { levels, directions: 0 }, 0.01, 1).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let parameters = network.parameters().iter().map(|x| x + rng.random_range(-0.1..0.1)).collect();
    Network::from_parameters(network.config().clone(), 0.01, parameters).unwrap()
}

/// Waves and edges of colour.
pub(super) fn picture(width: u32, height: u32) -> Picture {
    let value = |i: u32| {
        let (x, y, c) = ((i / 3 % width) as f32, (i / 3 / width) as f32, (i % 3) as f32);
        let edge = if (x - y).abs() < 0.3 * width as f32 { 40.0 } else { -30.0 };
        (128.0 + edge + 50.0 * (x * 0.4 + c).sin() * (y * 0.2).cos()) as u8
    };
    Picture::from_rgb(width, height, (0..width * height * 3).map(value).collect())
}

fn loss(network: &Network, target: &Target, latents: &[Vec<f32>]) -> f64 {
    let (cost, _) = objective::gradient(network, target, latents, None, &Scratch::default());
    cost.loss(network.lambda()) * cost.pixels as f64
}

/// Latents that are not integers.
fn latents(network: &Network, target: &Target) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut latents = initial(network, target, network.lambda()).latents;
    latents.iter_mut().flatten().for_each(|x| *x = x.clamp(-4.0, 4.0) + rng.random_range(-0.3..0.3));
    latents
}

/// Compares a derivative with differences of the loss, of which the best of several distances counts.
fn check(name: &str, derivative: f64, at: impl Fn(f32) -> f64) {
    let found = [3e-3f32, 1e-3, 3e-4, 1e-4]
        .map(|distance| (at(distance) - at(-distance)) / f64::from(2.0 * distance));
    let error = found.iter().map(|found| (found - derivative).abs()).fold(f64::INFINITY, f64::min);
    assert!(error < 0.01 * derivative.abs() + 0.25, "{name}: {derivative} and {found:?}");
}

#[test]
fn gradients_are_those_of_the_loss() {
    let plain =
        [(12, 20), (37, 9), (5, 3)].map(|(width, height)| Target::new(&picture(width, height)).unwrap());
    for target in plain.into_iter().chain([half_hidden(picture(19, 14)).tuned(Tune::Ssim)]) {
        let network = small_network();
        let latents = latents(&network, &target);
        let mut weights = vec![0.0; network.parameters().len()];
        let scratch = Scratch::default();
        let (_, gradients) = objective::gradient(&network, &target, &latents, Some(&mut weights), &scratch);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for level in 0..latents.len() {
            let direction: Vec<f32> = latents[level].iter().map(|_| rng.random_range(-1.0..1.0)).collect();
            let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
            let dot = |values: &[f32]| -> f64 {
                values.iter().zip(&direction).map(|(a, b)| f64::from(a * b / length)).sum()
            };
            check(&format!("latents of level {level}"), dot(&gradients[level]), |distance| {
                let mut moved = latents.clone();
                let pairs = moved[level].iter_mut().zip(&direction);
                pairs.for_each(|(x, direction)| *x += distance * direction / length);
                loss(&network, &target, &moved)
            });
        }
        for (name, range) in &network.layers.arrays {
            let direction: Vec<f32> = range.clone().map(|_| rng.random_range(-1.0..1.0)).collect();
            let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
            let dot =
                weights[range.clone()].iter().zip(&direction).map(|(a, b)| f64::from(a * b / length)).sum();
            check(name, dot, |distance| {
                let mut moved = network.clone();
                let pairs = moved.parameters[range.clone()].iter_mut().zip(&direction);
                pairs.for_each(|(x, direction)| *x += distance * direction / length);
                loss(&moved, &target, &latents)
            });
        }
    }
}

/// A target of which all pixels on the right are transparent.
fn half_hidden(picture: Picture) -> Target {
    let Picture { width, height, .. } = picture;
    let alpha = (0..width * height).map(|i| if i % width < width / 2 { 200 } else { 0 }).collect();
    Target::new(&picture.with_alpha(Some(alpha))).unwrap()
}

#[test]
fn all_sums_of_errors_have_the_same_weights() {
    let network = small_network();
    let targets = [Target::new(&picture(37, 21)).unwrap(), half_hidden(picture(37, 21))];
    for target in targets.into_iter().flat_map(|target| [target.clone(), target.tuned(Tune::Ssim)]) {
        let latents = nearest(&latents(&network, &target));
        let scratch = Scratch::default();
        let (cost, _) = objective::gradient(&network, &target, &latents, None, &scratch);
        let costs = objective::Costs::new(&network, &target, &latents, &scratch);
        let total = cost.loss(network.lambda()) * cost.pixels as f64;
        assert!((costs.total() / total - 1.0).abs() < 1e-4, "{} {total}", costs.total());
    }
}

#[test]
fn errors_of_transparent_pixels_do_not_count() {
    let (network, original) = (small_network(), picture(40, 24));
    let other = original.rgb.chunks_exact(3 * 40).flat_map(|row| [&row[..3 * 20], &[7; 3 * 20]].concat());
    let hidden = half_hidden(Picture::from_rgb(40, 24, other.collect()));
    let target = half_hidden(original);
    let latents = latents(&network, &target);
    assert_eq!(loss(&network, &target, &latents), loss(&network, &hidden, &latents));
    assert!(
        loss(&network, &target, &latents) < loss(&network, &Target::new(&picture(40, 24)).unwrap(), &latents)
    );
}

#[test]
fn results_do_not_depend_on_what_was_in_memory() {
    for (width, height) in [(37, 9), (5, 3), (64, 40)] {
        let (network, target) = (small_network(), Target::new(&picture(width, height)).unwrap());
        let unguided = trained();
        let scratch = Scratch::default();
        for network in [&network, &unguided] {
            let latents = latents(network, &target);
            let run = |scratch: &Scratch, latents: &[Vec<f32>]| {
                let mut weights = vec![0.0; network.parameters().len()];
                let result = objective::gradient(network, &target, latents, Some(&mut weights), scratch);
                (result, weights)
            };
            // Other values, which stay in memory.
            let others: Vec<Vec<f32>> = latents.iter().map(|level| vec![9.5; level.len()]).collect();
            run(&scratch, &others);
            assert!(run(&scratch, &latents) == run(&Scratch::default(), &latents), "{width}x{height}");
        }
    }
}

#[test]
fn gradients_of_coefficients_are_those_of_the_loss() {
    let network = small_network().with_random_directions(2, 3).unwrap();
    let directions = network.directions.iter().map(|x| 10.0 * x).collect();
    let network = network.with_directions(directions).unwrap();
    let target = Target::new(&picture(37, 29)).unwrap();
    let (latents, at) = (latents(&network, &target), [0.5, -1.0]);
    let moved = network.moved(&at);
    let mut weights = vec![0.0; network.parameters().len()];
    objective::gradient(&moved, &target, &latents, Some(&mut weights), &Scratch::default());
    for (index, derivative) in coefficients::gradient(&network, &weights).into_iter().enumerate() {
        check(&format!("coefficient {index}"), derivative.into(), |distance| {
            let mut at = at;
            at[index] += 10.0 * distance;
            loss(&network.moved(&at), &target, &latents) / 10.0
        });
    }
}

/// Pictures of some widths and heights.
fn targets(sizes: &[(u32, u32)]) -> Vec<Target> {
    sizes.iter().map(|&(width, height)| Target::new(&picture(width, height)).unwrap()).collect()
}

#[test]
fn training_reduces_the_loss() {
    let targets = targets(&[(40, 33), (32, 48)]);
    let network = Network::new(small_network().config().clone(), 0.01, 1).unwrap();
    let recipe = Recipe { updates: 60, preparation: 0, rate: 4e-3, ..Recipe::default() };
    let mut trainer = Trainer::new(network, targets.clone(), recipe);
    let before = trainer.measure(2);
    for step in 0..60 {
        trainer.step(step as f32 / 60.0);
    }
    let after = trainer.measure(2);
    assert!(after.loss < 0.85 * before.loss, "{before:?} {after:?}");
    let fitted = [0, 60].map(|steps| fit(trainer.network(), &targets[0], steps));
    let loss = |k: usize| fitted[k].bits_per_pixel + fitted[k].error / 0.01;
    assert!(loss(1) < loss(0), "{} {}", loss(0), loss(1));
}

#[test]
fn directions_fit_a_network_to_each_picture() {
    let targets = targets(&[(40, 33), (32, 48)]);
    let config = Config { directions: 2, ..small_network().config().clone() };
    let network = Network::new(config, 0.01, 1).unwrap();
    let recipe = Recipe { updates: 60, preparation: 0, rate: 4e-3, ..Recipe::default() };
    let mut trainer = Trainer::new(network.clone(), targets, recipe);
    for step in 0..60 {
        trainer.step(step as f32 / 60.0);
    }
    let trained = trainer.network();
    assert!(trained.directions != network.directions);
    let mut rows = trained.directions.chunks_exact(trained.parameters.len());
    assert!(rows.all(|row| trained.layers.still_arrays().flatten().all(|place| row[place] == 0.0)));
    let after = trainer.measure(2);
    trainer.examples.iter_mut().for_each(|example| example.coefficients.values.fill(0.0));
    let without = trainer.measure(2);
    assert!(after.loss < without.loss, "{after:?} {without:?}");
}

#[test]
fn directions_are_trained_alone_and_added_to_others() {
    let network = small_network().with_random_directions(2, 1).unwrap();
    let recipe = Recipe { preparation: 1, only_directions: true, ..Recipe::default() };
    let mut trainer = Trainer::new(network.clone(), targets(&[(24, 20), (17, 30)]), recipe);
    for step in 0..8 {
        trainer.step(step as f32 / 8.0);
    }
    let trained = trainer.network();
    assert!(trained.parameters == network.parameters && trained.directions != network.directions);
    let more = trained.clone().with_random_directions(3, 2).unwrap();
    let (own, added) = more.directions.split_at(trained.directions.len());
    assert!(own == trained.directions && added.iter().any(|value| *value != 0.0));
}

#[cfg(feature = "rayon")]
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let target = Target::new(&picture(150, 170)).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let network = small_network();
            let mut weights = vec![0.0; network.parameters().len()];
            let latents = latents(&network, &target);
            let result =
                objective::gradient(&network, &target, &latents, Some(&mut weights), &Scratch::default());
            (result, weights)
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn training_resumes_exactly() {
    let network = small_network();
    resumes_exactly(network.clone(), Recipe::default());
    let recipe = Recipe { preparation: 1, ..Recipe::default() };
    resumes_exactly(network.with_random_directions(2, 1).unwrap(), recipe);
}

fn resumes_exactly(network: Network, recipe: Recipe) {
    let targets = targets(&[(24, 20), (17, 30), (20, 20)]);
    let mut trainer = Trainer::new(network, targets.clone(), recipe);
    for step in 0..4 {
        trainer.step(step as f32 / 10.0);
    }
    let state = trainer.state();
    let mut resumed = Trainer::resume(&state, targets.clone()).unwrap();
    for step in 4..8 {
        assert_eq!(trainer.step(step as f32 / 10.0), resumed.step(step as f32 / 10.0));
    }
    assert_eq!(trainer.state(), resumed.state());
    assert!(Trainer::resume(&state, targets[1..].to_vec()).is_err());
    for length in [0, 3, 100, state.len() - 4, state.len() - 1] {
        assert!(Trainer::resume(&state[..length], targets.clone()).is_err());
    }
}
