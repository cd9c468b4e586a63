//! Jacobians: every derivative of one tensor with respect to another.

use super::Tensor;
use super::op::Op;
use crate::error::Result;

impl Tensor {
    /// ∂self/∂by. Its shape is the shape of this tensor followed by the shape of `by`, and element
    /// (i…, j…) is ∂self\[i…\]/∂by\[j…\].
    ///
    /// It takes one backward pass per element of this tensor, and does not free the tape. Elements
    /// that do not depend on `by` are 0.
    ///
    /// # Errors
    /// More than 6 axes in the result, or a `by` that is neither a parameter nor made of one.
    pub fn jacobian(&self, by: &Self) -> Result<Self> {
        let op = Op::new("jacobian", [self, by])?;
        let shape = self.shape().with(|sizes| sizes.extend(by.shape().iter()));
        let result = op.output(shape.map_err(|error| op.explain(error))?)?;
        let (rows, columns) = (self.elements(), by.elements());
        let matrix = result.reshape(&[rows, columns])?;
        if !self.requires_gradient() {
            matrix.assign(&Self::zeros(self.device(), &[])?)?;
            return Ok(result);
        }
        let mut unit = vec![0.0f32; rows];
        for row in 0..rows {
            unit[row] = 1.0;
            let upstream = Self::new(self.device(), &unit, &self.shape())?;
            unit[row] = 0.0;
            let gradient = self.backward_retaining(&upstream, &[by])?.of(by)?;
            let gradient = gradient.reshape(&[1, columns])?;
            let place = matrix.layout.slice(0, row..row + 1);
            op.copy((&gradient, gradient.layout), (&matrix, place))?;
        }
        Ok(result)
    }
}
