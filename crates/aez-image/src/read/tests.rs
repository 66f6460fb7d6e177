//! Pictures of all kinds. Files that no encoder at hand writes are built here.

mod damaged;

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

use super::*;
use crate::{PictureFormat, encode, encode_with_warnings, to_srgb};

/// A TIFF structure, little-endian, of one entry: the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [b"II*\0\x08\0\0\0\x01\0".as_slice(), &entry, &[0; 4]].concat()
}

/// A PNG file with chunks that the encoder does not write.
fn png(width: u32, height: u32, kind: [u8; 2], extra: &[(&[u8; 4], &[u8])], rows: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(rows).unwrap();
    let (data, [depth, color]) = (zlib.finish().unwrap(), kind);
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, color, 0, 0, 0]].concat();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let last: [(&[u8; 4], &[u8]); 2] = [(b"IDAT", &data), (b"IEND", &[])];
    for (name, body) in [(b"IHDR", &head[..])].iter().chain(extra).chain(&last) {
        let named = [&name[..], body].concat();
        out.extend((body.len() as u32).to_be_bytes());
        out.extend(&named);
        out.extend(crc32fast::hash(&named).to_be_bytes());
    }
    out
}

/// A TIFF file of one strip, little-endian, with the tags of its interpretation.
fn tiff(width: u16, height: u16, tags: &[(u16, &[u16])], samples: &[u8]) -> Vec<u8> {
    let strip = [(256, vec![width]), (257, vec![height]), (278, vec![height]), (259, vec![1])];
    let mut tags: Vec<(u16, Vec<u16>)> =
        tags.iter().map(|(tag, values)| (*tag, values.to_vec())).chain(strip).collect();
    let start = 8 + samples.len() as u16;
    tags.push((273, vec![8]));
    tags.push((279, vec![samples.len() as u16]));
    tags.sort();
    let mut out = [b"II*\0", &u32::from(start).to_le_bytes()[..], samples].concat();
    out.extend((tags.len() as u16).to_le_bytes());
    let mut far = u32::from(start) + 6 + 12 * tags.len() as u32;
    let mut values_at_end = Vec::new();
    for (tag, values) in &tags {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        out.extend([tag.to_le_bytes(), 3u16.to_le_bytes()].concat());
        out.extend((values.len() as u32).to_le_bytes());
        if bytes.len() <= 4 {
            out.extend(bytes.iter().chain([0; 4].iter()).take(4));
        } else {
            out.extend(far.to_le_bytes());
            far += bytes.len() as u32;
            values_at_end.extend(bytes);
        }
    }
    out.extend([0; 4]);
    out.extend(values_at_end);
    out
}

/// The picture and the warnings.
fn warned(bytes: &[u8]) -> (Picture, Vec<String>) {
    decode_with_warnings(bytes, &Limits::default()).unwrap()
}

fn decoded(bytes: &[u8]) -> Picture {
    decode(bytes, &Limits::default()).unwrap()
}

#[test]
fn palettes_become_colours_and_alpha() {
    let palette = [255, 0, 0, 0, 255, 0, 0, 0, 255];
    // Two rows of two pixels, each row after its filter byte; four bits per pixel.
    let rows = [0, 0x01, 0, 0x20];
    let opaque = decoded(&png(2, 2, [4, 3], &[(b"PLTE", &palette)], &rows));
    assert_eq!(opaque.rgb, [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 0, 0]);
    assert!(opaque.alpha.is_none() && !opaque.gray);
    let clear = decoded(&png(2, 2, [4, 3], &[(b"PLTE", &palette), (b"tRNS", &[0, 128])], &rows));
    assert_eq!((clear.rgb, clear.alpha), (opaque.rgb, Some(vec![0, 128, 255, 0])));
}

#[test]
fn deep_and_gray_pictures_become_bytes() {
    let deep = decoded(&png(2, 1, [16, 0], &[], &[0, 0xff, 0xff, 0x80, 0x80]));
    assert_eq!((deep.rgb, deep.gray), (vec![255, 255, 255, 128, 128, 128], true));
    let with_alpha = decoded(&png(1, 1, [16, 4], &[], &[0, 0x40, 0x40, 0x10, 0x10]));
    assert_eq!((with_alpha.rgb, with_alpha.alpha, with_alpha.gray), (vec![64; 3], Some(vec![16]), true));
    let bits = decoded(&png(3, 1, [1, 0], &[], &[0, 0b1010_0000]));
    assert_eq!(bits.rgb, [255, 255, 255, 0, 0, 0, 255, 255, 255]);
}

