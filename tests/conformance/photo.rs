//! The photo family: latents as the second reader finds them, and model files at the limits of the rules and beyond.

use std::collections::BTreeMap;

use aez::{Limits, Model, Quality};
use aez_core::{
    container::Container,
    photo::{Config, IntegerNetwork, Level, Network, PhotoModel},
};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde_json::{Value, json};

use super::{MOVED, PHOTO, bytes, kind, path, reader};

/// The number of latents of each level, the finest first.
pub fn counts(config: &Config, height: u32, width: u32) -> Vec<usize> {
    let count = |level: usize| height.div_ceil(1 << level) as usize * width.div_ceil(1 << level) as usize;
    config.levels.iter().enumerate().map(|(level, sizes)| count(level) * sizes.channels).collect()
}

/// Latents in the order of a file, as `[level][channel][row][column]`, the finest level first.
fn arranged(coded: &[i32], config: &Config, height: u32, width: u32) -> Vec<Vec<i32>> {
    let mut latents: Vec<Vec<i32>> =
        counts(config, height, width).iter().map(|&count| vec![0; count]).collect();
    let mut coded = coded.iter();
    for (level, latents) in latents.iter_mut().enumerate().rev() {
        let [rows, columns] = [height, width].map(|edge| edge.div_ceil(1 << level) as usize);
        for plane in latents.chunks_exact_mut(rows * columns) {
            for (first_row, first_column) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
                for row in (first_row..rows).step_by(2) {
                    for column in (first_column..columns).step_by(2) {
                        plane[row * columns + column] = *coded.next().expect("enough latents");
                    }
                }
            }
        }
    }
    assert!(coded.next().is_none(), "too many latents");
    latents
}

/// Checks that a file is what the encoder makes of these coefficients and latents, and that it has these pixels.
pub fn assert_latents(model: &str, name: &str, coded: &[i32], rgb: &[u8]) {
    let model = PhotoModel::from_bytes(&bytes(model)).unwrap();
    let Container { header, payload, .. } =
        Container::parse(&bytes(&format!("{name}.aez")), &Limits::default()).unwrap();
    let (network, multiplier) = model.network(header.quality);
    let (coefficients, coded) = coded.split_at(network.config().directions);
    let latents = arranged(coded, network.config(), header.height, header.width);
    let (found, pixels) =
        network.encode(header.height, header.width, multiplier, &latents, coefficients).unwrap();
    assert_eq!(found, payload, "{name}");
    if !header.gray {
        assert_eq!(pixels, rgb, "{name}");
    }
}

/// A model file in parts, to be broken.
#[derive(Clone)]
struct Parts {
    about: Value,
    tensors: BTreeMap<String, (Dtype, Vec<u8>)>,
}

