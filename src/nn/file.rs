//! A layer's tensors in files, under PyTorch's names and in its layout.

use super::layer::{Layer, Named, Role};
use crate::error::Result;
use crate::files::safetensors::{Metadata, StoredTensor, TensorData, TensorFile};
use crate::tensor::Tensor;
use std::path::Path;

/// Writes a layer's tensors to a safetensors file, as `safetensors.torch.save_file(module.state_dict())` would; matrices are
/// transposed to `[out, in]`. The file is replaced in one piece.
///
/// # Errors
/// Values that are not finite, and what the file system refuses.
pub fn write(layer: &dyn Layer, path: &Path) -> Result<()> {
    let mut file = TensorFile::new(path, Metadata::new());
    for named in layer.tensors() {
        let stored = as_stored(&named)?;
        file.tensors.push(StoredTensor {
            name: named.name,
            shape: stored.shape().to_vec(),
            data: TensorData::F32(stored.to_vec()?),
        });
    }
    file.write_finite()
}

/// Overwrites a layer's tensors with those of a file. Tensors of other names are left alone, such as PyTorch's
/// `num_batches_tracked`. Nothing is changed if one is missing, of another shape, or not finite.
pub fn read(layer: &dyn Layer, path: &Path) -> Result<()> {
    let file = TensorFile::read(path)?;
    let mut loaded = Vec::new();
    for named in layer.tensors() {
        let shape = as_stored(&named)?.shape();
        let values = file.finite(&named.name, &shape)?;
        let values = Tensor::new(named.tensor.device(), values, &shape)?;
        let values = match named.role {
            Role::Matrix => values.t()?,
            _ => values,
        };
        loaded.push((named.tensor.clone(), values));
    }
    loaded
        .iter()
        .try_for_each(|(tensor, values)| tensor.assign(values))
}

/// The tensor in PyTorch's layout.
fn as_stored(named: &Named<'_>) -> Result<Tensor> {
    let tensor = named.tensor.detach();
    match named.role {
        Role::Matrix => tensor.t(),
        Role::Parameter | Role::Buffer => Ok(tensor),
    }
}
