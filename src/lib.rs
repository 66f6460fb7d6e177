//! AEZ: an image codec made of a trained neural network, for pictures that must fit in about a hundred bytes.
//!
//! A convolutional autoencoder maps a picture to a few hundred numbers, which are quantized and entropy coded. A picture of 96x96
//! pixels takes 25 to 130 bytes, less than the header of most other formats: use it for placeholders, thumbnails in a database, or
//! previews over slow links. A second family of models, [`models::photo`], is for photographs that should be viewed at full size.
//!
//! # Encoding and decoding
//!
//! ```
//! # fn main() -> aez::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let input = folder.path().join("photo.png");
//! # let drawn = aez::Picture::from_rgb(120, 80, (0..120 * 80 * 3).map(|i| (i / 360) as u8).collect());
//! # std::fs::write(&input, aez::picture::encode(&drawn, aez::picture::PictureFormat::Png)?).unwrap();
//! use aez::{Decoder, Encoder, Limits, Quality};
//!
//! let model = aez::models::tile()?;
//! let picture = aez::picture::read(&input, &Limits::default())?;
//! let bytes = Encoder::new(model).quality(Quality::new(60)?).encode(&picture)?;
//! let decoded = Decoder::new(model).decode(&bytes)?;
//! assert_eq!((decoded.width, decoded.height), (picture.width, picture.height));
//! # Ok(())
//! # }
//! ```
//!
//! [`Encoder::encode_to_bytes`] and [`Encoder::encode_to_psnr`] search for a target size or quality, and [`Encoder::effort`] spends
//! time on smaller files. [`preview`] turns a picture into a text of some 28 characters. [`image_codec`] connects AEZ to the `image`
//! crate, so that `image::open` reads `.aez` files.
//!
//! A file can be decoded only with the model that encoded it. Its header names the model; [`models`] has those that are built in.
//!
//! # Untrusted input
//!
//! No input makes a decoder panic, loop, or allocate more than [`Limits`] allow. By default these are 65,535 pixels per edge, 2^27
//! pixels per picture, and 1 GiB of memory. Errors are values of [`Error`], with typed fields where programs need them.
//!
//! # Features
//!
//! - `cli` (default): the command `aez`, training and evaluation. Programs that only use the library should disable it:
//!   `aez = { version = "0.2", default-features = false }`.
//! - `cuda`: run the network on NVIDIA GPUs.
//!
//! The crate `aez-core` is the codec on pixel buffers alone, without picture files and built-in models; it compiles to WebAssembly
//! and needs no C compiler.

pub mod models;

pub use aez_core::{
    Decoder, Encoder, Error, LimitKind, Limits, Model, Picture, Quality, Result, Tune, info::FileInfo,
    preview,
};

/// Picture files: reading and writing them.
pub mod picture {
    pub use aez_core::picture::{mse, psnr};
    pub use aez_image::{
        PictureFormat, decode, decode_with_warnings, encode, encode_with_warnings, pictures_under, read,
        read_with_warnings, to_srgb, write_atomically,
    };
}

/// AEZ for programs that use the `image` crate.
pub mod image_codec {
    pub use aez_image::image_codec::{AezDecoder, AezEncoder, register_model};

    /// Makes the `image` crate read `.aez` files that were encoded with a built-in model, in the whole process. Returns
    /// false, and changes nothing, if the extension is registered already.
    pub fn register() -> bool {
        aez_image::image_codec::register_with(crate::models::for_file)
    }
}
