//! Options that subcommands share, and the parsing of their values.

use std::{fmt, path::PathBuf, str::FromStr};

use aez::{Limits, codec::Refiner, model::Model};
use clap::Args;

use super::failure::Failure;

/// Options of every subcommand.
#[derive(Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Model file to use instead of the built-in model
    #[arg(long, global = true, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Where the network runs: cpu, cuda or cuda:N
    #[arg(long, global = true, default_value = "cpu")]
    pub device: Device,
    /// Threads to use [default: one a core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Overwrite files that exist
    #[arg(long, short, global = true)]
    pub force: bool,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

impl Common {
    /// Sets up what the whole process shares, before any work.
    pub fn start(&self) -> Result<(), Failure> {
        if !cfg!(feature = "cuda") && self.device != Device::Cpu {
            return Err(Failure::Usage(
                "this aez was built without CUDA: use --device cpu, or build it by `cargo build --release --features cuda` \
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

    /// The model that the user named, or the built-in one.
    pub fn load_model(&self) -> Result<&'static Model, Failure> {
        let model = match (&self.model, self.device) {
            (None, Device::Cpu) => return Ok(Model::builtin()?),
            (None, Device::Cuda(_)) => Model::builtin_copy()?,
            (Some(path), _) => Model::load(path)?,
        };
        // The process uses one model until its end.
        Ok(Box::leak(Box::new(model.on_device(&self.open_device()?)?)))
    }

    /// The device that the user named, ready to run.
    pub fn open_device(&self) -> Result<candle_core::Device, Failure> {
        match self.device {
            Device::Cpu => Ok(candle_core::Device::Cpu),
            Device::Cuda(ordinal) => Ok(aez::nn::cuda_device(ordinal as usize)?),
        }
    }
}

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// The CUDA device of that ordinal.
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
                Err(e) => Err(format!("'{ordinal}' is not the number of a device: {e}")),
            },
            _ => Err("expected cpu, cuda or cuda:N".into()),
        }
    }
}

/// How long the encoder may search.
#[derive(Args)]
pub struct EffortArgs {
    /// Improve each picture's latents by the decoder's gradient: from 0, not at all, to 9, some hundred times
    #[arg(long, value_name = "0..9", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=9))]
    effort: u8,
}

impl EffortArgs {
    pub fn refiner<'m>(&self, model: &'m Model) -> aez::Result<Option<Refiner<'m>>> {
        (self.effort > 0).then(|| Refiner::new(model, self.effort)).transpose()
    }
}

/// Caps on what a file may ask for.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Most pixels of a picture, such as 200M
    #[arg(long, value_name = "COUNT", value_parser = quantity, default_value = "128Mi")]
    max_pixels: u64,
    /// Most memory that one file may take beside the model, such as 512MiB
    #[arg(long, value_name = "SIZE", value_parser = quantity, default_value = "1GiB")]
    max_memory: u64,
}

impl LimitArgs {
    pub fn limits(&self) -> Limits {
        Limits { max_pixels: self.max_pixels, max_memory: self.max_memory, ..Limits::default() }
    }
}

/// Reads a whole number with an optional unit: k, M, G are powers of 1000, Ki, Mi, Gi powers of 1024, and a B
/// for bytes may follow. Case does not matter.
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
        for text in ["", "MiB", "-1", "1.5G", "3 parsecs", "18446744073709551616", "99999999999 GiB"] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices_have_names() {
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(Device::Cuda(3)));
        for text in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_limits_are_those_of_the_library() {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            limits: LimitArgs,
        }
        let only = <Only as clap::Parser>::parse_from(["aez"]);
        assert_eq!(only.limits.limits(), Limits::default());
    }
}
