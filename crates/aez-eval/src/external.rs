//! Other codecs, run as the command-line programs that come with them.
//!
//! The programs of the system are run because they are what users of these codecs run, and because they need not be built with this
//! crate. Times therefore include the start of a process and reading and writing files.

use std::{
    fs, io,
    process::{Command, Stdio},
    time::Instant,
};

use aez_core::{Error, Limits, Picture, Result};
use aez_image::PictureFormat;
use serde::Serialize;
use tempfile::TempDir;

use crate::{RoundTrip, Row, sweep::colours};

/// A codec as two programs that read and write files in the current folder.
///
/// In their arguments, `{quality}` is replaced by the quality from 0 to 100, `{quantizer}` by the quantizer that libavif maps it to
/// (63 to 0), `{distance}` by the distance that cjxl maps it to (25 to 0).
#[derive(Debug)]
pub struct ExternalCodec {
    /// Name in results, such as `jxl`.
    pub name: &'static str,
    /// Name for readers, such as `JPEG XL`.
    pub title: &'static str,
    /// Debian package that has the programs.
    pub package: &'static str,
    /// The encoder: program and arguments.
    encode: &'static [&'static str],
    /// The decoder: program and arguments.
    decode: &'static [&'static str],
    /// Argument that makes either program print its version.
    version: &'static str,
    /// Name and format of the encoder's input file.
    input: (&'static str, PictureFormat),
    /// Name of the encoder's output file.
    coded: &'static str,
    /// Name of the decoder's output file.
    output: &'static str,
    /// The qualities to measure, in ascending order.
    qualities: &'static [u32],
}