#[test]
fn pictures_are_turned_upright_once() {
    let lying = Picture::from_rgb(2, 1, vec![10, 10, 10, 200, 200, 200]).with_exif(Some(exif(6)));
    for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::WebP] {
        let upright = decoded(&encode(&lying, format).unwrap());
        assert_eq!((upright.width, upright.height), (1, 2), "{format:?}");
        assert!(upright.rgb[0] < 20 && upright.rgb[3] > 190, "{format:?}: {:?}", upright.rgb);
        assert_eq!(upright.exif, Some(exif(1)), "{format:?}");
        let again = decoded(&encode(&upright, PictureFormat::Png).unwrap());
        assert_eq!(again, upright, "{format:?}");
    }
}

#[test]
fn profiles_of_other_colour_spaces_are_dropped() {
    let profile = |space: &[u8; 4]| [&[0; 16], &space[..], &[0; 108]].concat();
    let picture = Picture::from_rgb(1, 1, vec![1, 2, 3]).with_icc(Some(profile(b"RGB ")));
    assert_eq!(decoded(&encode(&picture, PictureFormat::Png).unwrap()), picture);
    assert!(!profile_fits(&profile(b"CMYK"), false) && !profile_fits(&profile(b"RGB "), true));
    assert!(profile_fits(&profile(b"GRAY"), true) && !profile_fits(b"RGB ", false));
}

#[test]
fn an_alpha_channel_that_is_opaque_everywhere_is_dropped() {
    for (alpha, expected) in [([255, 255], None), ([255, 254], Some(vec![255, 254]))] {
        let picture = Picture::from_rgb(2, 1, vec![1, 1, 1, 2, 2, 2]).with_alpha(Some(alpha.to_vec()));
        for format in [PictureFormat::Png, PictureFormat::WebP, PictureFormat::Tiff, PictureFormat::Qoi] {
            assert_eq!(decoded(&encode(&picture, format).unwrap()).alpha, expected, "{format:?}");
        }
        // Formats without alpha can hold it too.
        assert_eq!(encode(&picture, PictureFormat::Jpeg).is_ok(), expected.is_none());
    }
}

#[test]
fn palettes_of_tiff_files_become_colours() {
    // 16 colours: red rises, green falls, blue is full at 5.
    let mut map = vec![0u16; 48];
    (0..16).for_each(|i| (map[i], map[16 + i]) = (i as u16 * 4096, 65_535 - i as u16 * 4096));
    map[32 + 5] = 65_535;
    let nibbles = tiff(3, 2, &[(262, &[3]), (258, &[4]), (320, &map)], &[0x05, 0xF0, 0x1F, 0x20]);
    let picture = decoded(&nibbles);
    assert_eq!(picture.rgb[..9], [0, 255, 0, 80, 175, 255, 240, 15, 0]);
    assert_eq!(picture.rgb[9..], [16, 239, 0, 240, 15, 0, 32, 223, 0]);
    let short = tiff(3, 2, &[(262, &[3]), (258, &[4]), (320, &map[..40])], &[0x05, 0xF0, 0x1F, 0x20]);
    assert!(decode(&short, &Limits::default()).is_err());
    // Values of 8 bits, as some programs write them.
    let bytes: Vec<u16> = (0..768).map(|i| i % 256).collect();
    let narrow = decoded(&tiff(2, 1, &[(262, &[3]), (258, &[8]), (320, &bytes)], &[7, 200]));
    assert_eq!(narrow.rgb, [7, 7, 7, 200, 200, 200]);
}

