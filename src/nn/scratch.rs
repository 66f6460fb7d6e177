//! Working memory of a thread.

use std::cell::Cell;

thread_local! {
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Lends memory that is kept from call to call; it holds numbers of earlier calls.
pub(super) fn with_scratch<T>(length: usize, run: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken rather than borrowed: while it waits, a thread may begin another piece of work, which then finds nothing
    // here and makes its own.
    let mut scratch = SCRATCH.take();
    if scratch.len() < length {
        scratch.resize(length, 0.0);
    }
    let result = run(&mut scratch[..length]);
    SCRATCH.set(scratch);
    result
}
