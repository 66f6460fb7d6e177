//! Not for commit.
use aez_core::tiled::{Storage, TiledModel};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    match &*args[1] {
        "pack" => {
            let model = TiledModel::from_bytes(std::fs::read(&args[2]).unwrap()).unwrap();
            let start = Instant::now();
            let parameters = model.parameters().unwrap();
            let bytes = TiledModel::to_bytes(
                &parameters,
                model.quantizer(),
                model.prior(),
                model.provenance(),
                Storage::Packed,
            )
            .unwrap();
            println!("{} bytes in {:?}", bytes.len(), start.elapsed());
            std::fs::write(&args[3], bytes).unwrap();
        }
        "load" => {
            let bytes: &'static [u8] = std::fs::read(&args[2]).unwrap().leak();
            for _ in 0..args[3].parse().unwrap() {
                let start = Instant::now();
                let model = TiledModel::from_static(bytes).unwrap();
                let parse = start.elapsed();
                let start = Instant::now();
                model.synthesize(&vec![0.5; model.latents()]).unwrap();
                let decoder = start.elapsed();
                let start = Instant::now();
                model.analyse(&vec![0.5; 96 * 96 * 3]).unwrap();
                println!("parse {parse:?}, decoder {decoder:?}, encoder {:?}", start.elapsed());
            }
        }
        "float" => {
            let model = TiledModel::from_bytes(std::fs::read(&args[2]).unwrap()).unwrap();
            let parameters = model.parameters().unwrap();
            std::fs::write(
                &args[3],
                TiledModel::to_bytes(
                    &parameters,
                    model.quantizer(),
                    model.prior(),
                    model.provenance(),
                    Storage::Float32,
                )
                .unwrap(),
            )
            .unwrap();
        }
        "vector" => {
            use aez_core::{
                testing,
                tiled::{init, *},
                *,
            };
            let config = Config { tile: 16, channels: 12, reductions: 1, latents: 6, ..Config::default() };
            let tiles: Vec<f32> =
                (0..64).flat_map(|index| testing::waves(config.tile, index as f32)).collect();
            let transform = testing::cosines(&config, &tiles);
            let parameters = init::from_components(config, 1, &transform).unwrap();
            let Calibration { quantizer, prior, .. } = calibrate(&parameters, &tiles, 64, 5.0, 1).unwrap();
            let bytes = TiledModel::to_bytes(
                &parameters,
                &quantizer,
                &prior,
                &Provenance::default(),
                tiled::Storage::Packed,
            )
            .unwrap();
            std::fs::write(&args[2], &bytes).unwrap();
            let model: Model = TiledModel::from_bytes(bytes).unwrap().into();
            let pixels = (0..21 * 17).flat_map(|i| [(i % 21 * 9) as u8, (i / 21 * 11) as u8, 99]).collect();
            let file = Encoder::new(&model).encode(&Picture::from_rgb(21, 17, pixels)).unwrap();
            std::fs::write(&args[3], &file).unwrap();
            println!("{:?}", Decoder::new(&model).decode(&file).unwrap().rgb);
        }
        _ => panic!(),
    }
}
