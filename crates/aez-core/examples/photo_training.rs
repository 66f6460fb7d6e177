//! Trains a model of the photo family on square pictures, and prints the loss of the first eight pictures every ten seconds.
//!
//! Arguments: a file with pictures, minutes, a quality, and the model file to write. The file with the pictures has their number and
//! their edge as four bytes each, the lowest first, then their red, green and blue bytes.

use std::{
    error::Error,
    fs,
    time::{Duration, Instant},
};

use aez_core::{
    Picture, Quality,
    photo::{Config, Network, PhotoModel, Recipe, Target, Trainer, lambda},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pictures, minutes, quality, model] = &arguments[..] else {
        return Err("arguments: a file with pictures, minutes, a quality, and the model file".into());
    };
    let quality = Quality::new(quality.parse()?)?;
    let network = Network::new(Config::default(), lambda(quality), 0)?;
    let (context, synthesis) = network.config().multiplications();
    println!("multiplications a pixel: {context:.0} for the context model, {synthesis:.0} for the synthesis");
    let mut trainer = Trainer::new(network, read(&fs::read(pictures)?)?, Recipe::default());
    let time = Duration::from_secs_f64(60.0 * minutes.parse::<f64>()?);
    let (start, mut shown) = (Instant::now(), 0);
    while start.elapsed() < time {
        trainer.step(start.elapsed().as_secs_f32() / time.as_secs_f32());
        if start.elapsed().as_secs() / 10 > shown {
            shown = start.elapsed().as_secs() / 10;
            let measured = trainer.measure(8);
            let decibels = -10.0 * measured.error.log10();
            let (steps, loss, bits) = (trainer.steps(), measured.loss, measured.bits_per_pixel);
            println!("{shown}0 s, step {steps}: loss {loss:.3}, {bits:.3} bits a pixel, {decibels:.2} dB");
        }
    }
    fs::write(model, PhotoModel::to_bytes(&[(quality, trainer.network())])?)?;
    Ok(())
}

fn read(bytes: &[u8]) -> Result<Vec<Target>, Box<dyn Error>> {
    let (sizes, pixels) = bytes.split_at_checked(8).ok_or("the file is too short")?;
    let number = |at: usize| u32::from_le_bytes([sizes[at], sizes[at + 1], sizes[at + 2], sizes[at + 3]]);
    let (count, edge) = (number(0) as usize, number(4));
    let pictures = pixels.chunks_exact(3 * (edge * edge) as usize).take(count);
    let target = |pixels: &[u8]| Target::new(&Picture::from_rgb(edge, edge, pixels.to_vec()));
    Ok(pictures.map(target).collect::<aez_core::Result<_>>()?)
}
