//! The codecs that this one is compared with, through the programs that their users run.
//!
//! They are not linked in: a user of this codec should not have to build four others, and the programs of the system are what a
//! comparison is about. The price is that a time includes the start of a process and the reading of its input.

use std::{
    fs, io,
    process::{Command, Stdio},
    time::Instant,
};

use serde::Serialize;
use tempfile::TempDir;

use super::{Coded, Row};
use crate::{
    Limits,
    error::{Error, Result},
    picture::{self, Picture, PictureFormat},
};

/// A codec as two programs that read and write files in the current folder.
///
/// In the arguments, `{quality}` stands for the quality from 0 to 100, `{quantizer}` for what libavif makes of it
/// (63 to 0), `{distance}` for what cjxl makes of it (25 to 0).
#[derive(Debug)]
pub struct Peer {
    /// As in results.
    pub name: &'static str,
    /// As people call it.
    pub title: &'static str,
    /// Debian's package with the programs.
    pub package: &'static str,
    /// Program and arguments.
    encode: &'static [&'static str],
    decode: &'static [&'static str],
    /// Makes either program print its version.
    version: &'static str,
    /// The files that the arguments name: what the encoder reads, its result, and what the decoder makes of that.
    input: (&'static str, PictureFormat),
    coded: &'static str,
    output: &'static str,
    /// The qualities that are measured, down to the lowest.
    qualities: &'static [u32],
}

/// At high effort and with the programs' defaults beside that. JPEG is baseline with optimal Huffman tables, which for
/// pictures of few pixels is a third smaller than progressive. AVIF keeps its default of full chroma, which at equal size has the
/// better PSNR over RGB.
pub static PEERS: [Peer; 4] = [
    Peer {
        name: "jpeg",
        title: "JPEG",
        package: "libjpeg-turbo-progs",
        // Targa is the one format of gray and of colour pictures that both sides know.
        encode: &[
            "cjpeg",
            "-quality",
            "{quality}",
            "-baseline",
            "-optimize",
            "-outfile",
            "out.jpg",
            "-targa",
            "in.tga",
        ],
        decode: &["djpeg", "-outfile", "out.ppm", "out.jpg"],
        version: "-version",
        input: ("in.tga", PictureFormat::Tga),
        coded: "out.jpg",
        output: "out.ppm",
        qualities: &[1, 3, 5, 8, 12, 20, 35, 55, 75, 90],
    },
    Peer {
        name: "webp",
        title: "WebP",
        package: "webp",
        encode: &["cwebp", "-quiet", "-m", "6", "-q", "{quality}", "in.png", "-o", "out.webp"],
        decode: &["dwebp", "-quiet", "out.webp", "-o", "out.png"],
        version: "-version",
        input: ("in.png", PictureFormat::Png),
        coded: "out.webp",
        output: "out.png",
        qualities: &[0, 1, 3, 6, 12, 20, 35, 55, 75, 90],
    },
    Peer {
        name: "avif",
        title: "AVIF",
        package: "libavif-bin",
        encode: &[
            "avifenc",
            "-s",
            "4",
            "--min",
            "0",
            "--max",
            "63",
            "-a",
            "end-usage=q",
            "-a",
            "cq-level={quantizer}",
            "in.png",
            "out.avif",
        ],
        decode: &["avifdec", "out.avif", "out.png"],
        version: "--version",
        input: ("in.png", PictureFormat::Png),
        coded: "out.avif",
        output: "out.png",
        qualities: &[0, 4, 8, 14, 20, 30, 40, 50, 65, 80],
    },
    Peer {
        name: "jxl",
        title: "JPEG XL",
        package: "libjxl-tools",
        encode: &["cjxl", "--quiet", "-e", "9", "-d", "{distance}", "in.png", "out.jxl"],
        decode: &["djxl", "--quiet", "out.jxl", "out.png"],
        version: "--version",
        input: ("in.png", PictureFormat::Png),
        coded: "out.jxl",
        output: "out.png",
        qualities: &[0, 3, 7, 12, 20, 35, 50, 65, 80, 90],
    },
];

/// What a codec's figures were made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Programs {
    /// The encoder's own words.
    pub version: String,
    /// The command lines.
    pub encode: String,
    pub decode: String,
}

/// A codec whose programs are there, and a folder of its own for its files.
#[derive(Debug)]
pub struct InstalledPeer {
    peer: &'static Peer,
    version: String,
    folder: TempDir,
}

