use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};

use super::{CONTEXTS, Stored, TOKENS, float_tensor};
use crate::{
    entropy::Prior,
    error::Error,
    tiled::{Config, Parameters, Provenance, Quantizer, Storage, TiledModel, file, init},
};

const WEIGHT: &str = "decoder.linear.weight";

/// A network of which the linear layers and some convolutions are large enough to be packed.
fn network() -> (Parameters, Quantizer, Prior) {
    let config = Config { tile: 16, channels: 8, reductions: 1, latents: 5, ..Config::default() };
    let mut parameters = init::xavier(config, 1).unwrap();
    // A linear layer with columns that are waves, as trained ones are.
    let wave = |i: usize| ((i / 16 % 8) as f32 * 0.3 + (i / 1024) as f32).sin() * ((i % 16) as f32 * 0.1);
    parameters.get_mut(WEIGHT).iter_mut().enumerate().for_each(|(i, x)| *x = 0.01 * *x + wave(i));
    let quantizer = Quantizer::new(vec![3.0; 5], vec![0.5; 5]).unwrap();
    let samples: Vec<f32> = (0..200).map(|i| ((i * 37 % 41) as f32 - 20.0) / 4.0).collect();
    (parameters, quantizer, Prior::fit(&samples, 5).unwrap())
}

fn bytes(storage: Storage) -> Vec<u8> {
    let (parameters, quantizer, prior) = network();
    TiledModel::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), storage).unwrap()
}

/// The packed file with changed tensors.
fn changed(change: impl Fn(&mut BTreeMap<String, Stored>)) -> Vec<u8> {
    let file = bytes(Storage::Packed);
    let (_, index) = SafeTensors::read_metadata(&file).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let stored = tensors
        .iter()
        .map(|(name, view)| (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec())));
    let mut stored = stored.collect();
    change(&mut stored);
    file::serialized(&stored, &index.metadata().as_ref().unwrap()["aez"]).unwrap()
}

/// Loads a file and unpacks all of its arrays: the parameters, or the reason for which it is rejected.
fn load(file: Vec<u8>) -> Result<Parameters, String> {
    match TiledModel::from_bytes(file).and_then(|model| model.parameters()) {
        Ok(parameters) => {
            assert!(parameters.arrays.iter().all(|array| array.values.iter().all(|x| x.is_finite())));
            Ok(parameters)
        }
        Err(Error::Model(reason)) => Err(reason),
        Err(other) => panic!("{other:?} is no documented error of a model file"),
    }
}

#[test]
fn weights_survive_packing_within_the_stated_error() {
    let (parameters, ..) = network();
    let packed = bytes(Storage::Packed);
    let found = load(packed.clone()).unwrap();
    let mean = |values: &mut dyn Iterator<Item = f32>, power: i32| {
        let (sum, count) = values.fold((0.0, 0), |(sum, n), x| (sum + x.abs().powi(power), n + 1));
        (sum / count as f32).powf(1.0 / power as f32)
    };
    let mut changed = 0;
    for (array, found) in parameters.arrays.iter().zip(&found.arrays) {
        let error = mean(&mut array.values.iter().zip(&found.values).map(|(a, b)| a - b), 2);
        let size = mean(&mut array.values.iter().copied(), 2);
        // A step of 12 hundredths of the mean magnitude makes an error of 3.5 hundredths. The bias is corrected for other errors.
        let is_near = error <= 0.035 * size || array.name == "decoder.linear.bias";
        assert!(is_near, "{}: an error of {error} for {size}", array.name);
        changed += u8::from(error > 0.0);
    }
    assert_eq!(changed, 7, "two linear layers with the bias of one, and two convolutions on each side");
    assert!(packed.len() * 2 < bytes(Storage::Float32).len());
    assert_eq!(TiledModel::from_bytes(packed).unwrap().info().dtype, "packed");
}

#[test]
fn packing_depends_on_nothing_but_the_model_and_is_stable() {
    let packed = bytes(Storage::Packed);
    assert_eq!(packed, bytes(Storage::Packed));
    assert_eq!(load(packed.clone()), load(packed));
}