impl Parts {
    fn read(file: &[u8]) -> Self {
        let (_, index) = SafeTensors::read_metadata(file).unwrap();
        let about = serde_json::from_str(&index.metadata().as_ref().unwrap()["aez"]).unwrap();
        let tensors = SafeTensors::deserialize(file).unwrap();
        let tensor = |(name, view): (&str, TensorView<'_>)| (name.into(), (view.dtype(), view.data().into()));
        Self { about, tensors: tensors.iter().map(tensor).collect() }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let view = |(name, (dtype, data)): (&String, &'_ (Dtype, Vec<u8>))| {
            let count = data.len() * 8 / dtype.bitsize();
            (name.clone(), (*dtype, count, data.clone()))
        };
        let all: Vec<_> = self.tensors.iter().map(view).collect();
        let views = all
            .iter()
            .map(|(name, (dtype, count, data))| (name, TensorView::new(*dtype, vec![*count], data).unwrap()));
        serialize(views, Some([("aez".to_owned(), self.about.to_string())].into())).unwrap()
    }

    /// The file with another value at a place of the metadata.
    fn with(&self, place: &str, value: Value) -> Vec<u8> {
        let mut changed = self.clone();
        let (parent, field) = place.rsplit_once('/').unwrap();
        match changed.about.pointer_mut(parent).unwrap() {
            Value::Array(array) => array[field.parse::<usize>().unwrap()] = value,
            parent => parent[field] = value,
        }
        changed.to_bytes()
    }

    /// The file with another tensor in the place of one.
    fn with_tensor(&self, name: &str, tensor: Option<(Dtype, Vec<u8>)>) -> Vec<u8> {
        let mut changed = self.clone();
        assert!(changed.tensors.remove(name).is_some(), "{name}");
        changed.tensors.extend(tensor.map(|tensor| (name.to_owned(), tensor)));
        changed.to_bytes()
    }
}

/// Model files that break one rule each.
fn broken() -> Vec<(String, Vec<u8>)> {
    let good = Parts::read(&bytes(PHOTO));
    let network = good.about["networks"][0].clone();
    let level = network["config"]["levels"][1].clone();
    let mut broken = Vec::new();
    for (place, value) in [
        ("/version", json!(2)),
        ("/family", json!("tile")),
        ("/colours", json!(3)),
        ("/networks", json!([])),
        ("/networks", json!(vec![network.clone(); 101])),
        ("/networks/1", network),
        ("/networks/0/quality", json!(0)),
        ("/networks/1/quality", json!(101)),
        ("/networks/1/quality", json!(71.5)),
        ("/networks/0/steps", json!(1)),
        ("/networks/0/config/tile", json!(96)),
        ("/networks/0/config/levels", json!([level])),
        ("/networks/0/config/levels", json!(vec![level; 11])),
    ] {
        broken.push((format!("{place} {value}"), good.with(place, value)));
    }
    for (field, value) in [
        ("channels", json!(0)),
        ("channels", json!(4)),
        ("features", json!(0)),
        ("features", json!(33)),
        ("wide", json!(1)),
        ("hidden", json!(0)),
        ("hidden", json!(33)),
        ("neighbours", json!(13)),
        ("before", json!(6)),
        ("coarser", json!(6)),
        ("coarser", json!(-1)),
        ("guides", json!(6)),
        ("depth", json!(1)),
    ] {
        let place = format!("/networks/0/config/levels/0/{field}");
        broken.push((format!("{place} {value}"), good.with(&place, value)));
    }
    broken.push(("guides without a level".into(), good.with("/networks/0/config/levels/1/guides", json!(1))));
    broken.extend(broken_tensors(&good));
    broken
}

fn broken_tensors(good: &Parts) -> Vec<(String, Vec<u8>)> {
    let (layer, scale) = ("1.context.1.0.2.first", "0.synthesis.0.scale");
    let weights = good.tensors[&format!("{layer}.weight")].1.len();
    let largest = |count: usize| Some((Dtype::I16, [0xFF, 0x7F].repeat(count / 2)));
    // A latent times 2^15 is the largest value of a scaled latent; with a bias of 2^31 - 2^17 - 4095 * 2^15, it is too large by one.
    let bias = (1_i64 << 31) - (1 << 17) - 4095 * (1 << 15);
    [
        (format!("{layer}.weight"), None),
        (format!("{layer}.shift"), None),
        (format!("{layer}.weight"), Some((Dtype::I32, vec![0; 2 * weights]))),
        (format!("{layer}.weight"), Some((Dtype::I16, vec![0; weights + 2]))),
        (format!("{layer}.bias"), Some((Dtype::I32, vec![0; 4]))),
        (format!("{layer}.shift"), Some((Dtype::U8, vec![25; 4]))),
        (format!("{layer}.weight"), largest(weights)),
        (format!("{layer}.bias"), Some((Dtype::I32, i32::MIN.to_le_bytes().repeat(4)))),
        (format!("{scale}.bias"), Some((Dtype::I32, (bias as i32).to_le_bytes().to_vec()))),
        ("0.synthesis.0.carry.shift".into(), None),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, (name, tensor))| {
        let mut good = good.clone();
        if name == format!("{scale}.bias") {
            good.tensors.insert(format!("{scale}.weight"), (Dtype::I16, vec![0, 0x80]));
        }
        (format!("{index}: {name}"), good.with_tensor(&name, tensor))
    })
    .collect()
}

/// Model files with directions that break one rule each.
fn broken_directions() -> Vec<(String, Vec<u8>)> {
    let good = Parts::read(&bytes(MOVED));
    let layer = "0.context.1.0.3.output";
    let [directions, exponents] =
        ["direction", "exponent"].map(|part| good.tensors[&format!("{layer}.{part}")].1.clone());
    let mut broken: Vec<_> = [
        (format!("{layer}.direction"), None),
        (format!("{layer}.exponent"), None),
        ("0.synthesis.0.carry.exponent".into(), None),
        (format!("{layer}.direction"), Some((Dtype::U8, directions.clone()))),
        (format!("{layer}.direction"), Some((Dtype::I8, directions[1..].to_vec()))),
        (format!("{layer}.exponent"), Some((Dtype::U8, exponents[1..].to_vec()))),
        (format!("{layer}.exponent"), Some((Dtype::U8, vec![0; exponents.len()]))),
        (format!("{layer}.exponent"), Some((Dtype::U8, vec![41; exponents.len()]))),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, (name, tensor))| (format!("{index}: {name}"), good.with_tensor(&name, tensor)))
    .collect();
    for value in [json!(-1), json!(2), json!(4), json!(17), json!(3.5), json!(null)] {
        let place = "/networks/0/config/directions";
        broken.push((format!("{place} {value}"), good.with(place, value)));
    }
    broken
}

