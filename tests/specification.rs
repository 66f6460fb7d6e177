//! `format-spec.md` and the library agree: the worked example byte for byte, and the network of a model file.

use aez_core::{
    Limits, Quality,
    container::{Container, Family, Header, ModelId},
    entropy::{Coder, Prior, decode, encode},
    symbols::{Shape, Symbols},
    tiled::{Config, Provenance, Quantizer, Storage, TiledModel, init::xavier},
};

const SPECIFICATION: &str = include_str!("../format-spec.md");

/// Two channels: four cells of two base steps, and two cells of one base step.
const PRIOR: &str = "04 00 00 02 00 00 9a 19 66 66 66 66 9a 19 02 00 00 01 00 00 00 40 00 c0";
const SYMBOLS: [i32; 4] = [4, -1, -3, 1];
const LATENTS: &str = "f9 a5";
const FILE: &str = "ae 5a 10 cb 63 3b 01 23 45 67 60 47 f9 a5";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn container() -> Container {
    let header = Header {
        family: Family::TILED,
        width: 100,
        height: 60,
        gray: false,
        quality: Quality::REFERENCE,
        coder: Coder::Range,
        model: ModelId([0x01, 0x23, 0x45, 0x67]),
    };
    Container { header, payload: bytes(LATENTS), alpha: None, icc: None, exif: None, xmp: None }
}

#[test]
fn the_example_is_coded_as_documented() {
    let shape = Shape { rows: 1, columns: 2, channels: 2 };
    let tables = Prior::from_bytes(&bytes(PRIOR), 2).unwrap().at(Quality::REFERENCE);
    let symbols = Symbols::new(shape, SYMBOLS.to_vec()).unwrap();
    let (coder, latents) = encode(&symbols, &tables).unwrap();
    assert_eq!((coder, hex(&latents)), (Coder::Range, LATENTS.to_owned()));
    assert_eq!(decode(coder, &latents, shape, &tables, &Limits::default()).unwrap(), symbols);
    let centroids = [(0, 4), (1, -1), (0, -3), (1, 1)].map(|(channel, k)| tables.centroid(channel, k));
    assert_eq!(centroids, [3.75, -0.75, -3.0, 0.75]);
}

#[test]
fn the_example_file_is_stored_as_documented() {
    let file = container().to_bytes().unwrap();
    assert_eq!(hex(&file), FILE);
    assert_eq!(Container::parse(&file, &Limits::default()).unwrap(), container());
}

#[test]
fn the_document_shows_the_bytes_of_the_example() {
    for shown in [PRIOR, LATENTS, FILE] {
        assert!(SPECIFICATION.contains(shown), "format-spec.md does not show {shown}");
    }
}

