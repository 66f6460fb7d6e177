//! Temporary memory that each thread keeps between calls.

use std::cell::Cell;

thread_local! {
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Calls `run` with `length` floats of temporary memory. Their values are unspecified: they are left over
/// from earlier calls.
pub(super) fn with_scratch<T>(length: usize, run: impl FnOnce(&mut [f32]) -> T) -> T {
    // The memory is taken, not borrowed: while `run` waits for other threads, rayon may start another task on
    // this thread that also needs temporary memory. That task finds the cell empty and allocates its own.
    let mut scratch = SCRATCH.take();
    if scratch.len() < length {
        scratch.resize(length, 0.0);
    }
    let result = run(&mut scratch[..length]);
    SCRATCH.set(scratch);
    result
}
