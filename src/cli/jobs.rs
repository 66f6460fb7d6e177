//! From paths on the command line to pairs of input and output.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use aez_core::Error;
use aez_image::{
    FileId, PictureFormat, Target, ends_like_folder, files_under, has_picture_name, pictures_under,
};
use clap::Args;

use super::{
    common::Common,
    failure::Failure,
    standard::{STANDARD_INPUT, is_standard_input, is_standard_output},
};

/// The files that a subcommand reads and writes.
#[derive(Args, Default)]
pub struct Paths {
    /// Input file or folder and optional output file, or several inputs with -o; `-` is standard input or output
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Output file, where there is one input and the name has the extension of a picture or .aez; otherwise a folder for the output
    /// files, created if it does not exist, in which the files of an input folder keep their subfolders
    #[arg(short, long, value_name = "PATH", alias = "out-dir", alias = "out")]
    pub output: Option<PathBuf>,
    /// Skip inputs whose output file exists
    #[arg(long)]
    pub skip_existing: bool,
    /// Give each output file the modification time of its input
    #[arg(long)]
    pub preserve: bool,
}

/// An input file and the output file that is made from it. `-` is the standard input or output.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    pub input: PathBuf,
    pub output: PathBuf,
    /// Whether the folder of the output is created if it does not exist.
    pub creates_folder: bool,
}

/// What a subcommand reads and writes.
pub struct Kind<'a> {
    /// Whether a file in an input folder is an input.
    pub is_input: fn(&Path) -> bool,
    /// The inputs in words.
    pub inputs: &'static str,
    /// The extension of outputs without a given name.
    pub extension: &'a str,
}

impl Paths {
    /// Pairs inputs with outputs, and checks that no output destroys an input or another output. Nothing is written.
    pub fn jobs(&self, kind: &Kind<'_>, common: &Common) -> Result<Vec<Job>, Failure> {
        if self.skip_existing && common.force {
            return Err(Failure::Usage("--skip-existing and --force exclude each other".into()));
        }
        let jobs = match (&self.output, self.paths.as_slice()) {
            (Some(output), [input]) if !input.is_dir() && names_file(output) => vec![job(input, output)],
            (Some(folder), inputs) => jobs_into(folder, inputs, kind)?,
            (None, [input]) if input.is_dir() => jobs_beside(input, kind)?,
            (None, [input]) => vec![job(input, &default_output(input, kind.extension)?)],
            (None, [input, output]) if !input.is_dir() => vec![job(input, output)],
            (None, _) => {
                return Err(Failure::Usage("several inputs need an output folder: name one with -o".into()));
            }
        };
        check_outputs(&jobs)?;
        check_inputs(&jobs, common)?;
        Ok(jobs)
    }
}

/// Whether the value of -o is a file and not a folder.
fn names_file(output: &Path) -> bool {
    if is_standard_output(output) {
        return true;
    }
    let is_format = output.extension().is_some() && PictureFormat::from_path(output).is_ok();
    let is_named = is_format || has_picture_name(output) || is_aez(output);
    match Target::of(output) {
        Ok(Target::Folder) => false,
        Ok(Target::File(_) | Target::Stream) => true,
        Ok(Target::New(_)) => is_named,
        // Its folder does not exist.
        Err(_) => is_named && !ends_like_folder(output),
    }
}

/// Whether a file has the extension of an AEZ file.
pub fn is_aez(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("aez"))
}

fn job(input: &Path, output: &Path) -> Job {
    Job { input: input.to_owned(), output: output.to_owned(), creates_folder: false }
}

fn default_output(input: &Path, extension: &str) -> Result<PathBuf, Failure> {
    if is_standard_input(input) {
        return Ok("-".into());
    }
    // A device or a pipe, such as that of <(command) in a shell: no file is wanted beside it.
    if fs::metadata(input).is_ok_and(|found| !found.is_file()) {
        return Err(Failure::Usage(format!(
            "{} is not a file: name an output file, or - for standard output",
            input.display()
        )));
    }
    Ok(input.with_extension(extension))
}

/// Jobs for the files of a folder, with outputs beside them.
fn jobs_beside(folder: &Path, kind: &Kind<'_>) -> Result<Vec<Job>, Failure> {
    let inputs = list(folder, None, kind)?;
    Ok(inputs.iter().map(|input| job(input, &input.with_extension(kind.extension))).collect())
}

/// Jobs with outputs in a folder. Of several inputs, a folder keeps its own name, so that files of two folders do not collide.
fn jobs_into(output: &Path, inputs: &[PathBuf], kind: &Kind<'_>) -> Result<Vec<Job>, Failure> {
    if is_standard_output(output) || output.exists() && !output.is_dir() {
        return Err(Failure::Usage(format!(
            "{} is not a folder, which the outputs of several files need",
            output.display()
        )));
    }
    let mut jobs = Vec::new();
    let mut add = |input: PathBuf, below: &Path| {
        let output = output.join(below).with_extension(kind.extension);
        jobs.push(Job { input, output, creates_folder: true });
    };
    for input in inputs {
        if input.is_dir() {
            let name = if inputs.len() > 1 { folder_name(input) } else { PathBuf::new() };
            for file in list(input, Some(output), kind)? {
                let below = name.join(file.strip_prefix(input).unwrap_or(&file));
                add(file, &below);
            }
        } else {
            let name = input.file_name().filter(|_| !is_standard_input(input)).ok_or_else(|| {
                Failure::Usage(format!("{} has no name for an output file in a folder", input.display()))
            })?;
            add(input.clone(), name.as_ref());
        }
    }
    Ok(jobs)
}

