//! The context model in integer arithmetic.

use super::{
    super::{config::PASSES, layers::ContextPlanes, rows::Rows},
    layer::{RELU, Ready, SIGNED},
    network::ContextLayers,
    synthesis::Coarser,
};
use crate::parallel::*;

/// Rows of predictions that are held at a time.
pub(super) const CHUNK: usize = 64;
/// Rows that one thread predicts at a time.
const BAND: usize = 8;

/// Room for the locations and scales of [`CHUNK`] rows.
pub(super) fn predictions(columns: usize) -> Rows<i16> {
    Rows::new(2, CHUNK, columns)
}

/// Upper bound of the bytes of predictions, and of what [`predict`] holds besides them.
pub(super) fn memory(hidden: usize, columns: usize) -> u64 {
    let lists = 8 * 1024;
    let band = Rows::<i16>::bytes(2 * hidden, 1, columns).saturating_add(lists);
    let both = 2 * Rows::<i16>::bytes(2, CHUNK, columns);
    band.saturating_mul(threads() as u64).saturating_add(both)
}

/// Predicts the latents of a channel and phase: their locations and scales, in rows from `first` on, as far as they exist.
pub(super) fn predict(layers: &ContextLayers, inputs: &Rows<i16>, first: usize, predictions: &mut Rows<i16>) {
    let columns = inputs.columns;
    let count = CHUNK.min(inputs.rows.saturating_sub(first));
    let (row_step, step, start) = (predictions.row_step(), predictions.step, predictions.in_row(0));
    let rows = &mut predictions.inner_mut()[..count * row_step];
    rows.par_chunks_mut(BAND * row_step).enumerate().for_each(|(band, rows)| {
        let [mut one, mut two] = [(); 2].map(|()| Rows::<i16>::new(layers.first.layer.outputs, 1, columns));
        let hidden = |layer: &Ready, input: (&Rows<i16>, usize), to: &mut Rows<i16>| {
            let (start, step) = (to.place(0, 0, 0), to.step);
            layer.run(&[(input.0, input.1)], &[], RELU, columns, &mut to.values[start..], step);
        };
        for (y, row) in (first + band * BAND..).zip(rows.chunks_exact_mut(row_step)) {
            hidden(&layers.first, (inputs, y), &mut one);
            hidden(&layers.second, (&one, 0), &mut two);
            layers.output.run(&[(&two, 0), (inputs, y)], &[], SIGNED, columns, &mut row[start..], step);
        }
    });
}

/// The inputs of the context model of a level with the given number of rows and columns, as far as they are known before its own
/// latents: latents and features of the coarser level, of which the first are those at the beginning of its own inputs.
pub(super) fn inputs(
    planes: ContextPlanes,
    (rows, columns): (usize, usize),
    coarser: Option<(&Rows<i16>, &Coarser)>,
) -> Rows<i16> {
    let mut inputs = Rows::<i16>::new(planes.count, rows.div_ceil(2), columns.div_ceil(2));
    let Some((latents, coarser)) = coarser else { return inputs };
    for y in 0..inputs.rows {
        for plane in planes.coarser..planes.guides {
            for (pass, &(_, dx)) in PASSES.iter().enumerate().filter(|(_, phase)| phase.0 == y % 2) {
                let from = latents.row((plane - planes.coarser) * PASSES.len() + pass, y / 2);
                let to = inputs.row_mut(plane, y).iter_mut().skip(dx).step_by(2);
                to.zip(from).for_each(|(to, &latent)| *to = latent);
            }
        }
        for plane in planes.guides..planes.count {
            inputs.row_mut(plane, y).copy_from_slice(coarser.guide(plane - planes.guides, y));
        }
    }
    inputs
}
