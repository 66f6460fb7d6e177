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
        _ => panic!(),
    }
}
