//! JPEG files, by libjpeg (mozjpeg), which decodes all sampling factors, scans in any order, and arithmetic coding.

use std::{cell::Cell, io};

use aez_core::{Error, Limits, Result};
use image::{GrayImage, RgbImage};
use mozjpeg::{ColorSpace, ColorSpaceExt, Decompress, Marker, decompress::MarkerData};

use crate::exif::{JPEG_EXIF, JPEG_XMP};

use super::{
    Decoded, cut_short, damaged,
    libjpeg::{self, Fault},
    unsupported,
};

const APP1: Marker = Marker::APP(1);
const APP2: Marker = Marker::APP(2);
/// A part of an ICC profile begins with this, its number from 1, and the number of parts.
const ICC: &[u8] = b"ICC_PROFILE\0";

/// Each scan passes over the whole picture. No program writes more than some dozens.
const MAX_SCANS: usize = 200;

/// Decodes a file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded> {
    let scans = bytes.windows(2).filter(|pair| pair == b"\xff\xda").count();
    if scans > MAX_SCANS {
        return Err(damaged(format_args!("the JPEG file has {scans} scans, and the maximum is {MAX_SCANS}")));
    }
    let (rows, height) = (Cell::new(0), Cell::new(0));
    let mut within_limits = Ok(());
    let decoded = libjpeg::guarded(|| {
        let builder = Decompress::with_err(libjpeg::error_manager());
        let decoder = builder.with_markers(&[APP1, APP2]).from_reader(bytes)?;
        height.set(decoder.height());
        within_limits = check(&decoder, scans, limits);
        if within_limits.is_err() { Ok(None) } else { read_all(decoder, &rows).map(Some) }
    });
    within_limits?;
    let rows = (rows.get(), height.get());
    match decoded {
        Ok((decoded, is_padded)) => {
            let unknown = || unsupported("JPEG with components of unknown colours");
            let mut decoded = decoded.flatten().ok_or_else(unknown)?;
            if is_padded {
                decoded
                    .warnings
                    .push("its JPEG data have bytes that belong to no pixel: it may be damaged".into());
            }
            Ok(decoded)
        }
        Err(Fault::CutShort) => Err(cut_short(bytes.len(), Some(rows))),
        Err(Fault::Damaged) => Err(damaged(format_args!(
            "its JPEG data are wrong after {} of {} rows of pixels",
            rows.0, rows.1
        ))),
        Err(Fault::Unsupported(kind)) => Err(unsupported(kind)),
        Err(Fault::OutOfMemory) => Err(Error::io("cannot decode", "JPEG", io::ErrorKind::OutOfMemory.into())),
    }
}

/// Checks the size, and the memory that decoding takes: the pixels and a copy, and the coefficients of all blocks if they do not come
/// in the order of the pixels.
fn check<R>(decoder: &Decompress<R>, scans: usize, limits: &Limits) -> Result<()> {
    let (width, height) = (decoder.width() as u32, decoder.height() as u32);
    limits.check_size(width, height)?;
    let components = decoder.components().len() as u64;
    // Blocks at the edges are whole: at most 32 pixels more on each side.
    let padded = (u64::from(width) + 32) * (u64::from(height) + 32);
    let coefficients = if scans > 1 { 2 * components * padded } else { 0 };
    let pixels = u64::from(width) * u64::from(height);
    limits.check_memory(coefficients + (components.max(3) + 3) * pixels)
}

fn read_all(decoder: Decompress<&[u8]>, rows: &Cell<usize>) -> io::Result<Option<Decoded>> {
    let (width, height) = (decoder.width() as u32, decoder.height() as u32);
    let metadata = Decoded::default().with_metadata(&decoder);
    let pixels = match decoder.color_space() {
        ColorSpace::JCS_GRAYSCALE => {
            GrayImage::from_raw(width, height, samples(decoder, ColorSpace::JCS_GRAYSCALE, rows)?)
                .map(Into::into)
        }
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => {
            let inks = samples(decoder, ColorSpace::JCS_CMYK, rows)?;
            RgbImage::from_raw(width, height, rgb_of_inks(inks)).map(Into::into)
        }
        ColorSpace::JCS_UNKNOWN => None,
        _ => RgbImage::from_raw(width, height, samples(decoder, ColorSpace::JCS_RGB, rows)?).map(Into::into),
    };
    Ok(pixels.map(|pixels| Decoded { pixels, ..metadata }))
}

/// The samples of all rows, whose number is counted in `rows`.
fn samples(decoder: Decompress<&[u8]>, color: ColorSpace, rows: &Cell<usize>) -> io::Result<Vec<u8>> {
    let row_len = decoder.width() * color.num_components();
    let len = row_len * decoder.height();
    let mut samples = Vec::new();
    samples.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    samples.resize(len, 0u8);
    let mut started = decoder.to_colorspace(color)?;
    for row in samples.chunks_exact_mut(row_len) {
        started.read_scanlines_into(row)?;
        rows.set(rows.get() + 1);
    }
    started.finish()?;
    Ok(samples)
}

/// Inks to colours, as `djpeg` and browsers convert them without a profile. In JPEG files the amounts of ink are stored inverted.
fn rgb_of_inks(mut samples: Vec<u8>) -> Vec<u8> {
    let pixels = samples.len() / 4;
    for at in 0..pixels {
        let [c, m, y, k] = [0, 1, 2, 3].map(|ink| u16::from(samples[4 * at + ink]));
        let rgb = [c, m, y].map(|ink| ((ink * k + 127) / 255) as u8);
        samples[3 * at..3 * at + 3].copy_from_slice(&rgb);
    }
    samples.truncate(3 * pixels);
    samples
}

impl Decoded {
    fn with_metadata<R>(mut self, decoder: &Decompress<R>) -> Self {
        let mut parts: Vec<(u8, &[u8])> = Vec::new();
        for MarkerData { data, .. } in decoder.markers() {
            if let Some(exif) = data.strip_prefix(JPEG_EXIF) {
                self.exif.get_or_insert_with(|| exif.to_vec());
            } else if let Some(xmp) = data.strip_prefix(JPEG_XMP) {
                self.xmp.get_or_insert_with(|| xmp.to_vec());
            } else if let Some([number, _, part @ ..]) = data.strip_prefix(ICC) {
                parts.push((*number, part));
            }
        }
        parts.sort_by_key(|&(number, _)| number);
        let profile: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part).copied().collect();
        self.icc = Some(profile).filter(|profile| !profile.is_empty());
        self
    }
}
