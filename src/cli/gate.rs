//! Several pictures at the same time, as far as they are small.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that work at the same time may hold, for each thread.
const BYTES_OF_THREAD: u64 = 150 << 20;

/// Admits pictures as long as the work on them takes little memory together. One that takes more is admitted when there is no other.
pub struct Gate {
    total: u64,
    free: Mutex<u64>,
    freed: Condvar,
    /// The right to read the next picture.
    reader: Mutex<()>,
}

/// A picture's stay. It ends when this is dropped.
pub struct Stay<'a> {
    gate: &'a Gate,
    bytes: u64,
}

impl Gate {
    pub fn new(threads: usize) -> Self {
        let total = BYTES_OF_THREAD * threads as u64;
        Self { total, free: Mutex::new(total), freed: Condvar::new(), reader: Mutex::new(()) }
    }

    /// Reads an input, and waits until there is room for the `bytes` that the work on it holds. One input is read at a time, so that not
    /// more than one waits in memory, and large ones have their turn.
    pub fn admit<T, E>(
        &self,
        read: impl FnOnce() -> Result<T, E>,
        bytes: impl FnOnce(&T) -> u64,
    ) -> Result<(T, Stay<'_>), E> {
        let _reader = lock(&self.reader);
        let input = read()?;
        let bytes = bytes(&input).min(self.total);
        let free = lock(&self.free);
        let mut free =
            self.freed.wait_while(free, |free| *free < bytes).unwrap_or_else(PoisonError::into_inner);
        *free -= bytes;
        Ok((input, Stay { gate: self, bytes }))
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        *lock(&self.gate.free) += self.bytes;
        self.gate.freed.notify_all();
    }
}

/// Locks; a panic of another thread changes nothing about what is locked here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU64, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn work_at_the_same_time_takes_little_memory_together() {
        let gate = Gate::new(2);
        let half = BYTES_OF_THREAD / 2;
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let visit = |bytes: u64| {
            let (_, stay) = gate.admit(|| Ok::<_, Infallible>(()), |()| bytes).unwrap();
            let sum = now.fetch_add(bytes, Ordering::SeqCst) + bytes;
            most.fetch_max(sum, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(bytes, Ordering::SeqCst);
            drop(stay);
        };
        thread::scope(|scope| {
            for bytes in [half, 2 * half, half, 3, 2 * half, half] {
                scope.spawn(move || visit(bytes));
            }
        });
        let found = most.load(Ordering::SeqCst);
        assert!(2 * half < found && found <= gate.total, "{found}");
        // More than all that may be there.
        visit(u64::MAX);
        assert_eq!(*gate.free.lock().unwrap(), gate.total);
    }

    #[test]
    fn an_input_that_cannot_be_read_takes_no_room() {
        let gate = Gate::new(1);
        assert!(gate.admit(|| Err::<(), _>("no"), |()| 7).is_err());
        assert_eq!(*gate.free.lock().unwrap(), gate.total);
    }
}