/// An implementation of section 11 that follows the document and nothing else. It is slow.
mod from_the_document {
    use safetensors::{Dtype, SafeTensors};
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    pub struct Reader<'a> {
        tensors: SafeTensors<'a>,
        config: Value,
    }

    impl<'a> Reader<'a> {
        pub fn new(file: &'a [u8]) -> Self {
            let (_, header) = SafeTensors::read_metadata(file).unwrap();
            let metadata: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["aez"]).unwrap();
            Self { tensors: SafeTensors::deserialize(file).unwrap(), config: metadata["config"].clone() }
        }

        fn field(&self, name: &str) -> usize {
            self.config[name].as_u64().unwrap() as usize
        }

        fn floats(&self, name: &str) -> Vec<f64> {
            let floats = self.tensors.tensor(name).unwrap().data().as_chunks::<4>().0.iter();
            floats.map(|bytes| f32::from_le_bytes(*bytes).into()).collect()
        }

        fn array(&self, name: &str) -> Vec<f64> {
            let tensor = self.tensors.tensor(name).unwrap();
            if tensor.dtype() == Dtype::F32 {
                return self.floats(name);
            }
            let scales = self.floats(&format!("{name}.scale"));
            let value = |(p, &byte): (usize, &u8)| f64::from(byte.cast_signed()) * scales[p % scales.len()];
            let mut values: Vec<f64> = tensor.data().iter().enumerate().map(value).collect();
            let places = self.tensors.tensor(&format!("{name}.outlier_place")).unwrap();
            let outliers = self.floats(&format!("{name}.outlier_value"));
            for (place, outlier) in places.data().as_chunks::<4>().0.iter().zip(outliers) {
                values[u32::from_le_bytes(*place) as usize] = outlier;
            }
            values
        }

        pub fn synthesize(&self, latents: &[f32]) -> Vec<f64> {
            let (c, r) = (self.field("channels"), self.field("reductions"));
            let bias = self.array("decoder.linear.bias");
            let weights = self.array("decoder.linear.weight");
            let sum = |m: usize| -> f64 {
                latents.iter().enumerate().map(|(n, &x)| f64::from(x) * weights[n * bias.len() + m]).sum()
            };
            let mut picture: Vec<f64> = (0..bias.len()).map(|m| (sum(m) + bias[m]).max(0.0)).collect();
            let mut layers = Vec::new();
            for k in (0..r).rev() {
                layers.extend([(c << (k + 1), c << (k + 1), 1), (c << k, c << (k + 1), 2)]);
            }
            layers.extend([(c, c, 1), (3, c, 1)]);
            let mut edge = self.field("tile") >> r;
            for (index, &(high, low, stride)) in layers.iter().enumerate() {
                picture = self.layer(index, &picture, edge, (high, low, stride));
                edge *= stride;
                if index + 1 < layers.len() {
                    picture.iter_mut().for_each(|v| *v = v.max(0.0));
                }
            }
            if self.config["normalize"] == true {
                picture.iter_mut().for_each(|v| *v = *v / 2.0 + 0.5);
            }
            picture
        }

        fn layer(&self, index: usize, from: &[f64], edge: usize, shape: (usize, usize, usize)) -> Vec<f64> {
            let (high, low, s) = shape;
            let w = self.array(&format!("decoder.conv{index}.weight"));
            let mut to = self.array(&format!("decoder.conv{index}.bias")).repeat((s * edge).pow(2));
            for place in 0..edge * edge * 9 {
                let (y, x, i, j) = (place / 9 / edge, place / 9 % edge, place / 3 % 3, place % 3);
                let (row, column) = ((s * y + i).wrapping_sub(1), (s * x + j).wrapping_sub(1));
                if row >= s * edge || column >= s * edge {
                    continue;
                }
                for a in 0..high {
                    let weights = &w[((3 * i + j) * high + a) * low..][..low];
                    let inputs = &from[(y * edge + x) * low..][..low];
                    to[(row * s * edge + column) * high + a] +=
                        weights.iter().zip(inputs).map(|(w, x)| w * x).sum::<f64>();
                }
            }
            to
        }

        pub fn id(&self) -> [u8; 4] {
            let mut hash = Sha256::new();
            for field in ["tile", "channels", "reductions", "latents"] {
                hash.update((self.field(field) as u64).to_le_bytes());
            }
            hash.update(u64::from(self.config["normalize"] == true).to_le_bytes());
            let mut names = self.tensors.names();
            names.sort();
            for name in names {
                if name.starts_with("decoder.") || name.starts_with("quantizer.") || name == "prior" {
                    let tensor = self.tensors.tensor(name).unwrap();
                    for bytes in [name.as_bytes(), tensor.data()] {
                        hash.update((bytes.len() as u64).to_le_bytes());
                        hash.update(bytes);
                    }
                }
            }
            hash.finalize()[..4].try_into().unwrap()
        }
    }
}

#[test]
fn the_network_is_computed_as_documented() {
    let config = Config { tile: 8, channels: 6, reductions: 2, latents: 5, normalize: true, dropout: 0.0 };
    // Its columns are long enough, and its arrays large enough, to be stored in 8 bits with outliers.
    let large = Config { tile: 16, channels: 64, reductions: 1, latents: 3, normalize: false, dropout: 0.0 };
    for config in [config, large] {
        let parameters = xavier(config, 3).unwrap();
        let quantizer = Quantizer::new(vec![0.0; config.latents], vec![1.0; config.latents]).unwrap();
        let prior = Prior::fit(&vec![0.5; config.latents], config.latents).unwrap();
        let provenance = Provenance::default();
        let file = TiledModel::to_bytes(&parameters, &quantizer, &prior, &provenance, Storage::Int8).unwrap();
        let model = TiledModel::from_bytes(file.clone()).unwrap();
        let reader = from_the_document::Reader::new(&file);
        assert_eq!(reader.id(), model.id().0);
        let latents: Vec<f32> = (0..config.latents).map(|n| 1.0 + n as f32).collect();
        let expected = reader.synthesize(&latents);
        let found = model.synthesize(&latents).unwrap();
        assert_eq!(expected.len(), found.len());
        for (place, (e, f)) in expected.iter().zip(found).enumerate() {
            assert!((e - f64::from(f)).abs() < 1e-4, "value {place}: {f} instead of {e}");
        }
    }
}