/// The name of a folder, also of one like `..`.
fn folder_name(folder: &Path) -> PathBuf {
    let canonical = || fs::canonicalize(folder).ok()?.file_name().map(PathBuf::from);
    folder.file_name().map(PathBuf::from).or_else(canonical).unwrap_or_default()
}

/// The inputs in a folder, without those in the output folder.
fn list(folder: &Path, output: Option<&Path>, kind: &Kind<'_>) -> Result<Vec<PathBuf>, Failure> {
    let found = files_under(folder, output, kind.is_input)?;
    if found.is_empty() {
        let (folder, inputs) = (folder.display(), kind.inputs);
        return Err(Error::Misuse(format!("the folder {folder} contains no {inputs}")).into());
    }
    Ok(found)
}

/// Checks that no file is written twice.
fn check_outputs(jobs: &[Job]) -> Result<(), Failure> {
    let (mut paths, mut files) = (HashMap::new(), HashMap::new());
    for Job { input, output, .. } in jobs {
        let same_path = paths.insert(output, input);
        let same_file = FileId::of(output).and_then(|id| files.insert(id, input));
        if let Some(other) = same_path.or(same_file) {
            return Err(Failure::Usage(format!(
                "two of the files would be written to {}: {} and {}; name an output for each of them",
                output.display(),
                other.display(),
                input.display()
            )));
        }
    }
    Ok(())
}

/// Checks that no output is an input, under whatever name, or the model.
fn check_inputs(jobs: &[Job], common: &Common) -> Result<(), Failure> {
    let inputs = jobs.iter().map(|job| job.input.as_path()).chain(common.model_file());
    let outputs = jobs.iter().map(|job| job.output.as_path());
    check_overwritten(inputs, outputs)
}

/// The files among the paths, and the pictures in the folders among them.
pub fn pictures_of(paths: &[PathBuf]) -> aez_core::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => found.extend(pictures_under(path)?),
            false => found.push(path.clone()),
        }
    }
    Ok(found)
}

/// Checks that none of the outputs is one of the inputs. Files are compared, not names: `./a`, links and hard links are found.
pub fn check_overwritten<'a>(
    inputs: impl Iterator<Item = &'a Path>,
    outputs: impl Iterator<Item = &'a Path>,
) -> Result<(), Failure> {
    let input_id = |path| FileId::of(if is_standard_input(path) { Path::new(STANDARD_INPUT) } else { path });
    let inputs: HashSet<FileId> = inputs.filter_map(input_id).collect();
    let written = |path: &&Path| !is_standard_output(path) && matches!(Target::of(path), Ok(Target::File(_)));
    match outputs.filter(written).find(|path| FileId::of(path).is_some_and(|id| inputs.contains(&id))) {
        Some(path) => Err(Failure::Usage(format!(
            "the output {} is one of the inputs and would overwrite it: name another output",
            path.display()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind<'_> = Kind { is_input: has_picture_name, inputs: "pictures", extension: "aez" };

    fn jobs(paths: &[&str], output: Option<&Path>) -> Result<Vec<(String, PathBuf)>, Failure> {
        let paths = paths.iter().map(PathBuf::from).collect();
        let paths = Paths { paths, output: output.map(Path::to_owned), ..Paths::default() };
        let jobs = paths.jobs(&KIND, &Common::default())?;
        Ok(jobs.into_iter().map(|job| (job.input.to_string_lossy().into_owned(), job.output)).collect())
    }

    #[test]
    fn outputs_are_named_after_inputs() {
        let one = |paths: &[&str]| jobs(paths, None).unwrap().remove(0).1.to_string_lossy().into_owned();
        assert_eq!(one(&["a/b.png"]), "a/b.aez");
        assert_eq!(one(&["a/b"]), "a/b.aez");
        assert_eq!(one(&["-"]), "-");
        assert_eq!(one(&["-", "x.aez"]), "x.aez");
        assert_eq!(one(&["a.png", "-"]), "-");
        assert!(matches!(jobs(&["a.png", "b.png", "c.png"], None), Err(Failure::Usage(_))));
    }

    #[test]
    fn one_input_and_a_name_with_an_extension_make_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder.aez")).unwrap();
        fs::write(at("plain"), "").unwrap();
        for (output, expected) in [
            ("x.aez", "x.aez"),
            ("x.AEZ", "x.AEZ"),
            ("x.png", "x.png"),
            ("no/x.aez", "no/x.aez"),
            ("plain", "plain"),
            ("x", "x/a.aez"),
            ("x.y", "x.y/a.aez"),
            ("x.aez/", "x.aez/a.aez"),
            ("folder.aez", "folder.aez/a.aez"),
        ] {
            assert_eq!(jobs(&["a.png"], Some(&at(output))).unwrap()[0].1, at(expected), "{output}");
        }
        assert_eq!(jobs(&["a.png"], Some(Path::new("-"))).unwrap()[0].1, Path::new("-"));
        let two = jobs(&["a.png", "b.png"], Some(&at("x.aez"))).unwrap();
        assert_eq!(two[1].1, at("x.aez/b.aez"));
        assert!(matches!(jobs(&["a.png", "b.png"], Some(&at("plain"))), Err(Failure::Usage(_))));
    }

    #[test]
    fn outputs_in_a_folder_need_different_names() {
        let folder = tempfile::tempdir().unwrap();
        for inputs in [["a/b.png", "b.jpg"], ["-", "b.jpg"]] {
            assert!(matches!(jobs(&inputs, Some(folder.path())), Err(Failure::Usage(_))), "{inputs:?}");
        }
    }
}
