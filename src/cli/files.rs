//! Reading inputs, and checking and writing outputs.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
    time::SystemTime,
};

use aez_core::{Error, LimitKind, Limits, Picture};
use aez_image::{OutputFile, PictureFormat, Target};

use super::{
    failure::{Failure, warn},
    output::write_stdout,
    standard::{is_standard_input, is_standard_output, name_of_input},
};

/// Checks an output before any work is done for it: it must not be a folder, a terminal, or a file that exists, unless
/// `force` is set.
pub fn check_output(output: &Path, force: bool) -> Result<(), Failure> {
    if !is_standard_output(output) {
        return check_new(output, force);
    }
    if io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "the output is binary and not for a terminal: name a file or use a pipe".into(),
        ));
    }
    Ok(())
}

/// Checks that a file does not exist, unless `force` is set. Symbolic links are followed.
pub fn check_new(file: &Path, force: bool) -> Result<(), Failure> {
    match Target::of(file) {
        Ok(Target::Folder) => {
            Err(Failure::Usage(format!("{0} is a folder: to write into it, use -o {0}", file.display())))
        }
        Ok(Target::File(_)) if !force => {
            Err(Error::Misuse(format!("{} exists; --force overwrites it", file.display())).into())
        }
        // Its folder may not exist yet.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

/// Reads a file or the standard input.
///
/// # Errors
/// [`Error::Limit`] when it is longer than `max` bytes.
pub fn read_input(input: &Path, max: u64) -> aez_core::Result<Vec<u8>> {
    let failed = |e| Error::io("cannot read", name_of_input(input), e);
    let source: Box<dyn Read> = if is_standard_input(input) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(input).map_err(failed)?)
    };
    let bytes = aez_image::read_bounded(source, max).map_err(failed)?;
    bytes.ok_or(Error::Limit { limit: LimitKind::FileSize, found: max.saturating_add(1), allowed: max })
}

/// Reads a picture from a file or from the standard input. Prints warnings of what of it could not be used.
pub fn read_picture(input: &Path, limits: &Limits) -> aez_core::Result<Picture> {
    let (picture, warnings) = if is_standard_input(input) {
        aez_image::decode_with_warnings(&read_input(input, limits.max_memory)?, limits)?
    } else {
        aez_image::read_with_warnings(input, limits)?
    };
    warnings.iter().for_each(|warning| warn(input, warning));
    Ok(picture)
}

/// Converts the colours of a picture to sRGB. Prints a warning where its profile cannot be used.
pub fn in_srgb(input: &Path, picture: Picture) -> Picture {
    let (picture, is_converted) = aez_image::to_srgb(picture);
    if !is_converted {
        warn(input, "its colour profile cannot be used: its colours are taken as sRGB");
    }
    picture
}

/// The bytes of a picture file. Prints warnings of what was left out.
pub fn encode_picture(picture: &Picture, output: &Path, format: PictureFormat) -> aez_core::Result<Vec<u8>> {
    let (bytes, warnings) = aez_image::encode_with_warnings(picture, format)?;
    warnings.iter().for_each(|warning| warn(output, warning));
    Ok(bytes)
}

/// The picture format for an output: that of its extension, and PNG for the standard output.
pub fn format_of(output: &Path) -> aez_core::Result<PictureFormat> {
    if is_standard_output(output) { Ok(PictureFormat::Png) } else { PictureFormat::from_path(output) }
}

/// Writes a file completely or not at all, or to the standard output. `modified` becomes the file's time of the last change.
pub fn write_output(output: &Path, bytes: &[u8], modified: Option<SystemTime>) -> Result<(), Failure> {
    if is_standard_output(output) {
        return write_stdout(bytes);
    }
    let mut file = OutputFile::create(output)?;
    file.append(bytes)?;
    if let Some(modified) = modified {
        file.set_modified(modified)?;
    }
    Ok(file.finish()?)
}
