//! Damaged and crafted model files: each fails with [`Error::Model`], or is a model that runs.

use std::{alloc::System, collections::HashMap};

use aez_core::{
    Error, Model,
    testing::{tiny, tiny_bytes},
    tiled::TiledModel,
};
use rayon::prelude::*;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};

/// All tests of this file together cannot allocate more: memory is only allocated for bytes that the file has.
#[global_allocator]
static ALLOCATOR: cap::Cap<System> = cap::Cap::new(System, 512 << 20);

/// Reads an untrusted model, and runs it if it is accepted. Both entry points must agree.
fn load(bytes: Vec<u8>) -> Result<TiledModel, String> {
    let model = Model::from_bytes(bytes.clone());
    match TiledModel::from_bytes(bytes) {
        Ok(tiled) => {
            assert_eq!(model.expect("the same model").id(), tiled.id());
            let tile = tiled.synthesize(&vec![0.0; tiled.latents()]).unwrap();
            assert_eq!(tiled.analyse(&tile).unwrap().len(), tiled.latents());
            Ok(tiled)
        }
        Err(Error::Model(reason)) => {
            assert!(matches!(model, Err(Error::Model(_))));
            Err(reason)
        }
        Err(other) => panic!("{other:?} is no documented error of a model file"),
    }
}

/// Length of the header in bytes, with the length field.
fn header_len(file: &[u8]) -> usize {
    8 + SafeTensors::read_metadata(file).unwrap().0
}

#[test]
fn no_prefix_of_a_model_is_a_model() {
    let file = tiny_bytes();
    let header = header_len(&file);
    let lengths = (0..header).step_by(41).chain((header..file.len()).step_by(9973)).chain([file.len() - 1]);
    for length in lengths {
        assert!(load(file[..length].to_vec()).is_err(), "{length} of {} bytes", file.len());
    }
}

#[test]
fn every_changed_byte_of_the_header_is_rejected_or_harmless() {
    let file = tiny_bytes();
    (0..header_len(&file)).into_par_iter().for_each(|place| {
        let mut changed = file.clone();
        // Digits become other digits, letters other letters, and braces other characters.
        changed[place] ^= [1, 2, 4, 0x10, 0x80][place % 5];
        let _ = load(changed);
    });
}

/// The parts of a model file, from which invalid files are assembled.
struct Parts {
    metadata: String,
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
}

impl Parts {
    fn new() -> Self {
        let file = tiny_bytes();
        let (_, index) = SafeTensors::read_metadata(&file).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let part = |(name, view): (&str, TensorView<'_>)| {
            (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec())
        };
        Self {
            metadata: index.metadata().as_ref().unwrap()["aez"].clone(),
            tensors: tensors.iter().map(part).collect(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, dtype, shape, data)| {
            (name, TensorView::new(*dtype, shape.clone(), data).expect("data of that type and shape"))
        });
        serialize(views, Some(HashMap::from([("aez".to_owned(), self.metadata.clone())]))).unwrap()
    }

    fn drop(&mut self, name: &str) {
        self.tensors.retain(|tensor| tensor.0 != name);
    }

    fn set(&mut self, name: &str, dtype: Dtype, shape: &[usize], data: Vec<u8>) {
        self.drop(name);
        self.tensors.push((name.to_owned(), dtype, shape.to_vec(), data));
    }

    /// Replaces an array by one with 8-bit values and outliers at `places`.
    fn round(&mut self, name: &str, places: &[u32]) {
        let shape = self.tensors.iter().find(|tensor| tensor.0 == name).unwrap().2.clone();
        let (count, columns) = (shape.iter().product(), *shape.last().unwrap());
        self.set(name, Dtype::I8, &shape, vec![1; count]);
        self.set(&format!("{name}.scale"), Dtype::F32, &[columns], vec![0; 4 * columns]);
        let bytes = places.iter().flat_map(|place| place.to_le_bytes()).collect();
        self.set(&format!("{name}.outlier_place"), Dtype::U32, &[places.len()], bytes);
        let values = vec![0; 4 * places.len()];
        self.set(&format!("{name}.outlier_value"), Dtype::F32, &[places.len()], values);
    }
}

const WEIGHT: &str = "decoder.conv1.weight";

#[test]
fn a_correctly_assembled_model_loads() {
    let mut parts = Parts::new();
    let id = load(parts.bytes()).unwrap().id();
    assert_eq!(id, tiny().id());
    parts.round(WEIGHT, &[0, 5, 6]);
    assert_ne!(load(parts.bytes()).unwrap().id(), id);
}

#[test]
fn invalid_models_are_rejected_with_their_reason() {
    type Change = fn(&mut Parts);
    let changes: [(&str, Change); 14] = [
        ("decoder.conv1.weight", |parts| parts.drop(WEIGHT)),
        ("decoder.conv1.weight", |parts| parts.set(WEIGHT, Dtype::F32, &[3], vec![0; 12])),
        ("decoder.conv1.weight", |parts| parts.set(WEIGHT, Dtype::F64, &[3], vec![0; 24])),
        ("value 2 of encoder.conv0.bias is NaN", |parts| {
            let mut bias = vec![0; 48];
            bias[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
            parts.set("encoder.conv0.bias", Dtype::F32, &[12], bias);
        }),
        (".scale", |parts| {
            parts.round(WEIGHT, &[]);
            parts.drop(&format!("{WEIGHT}.scale"));
        }),
        (".outlier_place", |parts| parts.round(WEIGHT, &[u32::MAX])),
        (".outlier_place", |parts| parts.round(WEIGHT, &[7, 7])),
        ("step", |parts| parts.set("quantizer.step", Dtype::F32, &[12], vec![0; 48])),
        ("quantizer", |parts| {
            for name in ["quantizer.step", "quantizer.centre"] {
                parts.set(name, Dtype::F32, &[2], 1f32.to_le_bytes().repeat(2));
            }
        }),
        ("", |parts| parts.set("prior", Dtype::U8, &[3], vec![0xFF; 3])),
        ("", |parts| parts.metadata = parts.metadata.replace("\"tile\":16", "\"tile\":512")),
        ("tile edge", |parts| {
            parts.metadata = parts.metadata.replace("\"tile\":16", "\"tile\":18446744073709551615")
        }),
        ("newer aez", |parts| parts.metadata = parts.metadata.replace("\"version\":1", "\"version\":2")),
        ("metadata", |parts| parts.metadata = "[".repeat(1 << 20)),
    ];
    for (index, (expected, change)) in changes.into_iter().enumerate() {
        let mut parts = Parts::new();
        change(&mut parts);
        let reason = load(parts.bytes()).err().unwrap_or_else(|| panic!("change {index} is accepted"));
        assert!(reason.contains(expected), "change {index}: {reason}");
    }
}

#[test]
fn a_header_cannot_claim_what_is_not_there() {
    let mut file = tiny_bytes();
    for claim in [u64::MAX, 1 << 40, 100_000_000, file.len() as u64] {
        file[..8].copy_from_slice(&claim.to_le_bytes());
        assert!(load(file.clone()).is_err(), "{claim}");
    }
    assert!(load(Vec::new()).is_err() && load(vec![0; 8]).is_err());
}
