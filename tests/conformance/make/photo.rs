//! A model of the photo family of some kilobytes, and its files.

use aez::{Encoder, Limits, Model, Picture, Quality};
use aez_core::{
    container::{Container, Header, seal},
    entropy::Coder,
    photo::{Config, Level, Network, PhotoModel, Recipe, Target, Trainer, lambda},
};

use super::{broken::Broken, exif, gray, icc, scene, with_alpha, xmp};
use crate::photo::counts;

/// A network of two levels for quality 30, and one of three levels for quality 71. Together they have all kinds of inputs.
pub fn model() -> Vec<u8> {
    let level = Level {
        channels: 2,
        features: 4,
        wide: false,
        wide_chroma: true,
        hidden: 4,
        neighbours: 12,
        before: 5,
        coarser: 5,
        guides: 0,
    };
    let low = vec![
        Level { guides: 3, neighbours: 5, before: 3, coarser: 3, ..level },
        Level { features: 5, wide: true, hidden: 3, ..level },
    ];
    let high = vec![
        Level { wide_chroma: false, neighbours: 8, before: 2, coarser: 1, ..level },
        Level { channels: 1, features: 3, wide: true, guides: 2, ..level },
        Level { channels: 5, features: 6, wide: true, hidden: 5, ..level },
    ];
    let [low, high] = [(30, low), (71, high)].map(|(q, levels)| (quality(q), train(quality(q), levels)));
    PhotoModel::to_bytes(&[(low.0, &low.1), (high.0, &high.1)]).unwrap()
}

pub fn quality(quality: u8) -> Quality {
    Quality::new(quality).unwrap()
}

fn train(quality: Quality, levels: Vec<Level>) -> Network {
    train_config(quality, Config { levels, directions: 0 })
}

/// A network that was trained for a moment.
pub fn train_config(quality: Quality, config: Config) -> Network {
    let targets = [(40, 32), (33, 47)].map(|(width, height)| Target::new(&scene(width, height)).unwrap());
    let network = Network::new(config, lambda(quality), 1).unwrap();
    let mut trainer = Trainer::new(network, targets.into(), Recipe::default());
    for step in 0..200 {
        trainer.step(step as f32 / 200.0);
    }
    trainer.network().clone()
}

/// Files that must be read.
pub fn accepted(bytes: &[u8], model: &Model) -> Vec<(&'static str, Vec<u8>)> {
    let of =
        |picture: &Picture, q| Encoder::new(model).quality(quality(q)).exact(true).encode(picture).unwrap();
    let everything = with_alpha(scene(21, 10)).with_icc(icc()).with_exif(exif()).with_xmp(xmp());
    let large = scene(45, 30);
    vec![
        ("photo", of(&large, 71)),
        ("photo_low", of(&large, 30)),
        // As far from one network as from the other, and one more.
        ("photo_between_low", of(&large, 50)),
        ("photo_between_high", of(&large, 51)),
        ("photo_worst_quality", of(&large, 1)),
        ("photo_best_quality", of(&large, 100)),
        ("photo_one_pixel", of(&scene(1, 1), 75)),
        ("photo_two_pixels", of(&scene(2, 1), 75)),
        ("photo_two_rows", of(&scene(1, 2), 40)),
        ("photo_odd", of(&scene(33, 17), 75)),
        ("photo_wide", of(&scene(131, 3), 75)),
        ("photo_tall", of(&scene(2, 131), 20)),
        ("photo_long_checksum", of(&scene(257, 2), 30)),
        ("photo_gray", of(&gray(scene(9, 17)), 75)),
        ("photo_alpha", of(&with_alpha(scene(13, 9)), 75)),
        ("photo_gray_alpha", of(&gray(with_alpha(scene(10, 10))), 40)),
        ("photo_everything", of(&everything, 75)),
        ("photo_escapes", with_latents(bytes, &of(&scene(19, 13), 75), escape)),
        ("photo_extremes", with_latents(bytes, &of(&scene(11, 14), 90), extreme)),
        ("photo_empty", with_payload(&of(&scene(12, 7), 75), Vec::new())),
    ]
}

/// Latents that are far from what the context model expects.
fn escape(index: usize) -> i32 {
    let size = (1 << (index % 13)) - 1;
    if index.is_multiple_of(3) { -size } else { size }
}

/// Latents at the ends of their range.
fn extreme(index: usize) -> i32 {
    if index.is_multiple_of(3) { -4095 } else { 4095 }
}

/// The file with other latents, which are given for their index in each level.
fn with_latents(model: &[u8], file: &[u8], latent: fn(usize) -> i32) -> Vec<u8> {
    let Header { width, height, quality, .. } = Header::parse(file).unwrap().0;
    let model = PhotoModel::from_bytes(model).unwrap();
    let (network, multiplier) = model.network(quality);
    let level = |count: usize| (0..count).map(latent).collect();
    let latents: Vec<Vec<i32>> = counts(network.config(), height, width).into_iter().map(level).collect();
    with_payload(file, network.encode(height, width, multiplier, &latents, &[]).unwrap().0)
}

pub fn with_payload(file: &[u8], payload: Vec<u8>) -> Vec<u8> {
    let container = Container::parse(file, &Limits::default()).unwrap();
    Container { payload, ..container }.to_bytes().unwrap()
}

/// Files that must be rejected.
pub fn rejected(model: &Model) -> Vec<Broken> {
    let good = Encoder::new(model).encode(&scene(12, 7)).unwrap();
    let container = Container::parse(&good, &Limits::default()).unwrap();
    let payload = |payload: Vec<u8>| with_payload(&good, payload);
    let byte = |place: usize, change: u8| {
        let mut bytes = good.clone();
        bytes[place] ^= change;
        seal(&mut bytes).unwrap();
        bytes
    };
    let zstd = Container { header: Header { coder: Coder::Zstd, ..container.header }, ..container.clone() };
    vec![
        ("photo_by_zstd", zstd.to_bytes().unwrap(), "range coder only"),
        ("photo_of_the_tiled_family", byte(2, 0b1100), "the file needs model"),
        ("photo_of_another_model", byte(6, 1), "the file needs model"),
        ("photo_cut_short", good[..good.len() - 1].to_vec(), "checksum"),
        ("photo_ends_in_zero", payload([&container.payload[..], &[0]].concat()), "shortest"),
        ("photo_too_long", payload([&container.payload[..], &[1]].concat()), "shortest"),
        ("photo_beyond_all_symbols", payload(vec![0xFF; 9]), "outside of its interval"),
        // The last alternative of each table that the first latent is coded with.
        ("photo_latent_out_of_range", payload(vec![0xFF, 0xFF, 0xFE]), "a latent is out of range"),
    ]
}
