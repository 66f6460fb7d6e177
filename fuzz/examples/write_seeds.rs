//! Writes the seeds of the fuzz targets, `seeds/TARGET/*`, with the library's own writers.

use std::{collections::HashMap, fs, io, path::Path};

use aez::{
    Limits, Quality, Symbols,
    codec::{Encoder, preview},
    container::{Container, Header, ModelId},
    entropy::{Coder, Prior, decode, encode_with},
    model::{Config, Model, Provenance, Quantizer, Storage, init::xavier, tiny},
    picture::Picture,
};
use aez_fuzz::{CHANNELS, Case};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};

fn main() -> io::Result<()> {
    for (index, container) in containers().iter().enumerate() {
        let bytes = container.to_bytes().expect("a valid container");
        save("header", index, &bytes)?;
        save("container", index, &bytes)?;
    }
    for (index, channels) in [1, 3].into_iter().enumerate() {
        let samples = [0.0, -2.0, 7.5, 0.25, 30.0, -11.0];
        let prior = Prior::fit(&samples, channels).expect("whole rows");
        save("prior", index, &[&[channels as u8][..], &prior.to_bytes()].concat())?;
    }
    for (index, settings) in
        [[74, 1, 9, 90, 0, 3, 250, 77], [99, 5, 60, 127, 1, 2, 128, 30]].iter().enumerate()
    {
        save("range_decoder", index, &[&settings[..], &coded(Coder::Range, settings)].concat())?;
        save("zstd_decoder", index, &[&settings[..], &coded(Coder::Zstd, settings)].concat())?;
    }
    for (index, file) in whole_files().iter().enumerate() {
        save("decoder", index, file)?;
    }
    for (index, text) in previews().iter().enumerate() {
        save("preview", index, text.as_bytes())?;
    }
    for (index, settings) in
        [[8, 5, 74, 0, 9], [15, 16, 0, 1, 90], [40, 2, 99, 7, 255], [0, 0, 30, 2, 128]].iter().enumerate()
    {
        save("round_trip", index, &[&settings[..], &pixels(60)].concat())?;
    }
    let model = small_model();
    save("model_file", 0, &model)?;
    save("model_file", 1, &in_8_bits(&model, "decoder.linear.weight"))
}

fn containers() -> [Container; 3] {
    let header = Header {
        width: 9,
        height: 6,
        gray: false,
        quality: Quality::REFERENCE,
        coder: Coder::Range,
        model: ModelId([0xA1, 0xB2, 0xC3, 0xD4]),
    };
    let small = Container { header, latents: (1..40).collect(), alpha: None, icc: None, exif: None };
    let large = Container { header: Header { width: 96, height: 1000, ..header }, ..small.clone() };
    let full = Container {
        alpha: Some((0..54).map(|i| i / 5 * 50).collect()),
        icc: Some(b"colour profile ".repeat(3)),
        exif: Some(b"II*\0\x08\0\0\0\0\0".to_vec()),
        ..small.clone()
    };
    [small, large, full]
}

/// Symbols of every size, as a case with these settings codes them.
fn coded(coder: Coder, settings: &[u8]) -> Vec<u8> {
    let Case { shape, tables, .. } = Case::new(settings).expect("enough settings");
    let count = shape.count().expect("a small shape") as usize;
    let symbol = |i: usize| {
        let max = *tables.range(i % CHANNELS as usize).end();
        (i as i32 * 7 - 5).clamp(-max, max)
    };
    let symbols = Symbols::new(shape, (0..count).map(symbol).collect()).expect("as many as the shape holds");
    encode_with(coder, &symbols, &tables).expect("symbols in range")
}