impl Peer {
    /// The codec of that name, as in [`PEERS`].
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PEERS.iter().find(|peer| peer.name == name)
    }

    /// Sees whether both programs are installed.
    ///
    /// # Errors
    /// [`Error::Misuse`] says what to install; [`Error::Io`] when there is no room for temporary files.
    pub fn find(&'static self) -> Result<InstalledPeer> {
        let version = |program: &str| {
            let output = Command::new(program).arg(self.version).stdin(Stdio::null()).output();
            output.map_err(|e| self.missing(program, &e))
        };
        version(self.decode[0])?;
        let output = version(self.encode[0])?;
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let version = said.iter().flat_map(|text| text.lines()).find(|line| !line.trim().is_empty());
        let version = version.map_or("unknown", str::trim).trim_start_matches("Version: ").to_owned();
        let folder = tempfile::tempdir().map_err(|e| Error::io("cannot make", "a temporary folder", e))?;
        Ok(InstalledPeer { peer: self, version, folder })
    }

    fn missing(&self, program: &str, why: &io::Error) -> Error {
        let Self { title, package, .. } = self;
        Error::Misuse(format!(
            "{title} is left out, for {program} cannot be run ({why}): install it, on Debian with `apt install {package}`"
        ))
    }
}

impl InstalledPeer {
    #[must_use]
    pub fn peer(&self) -> &'static Peer {
        self.peer
    }

    #[must_use]
    pub fn programs(&self) -> Programs {
        let Peer { encode, decode, .. } = self.peer;
        Programs { version: self.version.clone(), encode: encode.join(" "), decode: decode.join(" ") }
    }

    /// Encodes and decodes a picture at each of the codec's qualities. `path` names the picture in the results.
    ///
    /// # Errors
    /// As for [`InstalledPeer::code`].
    pub fn measure(&self, path: &str, picture: &Picture) -> Result<Vec<Row>> {
        let row = |&quality: &u32| self.code(picture, quality)?.row(path, self.peer.name, picture);
        self.peer.qualities.iter().map(row).collect()
    }

    /// The best file of at most so many bytes or, where there is none, the smallest.
    ///
    /// # Errors
    /// As for [`InstalledPeer::code`].
    pub fn fit(&self, picture: &Picture, bytes: u64) -> Result<Coded> {
        best_fitting(bytes, |quality| self.code(picture, quality))
    }

    /// Encodes the picture's pixels and decodes them.
    ///
    /// # Errors
    /// [`Error::Picture`] when a program fails or its result makes no sense, with what it said; [`Error::Io`] on files.
    pub fn code(&self, picture: &Picture, quality: u32) -> Result<Coded> {
        let Peer { encode, decode, input, coded, output, .. } = self.peer;
        let path = |name: &str| self.folder.path().join(name);
        for old in [coded, output] {
            // What an earlier picture left must not pass for the result of this one; mostly there is nothing.
            let _ = fs::remove_file(path(old));
        }
        let input_file = path(input.0);
        fs::write(&input_file, picture::encode(picture, input.1)?)
            .map_err(|e| Error::io("cannot write", &input_file, e))?;
        let encode_s = self.run(encode, quality)?;
        let bytes = fs::metadata(path(coded)).map_err(|e| Error::io("cannot find", path(coded), e))?.len();
        let decode_s = self.run(decode, quality)?;
        let picture = picture::read(&path(output), &Limits::NONE)?;
        Ok(Coded { quality, bytes, picture, encode_s, decode_s })
    }

    /// Runs a program in the folder, and returns the seconds that it took.
    fn run(&self, command: &[&str], quality: u32) -> Result<f64> {
        let program = command[0];
        let arguments = command[1..].iter().map(|argument| fill_in(argument, quality));
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output().map_err(|e| Error::io("cannot run", program, e))?;
        let seconds = start.elapsed().as_secs_f64();
        if output.status.success() {
            return Ok(seconds);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
        Err(Error::Picture(format!("{program} failed at quality {quality} ({}): {said}", output.status)))
    }
}

fn fill_in(argument: &str, quality: u32) -> String {
    // The formula of libavif since its version 1.0, and of cjxl since 0.8: older ones have another scale or none.
    let quantizer = (100_u32.saturating_sub(quality) * 63 + 50) / 100;
    let q = f64::from(quality);
    let distance =
        if quality < 30 { (53.0 * q / 3000.0 - 1.15) * q + 25.0 } else { 0.1 + (100.0 - q) * 0.09 };
    argument
        .replace("{quality}", &quality.to_string())
        .replace("{quantizer}", &quantizer.to_string())
        .replace("{distance}", &format!("{distance:.3}"))
}