/// The codecs that AEZ can be compared with.
///
/// They run at high effort and otherwise with the defaults of the programs. JPEG is baseline with optimized Huffman tables, which for
/// small pictures is a third smaller than progressive. AVIF keeps its default of full chroma resolution, which has the better PSNR
/// over RGB at equal size.
pub static EXTERNAL_CODECS: [ExternalCodec; 4] = [
    ExternalCodec {
        name: "jpeg",
        title: "JPEG",
        package: "libjpeg-turbo-progs",
        // The only format of gray and colour pictures that both cjpeg and aez-image support.
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
    ExternalCodec {
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
    ExternalCodec {
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
    ExternalCodec {
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

/// The programs that a codec was measured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Programs {
    /// Version as printed by the encoder.
    pub version: String,
    /// Command line of the encoder.
    pub encode: String,
    /// Command line of the decoder.
    pub decode: String,
}

/// A codec whose programs are installed, with a temporary folder for its files.
#[derive(Debug)]
pub struct InstalledCodec {
    codec: &'static ExternalCodec,
    version: String,
    folder: TempDir,
}

impl ExternalCodec {
    /// The codec of [`EXTERNAL_CODECS`] with a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        EXTERNAL_CODECS.iter().find(|codec| codec.name == name)
    }

    /// Checks that both programs are installed.
    ///
    /// # Errors
    /// [`Error::Misuse`] when a program cannot be run: the message names the package to install. [`Error::Io`] when no temporary folder can
    /// be made.
    pub fn find(&'static self) -> Result<InstalledCodec> {
        let version = |program: &str| {
            let output = Command::new(program).arg(self.version).stdin(Stdio::null()).output();
            output.map_err(|e| self.missing(program, &e))
        };
        version(self.decode[0])?;
        let output = version(self.encode[0])?;
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let version = printed.iter().flat_map(|text| text.lines()).find(|line| !line.trim().is_empty());
        let version = version.map_or("unknown", str::trim).trim_start_matches("Version: ").to_owned();
        let folder = tempfile::tempdir().map_err(|e| Error::io("cannot make", "a temporary folder", e))?;
        Ok(InstalledCodec { codec: self, version, folder })
    }

    fn missing(&self, program: &str, why: &io::Error) -> Error {
        let Self { title, package, .. } = self;
        Error::Misuse(format!(
            "{title} is not measured because {program} cannot be run ({why}); on Debian, `apt install {package}` installs it"
        ))
    }
}

impl InstalledCodec {
    /// The codec.
    #[must_use]
    pub fn codec(&self) -> &'static ExternalCodec {
        self.codec
    }

    /// Version and command lines of the programs.
    #[must_use]
    pub fn programs(&self) -> Programs {
        let ExternalCodec { encode, decode, .. } = self.codec;
        Programs { version: self.version.clone(), encode: encode.join(" "), decode: decode.join(" ") }
    }

    /// Encodes, decodes and compares a picture at each of the codec's qualities. `path` is the name of the picture in the results.
    ///
    /// # Errors
    /// As for [`InstalledCodec::run`].
    pub fn measure(&self, path: &str, picture: &Picture) -> Result<Vec<Row>> {
        let row = |&quality: &u32| self.run(picture, quality)?.row(path, self.codec.name, picture);
        self.codec.qualities.iter().map(row).collect()
    }

    /// The file of the highest quality that has at most `bytes` bytes; if there is none, the file of quality 0.
    ///
    /// # Errors
    /// As for [`InstalledCodec::run`].
    pub fn fit(&self, picture: &Picture, bytes: u64) -> Result<RoundTrip> {
        best_fitting(bytes, |quality| self.run(picture, quality))
    }

    /// Encodes a picture at a quality from 0 to 100, and decodes it.
    ///
    /// # Errors
    /// [`Error::Picture`] when a program fails, with its last message, or its output cannot be decoded; [`Error::Io`] when a file
    /// cannot be written or read.
    pub fn run(&self, picture: &Picture, quality: u32) -> Result<RoundTrip> {
        let ExternalCodec { encode, decode, input, coded, output, .. } = self.codec;
        let path = |name: &str| self.folder.path().join(name);
        for old in [coded, output] {
            // A file of an earlier picture must not be taken for the result. Usually there is none, which is no error.
            let _ = fs::remove_file(path(old));
        }
        let input_file = path(input.0);
        fs::write(&input_file, aez_image::encode(colours(picture)?.as_ref(), input.1)?)
            .map_err(|e| Error::io("cannot write", &input_file, e))?;
        let encode_s = self.execute(encode, quality)?;
        let bytes = fs::metadata(path(coded)).map_err(|e| Error::io("cannot find", path(coded), e))?.len();
        let decode_s = self.execute(decode, quality)?;
        let picture = aez_image::read(&path(output), &Limits::NONE)?;
        Ok(RoundTrip { quality, bytes, picture, encode_s, decode_s })
    }

    /// Runs a program in the folder, and returns the seconds that it took.
    fn execute(&self, command: &[&str], quality: u32) -> Result<f64> {
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
        let messages = String::from_utf8_lossy(&output.stderr);
        let message = messages.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        Err(Error::Picture(format!("{program} failed at quality {quality} ({}): {message}", output.status)))
    }
}

/// Replaces the quality in an argument.
fn fill_in(argument: &str, quality: u32) -> String {
    // The formulas of libavif since version 1.0 and of cjxl since 0.8. Older versions have other scales or none.
    let quantizer = (100_u32.saturating_sub(quality) * 63 + 50) / 100;
    let q = f64::from(quality);
    let distance =
        if quality < 30 { (53.0 * q / 3000.0 - 1.15) * q + 25.0 } else { 0.1 + (100.0 - q) * 0.09 };
    argument
        .replace("{quality}", &quality.to_string())
        .replace("{quantizer}", &quantizer.to_string())
        .replace("{distance}", &format!("{distance:.3}"))
}

/// Bisection over the qualities from 0 to 100, which assumes that sizes increase with the quality.
fn best_fitting(bytes: u64, run: impl Fn(u32) -> Result<RoundTrip>) -> Result<RoundTrip> {
    let mut best = run(0)?;
    let (mut fits, mut exceeds) = (0, 101);
    while best.bytes <= bytes && exceeds - fits > 1 {
        let round_trip = run(u32::midpoint(fits, exceeds))?;
        if round_trip.bytes <= bytes {
            fits = round_trip.quality;
            best = round_trip;
        } else {
            exceeds = round_trip.quality;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_PSNR;

    /// A lossless codec whose programs exist on every system.
    #[cfg(unix)]
    static COPY: ExternalCodec = ExternalCodec {
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

    /// Noise on a ramp, of constant hue: half of the codecs halve the resolution of colours.
    fn test_image(gray: bool) -> Picture {
        let value = |i: u32| (i % 120) as u8 + (i.wrapping_mul(2_654_435_761) >> 26) as u8;
        let rgb = (0..40 * 30).flat_map(|i| [value(i), value(i) + if gray { 0 } else { 30 }, value(i)]);
        Picture::from_rgb(40, 30, rgb.collect()).with_gray(gray)
    }

    #[cfg(unix)]
    #[test]
    fn programs_are_run_in_a_folder_of_their_own() {
        let codec = COPY.find().unwrap();
        let rows = codec.measure("x", &test_image(false)).unwrap();
        let bytes = aez_image::encode(&test_image(false), PictureFormat::Png).unwrap().len() as u64;
        assert_eq!((rows.len(), rows[0].bytes, rows[0].quality), (1, bytes, 7));
        assert_eq!((rows[0].distortion.psnr, &*rows[0].codec), (MAX_PSNR, "copy"));
        assert_eq!(codec.programs().encode, "cp in.png out.{quality}");
        let error = codec.run(&test_image(false), 8).unwrap_err();
        assert!(
            matches!(error, Error::Picture(_) | Error::Io { .. }),
            "a file of an earlier run is no result: {error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn failures_of_programs_are_reported() {
        static BROKEN: ExternalCodec = ExternalCodec { encode: &["cp", "missing", "out"], ..COPY };
        let error = BROKEN.find().unwrap().run(&test_image(false), 7).unwrap_err().to_string();
        assert!(error.contains("cp failed at quality 7") && error.contains("missing"), "{error}");
        static MISSING: ExternalCodec = ExternalCodec { encode: &["aez-no-such-program"], ..COPY };
        let error = MISSING.find().unwrap_err().to_string();
        assert!(error.contains("aez-no-such-program") && error.contains("apt install coreutils"), "{error}");
    }

    #[test]
    fn installed_codecs_improve_with_size() {
        for codec in EXTERNAL_CODECS.iter().map(ExternalCodec::find) {
            let codec = match codec {
                Ok(codec) => codec,
                Err(error) => {
                    println!("skipped: {error}");
                    continue;
                }
            };
            for gray in [false, true] {
                let original = test_image(gray);
                let [low, high] = [10, 90]
                    .map(|quality| codec.run(&original, quality).unwrap().row("x", "y", &original).unwrap());
                assert!(low.bytes < high.bytes, "{low:?} {high:?}");
                assert!(low.distortion.psnr + 2.0 < high.distortion.psnr, "{low:?} {high:?}");
            }
        }
    }

    #[test]
    fn qualities_are_mapped_to_the_scales_of_the_programs() {
        for (quality, quantizer, distance) in [(0, "63", "25.000"), (30, "44", "6.400"), (90, "6", "1.000")] {
            assert_eq!(fill_in("x={quantizer}", quality), format!("x={quantizer}"));
            assert_eq!(fill_in("{distance}", quality), distance);
            assert_eq!(fill_in("{quality}", quality), quality.to_string());
        }
        for codec in &EXTERNAL_CODECS {
            assert!(codec.qualities.is_sorted() && codec.qualities[0] <= 1, "{}", codec.name);
            assert_eq!(codec.encode.concat().matches('{').count(), 1, "{}", codec.name);
        }
    }

    #[test]
    fn the_largest_fitting_quality_is_found() {
        let run = |quality: u32| {
            let bytes = 100 + u64::from(quality) * 3;
            Ok(RoundTrip { quality, bytes, picture: test_image(false), encode_s: 0.0, decode_s: 0.0 })
        };
        for (bytes, quality) in
            [(0, 0), (99, 0), (100, 0), (102, 0), (103, 1), (250, 50), (399, 99), (400, 100), (9999, 100)]
        {
            assert_eq!(best_fitting(bytes, run).unwrap().quality, quality, "{bytes}");
        }
    }
}