/// A tile, and four tiles with alpha and metadata, in each code.
fn whole_files() -> Vec<Vec<u8>> {
    let model = tiny();
    let small = Picture::from_rgb(9, 6, (0..9 * 6 * 3).map(|i| (i * 7 % 256) as u8).collect());
    let full = Picture {
        gray: true,
        alpha: Some((0..24 * 20).map(|i| (i / 24 * 12) as u8).collect()),
        icc: Some(b"colour profile ".repeat(3)),
        exif: Some(b"II*\0\x08\0\0\0\0\0".to_vec()),
        ..Picture::from_rgb(24, 20, (0..24 * 20).flat_map(|i| [(i % 24 * 9) as u8; 3]).collect())
    };
    let mut files = Vec::new();
    for picture in [small, full] {
        let bytes = Encoder::new(&model).encode(&picture).expect("a small picture");
        let container = Container::parse(&bytes, &Limits::default()).expect("what was written");
        let header = container.header;
        let edge = model.tile() as u32;
        let (rows, columns) = (header.height.div_ceil(edge), header.width.div_ceil(edge));
        let shape = aez::Shape { rows, columns, channels: model.latents() as u32 };
        let tables = model.prior().at(header.quality);
        let symbols = decode(header.coder, &container.latents, shape, &tables, &Limits::default());
        let symbols = symbols.expect("what was written");
        for coder in [Coder::Range, Coder::Zstd] {
            let latents = encode_with(coder, &symbols, &tables).expect("symbols in range");
            let container = Container { header: Header { coder, ..header }, latents, ..container.clone() };
            files.push(container.to_bytes().expect("a valid container"));
        }
    }
    files
}

/// Opaque and not, in colour and gray, short and long.
fn previews() -> Vec<String> {
    let model = tiny();
    let colour = Picture::from_rgb(20, 12, pixels(20 * 12 * 3));
    let gray = pixels(9 * 30).into_iter().flat_map(|level| [level; 3]).collect();
    let alpha = Some((0..9 * 30).map(|i| (i % 256) as u8).collect());
    let clear = Picture { gray: true, alpha, ..Picture::from_rgb(9, 30, gray) };
    [(&colour, 16), (&colour, 60), (&clear, 30)]
        .map(|(picture, bytes)| preview::encode(&model, picture, bytes).expect("a small picture"))
        .into()
}

fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|i| (128.0 + 100.0 * (i as f32 * 0.05).sin()) as u8).collect()
}

/// As small as a model can be, so that mutations of its file meet what matters.
fn small_model() -> Vec<u8> {
    let config = Config { tile: 2, channels: 1, reductions: 1, latents: 2, ..Config::default() };
    let parameters = xavier(config, 1).expect("a possible network");
    let quantizer = Quantizer::new(vec![0.5, -1.0], vec![0.25, 2.0]).expect("positive steps");
    let prior = Prior::fit(&[0.0, -2.0, 1.5, 0.25], 2).expect("whole rows");
    Model::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), Storage::Float32)
        .expect("parts that fit")
}

/// The model with one of its arrays in 8 bits, which the library does to large ones only.
fn in_8_bits(model: &[u8], name: &str) -> Vec<u8> {
    let (_, index) = SafeTensors::read_metadata(model).expect("a model");
    let tensors = SafeTensors::deserialize(model).expect("a model");
    let shape = tensors.tensor(name).expect("an array of the model").shape().to_vec();
    let (values, scales) = (vec![3; shape.iter().product()], vec![0; 4 * shape[1]]);
    let mut all: Vec<(String, TensorView<'_>)> = tensors.tensors();
    all.retain(|(other, _)| other != name);
    let mut add = |name: String, dtype, shape: Vec<usize>, data| {
        all.push((name, TensorView::new(dtype, shape, data).expect("data of that shape")));
    };
    add(name.to_owned(), Dtype::I8, shape.clone(), &values);
    add(format!("{name}.scale"), Dtype::F32, vec![shape[1]], &scales);
    add(format!("{name}.outlier_place"), Dtype::U32, vec![1], &[1, 0, 0, 0]);
    add(format!("{name}.outlier_value"), Dtype::F32, vec![1], &[0, 0, 128, 63]);
    let metadata: HashMap<_, _> = index.metadata().clone().expect("metadata");
    serialize(all, Some(metadata)).expect("views of tensors")
}

fn save(target: &str, index: usize, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(index.to_string()), bytes)
}
