//! Input and output files: from paths on the command line to pairs of input and output, and what is read and written.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use aez_core::{Error, LimitKind, Limits, Picture};
use aez_image::PictureFormat;
use clap::Args;

use super::{
    common::Common,
    failure::Failure,
    output::write_stdout,
    progress,
    standard::{is_standard, name_of_input},
};

/// The files that a subcommand reads and writes.
#[derive(Args)]
pub struct Paths {
    /// Input file and optional output file, or several input files with -o; `-` is standard input or output
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder for the output files; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

/// An input file and the output file that is made from it. `-` is the standard input or output.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    pub input: PathBuf,
    pub output: PathBuf,
}

impl Paths {
    /// Pairs inputs with outputs. The default output is the input's path with `extension` as its extension.
    pub fn jobs(&self, extension: &str) -> Result<Vec<Job>, Failure> {
        match (&self.out_dir, self.paths.as_slice()) {
            (Some(folder), inputs) => jobs_into(folder, inputs, extension),
            (None, [input]) => {
                let output = if is_standard(input) { input.clone() } else { input.with_extension(extension) };
                Ok(vec![Job { input: input.clone(), output }])
            }
            (None, [input, output]) => Ok(vec![Job { input: input.clone(), output: output.clone() }]),
            (None, _) => {
                Err(Failure::Usage("several input files need an output folder: name one with -o".into()))
            }
        }
    }
}

fn jobs_into(folder: &Path, inputs: &[PathBuf], extension: &str) -> Result<Vec<Job>, Failure> {
    let mut outputs = HashSet::new();
    let job = |input: &PathBuf| {
        let name = input.file_name().filter(|_| !is_standard(input)).ok_or_else(|| {
            Failure::Usage(format!("{} has no name for an output file in a folder", input.display()))
        })?;
        let output = folder.join(name).with_extension(extension);
        if !outputs.insert(output.clone()) {
            return Err(Failure::Usage(format!("two of the files would be written to {}", output.display())));
        }
        Ok(Job { input: input.clone(), output })
    };
    let jobs = inputs.iter().map(job).collect::<Result<_, _>>()?;
    fs::create_dir_all(folder).map_err(|e| Error::io("cannot create the folder", folder, e))?;
    Ok(jobs)
}

/// Runs each job: writes the result of `work` to the job's output. An error in one job is printed, and the other jobs
/// are still run.
pub fn run_all(
    jobs: &[Job],
    common: &Common,
    work: impl Fn(&Job) -> aez_core::Result<Vec<u8>>,
) -> Result<(), Failure> {
    let bar = progress::files(jobs.len(), common.quiet);
    let mut failed = 0;
    for job in jobs {
        bar.set_message(job.input.display().to_string());
        let done = check_output(&job.output, common.force).and_then(|()| {
            let bytes = work(job).map_err(|error| Failure::in_file(&job.input, error))?;
            write_output(&job.output, &bytes)
        });
        match done {
            Ok(()) => {}
            Err(failure @ (Failure::Failed(_) | Failure::InFile(..))) => {
                failed += 1;
                bar.suspend(|| failure.print());
            }
            Err(failure) => return Err(failure),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed == 0 { Ok(()) } else { Err(Failure::Files { failed, total: jobs.len() }) }
}

/// Checks an output before any work is done for it: it must not be a folder, a terminal, or a file that exists, unless
/// `force` is set.
pub fn check_output(output: &Path, force: bool) -> Result<(), Failure> {
    if !is_standard(output) {
        return check_new(output, force);
    }
    if io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "the output is binary and not for a terminal: name a file or use a pipe".into(),
        ));
    }
    Ok(())
}

/// Checks that a file does not exist, unless `force` is set.
pub fn check_new(file: &Path, force: bool) -> Result<(), Failure> {
    if file.is_dir() {
        return Err(Failure::Usage(format!("{0} is a folder: to write into it, use -o {0}", file.display())));
    }
    if file.is_file() && !force {
        return Err(Error::Misuse(format!("{} exists; --force overwrites it", file.display())).into());
    }
    Ok(())
}

/// Reads a file or the standard input.
///
/// # Errors
/// [`Error::Limit`] when it is longer than `max` bytes.
pub fn read_input(input: &Path, max: u64) -> aez_core::Result<Vec<u8>> {
    let failed = |e| Error::io("cannot read", name_of_input(input), e);
    let source: Box<dyn Read> = if is_standard(input) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(input).map_err(failed)?)
    };
    let bytes = aez_image::read_bounded(source, max).map_err(failed)?;
    bytes.ok_or(Error::Limit { limit: LimitKind::FileSize, found: max.saturating_add(1), allowed: max })
}

/// Reads a picture from a file or from the standard input.
pub fn read_picture(input: &Path, limits: &Limits) -> aez_core::Result<Picture> {
    if is_standard(input) {
        aez_image::decode(&read_input(input, limits.max_memory)?, limits)
    } else {
        aez_image::read(input, limits)
    }
}

/// The picture format for an output: that of its extension, and PNG for the standard output.
pub fn format_of(output: &Path) -> aez_core::Result<PictureFormat> {
    if is_standard(output) { Ok(PictureFormat::Png) } else { PictureFormat::from_path(output) }
}

/// Writes a file completely or not at all, or to the standard output.
pub fn write_output(output: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_standard(output) { write_stdout(bytes) } else { Ok(aez_image::write_atomically(output, bytes)?) }
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
    fn outputs_are_named_after_inputs() {
        let one = |paths: &[&str]| jobs(paths, None).unwrap().remove(0).1;
        assert_eq!(one(&["a/b.png"]), "a/b.aez");
        assert_eq!(one(&["a/b"]), "a/b.aez");
        assert_eq!(one(&["-"]), "-");
        assert_eq!(one(&["-", "x.aez"]), "x.aez");
        assert_eq!(one(&["a.png", "-"]), "-");
        assert!(matches!(jobs(&["a.png", "b.png", "c.png"], None), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_output_folder_is_created() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("x/y");
        let found = jobs(&["a/b.png", "c.jpg"], Some(&folder)).unwrap();
        assert!(folder.is_dir());
        let outputs: Vec<_> = found.iter().map(|(_, output)| PathBuf::from(output)).collect();
        assert_eq!(outputs, [folder.join("b.aez"), folder.join("c.aez")]);
    }

    #[test]
    fn outputs_in_a_folder_need_different_names() {
        let folder = tempfile::tempdir().unwrap();
        for inputs in [["a/b.png", "b.jpg"], ["-", "b.jpg"], ["..", "b.jpg"]] {
            assert!(matches!(jobs(&inputs, Some(folder.path())), Err(Failure::Usage(_))), "{inputs:?}");
        }
    }
}
