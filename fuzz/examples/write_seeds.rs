//! Writes the seeds of the fuzz targets, `seeds/TARGET/*`, with the writers of the library.

use std::{collections::HashMap, fs, io, path::Path};

use aez_core::{
    Encoder, Limits, Model, Picture, Quality,
    container::{Container, Family, Header, ModelId},
    entropy::{Coder, Prior, decode, encode_adaptive, encode_with},
    photo::{Config, Level, Network, PhotoModel},
    preview,
    symbols::{Shape, Symbols},
    testing::tiny,
    tiled::{self, Provenance, Quantizer, Storage, TiledModel, init::xavier},
};
use aez_fuzz::{AdaptiveCase, CHANNELS, Case, MOVED_MODEL, PHOTO_MODEL};
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
        let prior = Prior::fit(&samples, channels).expect("complete rows");
        save("prior", index, &[&[channels as u8][..], &prior.to_bytes()].concat())?;
    }
    for (index, settings) in
        [[74, 1, 9, 90, 0, 3, 250, 77], [99, 5, 60, 127, 1, 2, 128, 30]].iter().enumerate()
    {
        save("range_decoder", index, &[&settings[..], &coded(Coder::Range, settings)].concat())?;
        save("zstd_decoder", index, &[&settings[..], &coded(Coder::Zstd, settings)].concat())?;
    }
    for (index, settings) in [[30, 0, 9, 3, 1, 0], [200, 253, 0, 90, 255, 4]].iter().enumerate() {
        save("adaptive", index, &[&settings[..], &adaptive(settings)].concat())?;
    }
    for (index, file) in whole_files().iter().enumerate() {
        save("decoder", index, file)?;
    }
    for (index, text) in previews().iter().enumerate() {
        save("preview", index, text.as_bytes())?;
    }
    // Weights from a place of the prior on, and of a layer.
    for (index, place) in [40_000_u32, 110_000].iter().enumerate() {
        save("preview_model", index, &[&[1][..], &place.to_le_bytes(), &pixels(60)].concat())?;
    }
    for (index, settings) in
        [[8, 5, 74, 0, 9], [15, 16, 0, 1, 90], [40, 2, 99, 7, 255], [0, 0, 30, 2, 128]].iter().enumerate()
    {
        save("round_trip", index, &[&settings[..], &pixels(60)].concat())?;
    }
    let model = small_model();
    save("model_file", 0, &model)?;
    save("model_file", 1, &in_8_bits(&model, "decoder.linear.weight"))?;
    save("model_file", 2, &packed_model())?;
    write_photo_seeds()
}

fn write_photo_seeds() -> io::Result<()> {
    let model = Model::from_static(PHOTO_MODEL).expect("a valid model");
    let encode = |picture: &Picture, quality| {
        let quality = Quality::new(quality).expect("1 to 100");
        Encoder::new(&model).quality(quality).encode(picture).expect("a small picture")
    };
    for (index, (file, quality)) in
        pictures().iter().flat_map(|picture| [30, 75].map(|q| (encode(picture, q), q))).enumerate()
    {
        save("photo_decoder", index, &file)?;
        let Container { header, payload, .. } =
            Container::parse(&file, &Limits::default()).expect("a valid file");
        let settings = [header.height as u8 - 1, header.width as u8 - 1, quality - 1];
        save("photo_payload", index, &[&settings[..], &payload].concat())?;
    }
    for (index, settings) in [[8, 5, 74], [0, 0, 29], [23, 16, 99], [8, 5, 159]].iter().enumerate() {
        save("photo_round_trip", index, &[&settings[..], &pixels(60)].concat())?;
    }
    save("photo_model", 0, &[&[0][..], &small_photo_model()].concat())?;
    for (index, coefficients) in (4..).zip([[0, 0, 0], [20, -9, 1]]) {
        save("photo_payload", index, &[&[8, 5, 159][..], &moved(coefficients)].concat())?;
    }
    for (index, scale) in (1..).zip([0_u8, 2, 8, 64 + 8]) {
        save("photo_model", index, &[&[2 * scale + 1][..], &pixels(300)].concat())?;
    }
    Ok(())
}

/// The payload of latents of 0 for a picture of 6x9 pixels whose coefficients move the weights.
fn moved(coefficients: [i32; 3]) -> Vec<u8> {
    let model = PhotoModel::from_bytes(MOVED_MODEL).expect("a valid model");
    let (network, multiplier) = model.network(Quality::new(60).expect("1 to 100"));
    let levels = network.config().levels.iter().enumerate();
    let count = |level: usize| 9_usize.div_ceil(1 << level) * 6_usize.div_ceil(1 << level);
    let latents: Vec<Vec<i32>> =
        levels.map(|(level, sizes)| vec![0; count(level) * sizes.channels]).collect();
    network.encode(9, 6, multiplier, &latents, &coefficients).expect("coefficients in range").0
}

