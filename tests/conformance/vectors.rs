//! Each file is decoded to the recorded content.

use aez::{Decoder, Limits, Model, preview};
use aez_core::{
    container::{Container, Header},
    entropy,
    symbols::Shape,
    tiled::TiledModel,
};

use super::{MODELS, PreviewRecord, Record, assert_near, assert_shows, bytes, hex, json, model, names, png};

/// The content of a file as decoded by this library.
pub fn record(file: &[u8], model_name: &str, model: &Model) -> Record {
    let Container { header, payload, icc, exif, xmp, .. } =
        Container::parse(file, &Limits::default()).unwrap();
    let symbols = model.tiled().map(|model| tiled_symbols(model, &header, &payload)).unwrap_or_default();
    Record {
        model: model_name.to_owned(),
        width: header.width,
        height: header.height,
        gray: header.gray,
        quality: header.quality.get(),
        coder: header.coder.name().to_owned(),
        model_id: header.model.to_string(),
        icc: icc.as_deref().map(hex),
        exif: exif.as_deref().map(hex),
        xmp: xmp.as_deref().map(hex),
        symbols,
    }
}

fn tiled_symbols(model: &TiledModel, header: &Header, payload: &[u8]) -> Vec<i32> {
    let edge = model.tile() as u32;
    let shape = Shape {
        rows: header.height.div_ceil(edge),
        columns: header.width.div_ceil(edge),
        channels: model.latents() as u32,
    };
    let tables = model.prior().at(header.quality);
    let symbols = entropy::decode(header.coder, payload, shape, &tables, &Limits::default()).unwrap();
    symbols.values().to_vec()
}

#[test]
fn files_are_read_as_recorded() {
    let models = MODELS.map(|name| (name, model(name)));
    for name in names() {
        let expected: Record = json(&format!("{name}.json"));
        let (model_name, model) = models.iter().find(|(name, _)| *name == expected.model).unwrap();
        let file = bytes(&format!("{name}.aez"));
        assert_eq!(record(&file, model_name, model), expected, "{name}");
        let found = Decoder::new(model).decode(&file).unwrap();
        let picture = png(&name);
        assert_shows(&name, model_name, &found.rgb, &picture.rgb);
        assert_eq!(found.alpha, picture.alpha, "{name}");
        assert_eq!((found.width, found.height, found.gray), (picture.width, picture.height, picture.gray));
    }
}

#[test]
fn previews_are_read_as_recorded() {
    let model = model(MODELS[0]);
    let edge = model.block_edge().unwrap();
    for expected in json::<Vec<PreviewRecord>>("previews.json") {
        let (quality, symbols) = preview::symbols(&model, &expected.text).unwrap();
        assert_eq!((quality.get(), symbols.values()), (expected.quality, &expected.symbols[..]));
        let decoded = preview::decode(&model, &expected.text, None, &Limits::default()).unwrap();
        assert_eq!((decoded.width, decoded.height), expected.size);
        let found = preview::decode(&model, &expected.text, Some((edge, edge)), &Limits::default()).unwrap();
        let picture = png(&expected.picture);
        assert_near(&expected.text, &found.rgb, &picture.rgb);
        assert_eq!((found.alpha, found.gray), (picture.alpha, picture.gray), "{}", expected.text);
    }
}

/// The folder has files for every feature of the format, and is small.
#[test]
fn the_folder_covers_the_format_and_stays_small() {
    let records: Vec<Record> = names().iter().map(|name| json(&format!("{name}.json"))).collect();
    let any = |of: fn(&Record) -> bool| records.iter().any(of);
    assert!(any(|r| r.coder == "zstd") && any(|r| r.coder == "range") && any(|r| r.gray));
    assert!(any(|r| r.quality == 1) && any(|r| r.quality == 100) && any(|r| (r.width, r.height) == (1, 1)));
    assert!(any(|r| r.icc.is_some()) && any(|r| r.exif.is_some()) && any(|r| r.xmp.is_some()));
    assert!(any(|r| r.width > 128));
    assert!(any(|r| r.symbols.iter().any(|symbol| symbol.abs() > 127)), "symbols of two bytes");
    assert!(MODELS.iter().all(|model| records.iter().any(|record| record.model == *model)));
    let mut folders = vec![super::path("")];
    let mut total = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let about = entry.metadata().unwrap();
            if about.is_dir() {
                folders.push(entry.path());
            } else {
                total += about.len();
            }
        }
    }
    assert!(total < 300_000, "{total} bytes");
}
