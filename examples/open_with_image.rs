//! Reads an `.aez` file with the `image` crate, and saves it in the format given by the extension of the second file name:
//!
//! `cargo run --release --example open_with_image -- picture.aez picture.png`

use std::env::args;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (Some(input), Some(output)) = (args().nth(1), args().nth(2)) else {
        return Err("usage: open_with_image INPUT.aez OUTPUT".into());
    };
    aez::image_codec::register();
    let picture = image::open(&input)?;
    println!("{input}: {}x{}, {:?}", picture.width(), picture.height(), picture.color());
    Ok(picture.save(output)?)
}
