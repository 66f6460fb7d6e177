//! Options that several subcommands share.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use aez::models;
use aez_core::{Error, Limits, Model, Tune, container::Family, tiled::Storage};
use aez_train::GraphBackend;
use clap::{Args, ValueEnum};

use super::failure::{Failure, without_hint};

/// The model that is used without `--model`.
const DEFAULT_MODEL: &str = "tile";

/// The model that encodes previews without `--model`.
const PREVIEW_MODEL: &str = "preview";

/// The name that stands for the better one of the built-in models.
const AUTO: &str = "auto";

/// Options of all subcommands.
#[derive(Args, Default)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Model to use: the name of a built-in model (tile, photo, preview) or the path of a model file, or auto: the built-in model with the
    /// smaller file for each picture
    /// [default: tile for files, preview for previews; for decoding, that of the file's or text's family]
    #[arg(long, global = true, value_name = "NAME|PATH")]
    pub model: Option<PathBuf>,
    /// Device that runs the network: cpu, cuda or cuda:N
    #[arg(long, global = true, default_value = "cpu")]
    pub device: Device,
    /// Number of threads, 1 to 1024 [default: one per core]
    #[arg(long, short = 'j', global = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Overwrite existing files
    #[arg(long, short, global = true)]
    pub force: bool,
    /// Show no progress
    #[arg(long, global = true)]
    pub quiet: bool,
}

impl Common {
    /// Sets up the process. Called before the subcommand runs.
    pub fn start(&self) -> Result<(), Failure> {
        if !cfg!(feature = "cuda") && self.device != Device::Cpu {
            return Err(Failure::Usage(
                "this aez was built without CUDA: use --device cpu, or build it with `cargo build --release --features cuda` \
                 (see docs/gpu.md)"
                    .into(),
            ));
        }
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.into())
                .build_global()
                .map_err(|e| Failure::Usage(format!("cannot start {threads} threads: {e}")))?;
        }
        Ok(())
    }

    /// Whether `--model` leaves the choice to the program.
    pub fn is_auto(&self) -> bool {
        self.model.as_deref() == Some(Path::new(AUTO))
    }

    /// The model of `--model` on the device of `--device`, by default `tile`.
    pub fn load_model(&self) -> Result<&'static Model, Failure> {
        self.load_model_or(DEFAULT_MODEL)
    }

    /// The model of `--model` for encoding previews, by default `preview`.
    pub fn preview_model(&self) -> Result<&'static Model, Failure> {
        self.load_model_or(PREVIEW_MODEL)
    }

    fn load_model_or(&self, default: &str) -> Result<&'static Model, Failure> {
        if self.is_auto() {
            return Err(Failure::Usage(format!(
                "--model {AUTO} is for encoding and decoding files, on the CPU"
            )));
        }
        let name = self.model.as_deref().unwrap_or(Path::new(default));
        // The options for limits do not apply to models.
        let mut model = models::open(name).map_err(without_hint)?;
        if self.device != Device::Cpu {
            model = on_device(model, &self.open_device()?)?;
        }
        // A process uses one model, until its end.
        Ok(Box::leak(Box::new(model)))
    }

    /// The model for decoding: that of `--model`, or else for each file or preview the built-in model of its family.
    pub fn decoding_model(&self) -> Result<DecodingModel, Failure> {
        let is_chosen = (self.model.is_some() && !self.is_auto()) || self.device != Device::Cpu;
        Ok(DecodingModel(is_chosen.then(|| self.load_model()).transpose()?))
    }

    /// The model file of `--model`, if it names one.
    pub fn model_file(&self) -> Option<&Path> {
        self.model.as_deref().filter(|name| !is_builtin(name) && !self.is_auto())
    }

    /// The device of `--device`.
    pub fn open_device(&self) -> Result<candle_core::Device, Failure> {
        match self.device {
            Device::Cpu => Ok(candle_core::Device::Cpu),
            Device::Cuda(ordinal) => Ok(aez_train::cuda_device(ordinal as usize)?),
        }
    }
}

/// The model for decoding; `None` stands for the built-in ones.
pub struct DecodingModel(Option<&'static Model>);

impl DecodingModel {
    pub fn for_file(&self, file: &[u8]) -> aez_core::Result<&'static Model> {
        self.0.map_or_else(|| models::for_file(file), Ok)
    }

    pub fn for_preview(&self, text: &str) -> aez_core::Result<&'static Model> {
        self.0.map_or_else(|| models::for_preview(text), Ok)
    }
}

