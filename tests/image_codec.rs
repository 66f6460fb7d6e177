//! AEZ in the `image` crate. Its hooks are global to the process, so that every test registers the same model.

use std::{io::Cursor, sync::LazyLock};

use aez::{
    Encoder, Limits, Model, Picture, Quality,
    image_codec::{AezDecoder, AezEncoder, register, register_model},
};
use aez_core::testing::tiny;
use image::{
    ColorType, DynamicImage, ExtendedColorType, GenericImageView, ImageDecoder, ImageEncoder, ImageError,
    ImageReader,
};

static MODEL: LazyLock<Model> = LazyLock::new(tiny);

/// A picture of each of the four colour types, 21x18 pixels.
fn pictures() -> [DynamicImage; 4] {
    let rgba =
        image::RgbaImage::from_fn(21, 18, |x, y| image::Rgba([x as u8 * 9, y as u8 * 9, 90, 255 - y as u8]));
    let rgba = DynamicImage::ImageRgba8(rgba);
    [rgba.to_rgb8().into(), rgba.to_luma8().into(), rgba.to_luma_alpha8().into(), rgba]
}

fn encode(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_with_encoder(AezEncoder::new(&mut bytes, &MODEL)).unwrap();
    bytes
}

fn open(bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    register_model(&MODEL);
    ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap()
}

#[test]
fn colour_types_survive_the_round_trip() {
    for picture in pictures() {
        let bytes = encode(&picture);
        let decoder = AezDecoder::new(&bytes[..], &MODEL).unwrap();
        assert_eq!((decoder.dimensions(), decoder.color_type()), (picture.dimensions(), picture.color()));
        let again = open(&bytes).decode().unwrap();
        assert_eq!(again.color(), picture.color());
        if picture.color().has_alpha() {
            let alpha =
                |image: &DynamicImage| image.pixels().map(|(_, _, pixel)| pixel[3]).collect::<Vec<_>>();
            assert_eq!(alpha(&again), alpha(&picture));
        }
        let error: f64 = again
            .to_luma8()
            .iter()
            .zip(picture.to_luma8().iter())
            .map(|(a, b)| f64::from(a.abs_diff(*b)))
            .sum();
        assert!(error / f64::from(21 * 18) < 40.0, "{:?}: {error}", picture.color());
    }
}

#[test]
fn the_adapter_writes_the_same_bytes_as_the_library() {
    let picture = pictures()[0].to_rgb8();
    let quality = Quality::new(40).unwrap();
    let mut bytes = Vec::new();
    let writer = AezEncoder::new_with_quality(&mut bytes, &MODEL, quality);
    writer.write_image(&picture, 21, 18, ExtendedColorType::Rgb8).unwrap();
    let encoder = Encoder::new(&MODEL).quality(quality);
    assert_eq!(bytes, encoder.encode(&Picture::from_rgb(21, 18, picture.into_raw())).unwrap());
}

#[test]
fn files_are_recognized_by_name_and_by_content() {
    register_model(&MODEL);
    assert!(!register() && !register_model(&MODEL), "the first registration stays");
    let folder = tempfile::tempdir().unwrap();
    for name in ["x.aez", "X.AEZ"] {
        let path = folder.path().join(name);
        std::fs::write(&path, encode(&pictures()[0])).unwrap();
        assert_eq!(image::open(&path).unwrap().dimensions(), (21, 18));
    }
    assert_eq!(image::load_from_memory(&encode(&pictures()[3])).unwrap().color(), ColorType::Rgba8);
    let error = image::load_from_memory(&[0xAE, 0x5A, 0x10]).unwrap_err();
    assert!(matches!(error, ImageError::Decoding(_)), "{error}");
}

#[test]
fn metadata_survives_the_round_trip() {
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    let mut bytes = Vec::new();
    let mut encoder = AezEncoder::new(&mut bytes, &MODEL);
    encoder.set_icc_profile(b"a profile".to_vec()).unwrap();
    encoder.set_exif_metadata(exif.clone()).unwrap();
    pictures()[0].write_with_encoder(encoder).unwrap();
    let mut decoder = AezDecoder::new(&bytes[..], &MODEL).unwrap();
    assert_eq!(decoder.icc_profile().unwrap().as_deref(), Some(&b"a profile"[..]));
    assert_eq!(decoder.exif_metadata().unwrap(), Some(exif));
    assert_eq!(decoder.orientation().unwrap(), image::metadata::Orientation::Rotate90);
}

#[test]
fn limits_are_honoured() {
    let bytes = encode(&pictures()[0]);
    let decode = |width, height, memory| {
        let mut reader = open(&bytes);
        let mut limits = image::Limits::no_limits();
        (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (width, height, memory);
        reader.limits(limits);
        reader.decode()
    };
    assert!(decode(Some(21), Some(18), Some(10_000)).is_ok());
    for (width, height, memory) in [
        (Some(20), None, None),
        (None, Some(17), None),
        // Too little memory for the pixels; for the pixels and the file; for these and the buffers of the decoder.
        (None, None, Some(1000)),
        (None, None, Some(21 * 18 * 3 + 10)),
        (None, None, Some(21 * 18 * 3 + bytes.len() as u64 + 500)),
    ] {
        let error = decode(width, height, memory).unwrap_err();
        assert!(matches!(error, ImageError::Limits(_)), "{error}");
    }
    for limits in [Limits::default().with_max_edge(20), Limits::default().with_max_memory(20)] {
        let error = AezDecoder::with_limits(&bytes[..], &MODEL, limits).err().unwrap();
        assert!(matches!(error, ImageError::Limits(_)), "{error}");
    }
    // Reading from an endless reader stops at the limit.
    let limits = Limits::default().with_max_memory(1 << 16);
    let endless = AezDecoder::with_limits(std::io::repeat(0xAE), &MODEL, limits);
    assert!(matches!(endless, Err(ImageError::Limits(_))));
}

#[test]
fn errors_have_their_own_kinds() {
    let bytes = encode(&pictures()[0]);
    let with = |place: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[place] = byte;
        let decoder = AezDecoder::new(&changed[..], &MODEL);
        decoder.err().unwrap()
    };
    assert!(matches!(with(2, 0x20), ImageError::Unsupported(_)));
    assert!(matches!(with(2, 0x18), ImageError::Unsupported(_)));
    assert!(with(bytes.len() - 1, !bytes[bytes.len() - 1]).to_string().contains("checksum"));
    let deep = DynamicImage::new_rgb16(4, 4).write_with_encoder(AezEncoder::new(Vec::new(), &MODEL));
    assert!(matches!(deep, Err(ImageError::Unsupported(_))));
    let empty = AezEncoder::new(Vec::new(), &MODEL).write_image(&[], 0, 3, ExtendedColorType::L8);
    assert!(matches!(empty, Err(ImageError::Parameter(_))));
}
