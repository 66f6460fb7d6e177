//! `aez eval`

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use aez_core::{Error, Limits, Picture, Quality, picture::resample::centre_square};
use aez_eval::{
    CODEC, PictureResults, Results, Sweep, SweepResult,
    anchors::{self, Anchor},
    external::{EXTERNAL_CODECS, ExternalCodec, InstalledCodec},
    gallery::Sample,
    page::Page,
    plot::{self, Metric},
};
use clap::builder::PossibleValuesParser;

use super::{
    common::{Common, EffortArgs, LimitArgs, TuneArgs},
    failure::{Failure, without_hint},
    files::check_new,
    jobs::{check_overwritten, pictures_of},
    output::{print_json, to_json, write_stdout},
    progress,
};

/// Measure file size and quality over pictures, and compare with other codecs
#[derive(clap::Args)]
pub struct Args {
    /// Pictures and folders of pictures
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder for results.json, charts and a web page (index.html); created if it does not exist. Existing files are kept without
    /// --force
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Codecs to measure; all except aez need their programs to be installed
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = CODEC)]
    #[arg(value_parser = PossibleValuesParser::new([CODEC].into_iter().chain(EXTERNAL_CODECS.iter().map(|codec| codec.name))))]
    codecs: Vec<String>,
    /// Measure the centre square of each picture, scaled to N x N pixels; N is 1 to 16384
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16384))]
    square: Option<u32>,
    /// Qualities of aez to measure, each 1 to 100; other codecs are measured over their whole range
    #[arg(
        short,
        short_alias = 'Q',
        long,
        value_name = "Q,Q,...",
        value_delimiter = ',',
        default_value = "15,30,45,60,75,90"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Vec<u8>,
    #[command(flatten)]
    effort: EffortArgs,
    #[command(flatten)]
    tune: TuneArgs,
    /// Folder with published curves for the charts, in the file kodak_rd.json: {codec: {"bpp": [...], "psnr": [...]}}
    #[arg(long, value_name = "DIR", requires = "out")]
    anchors: Option<PathBuf>,
    /// Names of the published curves to plot [default: a selection]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "anchors")]
    anchor_names: Option<Vec<String>>,
    /// Maximum number of pictures on the web page
    #[arg(long, value_name = "N", default_value_t = 12)]
    page_pictures: usize,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// The files of the web page.
const PAGE_FILES: [&str; 5] = ["index.html", "results.json", "psnr.svg", "ms-ssim.svg", "ssimulacra2.svg"];

