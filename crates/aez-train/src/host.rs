//! Access to the values of tensors in host memory: [`read`] without a copy, [`modify`] in place.

use crate::layers::floats;
use candle_core::{CpuStorage, Error, InplaceOp1, Layout, Result, Storage, Tensor};
use std::cell::Cell;

/// Calls `with` on the values of a contiguous tensor of 32-bit floats in host memory.
pub(crate) fn read<T>(tensor: &Tensor, with: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => with(floats(storage, layout)?),
        _ => candle_core::bail!("a tensor on a device has no values in host memory"),
    }
}

/// Calls `change` on the values of a contiguous tensor of 32-bit floats in host memory, and changes them in place. All
/// tensors that share the storage change. `change` must not access such a tensor.
pub(crate) fn modify(tensor: &Tensor, change: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    tensor.inplace_op1(&Modify(Cell::new(Some(change))))
}

/// An in-place operation that runs once.
struct Modify<F>(Cell<Option<F>>);

impl<F: FnOnce(&mut [f32]) -> Result<()>> InplaceOp1 for Modify<F> {
    fn name(&self) -> &'static str {
        "modify"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(values) = storage else { candle_core::bail!("a tensor is not of 32-bit floats") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            return Err(Error::RequiresContiguous { op: "modify" }.bt());
        };
        let change = self.0.take().expect("an operation that runs once");
        change(&mut values[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn values_are_changed_in_place() {
        let tensor = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let row = tensor.narrow(0, 1, 1).unwrap();
        modify(&row, |values| {
            values.iter_mut().for_each(|x| *x *= 10.0);
            Ok(())
        })
        .unwrap();
        assert_eq!(read(&tensor, |values| Ok(values.to_vec())).unwrap(), [1.0, 2.0, 30.0, 40.0]);
        assert!(read(&tensor.t().unwrap(), |_| Ok(())).is_err());
        assert!(modify(&tensor.t().unwrap(), |_| Ok(())).is_err());
        let integers = Tensor::new(&[1u32], &Device::Cpu).unwrap();
        assert!(modify(&integers, |_| Ok(())).is_err());
    }
}