#[test]
fn the_mean_tile_is_nearly_exact() {
    let (_, quantizer, _) = network();
    let [exact, packed] = [Storage::Float32, Storage::Packed].map(|storage| load(bytes(storage)).unwrap());
    let bottom = |parameters: &Parameters| -> Vec<f32> {
        let mut sums = parameters.get("decoder.linear.bias").to_vec();
        let rows = parameters.get(WEIGHT).chunks_exact(sums.len());
        for (row, centre) in rows.zip(quantizer.centres()) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * centre);
        }
        sums
    };
    let (exact, packed) = (bottom(&exact), bottom(&packed));
    let error = exact.iter().zip(&packed).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / exact.len() as f32;
    // Without the correction of the bias, the errors of all rows add up.
    assert!(error.sqrt() < 0.005, "{}", error.sqrt());
}

#[test]
fn weights_of_zero_and_large_ones_survive() {
    let (mut parameters, quantizer, prior) = network();
    parameters.get_mut(WEIGHT).fill(0.0);
    parameters.get_mut("encoder.conv1.weight").fill(0.0);
    parameters.get_mut("encoder.conv2.weight").fill(1e-3);
    parameters.get_mut("encoder.conv2.weight")[7] = 1e6;
    let file = TiledModel::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), Storage::Packed);
    let found = load(file.unwrap()).unwrap();
    assert!(found.get(WEIGHT).iter().all(|&x| x == 0.0));
    assert!((found.get("encoder.conv2.weight")[7] / 1e6 - 1.0).abs() < 1e-5);
}

#[test]
fn what_cannot_be_packed_is_stored_as_floats() {
    let config = Config { tile: 64, channels: 16, reductions: 1, latents: 5, ..Config::default() };
    let mut parameters = init::xavier(config, 1).unwrap();
    // 163,840 zeros would take no bytes.
    parameters.get_mut(WEIGHT).fill(0.0);
    let (_, quantizer, prior) = network();
    let stored = |parameters: &Parameters| {
        TiledModel::to_bytes(parameters, &quantizer, &prior, &Provenance::default(), Storage::Packed).unwrap()
    };
    let file = stored(&parameters);
    assert_eq!(SafeTensors::deserialize(&file).unwrap().tensor(WEIGHT).unwrap().dtype(), Dtype::F32);
    assert!(load(file).unwrap().get(WEIGHT).iter().all(|&x| x == 0.0));
    parameters.get_mut("encoder.conv2.weight")[9] = f32::NAN;
    assert!(load(stored(&parameters)).unwrap_err().contains("value 9 of encoder.conv2.weight is NaN"));
}

#[test]
fn no_prefix_of_a_packed_model_is_a_model() {
    let file = bytes(Storage::Packed);
    for length in 0..file.len() {
        assert!(TiledModel::from_bytes(file[..length].to_vec()).is_err(), "{length} of {} bytes", file.len());
    }
}

#[test]
fn changed_bytes_are_rejected_or_harmless() {
    let file = bytes(Storage::Packed);
    for place in (0..file.len()).step_by(29) {
        for change in [0x01, 0x80, 0xFF] {
            let mut changed = file.clone();
            changed[place] ^= change;
            let _ = load(changed);
        }
    }
}

#[test]
fn shortened_streams_are_other_weights_or_rejected() {
    let name = "encoder.conv2.weight";
    let original = load(bytes(Storage::Packed)).unwrap();
    let file = bytes(Storage::Packed);
    let length = SafeTensors::deserialize(&file).unwrap().tensor(name).unwrap().data().len();
    for cut in (1..=length).step_by(length / 40) {
        match load(changed(|tensors| resize_stream(tensors, name, -(cut as isize)))) {
            Ok(other) => assert_ne!(other.get(name), original.get(name)),
            Err(reason) => assert!(reason.contains(name), "{reason}"),
        }
    }
}