fn containers() -> [Container; 3] {
    let header = Header {
        family: Family::TILED,
        width: 9,
        height: 6,
        gray: false,
        quality: Quality::REFERENCE,
        coder: Coder::Range,
        model: ModelId([0xA1, 0xB2, 0xC3, 0xD4]),
    };
    let small =
        Container { header, payload: (1..40).collect(), alpha: None, icc: None, exif: None, xmp: None };
    let large = Container { header: Header { width: 96, height: 1000, ..header }, ..small.clone() };
    let full = Container {
        alpha: Some((0..54).map(|i| i / 5 * 50).collect()),
        icc: Some(b"colour profile ".repeat(3)),
        exif: Some(b"II*\0\x08\0\0\0\0\0".to_vec()),
        xmp: Some(b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>".to_vec()),
        ..small.clone()
    };
    [small, large, full]
}

/// Symbols of all sizes, encoded with the settings of a case.
fn coded(coder: Coder, settings: &[u8]) -> Vec<u8> {
    let Case { shape, tables, .. } = Case::new(settings).expect("enough settings");
    let count = shape.count().expect("a small shape") as usize;
    let symbol = |i: usize| {
        let max = *tables.range(i % CHANNELS as usize).end();
        (i as i32 * 7 - 5).clamp(-max, max)
    };
    let symbols =
        Symbols::new(shape, (0..count).map(symbol).collect()).expect("the number of symbols of the shape");
    encode_with(coder, &symbols, &tables).expect("symbols in range")
}

/// Symbols with runs, encoded with the settings of an adaptive case.
fn adaptive(settings: &[u8]) -> Vec<u8> {
    let case = AdaptiveCase::new(settings).expect("enough settings");
    let symbols: Vec<i32> = (0..case.count as i32).map(|i| case.first + i / 5 * i % 4).collect();
    encode_adaptive(&symbols, |before| case.table(before)).expect("symbols with frequencies")
}

/// A small picture, and a larger one with alpha and metadata.
fn pictures() -> [Picture; 2] {
    let small = Picture::from_rgb(9, 6, (0..9 * 6 * 3).map(|i| (i * 7 % 256) as u8).collect());
    let full = Picture::from_rgb(24, 20, (0..24 * 20).flat_map(|i| [(i % 24 * 9) as u8; 3]).collect())
        .with_gray(true)
        .with_alpha(Some((0..24 * 20).map(|i| (i / 24 * 12) as u8).collect()))
        .with_icc(Some(b"colour profile ".repeat(3)))
        .with_exif(Some(b"II*\0\x08\0\0\0\0\0".to_vec()))
        .with_xmp(Some(b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>".to_vec()));
    [small, full]
}

/// A tile, and four tiles with alpha and metadata, in both codes.
fn whole_files() -> Vec<Vec<u8>> {
    let model = tiny();
    let tiled = model.tiled().expect("a tiled model");
    let mut files = Vec::new();
    for picture in pictures() {
        let bytes = Encoder::new(&model).encode(&picture).expect("a small picture");
        let container = Container::parse(&bytes, &Limits::default()).expect("a valid file");
        let header = container.header;
        let edge = tiled.tile() as u32;
        let (rows, columns) = (header.height.div_ceil(edge), header.width.div_ceil(edge));
        let shape = Shape { rows, columns, channels: tiled.latents() as u32 };
        let tables = tiled.prior().at(header.quality);
        let symbols = decode(header.coder, &container.payload, shape, &tables, &Limits::default());
        let symbols = symbols.expect("a valid file");
        for coder in [Coder::Range, Coder::Zstd] {
            let payload = encode_with(coder, &symbols, &tables).expect("symbols in range");
            let container = Container { header: Header { coder, ..header }, payload, ..container.clone() };
            files.push(container.to_bytes().expect("a valid container"));
        }
    }
    files
}

/// Previews of opaque and of transparent pictures, in colour and gray, short and long.
fn previews() -> Vec<String> {
    let model = tiny();
    let colour = Picture::from_rgb(20, 12, pixels(20 * 12 * 3));
    let gray = pixels(9 * 30).into_iter().flat_map(|level| [level; 3]).collect();
    let alpha = Some((0..9 * 30).map(|i| (i % 256) as u8).collect());
    let transparent = Picture::from_rgb(9, 30, gray).with_gray(true).with_alpha(alpha);
    [(&colour, 16), (&colour, 60), (&transparent, 30)]
        .map(|(picture, bytes)| preview::encode(&model, picture, bytes).expect("a small picture"))
        .into()
}

fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|i| (128.0 + 100.0 * (i as f32 * 0.05).sin()) as u8).collect()
}

/// The file of a model that is as small as possible, so that few of its bytes are weights.
fn small_model() -> Vec<u8> {
    let config =
        tiled::Config { tile: 2, channels: 1, reductions: 1, latents: 2, ..tiled::Config::default() };
    let parameters = xavier(config, 1).expect("a valid network");
    let quantizer = Quantizer::new(vec![0.5, -1.0], vec![0.25, 2.0]).expect("positive steps");
    let prior = Prior::fit(&[0.0, -2.0, 1.5, 0.25], 2).expect("complete rows");
    TiledModel::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), Storage::Float32)
        .expect("matching parts")
}

/// The file of a model of the photo family that is as small as possible.
fn small_photo_model() -> Vec<u8> {
    let level = Level {
        channels: 1,
        features: 1,
        wide: false,
        wide_chroma: false,
        hidden: 1,
        neighbours: 2,
        before: 0,
        coarser: 1,
        guides: 0,
    };
    let network =
        Network::new(Config { levels: vec![level; 2], directions: 0 }, 0.01, 1).expect("a valid network");
    PhotoModel::to_bytes(&[(Quality::REFERENCE, &network)]).expect("small weights")
}

/// The file of a model of which both linear layers are packed.
fn packed_model() -> Vec<u8> {
    let config =
        tiled::Config { tile: 8, channels: 2, reductions: 1, latents: 16, ..tiled::Config::default() };
    let parameters = xavier(config, 1).expect("a valid network");
    let quantizer = Quantizer::new(vec![0.5; 16], vec![0.25; 16]).expect("positive steps");
    let samples: Vec<f32> = (0..64).map(|i| (i % 7) as f32 - 3.0).collect();
    let prior = Prior::fit(&samples, 16).expect("complete rows");
    TiledModel::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), Storage::Packed)
        .expect("matching parts")
}

/// The model with one of its arrays in 8 bits; the library stores only large arrays that way.
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
