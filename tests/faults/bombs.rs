//! Small picture files that unpack to much data, or claim to, under a limit on the address space: each gives a file or an
//! error, and none an abort.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

use super::{
    assert_fails, folder,
    memory::{MAX_MEMORY, PROGRAM, with_address_space},
    stderr,
};

/// Bytes to which a bomb unpacks: more than the process can allocate.
const UNPACKED: usize = (PROGRAM + MAX_MEMORY) as usize;

fn compressed(length: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 20];
    (0..length >> 20).for_each(|_| encoder.write_all(&block).unwrap());
    encoder.finish().unwrap()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

/// A PNG file of an RGB picture of that size, with another chunk before the pixels.
fn png(width: u32, height: u32, extra: &[u8], pixels: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let chunks = [&chunk(b"IHDR", &header)[..], extra, &chunk(b"IDAT", pixels), &chunk(b"IEND", &[])];
    [b"\x89PNG\r\n\x1a\n", &chunks.concat()[..]].concat()
}

/// A GIF file whose frame is far larger than its screen.
fn gif() -> Vec<u8> {
    let screen = [&b"GIF89a"[..], &[10, 0, 10, 0, 0x80, 0, 0], &[0; 6]].concat();
    [&screen[..], &[0x2C, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 2, 2, 0x4C, 1, 0, 0x3B]].concat()
}

/// A TIFF file of a hundred bytes that claims a strip of 4 GiB.
fn tiff() -> Vec<u8> {
    let entries: [(u16, u16, u32); 9] = [
        (256, 4, 2000),
        (257, 4, 2000),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, 2000),
        (279, 4, 0xFFFF_FFF0),
    ];
    let mut bytes = b"II*\0\x08\0\0\0\x09\0".to_vec();
    for (tag, kind, value) in entries {
        bytes.extend(
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &[1, 0, 0, 0], &value.to_le_bytes()].concat(),
        );
    }
    bytes.extend([0; 4]);
    bytes
}

fn bmp() -> Vec<u8> {
    let mut bytes = b"BM\x64\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bytes.extend([3000_u32.to_le_bytes(), 3000_u32.to_le_bytes()].concat());
    bytes.extend([&[1, 0, 24, 0][..], &[0; 74]].concat());
    bytes
}

#[test]
fn decompression_bombs_give_a_file_or_an_error() {
    let folder = folder();
    let bomb = compressed(UNPACKED);
    let pixel = compressed(1 << 20);
    let chunk_bomb = |kind, start: &[u8]| png(1, 1, &chunk(kind, &[start, &bomb].concat()), &pixel);
    let pictures = [
        ("profile.png", chunk_bomb(b"iCCP", b"x\0\0")),
        ("text.png", chunk_bomb(b"zTXt", b"x\0\0")),
        ("international.png", chunk_bomb(b"iTXt", b"x\0\x01\0\0\0")),
        ("pixels.png", png(1, 1, &[], &bomb)),
        ("many_pixels.png", png(3000, 3000, &[], &compressed(1 << 20))),
        ("screen.gif", gif()),
        ("strip.tiff", tiff()),
        ("rows.bmp", bmp()),
        (
            "empty_chunk.webp",
            b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\x20\0\0\0\0\0\0\0\0\0ICCP\xf0\xff\xff\xff".to_vec(),
        ),
    ];
    for (name, bytes) in pictures {
        folder.write(name, bytes);
        let args = ["compress", "--force", "--max-memory", "64MiB", name, "out.aez"];
        let output = folder.command_after(&with_address_space(PROGRAM + MAX_MEMORY), &args).output().unwrap();
        if output.status.success() {
            assert_eq!(stderr(&output), "", "{name}");
        } else {
            assert_fails(&output, &[name]);
        }
    }
}