/// The codecs to measure.
struct Codecs<'m> {
    aez: Option<Sweep<'m>>,
    others: Vec<InstalledCodec>,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        let anchors = match &self.anchors {
            Some(folder) => anchors::read(folder, self.anchor_names.as_deref()).map_err(without_hint)?,
            None => Vec::new(),
        };
        let paths = pictures_of(&self.paths)?;
        self.check_page(&paths, common)?;
        let codecs = self.codecs(common)?;
        let limits = self.limits.limits();
        let bar = progress::files(paths.len(), common.quiet);
        let (mut measured, mut samples) = (Vec::new(), Vec::new());
        let max_samples = if self.out.is_some() { self.page_pictures } else { 0 };
        for path in &paths {
            progress::set_file(&bar, path);
            let done = self.read(path, &limits).and_then(|picture| {
                let swept = codecs.aez.as_ref().map(|sweep| sweep.run(&picture)).transpose()?;
                measured.push(codecs.measure(path, &picture, swept.as_ref())?);
                if samples.len() < max_samples {
                    samples.push(codecs.sample(path, &picture, swept.as_ref())?);
                }
                Ok(())
            });
            if let Err(error) = done {
                Failure::in_file(path, error).print();
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let (failed, total) = (paths.len() - measured.len(), paths.len());
        let mut results = Results::new(measured);
        results.programs =
            codecs.others.iter().map(|other| (other.codec().name.into(), other.programs())).collect();
        if let Some(folder) = &self.out {
            self.write_page(folder, &results, &anchors, &samples, common.model_file())?;
        }
        if self.json {
            print_json(&results)?;
        } else {
            write_stdout(results.table().as_bytes())?;
        }
        if failed == 0 { Ok(()) } else { Err(Failure::Files { failed, total }) }
    }

    /// Checks that no file of the web page is a picture to measure or the model, and that none exists without `--force`.
    fn check_page(&self, pictures: &[PathBuf], common: &Common) -> Result<(), Failure> {
        let Some(folder) = &self.out else { return Ok(()) };
        let written = PAGE_FILES.map(|name| folder.join(name));
        let read = pictures.iter().map(PathBuf::as_path).chain(common.model_file());
        check_overwritten(read, written.iter().map(PathBuf::as_path))?;
        written.iter().try_for_each(|file| check_new(file, common.force))
    }

    /// The codecs of `--codecs`, without those whose programs are not installed, which are reported.
    fn codecs(&self, common: &Common) -> Result<Codecs<'static>, Failure> {
        let is_named = |codec: &str| self.codecs.iter().any(|name| name == codec);
        let find =
            |codec: &'static ExternalCodec| codec.find().map_err(|error| Failure::from(error).print()).ok();
        let others: Vec<_> =
            EXTERNAL_CODECS.iter().filter(|codec| is_named(codec.name)).filter_map(find).collect();
        if !is_named(CODEC) {
            if others.is_empty() {
                return Err(Error::Misuse("none of the codecs can be measured".into()).into());
            }
            return Ok(Codecs { aez: None, others });
        }
        let model = common.load_model()?;
        let qualities = self.quality.iter().map(|&q| Quality::new(q)).collect::<Result<_, _>>()?;
        let tune = self.tune.tune(&[model])?;
        Ok(Codecs { aez: Some(Sweep { model, qualities, effort: self.effort.effort, tune }), others })
    }

    /// A picture without metadata. Its alpha only decides which pixels count: all codecs encode the same opaque colours.
    fn read(&self, path: &Path, limits: &Limits) -> aez_core::Result<Picture> {
        let mut picture = aez_image::read(path, limits)?;
        if let Some(edge) = self.square {
            picture = centre_square(&picture, edge);
        }
        Ok(picture.with_icc(None).with_exif(None).with_xmp(None))
    }

    fn write_page(
        &self,
        folder: &Path,
        results: &Results,
        anchors: &[Anchor],
        samples: &[Sample],
        model: Option<&Path>,
    ) -> Result<(), Failure> {
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot create the folder", folder, e))?;
        let write = |name: &str, text: &str| aez_image::write_atomically(&folder.join(name), text.as_bytes());
        let [page_name, results_name, plot_names @ ..] = PAGE_FILES;
        write(results_name, &to_json(results)?)?;
        let draw = |metric| plot::draw(results, anchors, metric).map(|svg| (metric, svg));
        let plots = [draw(Metric::Psnr)?, draw(Metric::MsSsim)?, draw(Metric::Ssimulacra2)?];
        for (name, (_, svg)) in plot_names.iter().zip(&plots) {
            write(name, svg)?;
        }
        let training = model.and_then(training_curves);
        let mut page = Page::new(results);
        (page.plots, page.anchors, page.samples) = (&plots, anchors, samples);
        (page.training, page.square) = (training.as_deref(), self.square);
        Ok(write(page_name, &page.html())?)
    }
}

impl Codecs<'_> {
    /// The results of all codecs for a picture. If one codec fails, the picture counts for none of them, so that all means are over
    /// the same pictures.
    fn measure(
        &self,
        path: &Path,
        picture: &Picture,
        swept: Option<&SweepResult>,
    ) -> aez_core::Result<PictureResults> {
        let path = path.display().to_string();
        let mut measured = match swept {
            Some(swept) => swept.measure(&path, picture)?,
            None => PictureResults::default(),
        };
        for codec in &self.others {
            measured.rows.extend(codec.measure(&path, picture)?);
        }
        Ok(measured)
    }

    /// The picture as it is shown on the web page.
    fn sample(
        &self,
        path: &Path,
        picture: &Picture,
        swept: Option<&SweepResult>,
    ) -> aez_core::Result<Sample> {
        let name = path.file_name().unwrap_or(OsStr::new("picture")).to_string_lossy();
        let own = swept.map_or(&[][..], |swept| &swept.round_trips);
        Sample::new(&name, picture, own, &self.others)
    }
}

/// The loss curves that `aez train` wrote beside the model, if there are any.
fn training_curves(model: &Path) -> Option<String> {
    let mut path = model.as_os_str().to_owned();
    path.push(".svg");
    fs::read_to_string(path).ok()
}
