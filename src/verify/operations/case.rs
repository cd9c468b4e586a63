//! A case of an operation: its operands, how they are seen, and the error that is allowed.

use super::Operation;
use crate::engine::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;

/// How an operand is made of the tensor that holds its values.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// As it is.
    Whole,
    /// Its last two axes exchanged.
    Transposed,
    /// Without the first and last index of each axis.
    Inner,
    /// Stretched to a shape.
    Stretched(Vec<usize>),
}

/// An operand: values, and the view of them that the operation takes.
#[derive(Clone, Debug)]
pub struct Input {
    /// The values' shape.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub values: Vec<f32>,
    /// The view.
    pub view: View,
}

impl Input {
    /// A parameter of the values on a device, and the operand made of it.
    pub fn place(&self, device: &Device) -> Result<[Tensor; 2]> {
        let parameter = Tensor::new(device, &self.values, &self.shape)?.parameter();
        let operand = self.operand(&parameter)?;
        Ok([parameter, operand])
    }

    /// The operand made of a tensor of the values' shape.
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

/// An operation with operands and the error that is allowed.
#[derive(Clone, Debug)]
pub struct Case {
    /// The operation.
    pub operation: Operation,
    /// Shapes and views, unique within the operation's name.
    pub name: String,
    /// The operands.
    pub inputs: Vec<Input>,
    /// How often the largest value may be off by ε = 2⁻²³, in results and gradients, for sums of one term.
    pub ulps: f64,
    /// The longest sum in it, forward or back: the error grows with the root.
    pub terms: usize,
}
