//! Running the jobs of a subcommand.

use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use aez_core::{Error, Result};
use aez_image::Target;

use super::{
    common::Common,
    failure::{Failure, log},
    files::{check_output, write_output},
    gate::Gate,
    jobs::{Job, Paths},
    progress,
    standard::is_standard_output,
};

/// Runs each job: writes the result of `work` to the job's output. An error in one job is printed, and the other jobs are still
/// run. As many jobs as there are threads run at the same time; those that work on pictures enter by the gate.
pub fn run_all(
    jobs: &[Job],
    paths: &Paths,
    common: &Common,
    work: impl Fn(&Job, &Gate) -> Result<Vec<u8>> + Sync,
) -> Result<(), Failure> {
    let bar = progress::files(jobs.len(), common.quiet);
    let threads = rayon::current_num_threads();
    let gate = Gate::new(threads);
    let [next, failed, skipped] = [(); 3].map(|()| AtomicUsize::new(0));
    // An error after which the other jobs are not run.
    let end = OnceLock::new();
    let run_next = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            progress::set_file(&bar, &job.input);
            if paths.skip_existing && exists(job) {
                skipped.fetch_add(1, Ordering::Relaxed);
            } else if let Err(failure) = run(job, paths, common, |job| work(job, &gate)) {
                if jobs.len() == 1 || matches!(failure, Failure::ClosedPipe) {
                    next.store(jobs.len(), Ordering::Relaxed);
                    // Of several such errors, the first counts.
                    let _ = end.set(failure);
                    return;
                }
                failed.fetch_add(1, Ordering::Relaxed);
                failure.print();
            }
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(run_next);
        }
        run_next();
    });
    bar.finish_and_clear();
    if let Some(failure) = end.into_inner() {
        return Err(failure);
    }
    let (failed, skipped) = (failed.into_inner(), skipped.into_inner());
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