#[test]
fn gray_tiff_files_of_all_kinds_are_read() {
    let two_bits = decoded(&tiff(3, 1, &[(262, &[1]), (258, &[2])], &[0b00_01_11_00]));
    assert_eq!((two_bits.rgb, two_bits.gray), (vec![0, 0, 0, 85, 85, 85, 255, 255, 255], true));
    let inverted = decoded(&tiff(2, 1, &[(262, &[0]), (258, &[4])], &[0x0F]));
    assert_eq!(inverted.rgb, [255, 255, 255, 0, 0, 0]);
    let alpha = |extra| {
        tiff(2, 1, &[(262, &[1]), (258, &[8, 8]), (277, &[2]), (338, &[extra])], &[100, 200, 50, 100])
    };
    let straight = decoded(&alpha(2));
    assert_eq!((straight.rgb, straight.alpha), (vec![100, 100, 100, 50, 50, 50], Some(vec![200, 100])));
    let divided = decoded(&alpha(1));
    assert_eq!((divided.rgb, divided.gray), (vec![128; 6], true));
}

#[test]
fn premultiplied_tiff_colours_are_divided_by_their_alpha() {
    let file = |extra: u16| {
        let samples = [110, 20, 15, 128, 0, 0, 0, 0, 9, 9, 9, 255, 200, 9, 9, 100];
        tiff(4, 1, &[(262, &[2]), (258, &[8, 8, 8, 8]), (277, &[4]), (338, &[extra])], &samples)
    };
    assert_eq!(decoded(&file(1)).rgb, [219, 40, 30, 0, 0, 0, 9, 9, 9, 255, 23, 23]);
    assert_eq!(decoded(&file(2)).rgb, [110, 20, 15, 0, 0, 0, 9, 9, 9, 200, 9, 9]);
}

#[test]
fn profiles_of_small_tiff_files_are_kept() {
    let profile = [&[0; 16], &b"RGB "[..], &[7; 4000]].concat();
    let picture = Picture::from_rgb(1, 1, vec![1, 2, 3]).with_icc(Some(profile));
    assert_eq!(decoded(&encode(&picture, PictureFormat::Tiff).unwrap()), picture);
}

#[test]
fn colours_that_png_chunks_declare_become_a_profile() {
    let row = [0, 188, 188, 188];
    let linear = 100_000u32.to_be_bytes();
    let usual = 45_455u32.to_be_bytes();
    let p3 = [12, 13, 0, 1];
    let level = |chunks: &[(&[u8; 4], &[u8])]| {
        let (picture, warnings) = warned(&png(1, 1, [8, 2], chunks, &row));
        assert!(warnings.is_empty(), "{warnings:?}");
        (picture.icc.is_some(), to_srgb(picture).0.rgb[0])
    };
    assert_eq!(level(&[]), (false, 188));
    assert_eq!(level(&[(b"gAMA", &usual)]), (false, 188));
    assert_eq!(level(&[(b"gAMA", &linear)]), (true, 223));
    assert_eq!(level(&[(b"sRGB", &[0]), (b"gAMA", &linear)]), (false, 188));
    assert_eq!(level(&[(b"cICP", &p3)]), (true, 188));
    assert_eq!(level(&[(b"cICP", &[1, 13, 0, 1]), (b"gAMA", &linear)]), (false, 188));
    // Hybrid log-gamma, and perceptual quantization.
    for transfer in [16, 18] {
        assert!(level(&[(b"cICP", &[9, transfer, 0, 1])]).0);
    }
    let (_, warnings) = warned(&png(1, 1, [8, 2], &[(b"cICP", &[1, 13, 0, 0])], &row));
    assert!(warnings[0].contains("taken as sRGB"), "{warnings:?}");
}

#[test]
fn exif_blocks_behind_the_pixels_are_found() {
    let mut file = png(2, 1, [8, 0], &[], &[0, 10, 200]);
    let end = file.split_off(file.len() - 12);
    let named = [b"eXIf", &exif(3)[..]].concat();
    file.extend((named.len() as u32 - 4).to_be_bytes());
    file.extend(&named);
    file.extend(crc32fast::hash(&named).to_be_bytes());
    file.extend(end);
    let picture = decoded(&file);
    assert_eq!((picture.exif, picture.rgb[0]), (Some(exif(1)), 200));
}

#[test]
fn profiles_in_bmp_files_are_kept() {
    let profile = [&[0; 16], &b"RGB "[..], &[7; 100]].concat();
    let mut file = vec![0; 14 + 124];
    let mut set = |at: usize, value: u32| file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let pixels_at = 14 + 124;
    // Header, one pixel of 24 bits, embedded profile behind it.
    for (at, value) in
        [(10, pixels_at), (14, 124), (18, 1), (22, 1), (70, 0x4D42_4544), (126, 124 + 4), (130, 120)]
    {
        set(at, value);
    }
    (file[0], file[1], file[26], file[28]) = (b'B', b'M', 1, 24);
    file.extend([30, 20, 10, 0]);
    file.extend(&profile);
    let picture = decoded(&file);
    assert_eq!((picture.rgb, picture.icc), (vec![10, 20, 30], Some(profile)));
    for len in 0..file.len() {
        let _ = decode(&file[..len], &Limits::default());
    }
}

