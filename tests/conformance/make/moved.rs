//! A model of the photo family with directions, and files whose coefficients move its weights.

use aez::{Decoder, Encoder, Limits, Model, Picture};
use aez_core::{
    container::{Container, Header},
    photo::{Config, IntegerNetwork, Level, Network, PhotoModel, Target, fit, lambda},
};

use super::{
    broken::Broken,
    gray,
    photo::{quality, train_config, with_payload},
    scene,
};
use crate::photo::counts;

/// The quality that the network is trained for.
const QUALITY: u8 = 60;
/// A change of the weights that is too large for the integers with the largest coefficient.
const TOO_LARGE: f32 = 3.0;

/// A network of four levels, of which the coarsest has no directions. The last of its three directions moves one layer, and far.
pub fn model() -> Vec<u8> {
    let level = Level {
        channels: 1,
        features: 3,
        wide: false,
        wide_chroma: false,
        hidden: 3,
        neighbours: 6,
        before: 2,
        coarser: 3,
        guides: 0,
    };
    let levels = vec![
        Level { guides: 2, ..level },
        Level { channels: 2, wide: true, ..level },
        Level { wide_chroma: true, ..level },
        Level { channels: 3, features: 4, ..level },
    ];
    let network = train_config(quality(QUALITY), Config { levels, directions: 3 });
    let mut directions = network.directions().to_vec();
    let (all, last) = directions.split_at_mut(2 * network.parameters().len());
    all.iter_mut().for_each(|value| *value *= 4.0);
    let mut last = last.iter_mut();
    for (name, values) in network.arrays() {
        let change = if name == "synthesis.0.output.weight" { TOO_LARGE } else { 0.0 };
        last.by_ref().take(values.len()).for_each(|value| *value = change);
    }
    let network = network.with_directions(directions).unwrap();
    PhotoModel::to_bytes(&[(quality(QUALITY), &network)]).unwrap()
}

/// The file of a picture with coefficients, whose latents were found for them.
fn moved(bytes: &[u8], picture: &Picture, at: u8, coefficients: [i32; 3]) -> Vec<u8> {
    let photo = PhotoModel::from_bytes(bytes).unwrap();
    let (network, multiplier) = photo.network(quality(at));
    let float = photo.float_network(quality(at), 1.0).unwrap();
    let float = float.moved(&coefficients.map(|coefficient| coefficient as f32 / 16.0));
    let latents = fit(&float, &Target::new(picture).unwrap(), 40).latents;
    let (payload, _) =
        network.encode(picture.height, picture.width, multiplier, &latents, &coefficients).unwrap();
    with_payload(&plain(bytes, picture, at), payload)
}

/// The file of a picture with the coefficients that the encoder chooses for small ones: 0.
fn plain(bytes: &[u8], picture: &Picture, at: u8) -> Vec<u8> {
    let model = Model::from_bytes(bytes.to_vec()).unwrap();
    Encoder::new(&model).quality(quality(at)).exact(true).encode(picture).unwrap()
}

/// Files that must be read.
pub fn accepted(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let large = scene(45, 30);
    vec![
        ("moved", moved(bytes, &large, QUALITY, [25, -40, 0])),
        ("moved_other_quality", moved(bytes, &large, 35, [-30, 9, 2])),
        ("moved_far", moved(bytes, &scene(33, 17), QUALITY, [40, -45, 1])),
        ("moved_gray", moved(bytes, &gray(scene(9, 17)), 75, [0, 0, -3])),
        ("moved_one_pixel", moved(bytes, &scene(1, 1), QUALITY, [1, -1, 0])),
        ("moved_not", plain(bytes, &large, QUALITY)),
        ("moved_empty", with_payload(&plain(bytes, &scene(12, 7), QUALITY), Vec::new())),
    ]
}

/// Files that must be rejected.
pub fn rejected(bytes: &[u8]) -> Vec<Broken> {
    let good = plain(bytes, &scene(12, 7), QUALITY);
    let Header { width, height, .. } = Container::parse(&good, &Limits::default()).unwrap().header;
    let photo = PhotoModel::from_bytes(bytes).unwrap();
    let config = photo.network(quality(QUALITY)).0.config();
    // With directions of 0, all coefficients are possible.
    let still = Network::new(config.clone(), lambda(quality(QUALITY)), 1).unwrap();
    let zeros = vec![0.0; still.directions().len()];
    let still = still.with_directions(zeros).unwrap();
    let latents: Vec<Vec<i32>> =
        counts(config, height, width).into_iter().map(|count| vec![0; count]).collect();
    let overflow = IntegerNetwork::new(&still).unwrap();
    let overflow = overflow.encode(height, width, 1 << 12, &latents, &[0, 0, 127]).unwrap().0;
    let payload = |payload: Vec<u8>| with_payload(&good, payload);
    // After the flag come the alternatives for the smallest coefficients, of which one byte decides the last bits.
    let model = Model::from_bytes(bytes.to_vec()).unwrap();
    let is_out_of_range = |file: &Vec<u8>| {
        let error = Decoder::new(&model).decode(file).err();
        error.is_some_and(|error| error.to_string().contains("a coefficient is out of range"))
    };
    let out_of_range = (0..=255).map(|byte| payload(vec![0x80, 0, byte, 1])).find(is_out_of_range).unwrap();
    vec![
        // The flag, and then the middle of each table.
        ("moved_by_zeros", payload(vec![0xC0]), "although all are 0"),
        ("moved_out_of_range", out_of_range, "a coefficient is out of range"),
        ("moved_too_far", payload(overflow), "the coefficients make a layer's sums too large"),
    ]
}
