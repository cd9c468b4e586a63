//! The tensors of a layer in files, with PyTorch's names and layout.

use super::layer::{Layer, Named, Role};
use crate::error::Result;
use crate::files::safetensors::{Metadata, StoredTensor, TensorData, TensorFile};
use crate::tensor::Tensor;
use std::path::Path;

/// Writes the tensors of a layer to a safetensors file, as
/// `safetensors.torch.save_file(module.state_dict())` does in PyTorch. Matrices are transposed to
/// `[out, in]`. The file is replaced atomically.
///
/// # Errors
/// Values that are not finite, and everything that the file system refuses.
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

/// Replaces the tensors of a layer by those of a file. Tensors of other names are ignored, such as
/// PyTorch's `num_batches_tracked`.
///
/// # Errors
/// A tensor that is missing, of another shape or not finite. The layer is unchanged then.
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
