//! The threads that the codec runs on.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use pyo3::{exceptions::PyOSError, prelude::*};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The pool, and the process that its threads belong to.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// A pool with as many threads as the machine has, or as `RAYON_NUM_THREADS` says.
///
/// A process that was made by `fork`, as those of `multiprocessing` are, has none of the threads of its parent. In a pool that it
/// inherits it would wait forever: it gets a pool of its own.
///
/// `_py` proves that the interpreter's lock is held, without which Python does not fork. So no copy of the mutex is locked.
pub fn of_this_process(_py: Python<'_>) -> PyResult<Arc<ThreadPool>> {
    let mut held = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, pool)) = held.as_ref()
        && *owner == process
    {
        return Ok(Arc::clone(pool));
    }
    let pool = ThreadPoolBuilder::new().thread_name(|index| format!("aez-{index}")).build();
    let pool = Arc::new(pool.map_err(|error| PyOSError::new_err(format!("cannot start threads: {error}")))?);
    // To drop a pool is to wait for its threads, which do not exist here.
    mem::forget(held.replace((process, Arc::clone(&pool))));
    Ok(pool)
}