#[test]
fn xmp_packets_are_kept() {
    let xmp = b"<x:xmpmeta tiff:Orientation=\"6\">caf\xc3\xa9</x:xmpmeta>".to_vec();
    let picture = Picture::from_rgb(1, 1, vec![8; 3]).with_xmp(Some(xmp.clone()));
    for format in [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::WebP] {
        assert_eq!(decoded(&encode(&picture, format).unwrap()).xmp.as_deref(), Some(&xmp[..]), "{format:?}");
        let turned = picture.clone().with_exif(Some(exif(6)));
        let upright = decoded(&encode(&turned, format).unwrap()).xmp.unwrap();
        assert!(upright.windows(13).any(|part| part == b"entation=\"1\">"), "{format:?}");
    }
}

#[test]
fn metadata_that_do_not_fit_are_left_out_with_a_warning() {
    let picture = Picture::from_rgb(1, 1, vec![9; 3]).with_exif(Some([&exif(1)[..], &[5; 70_000]].concat()));
    let picture = picture.with_xmp(Some(vec![b'x'; 65_505]));
    let (jpeg, warnings) = encode_with_warnings(&picture, PictureFormat::Jpeg).unwrap();
    assert!(warnings[0].contains("EXIF data of 70026 bytes") && warnings[1].contains("XMP"), "{warnings:?}");
    let found = decoded(&jpeg);
    assert!(found.exif.is_none() && found.xmp.is_none());
    for format in [PictureFormat::Png, PictureFormat::WebP] {
        let (bytes, warnings) = encode_with_warnings(&picture, format).unwrap();
        assert_eq!((decoded(&bytes), warnings), (picture.clone(), Vec::new()), "{format:?}");
    }
    let (_, warnings) = encode_with_warnings(&picture, PictureFormat::Bmp).unwrap();
    assert_eq!(warnings.len(), 2);
    // The longest blocks that fit, and one byte more.
    for (exif_len, xmp_len) in [(65_527, 65_504), (65_528, 65_505)] {
        let exif = [&exif(1)[..], &vec![5; exif_len - 26]].concat();
        let picture = picture.clone().with_exif(Some(exif)).with_xmp(Some(vec![b'x'; xmp_len]));
        let (jpeg, warnings) = encode_with_warnings(&picture, PictureFormat::Jpeg).unwrap();
        let found = decoded(&jpeg);
        let fits = exif_len == 65_527;
        assert_eq!((found.exif.is_some(), found.xmp.is_some(), warnings.is_empty()), (fits, fits, fits));
    }
}

#[test]
fn profiles_of_gray_become_srgb_where_gray_cannot_be_written() {
    let space = ColorSpace::Gamma { gamma: Some(1.0), chromaticities: None };
    let profile = color::profile_of(space, true).unwrap();
    let picture = Picture::from_rgb(1, 1, vec![128; 3]).with_gray(true).with_icc(profile);
    for (format, level, kept) in
        [(PictureFormat::Png, 128, true), (PictureFormat::WebP, 188, false), (PictureFormat::Bmp, 188, false)]
    {
        let (bytes, warnings) = encode_with_warnings(&picture, format).unwrap();
        let found = decoded(&bytes);
        assert_eq!((found.rgb[0], found.icc.is_some(), warnings.len()), (level, kept, 0), "{format:?}");
    }
}

#[test]
fn opaque_gif_has_no_alpha() {
    for (alpha, expected) in [(255, None), (0, Some(vec![0]))] {
        let mut gif = Vec::new();
        let pixel = image::Frame::new(image::RgbaImage::from_pixel(1, 1, image::Rgba([9, 9, 9, alpha])));
        image::codecs::gif::GifEncoder::new(&mut gif).encode_frame(pixel).unwrap();
        assert_eq!(decoded(&gif).alpha, expected);
    }
}
