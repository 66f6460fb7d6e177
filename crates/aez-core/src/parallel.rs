//! Data parallelism, by rayon if the cargo feature `rayon` is enabled.
//!
//! Modules of this crate import everything from here instead of from `rayon::prelude`. Without the feature,
//! the same methods return iterators of the standard library, which run on the calling thread. Results do not
//! depend on the feature.

#[cfg(feature = "rayon")]
pub(crate) use rayon::prelude::*;

#[cfg(not(feature = "rayon"))]
pub(crate) use sequential::*;

/// Number of threads that run parallel iterators: the size of rayon's current pool, or 1 without the feature
/// `rayon`.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "rayon"))]
    return 1;
}

/// Calls both functions, at the same time where there are several threads.
pub(crate) fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    #[cfg(feature = "rayon")]
    return rayon::join(a, b);
    #[cfg(not(feature = "rayon"))]
    return (a(), b());
}

/// Calls a function on a thread of rayon's current pool, so that what it runs in parallel need not be handed to the pool one by one.
pub(crate) fn on_pool<T: Send>(function: impl FnOnce() -> T + Send) -> T {
    #[cfg(feature = "rayon")]
    return rayon::scope(|_| function());
    #[cfg(not(feature = "rayon"))]
    return function();
}

/// The methods of rayon's traits that this crate uses, under the same names, on one thread.
#[cfg(not(feature = "rayon"))]
mod sequential {
    use std::slice::{Chunks, ChunksExact, ChunksExactMut, ChunksMut};

    /// Replaces rayon's trait of the same name.
    pub(crate) trait ParallelSlice<T> {
        fn par_chunks(&self, size: usize) -> Chunks<'_, T>;
        fn par_chunks_exact(&self, size: usize) -> ChunksExact<'_, T>;
    }

    impl<T> ParallelSlice<T> for [T] {
        fn par_chunks(&self, size: usize) -> Chunks<'_, T> {
            self.chunks(size)
        }

        fn par_chunks_exact(&self, size: usize) -> ChunksExact<'_, T> {
            self.chunks_exact(size)
        }
    }

    /// Replaces rayon's trait of the same name.
    pub(crate) trait ParallelSliceMut<T> {
        fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T>;
        fn par_chunks_exact_mut(&mut self, size: usize) -> ChunksExactMut<'_, T>;
    }

    impl<T> ParallelSliceMut<T> for [T] {
        fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T> {
            self.chunks_mut(size)
        }

        fn par_chunks_exact_mut(&mut self, size: usize) -> ChunksExactMut<'_, T> {
            self.chunks_exact_mut(size)
        }
    }

    /// Replaces rayon's trait of the same name.
    pub(crate) trait IntoParallelIterator: IntoIterator + Sized {
        fn into_par_iter(self) -> Self::IntoIter {
            self.into_iter()
        }
    }

    impl<I: IntoIterator> IntoParallelIterator for I {}

    /// Replaces rayon's trait of the same name. All other methods of parallel iterators that this crate uses
    /// are also methods of [`Iterator`].
    pub(crate) trait ParallelIterator: Iterator + Sized {
        fn flat_map_iter<I: IntoIterator>(
            self,
            map: impl FnMut(Self::Item) -> I,
        ) -> impl Iterator<Item = I::Item> {
            self.flat_map(map)
        }
    }

    impl<I: Iterator> ParallelIterator for I {}
}