/// Bisection over the qualities from 0 to 100, which takes for granted that sizes grow with them.
fn best_fitting(bytes: u64, code: impl Fn(u32) -> Result<Coded>) -> Result<Coded> {
    let mut best = code(0)?;
    let (mut fits, mut exceeds) = (0, 101);
    while best.bytes <= bytes && exceeds - fits > 1 {
        let coded = code(u32::midpoint(fits, exceeds))?;
        if coded.bytes <= bytes {
            fits = coded.quality;
            best = coded;
        } else {
            exceeds = coded.quality;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::MAX_PSNR;

    /// A codec without loss, of programs that are everywhere.
    #[cfg(unix)]
    static COPY: Peer = Peer {
        name: "copy",
        title: "Copy",
        package: "coreutils",
        encode: &["cp", "in.png", "out.{quality}"],
        decode: &["cp", "out.7", "out.png"],
        version: "--version",
        input: ("in.png", PictureFormat::Png),
        coded: "out.7",
        output: "out.png",
        qualities: &[7],
    };

    /// Noise on a ramp, in one colour: half the codecs halve the resolution of colours.
    fn scene(gray: bool) -> Picture {
        let value = |i: u32| (i % 120) as u8 + (i.wrapping_mul(2_654_435_761) >> 26) as u8;
        let rgb = (0..40 * 30).flat_map(|i| [value(i), value(i) + if gray { 0 } else { 30 }, value(i)]);
        Picture { gray, ..Picture::from_rgb(40, 30, rgb.collect()) }
    }

    #[cfg(unix)]
    #[test]
    fn programs_are_run_in_a_folder_of_their_own() {
        let peer = COPY.find().unwrap();
        let rows = peer.measure("x", &scene(false)).unwrap();
        let bytes = picture::encode(&scene(false), PictureFormat::Png).unwrap().len() as u64;
        assert_eq!((rows.len(), rows[0].bytes, rows[0].quality), (1, bytes, 7));
        assert_eq!((rows[0].distortion.psnr, &*rows[0].codec), (MAX_PSNR, "copy"));
        assert_eq!(peer.programs().encode, "cp in.png out.{quality}");
        let error = peer.code(&scene(false), 8).unwrap_err();
        assert!(matches!(error, Error::Picture(_) | Error::Io { .. }), "an old file is no result: {error}");
    }

    #[cfg(unix)]
    #[test]
    fn failures_of_programs_are_told() {
        static BROKEN: Peer = Peer { encode: &["cp", "missing", "out"], ..COPY };
        let error = BROKEN.find().unwrap().code(&scene(false), 7).unwrap_err().to_string();
        assert!(error.contains("cp failed at quality 7") && error.contains("missing"), "{error}");
        static MISSING: Peer = Peer { encode: &["aez-no-such-program"], ..COPY };
        let error = MISSING.find().unwrap_err().to_string();
        assert!(error.contains("aez-no-such-program") && error.contains("apt install coreutils"), "{error}");
    }

    #[test]
    fn each_codec_that_is_installed_gets_better_with_bytes() {
        for peer in PEERS.iter().map(Peer::find) {
            let peer = match peer {
                Ok(peer) => peer,
                Err(error) => {
                    println!("skipped: {error}");
                    continue;
                }
            };
            for gray in [false, true] {
                let scene = scene(gray);
                let [low, high] = [10, 90].map(|quality| {
                    let coded = peer.code(&scene, quality).unwrap();
                    coded.row("x", "y", &scene).unwrap()
                });
                assert!(low.bytes < high.bytes, "{low:?} {high:?}");
                assert!(low.distortion.psnr + 2.0 < high.distortion.psnr, "{low:?} {high:?}");
            }
        }
    }

    #[test]
    fn qualities_have_the_scales_of_the_programs() {
        for (quality, quantizer, distance) in [(0, "63", "25.000"), (30, "44", "6.400"), (90, "6", "1.000")] {
            assert_eq!(fill_in("x={quantizer}", quality), format!("x={quantizer}"));
            assert_eq!(fill_in("{distance}", quality), distance);
            assert_eq!(fill_in("{quality}", quality), quality.to_string());
        }
        for peer in &PEERS {
            assert!(peer.qualities.is_sorted() && peer.qualities[0] <= 1, "{}", peer.name);
            assert_eq!(peer.encode.concat().matches('{').count(), 1, "{}", peer.name);
        }
    }

    #[test]
    fn the_best_file_that_fits_is_found() {
        let code = |quality: u32| {
            let bytes = 100 + u64::from(quality) * 3;
            Ok(Coded { quality, bytes, picture: scene(false), encode_s: 0.0, decode_s: 0.0 })
        };
        for (bytes, quality) in
            [(0, 0), (99, 0), (100, 0), (102, 0), (103, 1), (250, 50), (399, 99), (400, 100), (9999, 100)]
        {
            assert_eq!(best_fitting(bytes, code).unwrap().quality, quality, "{bytes}");
        }
    }
}