/// Changes the number of bytes of an array with one stream; new ones are zeros.
fn resize_stream(tensors: &mut BTreeMap<String, Stored>, name: &str, change: isize) {
    let (_, shape, bytes) = tensors.get_mut(name).unwrap();
    bytes.resize(bytes.len().checked_add_signed(change).unwrap(), 0);
    shape[0] = bytes.len();
    let length = (bytes.len() as u32).to_le_bytes().to_vec();
    tensors.insert(format!("{name}.lengths"), (Dtype::U32, vec![1], length));
}

#[test]
fn invalid_packed_arrays_are_rejected_with_their_reason() {
    type Change = fn(&mut BTreeMap<String, Stored>);
    fn part(tensors: &mut BTreeMap<String, Stored>, part: &str, stored: Stored) {
        tensors.insert(format!("{WEIGHT}.{part}"), stored);
    }
    fn integers(values: &[u32]) -> Stored {
        (Dtype::U32, vec![values.len()], values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
    fn tables(count: usize, weight: u16) -> Stored {
        (Dtype::U16, vec![count], weight.to_le_bytes().repeat(count))
    }
    let changes: [(&str, Change); 19] = [
        ("no tensor decoder.linear.weight.lengths", |t| drop(t.remove("decoder.linear.weight.lengths"))),
        ("no tensor decoder.linear.weight.weights", |t| drop(t.remove("decoder.linear.weight.weights"))),
        ("lengths has 0 values", |t| part(t, "lengths", integers(&[]))),
        ("lengths has 6 values for 5 rows", |t| part(t, "lengths", integers(&[0; 6]))),
        ("ends beyond its bytes", |t| part(t, "lengths", integers(&[u32::MAX]))),
        ("bytes follow the streams", |t| part(t, "lengths", integers(&[1]))),
        ("lengths is of type", |t| part(t, "lengths", float_tensor(vec![1], &[1.0]))),
        ("row_step has 4 values instead of 5", |t| part(t, "row_step", float_tensor(vec![4], &[1.0; 4]))),
        ("row_step contains NaN", |t| part(t, "row_step", float_tensor(vec![5], &[f32::NAN; 5]))),
        ("row_step contains -1", |t| part(t, "row_step", float_tensor(vec![5], &[-1.0; 5]))),
        ("place_step contains inf", |t| part(t, "place_step", float_tensor(vec![64], &[f32::INFINITY; 64]))),
        ("too large", |t| part(t, "row_step", float_tensor(vec![5], &[f32::MAX; 5]))),
        ("weights has 84 values", |t| part(t, "weights", tables(2 * TOKENS, 1))),
        ("weights has 43 values", |t| part(t, "weights", tables(TOKENS + 1, 1))),
        ("weights contains 0", |t| part(t, "weights", tables(CONTEXTS * TOKENS, 0))),
        ("too large a sum", |t| part(t, "weights", tables(TOKENS, u16::MAX))),
        ("axes has 255 values", |t| part(t, "axes", (Dtype::I16, vec![255], vec![0; 510]))),
        ("cannot be", |t| drop(t.insert("encoder.conv1.bias".into(), (Dtype::U8, vec![8], vec![0; 8])))),
        ("conv1.weight: the range coder's bytes", |t| resize_stream(t, "decoder.conv1.weight", 1)),
    ];
    for (index, (expected, change)) in changes.into_iter().enumerate() {
        let reason = load(changed(change)).err().unwrap_or_else(|| panic!("change {index} is accepted"));
        assert!(reason.contains(expected), "change {index}: {reason}");
    }
}

#[test]
fn few_bytes_cannot_claim_many_values() {
    let claim = Config { tile: 512, channels: 64, reductions: 3, latents: 40, ..Config::default() };
    let grid = super::Grid::of(&claim, WEIGHT, &[]).unwrap();
    assert!(grid.len() > 80_000_000);
    let tensor = |_: &str, dtype| Ok((dtype == Dtype::U8).then_some(&[0; 1000][..]));
    let error = super::Packed::read(&claim, WEIGHT, &[], tensor).unwrap_err().to_string();
    assert!(error.contains("in 1000 bytes"), "{error}");
}
