//! A case of an operation: its operands, the views of them, and the error that it is allowed.

use super::Operation;
use crate::engine::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;

/// The view that makes an operand of the tensor that holds its values.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// The tensor itself.
    Whole,
    /// The last two axes exchanged.
    Transposed,
    /// Each axis without its first and last index.
    Inner,
    /// Stretched to a shape.
    Stretched(Vec<usize>),
}

/// An operand: its values, and the view of them that the operation takes.
#[derive(Clone, Debug)]
pub struct Input {
    /// The shape of the values.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub values: Vec<f32>,
    /// The view.
    pub view: View,
}

impl Input {
    /// A parameter with the values on a device, and the operand made of it.
    pub fn place(&self, device: &Device) -> Result<[Tensor; 2]> {
        let parameter = Tensor::new(device, &self.values, &self.shape)?.parameter();
        let operand = self.operand(&parameter)?;
        Ok([parameter, operand])
    }

    /// The operand made of a tensor that has the shape of the values.
    pub fn operand(&self, tensor: &Tensor) -> Result<Tensor> {
        match &self.view {
            View::Whole => Ok(tensor.clone()),
            View::Transposed => tensor.t(),
            View::Inner => (0..self.shape.len()).try_fold(tensor.clone(), |inner, axis| {
                inner.slice(axis as isize, 1..self.shape[axis] - 1)
            }),
            View::Stretched(shape) => tensor.broadcast_to(shape),
        }
    }
}

/// An operation with operands, and the error that it is allowed.
#[derive(Clone, Debug)]
pub struct OperationCase {
    /// The operation.
    pub operation: Operation,
    /// Shapes and views; unique among the cases of the operation.
    pub name: String,
    /// The operands.
    pub inputs: Vec<Input>,
    /// The error allowed per unit of ε = 2⁻²³ and of the largest magnitude, in results and
    /// gradients, for sums of one term.
    pub ulps: f64,
    /// The length of the longest sum in it, forward or backward. The allowed error grows with its
    /// square root.
    pub terms: usize,
}
