//! Running the jobs of a subcommand, one after the other.

use std::fs;

use aez_core::{Error, Result};
use aez_image::Target;

use super::{
    common::Common,
    failure::{Failure, log},
    files::{check_output, write_output},
    jobs::{Job, Paths},
    progress,
    standard::is_standard_output,
};

/// Runs each job: writes the result of `work` to the job's output. An error in one job is printed, and the other jobs are still
/// run.
pub fn run_all(
    jobs: &[Job],
    paths: &Paths,
    common: &Common,
    work: impl Fn(&Job) -> Result<Vec<u8>>,
) -> Result<(), Failure> {
    let bar = progress::files(jobs.len(), common.quiet);
    let (mut failed, mut skipped) = (0, 0);
    for job in jobs {
        progress::set_file(&bar, &job.input);
        if paths.skip_existing && exists(job) {
            skipped += 1;
        } else if let Err(failure) = run(job, paths, common, &work) {
            if jobs.len() == 1 || matches!(failure, Failure::ClosedPipe) {
                return Err(failure);
            }
            failed += 1;
            failure.print();
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if skipped > 0 && !common.quiet {
        log(&format!("skipped {skipped} of {} files: their outputs exist", jobs.len()));
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Files { failed, total: jobs.len() }) }
}

fn run(
    job: &Job,
    paths: &Paths,
    common: &Common,
    work: impl Fn(&Job) -> Result<Vec<u8>>,
) -> Result<(), Failure> {
    check_output(&job.output, common.force)?;
    let bytes = work(job).map_err(|error| Failure::in_file(&job.input, error))?;
    if let Some(folder) = job.output.parent().filter(|_| job.creates_folder) {
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot create the folder", folder, e))?;
    }
    // Standard input may have no time.
    let modified = || fs::metadata(&job.input).and_then(|found| found.modified()).ok();
    write_output(&job.output, &bytes, if paths.preserve { modified() } else { None })
}

fn exists(job: &Job) -> bool {
    !is_standard_output(&job.output) && matches!(Target::of(&job.output), Ok(Target::File(_)))
}
