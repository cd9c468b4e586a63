//! Products of matrices and vectors (section 4).

use super::Tensor;
use super::op::Op;
use super::tape::Saved;
use crate::engine::device::Class;
use crate::engine::libraries::tiled_for;
use crate::error::Result;
use crate::tensor::kernels::{matmul, matmul_wide};
use crate::tensor::shape::{Layout, Shape};

impl Tensor {
    /// The product of matrices \[…, m, k\] and \[…, k, n\], whose leading axes stretch to one
    /// another.
    ///
    /// A vector on the left is a row and a vector on the right is a column; the result lacks their
    /// axis. Transposed operands are read in place.
    ///
    /// Gradients: g·Bᵀ and Aᵀ·g.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        let op = Op::new("matmul", [self, other])?;
        match (self.rank(), other.rank()) {
            (0, _) | (_, 0) => Err(op.fail("vectors or matrices", "a scalar")),
            (1, 1) => {
                let product = self.unsqueeze(0)?.matmul(&other.unsqueeze(1)?);
                product
                    .map_err(|_| op.fail("vectors of one length", ""))?
                    .reshape(&[])
            }
            (1, _) => {
                let product = self.unsqueeze(0)?.matmul(other)?;
                let shape = product.shape().with(|sizes| {
                    sizes.remove(sizes.len() - 2);
                })?;
                product.reshape(&shape)
            }
            (_, 1) => {
                let product = self.matmul(&other.unsqueeze(1)?)?;
                let shape = product
                    .shape()
                    .with(|sizes| sizes.truncate(sizes.len() - 1))?;
                product.reshape(&shape)
            }
            _ => {
                let product = op.matmul(self, other)?;
                let saved = [Saved::new("matmul", self), Saved::new("matmul", other)];
                op.record(product, move |g, needs| {
                    let (a, b) = (saved[0].get()?, saved[1].get()?);
                    let left = needs[0].then(|| g.matmul(&b.t()?)?.sum_to(a.shape()));
                    let right = needs[1].then(|| a.t()?.matmul(g)?.sum_to(b.shape()));
                    Ok(vec![left.transpose()?, right.transpose()?])
                })
            }
        }
    }

    /// Σ x·y of two vectors.
    ///
    /// Gradients: g·y and g·x.
    pub fn dot(&self, other: &Self) -> Result<Self> {
        let op = Op::new("dot", [self, other])?;
        if self.rank() != 1 || self.shape() != other.shape() {
            return Err(op.fail("two vectors of one length", ""));
        }
        self.mul(other)?.sum(.., false)
    }

    /// Σ x\[i, i\] of a square matrix.
    ///
    /// Gradient: g on the diagonal, zeros elsewhere.
    pub fn trace(&self) -> Result<Self> {
        let shape = self.shape();
        if self.rank() != 2 || shape[0] != shape[1] {
            return Err(Op::new("trace", [self])?.fail("a square matrix", ""));
        }
        self.diagonal()?.sum(.., false)
    }
}

impl Op<'_> {
    fn matmul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let split = |tensor: &Tensor| {
            let shape = tensor.shape();
            let (batch, matrix) = shape.split_at(shape.len() - 2);
            Ok::<_, crate::Error>((Shape::new(batch)?, [matrix[0], matrix[1]]))
        };
        let ((a_batch, [m, k]), (b_batch, [inner, n])) = (split(a)?, split(b)?);
        if k != inner {
            let expected = "as many columns on the left as rows on the right";
            return Err(self.fail(expected, format!("{k} and {inner}")));
        }
        let Some(batch) = a_batch.broadcast(&b_batch) else {
            return Err(self.fail("leading axes that stretch to one another", ""));
        };
        let stretched = |tensor: &Tensor, matrix: [usize; 2]| -> Result<Layout> {
            let shape = batch.with(|sizes| sizes.extend(matrix));
            let shape = shape.map_err(|error| self.explain(error))?;
            let layout = tensor.layout.broadcast_to(shape);
            layout.ok_or_else(|| self.fail("leading axes that stretch to one another", ""))
        };
        let (a_layout, b_layout) = (stretched(a, [m, k])?, stretched(b, [k, n])?);
        let shape = batch.with(|sizes| sizes.extend([m, n]))?;
        if let Some(wide) = self.matmul_wide(a, b, shape, [m, k, n])? {
            return Ok(wide);
        }
        let whole = matmul::Params::new(&a_layout, &b_layout);
        let class = self.device().class();
        let variant = tiled_for(class);
        let params = match class {
            Class::Host => whole,
            Class::Gpu | Class::Software => whole.in_parts(),
        };
        let buffers = |result: &Tensor| matmul::Buffers {
            a: a.buffer(),
            b: b.buffer(),
            result: result.buffer(),
        };
        if params.parts == 1 {
            let result = self.output(shape)?;
            self.dispatch(variant, params, buffers(&result))?;
            return Ok(result);
        }
        let parts = self.output(Shape::new(&[params.parts as usize, shape.elements()])?)?;
        self.dispatch(variant, params, buffers(&parts))?;
        parts.sum(0, false)?.reshape(&shape)
    }

    /// The product on a software adapter, or `None` if the sizes do not suit its kernel.
    fn matmul_wide(
        &self,
        a: &Tensor,
        b: &Tensor,
        shape: Shape,
        [m, k, n]: [usize; 3],
    ) -> Result<Option<Tensor>> {
        let batches = shape.elements() / (m * n).max(1);
        let one_or_all = |tensor: &Tensor, matrix: usize| match tensor.elements() {
            elements if elements == matrix => Some(0),
            elements if elements == batches * matrix => Some(matrix as u32),
            _ => None,
        };
        let suits = self.device().class() == Class::Software && k % 4 == 0 && n % 4 == 0;
        let (Some(a_batch), Some(b_batch)) = (one_or_all(a, m * k), one_or_all(b, k * n)) else {
            return Ok(None);
        };
        if !suits || shape.elements() == 0 {
            return Ok(None);
        }
        let params = matmul_wide::Params {
            batches: batches as u32,
            m: m as u32,
            n: n as u32,
            k: k as u32,
            a_batch,
            b_batch,
        };
        let (a, b, result) = (a.dense()?, b.dense()?, self.output(shape)?);
        let buffers = matmul_wide::Buffers {
            a: a.buffer(),
            b: b.buffer(),
            result: result.buffer(),
        };
        self.dispatch(0, params, buffers)?;
        Ok(Some(result))
    }
}
