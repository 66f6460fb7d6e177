//! `aez dataset`

use std::path::{Path, PathBuf};

use aez_train::{fetch, stl10};

use super::{
    common::{Common, LimitArgs},
    failure::{Failure, log, with_limit_hint},
    files::check_new,
    output::{print_json, write_stdout},
    progress,
    text::escape,
};

/// Create, download or describe training data
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    Pack(Pack),
    Fetch(Fetch),
    Info(Info),
}

/// Write the pictures of a folder as files in the binary layout of STL-10
#[derive(clap::Args)]
struct Pack {
    /// Folder of pictures, including its subfolders
    folder: PathBuf,
    /// Folder for train_X.bin, train_y.bin, test_X.bin, test_y.bin and class_names.txt; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Fraction of the pictures that are written to the test files, 0 to 1
    #[arg(long, value_name = "0..1", default_value_t = 0.1)]
    test_fraction: f64,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Download a data set
#[derive(clap::Args)]
struct Fetch {
    name: DataSet,
    /// Folder for the files of the data set; created if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Address of the archive
    #[arg(long, default_value = fetch::STL10.url)]
    url: String,
}

/// Print the classes and the numbers of pictures of files in the layout of STL-10
#[derive(clap::Args)]
struct Info {
    /// Folder with the files
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum DataSet {
    /// 13,000 labelled and 100,000 unlabelled pictures of 96 x 96 pixels, 2.6 GB
    Stl10,
}

/// The files of a data set, of which [`Fetch`] writes all and [`Pack`] some.
const FILES: [&str; 7] = [
    "train_X.bin",
    "train_y.bin",
    "test_X.bin",
    "test_y.bin",
    "class_names.txt",
    "unlabeled_X.bin",
    "fold_indices.txt",
];

impl Args {
    /// Whether the action has the options for limits.
    pub fn has_limits(&self) -> bool {
        matches!(self.action, Action::Pack(_))
    }

    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        match &self.action {
            Action::Pack(pack) => pack.run(common),
            Action::Fetch(fetch) => fetch.run(common),
            Action::Info(info) => info.run(),
        }
    }
}

impl Pack {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        if !(0.0..=1.0).contains(&self.test_fraction) {
            return Err(Failure::Usage(format!(
                "the test fraction {} is not between 0 and 1",
                self.test_fraction
            )));
        }
        check_folder(&self.out, common)?;
        let packed = stl10::pack(&self.folder, &self.out, self.test_fraction, &self.limits.limits())?;
        packed.skipped.iter().for_each(|skipped| log(&with_limit_hint(skipped)));
        match packed.skipped.len() {
            0 => Ok(()),
            failed => Err(Failure::Files { failed, total: failed + packed.train + packed.test }),
        }
    }
}

impl Fetch {
    fn run(&self, common: &Common) -> Result<(), Failure> {
        let DataSet::Stl10 = self.name;
        check_folder(&self.folder, common)?;
        let bar = progress::download(common.quiet);
        fetch::fetch_stl10(&self.url, &self.folder, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
        bar.finish_and_clear();
        Ok(())
    }
}

impl Info {
    fn run(&self) -> Result<(), Failure> {
        let info = stl10::info(&self.folder)?;
        if self.json {
            return print_json(&info);
        }
        write_stdout(text(&info).as_bytes())
    }
}

/// A table of the classes, and the sums.
fn text(info: &stl10::Info) -> String {
    let mut lines = vec![format!("{:5}  {:16}  {:>6}  {:>6}", "label", "class", "train", "test")];
    for class in &info.classes {
        let name = escape(&class.name);
        lines.push(format!("{:5}  {name:16}  {:6}  {:6}", class.label, class.train, class.test));
    }
    lines.push(format!("{:5}  {:16}  {:6}  {:6}", "", "all", info.train, info.test));
    lines.push(format!("{:5}  {:16}  {:6}", "", "unlabeled", info.unlabeled));
    lines.join("\n") + "\n"
}

/// Checks that a folder does not contain files of a data set, unless they may be overwritten.
fn check_folder(folder: &Path, common: &Common) -> Result<(), Failure> {
    FILES.iter().try_for_each(|name| check_new(&folder.join(name), common.force))
}
