//! Memory for planes, used again and again: to ask for it and to clear it would take a quarter of the time of optimization.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

use super::rows::Rows;

/// The values of planes that nobody uses, by their number.
#[derive(Default)]
pub(super) struct Scratch {
    free: Mutex<HashMap<usize, Vec<Vec<f32>>>>,
}

/// Planes whose memory goes back when they are dropped.
pub(super) struct Lent<'a> {
    rows: Rows,
    scratch: &'a Scratch,
}

impl Scratch {
    /// Planes of any values, also beside their columns: whoever fills a row must clear or extend its margins, too.
    pub fn dirty(&self, planes: usize, rows: usize, columns: usize) -> Lent<'_> {
        let length = Rows::<f32>::length(planes, rows, columns);
        let free =
            self.free.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&length).and_then(Vec::pop);
        let rows = match free {
            Some(values) => Rows::with_values(values, planes, rows, columns),
            None => Rows::new(planes, rows, columns),
        };
        let mut lent = Lent { rows, scratch: self };
        if cfg!(test) {
            // Whoever uses what was there will fail a test.
            lent.values.fill(f32::NAN);
        }
        lent
    }

    /// Planes of zeros.
    pub fn zeros(&self, planes: usize, rows: usize, columns: usize) -> Lent<'_> {
        let mut lent = self.dirty(planes, rows, columns);
        lent.values.fill(0.0);
        lent
    }

    /// Planes of any values, of the size of others.
    pub fn like(&self, rows: &Rows) -> Lent<'_> {
        self.dirty(rows.planes, rows.rows, rows.columns)
    }
}

impl Deref for Lent<'_> {
    type Target = Rows;

    fn deref(&self) -> &Rows {
        &self.rows
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.rows.values);
        let mut free = self.scratch.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(values.len()).or_default().push(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let scratch = Scratch::default();
        let place = scratch.dirty(2, 3, 5).values.as_ptr();
        assert_eq!(scratch.dirty(2, 3, 5).values.as_ptr(), place);
        assert!(scratch.zeros(2, 3, 5).values.iter().all(|&value| value == 0.0));
        // Planes of another shape whose arrays are as long.
        let wide = scratch.dirty(2, 3, 6);
        assert_eq!((wide.values.as_ptr(), wide.row(1, 2).len()), (place, 6));
    }
}