/// The model, with its network on another device.
fn on_device(model: Model, device: &candle_core::Device) -> Result<Model, Failure> {
    let id = model.id();
    let model = model.into_tiled().ok_or_else(|| {
        Error::Misuse(format!("model {id} runs on the CPU only: it is not of the tiled family"))
    })?;
    let backend = GraphBackend::new(&model, device)?;
    Ok(model.with_backend(Box::new(backend)).into())
}

/// Whether a name is that of a built-in model, and not a path.
pub fn is_builtin(name: &Path) -> bool {
    name.to_str().is_some_and(|name| models::NAMES.contains(&name))
}

/// A value of `--weights`: how a model file stores the weights.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum WeightFormat {
    /// Transformed, rounded and entropy coded: 9.5 MiB, and 0.01 dB less
    Packed,
    /// 8-bit integers with scales, 32-bit floats for small layers: 29 MiB
    I8,
    /// 32-bit floats: 105 MiB
    F32,
}

impl From<WeightFormat> for Storage {
    fn from(format: WeightFormat) -> Self {
        match format {
            WeightFormat::Packed => Self::Packed,
            WeightFormat::I8 => Self::Int8,
            WeightFormat::F32 => Self::Float32,
        }
    }
}

/// A value of `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    #[default]
    Cpu,
    /// The CUDA device with this ordinal.
    Cuda(u32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", ordinal)) => match ordinal.parse() {
                Ok(ordinal) => Ok(Self::Cuda(ordinal)),
                Err(e) => Err(format!("'{ordinal}' is not a device number: {e}")),
            },
            _ => Err("expected cpu, cuda or cuda:N".into()),
        }
    }
}

/// The option `--effort`.
#[derive(Args)]
pub struct EffortArgs {
    /// Search for better latents, from 0 (the fastest) to 9, in steps along the decoder's gradient. Family tile: effort N takes 3 N^2
    /// steps, each 2 to 3 times as long as decoding [default: 0]. Family photo: 16 + 16 N^2 steps, but 20 for
    /// effort 0, each 0.1 to 0.2 s per megapixel on two threads, and up to three times as many for small pictures [default: 3]
    #[arg(long, short, value_name = "0..9", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub effort: Option<u8>,
}

/// What the encoder aims at, as people choose it.
#[derive(Args)]
pub struct TuneArgs {
    /// Measure of quality that the encoder aims at; ssim: details in busy places count less. Family photo only
    #[arg(long, value_name = "MEASURE", value_enum, default_value_t = TuneName::Psnr)]
    tune: TuneName,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TuneName {
    Psnr,
    Ssim,
}

impl TuneArgs {
    /// The measure for encoding with these models.
    pub fn tune(&self, models: &[&Model]) -> Result<Tune, Failure> {
        let is_photo = models.iter().all(|model| model.family() == Family::PHOTO);
        match self.tune {
            TuneName::Psnr => Ok(Tune::Psnr),
            TuneName::Ssim if is_photo => Ok(Tune::Ssim),
            TuneName::Ssim => {
                Err(Failure::Usage("--tune ssim needs a model of the photo family: --model photo".into()))
            }
        }
    }
}

/// Limits for untrusted input.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Maximum number of pixels of a picture, such as 200M
    #[arg(long, value_name = "COUNT", value_parser = quantity, default_value = "128Mi")]
    max_pixels: u64,
    /// Maximum memory in bytes for one file, without the model, such as 512MiB
    #[arg(long, value_name = "SIZE", value_parser = quantity, default_value = "1GiB")]
    max_memory: u64,
}

impl LimitArgs {
    pub fn limits(&self) -> Limits {
        Limits::default().with_max_pixels(self.max_pixels).with_max_memory(self.max_memory)
    }
}

/// Parses a whole number with an optional unit: k, M, G (powers of 1000), Ki, Mi, Gi (powers of 1024), each with or
/// without a B for bytes, in upper or lower case.
pub fn quantity(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|e| format!("'{number}' is not a whole number: {e}"))?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        _ => return Err(format!("unknown unit '{unit}': expected k, M, G, Ki, Mi or Gi, with or without B")),
    };
    number.checked_mul(factor).ok_or_else(|| format!("{text} exceeds 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units() {
        for (text, value) in
            [("0", 0), ("17", 17), ("17B", 17), ("3k", 3000), ("512MiB", 512 << 20), ("2 gib", 2 << 30)]
        {
            assert_eq!(quantity(text), Ok(value), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5G", "3 miles", "18446744073709551616", "99999999999 GiB"] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices_are_parsed_by_name() {
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(Device::Cuda(3)));
        for text in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }

    #[test]
    fn default_limits_equal_those_of_the_library() {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            limits: LimitArgs,
        }
        let only = <Only as clap::Parser>::parse_from(["aez"]);
        assert_eq!(only.limits.limits(), Limits::default());
    }
}
