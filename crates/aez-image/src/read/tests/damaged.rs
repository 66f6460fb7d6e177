//! Files that are damaged, cut short, too large, or of a kind that is not supported.

use image::ImageEncoder;
use proptest::prelude::*;

use super::*;

#[test]
fn variants_that_are_not_supported_are_not_called_damaged() {
    let mut apple = png(1, 1, [8, 2], &[], &[0; 4]);
    apple.splice(8..8, [0, 0, 0, 4, b'C', b'g', b'B', b'I', 0x50, 0, 0x20, 2, 0x2B, 0xD5, 0xB3, 0x7F]);
    // Lossless, of 12 bits, without a height, with two components: the headers alone show it.
    let header = |sof: u8, depth: u8, height: u8, components: u8| {
        let len = 8 + 3 * components;
        let mut file = vec![0xFF, 0xD8, 0xFF, sof, 0, len, depth, 0, height, 0, 8, components];
        (1..=components).for_each(|id| file.extend([id, 0x11, 0]));
        file.extend([0xFF, 0xDB, 0, 67, 0]);
        file.extend([1; 64]);
        file.extend([0xFF, 0xDA, 0, 6 + 2 * components, components]);
        (1..=components).for_each(|id| file.extend([id, 0]));
        file.extend([0, 63, 0, 0, 0xFF, 0xD9]);
        file
    };
    for file in
        [apple, header(0xC3, 8, 8, 1), header(0xC0, 12, 8, 1), header(0xC0, 8, 0, 1), header(0xC0, 8, 8, 2)]
    {
        let error = decode(&file, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("not supported"), "{error}");
    }
}

#[test]
fn a_jpeg_with_too_many_scans_is_rejected() {
    let mut jpeg = encode(&Picture::from_rgb(8, 8, vec![90; 192]), PictureFormat::Jpeg).unwrap();
    let scans = [0xFF, 0xDA].repeat(300);
    jpeg.splice(2..2, scans);
    assert!(decode(&jpeg, &Limits::default()).unwrap_err().to_string().contains("301 scans"));
}

#[test]
fn bytes_between_the_parts_of_a_jpeg_are_a_warning() {
    let picture = Picture::from_rgb(8, 8, vec![90; 192]);
    let mut jpeg = encode(&picture, PictureFormat::Jpeg).unwrap();
    let end = jpeg.len() - 2;
    jpeg.splice(end..end, [0; 9]);
    let (found, warnings) = warned(&jpeg);
    assert!(found.rgb[0].abs_diff(90) <= 1 && warnings.len() == 1, "{warnings:?}");
    // Bytes after the end do not matter.
    jpeg.splice(end..end + 9, []);
    jpeg.extend([1; 9]);
    assert!(warned(&jpeg).1.is_empty());
}

/// Every prefix of a file is an error, or has all pixels.
#[test]
fn files_that_are_cut_short_are_errors() {
    use PictureFormat::*;
    let noise: Vec<u8> = (0..23 * 17 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let picture = Picture::from_rgb(23, 17, noise);
    let mut files: Vec<(String, Vec<u8>, usize)> = [Png, Jpeg, WebP, Bmp, Ppm, Qoi, Tiff]
        .map(|format| (format!("{format:?}"), encode(&picture, format).unwrap(), 1))
        .into();
    let mut gif = Vec::new();
    let rgba = image::RgbaImage::from_fn(23, 17, |x, y| image::Rgba([x as u8 * 9, y as u8 * 11, 7, 255]));
    image::codecs::gif::GifEncoder::new(&mut gif).encode_frame(image::Frame::new(rgba.clone())).unwrap();
    // Behind the pixels a GIF file has an empty block and a trailer.
    files.push(("Gif".into(), gif, 3));
    let mut ico = Vec::new();
    image::codecs::ico::IcoEncoder::new(&mut ico)
        .write_image(&rgba, 23, 17, image::ExtendedColorType::Rgba8)
        .unwrap();
    // It contains a PNG file, whose last chunk is empty.
    files.push(("Ico".into(), ico, 12));
    for (name, file, spare) in files {
        let whole = decoded(&file);
        for len in 0..file.len() {
            match decode(&file[..len], &Limits::default()) {
                Ok(found) => assert!(
                    found == whole && len + spare >= file.len(),
                    "{name}: {len} of {} bytes",
                    file.len()
                ),
                Err(error) if len > 60 => {
                    assert!(error.to_string().contains("cut short"), "{name}: {len} bytes: {error}")
                }
                Err(_) => {}
            }
        }
    }
}

#[test]
fn limits_come_before_the_pixels() {
    let huge = png(60_000, 50_000, [8, 2], &[], &[]);
    assert!(matches!(decode(&huge, &Limits::default()), Err(Error::Limit { found: 3_000_000_000, .. })));
    let wide = png(70_000, 1, [8, 2], &[], &[]);
    assert!(matches!(decode(&wide, &Limits::default()), Err(Error::Limit { found: 70_000, .. })));
    let fat = png(10_000, 10_000, [16, 6], &[], &[]);
    assert!(matches!(decode(&fat, &Limits::default()), Err(Error::Limit { limit: LimitKind::Memory, .. })));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.png"), &wide).unwrap();
    let tight = Limits::default().with_max_memory(20);
    assert!(matches!(read(&dir.path().join("x.png"), &tight), Err(Error::Limit { found: 21, .. })));
}

#[test]
fn errors_name_the_file_and_the_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text.png");
    let fault = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        read(&path, &Limits::default()).unwrap_err().to_string()
    };
    let unordered = png(3, 3, [8, 9], &[], &[0; 5]);
    for (bytes, expected) in [
        (b"".as_slice(), "empty"),
        (b"Hello", "not a picture"),
        (&png(3, 3, [8, 2], &[], &[0; 5]), "damaged"),
        (&unordered, "damaged"),
        (b"\xff\xd8\xff\xe0\0\x02\xff", "cut short"),
        (b"\xff\xd8\xff\xd9", "damaged"),
    ] {
        let message = fault(bytes);
        assert!(message.contains("text.png") && message.contains(expected), "{expected}: {message}");
    }
    assert!(decode(b"Hello", &Limits::default()).unwrap_err().to_string().contains("supported"));
    let missing = read(&dir.path().join("missing.png"), &Limits::default()).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("missing.png"));
}

proptest! {
    #[test]
    fn damaged_files_do_no_harm(kind in 0usize..8, cut in 0usize..400, at in 0usize..400, bits: u8) {
        use PictureFormat::*;
        let format = [Png, Jpeg, WebP, Bmp, Ppm, Qoi, Tga, Tiff][kind];
        let picture = Picture::from_rgb(9, 7, (0..9 * 7 * 3).collect());
        let mut bytes = encode(&picture, format).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= bits;
        let _ = decode(&bytes, &Limits::default());
        bytes.truncate(cut);
        let _ = decode(&bytes, &Limits::default());
    }
}
