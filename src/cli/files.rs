//! From file names on the command line to jobs, and the running of jobs: what is read, what is written, and
//! what must not be overwritten.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use aez::{
    Error, Limits,
    picture::{self, Picture, PictureFormat},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    common::Common,
    failure::{Failure, chain, complain},
};

/// The files that a subcommand reads and writes.
#[derive(Args)]
pub struct Paths {
    /// Files to read; without -o, the second of two is written. `-` is standard input or output
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder to write to, made if need be
    #[arg(short, long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

/// One file to make from another. `-` is the standard input or output.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    pub input: PathBuf,
    pub output: PathBuf,
}

impl Paths {
    /// Pairs inputs with outputs. An output that is not named is its input with another `extension`.
    pub fn jobs(&self, extension: &str) -> Result<Vec<Job>, Failure> {
        match (&self.out_dir, self.paths.as_slice()) {
            (Some(folder), inputs) => jobs_into(folder, inputs, extension),
            (None, [input]) => {
                let output = if is_standard(input) { input.clone() } else { input.with_extension(extension) };
                Ok(vec![Job { input: input.clone(), output }])
            }
            (None, [input, output]) => Ok(vec![Job { input: input.clone(), output: output.clone() }]),
            (None, _) => {
                Err(Failure::Usage("more than one file to read: name a folder to write to with -o".into()))
            }
        }
    }
}

fn jobs_into(folder: &Path, inputs: &[PathBuf], extension: &str) -> Result<Vec<Job>, Failure> {
    let mut taken = HashSet::new();
    let job = |input: &PathBuf| {
        let name = input.file_name().filter(|_| !is_standard(input)).ok_or_else(|| {
            Failure::Usage(format!("{} has no name to give to a file in a folder", input.display()))
        })?;
        let output = folder.join(name).with_extension(extension);
        if !taken.insert(output.clone()) {
            return Err(Failure::Usage(format!("two of the files would become {}", output.display())));
        }
        Ok(Job { input: input.clone(), output })
    };
    let jobs = inputs.iter().map(job).collect::<Result<_, _>>()?;
    fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
    Ok(jobs)
}

/// Does each job: what `work` makes of its input is written to its output. A job that fails is reported and does not
/// keep the others from being done.
pub fn run_all(
    jobs: &[Job],
    common: &Common,
    work: impl Fn(&Job) -> aez::Result<Vec<u8>>,
) -> Result<(), Failure> {
    let bar = progress_bar(jobs.len(), common.quiet);
    let mut failed = 0;
    for job in jobs {
        bar.set_message(job.input.display().to_string());
        let done =
            check_output(&job.output, common.force).and_then(|()| write_output(&job.output, &work(job)?));
        match done {
            Ok(()) => {}
            Err(Failure::Failed(error)) => {
                failed += 1;
                bar.suspend(|| complain(&complaint(&job.input, &error)));
            }
            Err(failure) => return Err(failure),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed == 0 { Ok(()) } else { Err(Failure::Files { failed, total: jobs.len() }) }
}

/// A bar on the standard error; nothing where that is no terminal, or where one file is all.
pub fn progress_bar(files: usize, quiet: bool) -> ProgressBar {
    if quiet || files < 2 {
        return ProgressBar::hidden();
    }
    styled(files as u64, "{bar:24} {pos}/{len} {wide_msg} {eta}")
}

/// A bar that is drawn by the template, which is one of the program's own.
pub fn styled(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The error and its causes, and the file where they do not name it.
pub fn complaint(input: &Path, error: &Error) -> String {
    let (file, text) = (name_of(input, "standard input").display().to_string(), chain(error));
    match error {
        Error::Io { .. } => text,
        _ if text.contains(&file) => text,
        _ => format!("{file}: {text}"),
    }
}

/// Refuses an output that would destroy something, before any work is spent on it.
fn check_output(output: &Path, force: bool) -> Result<(), Failure> {
    if is_standard(output) {
        if io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "a terminal cannot show binary data: name a file, or open a pipe".into(),
            ));
        }
    } else if output.is_dir() {
        return Err(Failure::Usage(format!("{0} is a folder: write into it with -o {0}", output.display())));
    } else if output.is_file() && !force {
        let refusal = format!("{} exists: --force overwrites it", output.display());
        return Err(Error::Misuse(refusal).into());
    }
    Ok(())
}

/// The whole of a file or of the standard input, which must not exceed `max` bytes.
pub fn read_input(input: &Path, max: u64) -> aez::Result<Vec<u8>> {
    let unreadable = |e| Error::io("cannot read", name_of(input, "standard input"), e);
    let source: Box<dyn Read> = if is_standard(input) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(input).map_err(unreadable)?)
    };
    let mut bytes = Vec::new();
    source.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max {
        return Err(Error::Limit { what: "file size", found: bytes.len() as u64, allowed: max });
    }
    Ok(bytes)
}

/// A picture from a file or from the standard input.
pub fn read_picture(input: &Path, limits: &Limits) -> aez::Result<Picture> {
    if is_standard(input) {
        picture::decode(&read_input(input, limits.max_memory)?, limits)
    } else {
        picture::read(input, limits)
    }
}

/// The format of a picture that is to be written: that of the output's name, and PNG on the standard output.
pub fn format_of(output: &Path) -> aez::Result<PictureFormat> {
    if is_standard(output) { Ok(PictureFormat::Png) } else { PictureFormat::from_path(output) }
}

fn write_output(output: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_standard(output) { write_stdout(bytes) } else { Ok(aez::picture::write_atomically(output, bytes)?) }
}

/// Everything that goes to the standard output goes through here, so that a closed pipe ends the program quietly.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::from_stdout)
}

/// Whether the name stands for the standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name_of<'a>(path: &'a Path, standard: &'a str) -> &'a Path {
    if is_standard(path) { Path::new(standard) } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(paths: &[&str], out_dir: Option<&Path>) -> Result<Vec<(String, String)>, Failure> {
        let paths = paths.iter().map(PathBuf::from).collect();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let jobs = Paths { paths, out_dir: out_dir.map(Path::to_owned) }.jobs("aez")?;
        Ok(jobs.into_iter().map(|job| (text(job.input), text(job.output))).collect())
    }

    #[test]
    fn names_become_jobs() {
        let one = |paths: &[&str]| jobs(paths, None).unwrap().remove(0).1;
        assert_eq!(one(&["a/b.png"]), "a/b.aez");
        assert_eq!(one(&["a/b"]), "a/b.aez");
        assert_eq!(one(&["-"]), "-");
        assert_eq!(one(&["-", "x.aez"]), "x.aez");
        assert_eq!(one(&["a.png", "-"]), "-");
        assert!(matches!(jobs(&["a.png", "b.png", "c.png"], None), Err(Failure::Usage(_))));
    }

    #[test]
    fn many_files_go_into_a_folder_that_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("x/y");
        let found = jobs(&["a/b.png", "c.jpg"], Some(&folder)).unwrap();
        assert!(folder.is_dir());
        let outputs: Vec<_> = found.iter().map(|(_, output)| PathBuf::from(output)).collect();
        assert_eq!(outputs, [folder.join("b.aez"), folder.join("c.aez")]);
        for clash in [["a/b.png", "b.jpg"], ["-", "b.jpg"], ["..", "b.jpg"]] {
            assert!(matches!(jobs(&clash, Some(&folder)), Err(Failure::Usage(_))), "{clash:?}");
        }
    }
}
