//! The AEZ image codec on pixel buffers, without file system, C code or any other requirement of a platform.
//!
//! AEZ is a lossy codec made of trained neural networks, for pictures of 20 to some thousand bytes. This crate holds everything that
//! decides the bytes of a file and the pixels of a picture. The crate `aez` adds picture files, the built-in models and the command
//! line; use this one for WebAssembly, other languages, or programs that have pixels already.
//!
//! ```
//! use aez_core::{Decoder, Encoder, Picture};
//!
//! # fn main() -> aez_core::Result<()> {
//! let model = aez_core::testing::tiny(); // in a program: Model::from_bytes(file)?
//! let picture = Picture::from_rgb(96, 64, vec![128; 96 * 64 * 3]);
//! let file = Encoder::new(&model).encode(&picture)?;
//! let decoded = Decoder::new(&model).decode(&file)?;
//! assert_eq!((decoded.width, decoded.height), (96, 64));
//! # Ok(())
//! # }
//! ```
//!
//! [`preview`] encodes a picture as a short text instead of a file. [`Limits`] bound what a file may request: no input makes a decoder
//! panic, loop, or allocate more.
//!
//! # Features
//!
//! All are on by default.
//!
//! - `encode`: encode files. Without it, files are decoded, and previews of the built-in model are encoded, too: for small modules.
//! - `rayon`: use several threads.
//! - `zstd`: compress and decompress zstd frames by the C library. Without it, the crate `ruzstd` does that in Rust, more slowly and
//!   with larger results for alpha planes and metadata. Files can be read by either.

pub mod codec;
pub mod container;
pub mod entropy;
mod error;
pub mod info;
mod limits;
mod model;
pub mod nn;
mod parallel;
#[doc(hidden)]
pub mod photo;
pub mod picture;
pub mod preview;
pub mod symbols;
#[doc(hidden)]
pub mod testing;
pub mod tiled;

pub use codec::{Decoder, Encoder, PartialPicture, Tune};
pub use error::{Error, LimitKind, Result};
pub use limits::Limits;
pub use model::Model;
pub use picture::Picture;
pub use symbols::Quality;
