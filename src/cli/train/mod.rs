//! `aez train`

mod photo;
mod tile;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use aez_core::Error;
use aez_train::{
    run::Files,
    spec::{Source, Spec},
    stl10,
};

use self::{photo::PhotoArgs, tile::TileArgs};
use super::{
    common::{Common, is_builtin},
    failure::Failure,
    jobs::check_overwritten,
};

/// Train a model on pictures
///
/// Besides the model file, training writes its log (MODEL.csv), a chart of the loss curves (MODEL.svg), some held-out pictures
/// before and after the network (MODEL.png) and a checkpoint (MODEL.checkpoint).
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    tile: TileArgs,
    #[command(flatten)]
    photo: PhotoArgs,
}

/// Options of all families.
#[derive(clap::Args)]
pub struct Shared {
    /// Family of the model: tile (the paper's autoencoder, for thumbnails) or photo (a pyramid of latents, for photographs)
    #[arg(long, value_enum, default_value_t = Family::Tile)]
    family: Family,
    /// Training data: a folder of pictures, or stl10:DIR; with the suffix @N, each picture is used N times as often
    #[arg(long, required = true, num_args = 1.., value_name = "SPEC")]
    data: Vec<Spec>,
    /// Model file to write
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// Training time in minutes instead of a number of epochs or steps, including the time before --resume
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Change the recipe. Family tile: distortion=mse|psnr, border=X, quantize=BOOL, muon=BOOL, average=X, thumbnails=X, colour=X,
    /// flip=BOOL, crop=BOOL, clip=X, warm_up=N, rate=X, linear_rate=X, schedule=constant|cosine|trapezoid, whole_sets=BOOL. Family
    /// photo: batch=N, rate=X, updates=N, preparation=N, jitter=X, pool=N, edge=N, thumbnails=X, levels=N, directions=N,
    /// only_directions=BOOL, and sizes of level L: L.channels=N, L.features=N, L.wide=BOOL, L.wide_chroma=BOOL, L.hidden=N,
    /// L.neighbours=N, L.before=N, L.coarser=N, L.guides=N
    #[arg(long, value_name = "FIELD=VALUE", num_args = 1..)]
    set: Vec<String>,
    /// Initial weights: a built-in model (tile, photo), a model file, or for the family tile klt (Karhunen-Loève transform), paper or
    /// xavier (random; the paper's transposed convolutions start at the default of PyTorch), or the checkpoint of another run [default:
    /// the recipe's]
    #[arg(long, value_name = "klt|paper|xavier|tile|photo|FILE")]
    init: Option<PathBuf>,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Continue an earlier run with the same options from its checkpoint
    #[arg(long)]
    resume: bool,
    /// Maximum number of tiles, or of steps of the family photo, between two rows of the log
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    log_every: u64,
    /// Time between two checkpoints in minutes
    #[arg(long, value_name = "M", default_value_t = 5.0)]
    checkpoint_every: f64,
}

/// A value of `--family`.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Family {
    Tile,
    Photo,
}

impl Args {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { shared, tile, photo } = self;
        let foreign = match shared.family {
            Family::Tile => photo.given().map(|option| (option, "photo")),
            Family::Photo => tile.given().map(|option| (option, "tile")),
        };
        if let Some((option, family)) = foreign {
            return Err(Failure::Usage(format!("{option} is for --family {family} only")));
        }
        if !shared.resume && !common.force {
            shared.check_files()?;
        }
        shared.check_inputs(photo.base())?;
        match shared.family {
            Family::Tile => tile.run(&shared, common),
            Family::Photo => photo.run(&shared, common),
        }
    }
}

impl Shared {
    /// The files that the run writes.
    fn files(&self) -> [PathBuf; 5] {
        Files::of_run(&self.out)
    }

    /// Checks that none of the files of the run exists.
    fn check_files(&self) -> Result<(), Error> {
        match self.files().iter().find(|file| file.exists()) {
            Some(file) => Err(Error::Misuse(format!(
                "{} exists; --resume continues an earlier run, --force starts again and overwrites it",
                file.display()
            ))),
            None => Ok(()),
        }
    }

    /// Checks that none of the files of the run is read as training data, as initial weights, or as the model that the network is
    /// added to.
    fn check_inputs(&self, base: Option<&Path>) -> Result<(), Failure> {
        let files = self.files();
        if !files.iter().any(|file| file.exists()) {
            return Ok(());
        }
        let mut read: Vec<PathBuf> = Vec::new();
        for spec in &self.data {
            match &spec.source {
                Source::Stl10(folder) => read.extend(stl10::FILES.map(|name| folder.join(name))),
                Source::Folder(folder) => read.extend(aez_image::pictures_under(folder)?),
            }
        }
        let names_file = |name: &&PathBuf| !is_builtin(name) && !tile::is_method(name);
        read.extend(self.init.iter().filter(names_file).filter(|_| !self.resume).cloned());
        read.extend(base.filter(|path| !is_builtin(path)).map(Path::to_owned));
        check_overwritten(read.iter().map(PathBuf::as_path), files.iter().map(PathBuf::as_path))
    }
}

fn minutes(minutes: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(minutes * 60.0)
        .map_err(|_| Failure::Usage(format!("{minutes} is not a valid number of minutes")))
}
