//! `aez eval`

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use aez::{
    Error, Limits, Quality,
    eval::{
        CODEC, Measured, Results, Sweep, Swept,
        anchors::{self, Anchor},
        gallery::Exhibit,
        page::Page,
        peers::{InstalledPeer, PEERS, Peer},
        plot::{self, Metric},
    },
    picture::{self, Picture},
};
use clap::builder::PossibleValuesParser;

use super::{
    common::{Common, EffortArgs, LimitArgs},
    failure::{Failure, chain, complain},
    files::{complaint, progress_bar, write_stdout},
};

/// Measure size and quality over pictures, and compare with other codecs
#[derive(clap::Args)]
pub struct Args {
    /// Pictures, and folders of pictures
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder for results.json, drawings and a page (index.html), made if need be
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Codecs to measure; all but aez are programs that must be installed
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = CODEC)]
    #[arg(value_parser = PossibleValuesParser::new([CODEC].into_iter().chain(PEERS.iter().map(|peer| peer.name))))]
    codecs: Vec<String>,
    /// Measure the centre square of each picture, scaled to N x N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16384))]
    square: Option<u32>,
    /// Qualities of aez to measure; other codecs are measured over their whole range
    #[arg(
        short = 'Q',
        long,
        value_name = "Q,Q,...",
        value_delimiter = ',',
        default_value = "15,30,45,60,75,90"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Vec<u8>,
    #[command(flatten)]
    effort: EffortArgs,
    /// Folder with published curves to draw beside, as kodak_rd.json: {codec: {"bpp": [...], "psnr": [...]}}
    #[arg(long, value_name = "DIR", requires = "out")]
    anchors: Option<PathBuf>,
    /// Published curves to draw [default: some well-known ones]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', requires = "anchors")]
    anchor_names: Option<Vec<String>>,
    /// Most pictures that the page shows
    #[arg(long, value_name = "N", default_value_t = 12)]
    page_pictures: usize,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Who takes part.
struct Contest<'m> {
    aez: Option<Sweep<'m>>,
    peers: Vec<InstalledPeer>,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        let anchors = match &self.anchors {
            Some(folder) => anchors::read(folder, self.anchor_names.as_deref())?,
            None => Vec::new(),
        };
        let paths = self.pictures()?;
        let peers = self.peers()?;
        let model = if self.named(CODEC) { Some(common.load_model()?) } else { None };
        let refiner = model.map(|model| self.effort.refiner(model)).transpose()?.flatten();
        let qualities = self.quality.iter().map(|&q| Quality::new(q)).collect::<Result<_, _>>()?;
        let aez = model.map(|model| Sweep { model, qualities, refiner: refiner.as_ref() });
        let contest = Contest { aez, peers };
        let limits = self.limits.limits();
        let bar = progress_bar(paths.len(), common.quiet);
        let (mut measured, mut exhibits) = (Vec::new(), Vec::new());
        let shown = if self.out.is_some() { self.page_pictures } else { 0 };
        for path in &paths {
            bar.set_message(path.display().to_string());
            let done = self.read(path, &limits).and_then(|picture| {
                let swept = contest.aez.as_ref().map(|sweep| sweep.code(&picture)).transpose()?;
                measured.push(contest.measure(path, &picture, swept.as_ref())?);
                if exhibits.len() < shown {
                    exhibits.push(contest.exhibit(path, &picture, swept.as_ref())?);
                }
                Ok(())
            });
            if let Err(error) = done {
                bar.suspend(|| complain(&complaint(path, &error)));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let (failed, total) = (paths.len() - measured.len(), paths.len());
        let mut results = Results::new(measured);
        results.programs =
            contest.peers.iter().map(|peer| (peer.peer().name.into(), peer.programs())).collect();
        if let Some(folder) = &self.out {
            self.publish(folder, &results, &anchors, &exhibits, common.model.as_deref())?;
        }
        let shown = if self.json { json(&results)? } else { results.table() };
        write_stdout(shown.as_bytes())?;
        if failed == 0 { Ok(()) } else { Err(Failure::Files { failed, total }) }
    }

    /// The files that were named, and those in the folders that were named.
    fn pictures(&self) -> aez::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                found.extend(picture::pictures_under(path)?);
            } else {
                found.push(path.clone());
            }
        }
        Ok(found)
    }

    fn named(&self, codec: &str) -> bool {
        self.codecs.iter().any(|name| name == codec)
    }

    /// The other codecs that were named, less those whose programs are missing, which is told.
    fn peers(&self) -> Result<Vec<InstalledPeer>, Failure> {
        let find = |peer: &'static Peer| peer.find().map_err(|error| complain(&chain(&error))).ok();
        let peers: Vec<_> = PEERS.iter().filter(|peer| self.named(peer.name)).filter_map(find).collect();
        if peers.is_empty() && !self.named(CODEC) {
            return Err(Error::Misuse("none of the codecs can be measured".into()).into());
        }
        Ok(peers)
    }

    /// The pixels that all codecs get: what else a file holds is not what they are compared in.
    fn read(&self, path: &Path, limits: &Limits) -> aez::Result<Picture> {
        let mut picture = picture::read(path, limits)?;
        if let Some(edge) = self.square {
            picture = picture::centre_square(&picture, edge);
        }
        Ok(Picture { alpha: None, icc: None, exif: None, ..picture })
    }

    fn publish(
        &self,
        folder: &Path,
        results: &Results,
        anchors: &[Anchor],
        exhibits: &[Exhibit],
        model: Option<&Path>,
    ) -> Result<(), Failure> {
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
        let write = |name: &str, text: &str| picture::write_atomically(&folder.join(name), text.as_bytes());
        write("results.json", &json(results)?)?;
        let draw = |metric| plot::draw(results, anchors, metric).map(|svg| (metric, svg));
        let plots = [draw(Metric::Psnr)?, draw(Metric::MsSsim)?];
        write("psnr.svg", &plots[0].1)?;
        write("ms-ssim.svg", &plots[1].1)?;
        let training = model.and_then(training_curves);
        let square = self.square;
        let page = Page { results, plots: &plots, anchors, exhibits, training: training.as_deref(), square };
        Ok(write("index.html", &page.html())?)
    }
}

impl Contest<'_> {
    /// A picture that one codec cannot take counts for none: means are over the same pictures.
    fn measure(&self, path: &Path, picture: &Picture, swept: Option<&Swept>) -> aez::Result<Measured> {
        let path = path.display().to_string();
        let mut measured = match swept {
            Some(swept) => swept.measured(&path, picture)?,
            None => Measured::default(),
        };
        for peer in &self.peers {
            measured.rows.extend(peer.measure(&path, picture)?);
        }
        Ok(measured)
    }

    fn exhibit(&self, path: &Path, picture: &Picture, swept: Option<&Swept>) -> aez::Result<Exhibit> {
        let name = path.file_name().unwrap_or(OsStr::new("picture")).to_string_lossy();
        let ours = swept.map_or(&[][..], |swept| &swept.coded);
        Exhibit::new(&name, picture, ours, &self.peers)
    }
}

fn json(results: &Results) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(results);
    let json = json.map_err(|e| Error::Misuse(format!("cannot write the results as JSON: {}", chain(&e))))?;
    Ok(json + "\n")
}

/// What training left beside the model, if anything.
fn training_curves(model: &Path) -> Option<String> {
    let mut beside = model.as_os_str().to_owned();
    beside.push(".svg");
    fs::read_to_string(beside).ok()
}
