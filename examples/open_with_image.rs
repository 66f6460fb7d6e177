//! Reads an `.aez` file through the `image` crate, and saves it in the format that the second name asks for:
//! `cargo run --release --example open_with_image -- picture.aez picture.png`

use std::env::args;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (Some(input), Some(output)) = (args().nth(1), args().nth(2)) else {
        return Err("name an .aez file to read and a picture to write".into());
    };
    aez::image_codec::register();
    let picture = image::open(&input)?;
    println!("{input}: {} x {}, {:?}", picture.width(), picture.height(), picture.color());
    Ok(picture.save(output)?)
}