#[test]
fn ids_without_directions_are_as_before() {
    assert_eq!(super::model(PHOTO).id().to_string(), "c2175d3a");
    // A network may also say that it has none.
    let good = Parts::read(&bytes(PHOTO));
    let said = Model::from_bytes(good.with("/networks/0/config/directions", json!(0))).unwrap();
    assert_eq!(said.id(), super::model(PHOTO).id());
}

#[test]
fn models_that_break_a_rule_are_rejected() {
    for (name, file) in [broken(), broken_directions()].concat() {
        let error = Model::from_bytes(file).err().unwrap_or_else(|| panic!("{name} is accepted"));
        assert_eq!(kind(&error), "model", "{name}: {error}");
    }
    for name in [PHOTO, MOVED] {
        let good = Parts::read(&bytes(name)).to_bytes();
        assert_eq!(Model::from_bytes(good).unwrap().id(), super::model(name).id());
    }
}

#[test]
fn the_second_reader_rejects_the_same_models() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    let broken = broken().into_iter().map(|one| (one, "photo.aez"));
    let broken = broken.chain(broken_directions().into_iter().map(|one| (one, "moved.aez")));
    for ((name, file), input) in broken {
        std::fs::write(&model, file).unwrap();
        let input = path(input).to_str().unwrap().to_owned();
        let Some(lines) = reader::read(&model, &[input]) else { return };
        assert!(reader::is_skipped(&lines[0]) || lines[0]["error"] == "model", "{name}: {}", lines[0]);
    }
}

#[test]
fn a_model_has_at_most_100_networks() {
    let good = Parts::read(&bytes(PHOTO));
    let entry = |quality: usize| json!({"quality": quality, "config": good.about["networks"][0]["config"]});
    let mut many = Parts { about: good.about.clone(), tensors: BTreeMap::new() };
    many.about["networks"] = (1..=100).map(entry).collect();
    for index in 0..100 {
        let own = good.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("0.")?, tensor)));
        many.tensors.extend(own.map(|(name, tensor)| (format!("{index}.{name}"), tensor.clone())));
    }
    let model = PhotoModel::from_bytes(&many.to_bytes()).unwrap();
    for quality in 1..=100 {
        // Each quality has a network of its own, whose steps are unchanged.
        assert_eq!(model.network(Quality::new(quality).unwrap()).1, 1 << 12);
    }
}

#[test]
fn the_smallest_and_the_largest_networks_survive_a_round_trip() {
    let smallest = Level {
        channels: 1,
        features: 1,
        wide: false,
        wide_chroma: false,
        hidden: 1,
        neighbours: 0,
        before: 0,
        coarser: 0,
        guides: 0,
    };
    let largest = Level {
        channels: 8,
        features: 32,
        wide: true,
        wide_chroma: true,
        hidden: 32,
        neighbours: 12,
        before: 5,
        coarser: 5,
        guides: 32,
    };
    let mut large = vec![largest; 10];
    large[9].guides = 0;
    for (levels, directions) in
        [(vec![smallest; 2], 0), (vec![smallest; 2], 1), (large.clone(), 0), (large, 16)]
    {
        let network = Network::new(Config { levels, directions }, 0.01, 1).unwrap();
        let network = IntegerNetwork::new(&network).unwrap();
        for (height, width) in [(1, 1), (37, 22)] {
            let latent = |index: usize| ((index as i32 * 2_654_435) % 4096) >> (index % 13);
            let counts = counts(network.config(), height, width);
            let latents: Vec<Vec<i32>> =
                counts.iter().map(|&count| (0..count).map(latent).collect()).collect();
            let coefficients: Vec<i32> = (0..directions as i32).map(|index| 8 * (index % 5) - 16).collect();
            let (payload, pixels) = network.encode(height, width, 1 << 12, &latents, &coefficients).unwrap();
            assert_eq!(network.decode(height, width, 1 << 12, &payload, &Limits::default()).unwrap(), pixels);
        }
    }
}
