//! Picture files for the AEZ image codec, by the [`image`] crate: reading, writing, finding them in folders, and adapters by which
//! that crate reads and writes `.aez` files.
//!
//! ```no_run
//! use aez_core::{Limits, Result};
//! # fn main() -> Result<()> {
//! let picture = aez_image::read("photo.jpg".as_ref(), &Limits::default())?;
//! let png = aez_image::encode(&picture, aez_image::PictureFormat::Png)?;
//! aez_image::write_atomically("photo.png".as_ref(), &png)?;
//! # Ok(())
//! # }
//! ```

mod color;
mod exif;
mod file;
mod folder;
mod ifd;
pub mod image_codec;
mod output;
mod read;
mod write;

pub use color::to_srgb;
pub use file::{FileId, read_bounded};
pub use folder::{files_under, has_picture_name, looks_like_picture, pictures_under};
pub use output::{OutputFile, Target, ends_like_folder, write_atomically};
pub use read::{decode, decode_with_warnings, read, read_with_warnings};
pub use write::{PictureFormat, encode, encode_with_warnings};
