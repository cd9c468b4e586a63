//! Sums, means and maxima over any set of axes (section 4).

use super::Tensor;
use super::op::Op;
use super::tape::Saved;
use crate::error::Result;
use crate::tensor::kernels::reduce::{self, Reduction};
use crate::tensor::shape::{Axes, Layout, Shape};

impl Tensor {
    /// Σ over axes: `..` for all, a number, or an array of numbers. With `keep` the summed axes
    /// stay with size 1. A sum of no elements is 0.
    ///
    /// Gradient: g, repeated along the summed axes.
    pub fn sum(&self, axes: impl Into<Axes>, keep: bool) -> Result<Self> {
        self.total("sum", axes.into(), keep, |_| 1.0)
    }

    /// The mean over axes, as [`Tensor::sum`].
    ///
    /// Gradient: g ÷ the number of averaged elements, repeated along the averaged axes.
    ///
    /// # Errors
    /// A mean of no elements.
    pub fn mean(&self, axes: impl Into<Axes>, keep: bool) -> Result<Self> {
        let axes = axes.into();
        let op = Op::new("mean", [self])?;
        op.reduced(&axes)?.some(&op)?;
        self.total("mean", axes, keep, |count| count as f32)
    }

    fn total(
        &self,
        name: &'static str,
        axes: Axes,
        keep: bool,
        divisor: impl Fn(usize) -> f32,
    ) -> Result<Self> {
        let op = Op::new(name, [self])?;
        let reduced = op.reduced(&axes)?;
        let divisor = divisor(reduced.count);
        let result = op.reduce(Reduction::Sum, &reduced, divisor)?;
        let (shape, kept) = (self.shape(), reduced.kept);
        let result = result.viewed(if keep { kept } else { reduced.dropped })?;
        op.record_one(result, move |g| {
            let spread = g.reshape(&kept)?.broadcast_to(&shape)?;
            match divisor {
                1.0 => Ok(spread),
                _ => spread.affine(1.0 / divisor, 0.0),
            }
        })
    }

    /// The maximum over axes, as [`Tensor::sum`].
    ///
    /// Gradient: g, shared equally by the elements that equal the maximum.
    ///
    /// # Errors
    /// A maximum of no elements.
    pub fn max(&self, axes: impl Into<Axes>, keep: bool) -> Result<Self> {
        let op = Op::new("max", [self])?;
        let axes = axes.into();
        let reduced = op.reduced(&axes)?;
        reduced.some(&op)?;
        let result = op.reduce(Reduction::Max, &reduced, 1.0)?;
        let kept = reduced.kept;
        let saved = [
            Saved::new("max", self),
            Saved::new("max", &result.viewed(kept)?),
        ];
        let result = result.viewed(if keep { kept } else { reduced.dropped })?;
        op.record_one(result, move |g| {
            let (x, largest) = (saved[0].get()?, saved[1].get()?);
            let tied = x.equal(largest)?;
            let count = tied.sum(axes.clone(), true)?;
            tied.mul(&g.reshape(&kept)?.div(&count)?)
        })
    }

    /// This tensor, row-major, under another shape with the same number of elements, without
    /// history.
    fn viewed(&self, shape: Shape) -> Result<Self> {
        self.detach().reshape(&shape)
    }
}

/// The axes and shapes of a reduction.
struct Reduced {
    /// The reduced axes, ascending.
    axes: Vec<usize>,
    /// The shape with those axes of size 1.
    kept: Shape,
    /// The shape without them.
    dropped: Shape,
    /// The number of elements that are reduced to one.
    count: usize,
}

impl Reduced {
    /// # Errors
    /// Fails if a result would be reduced from no elements.
    fn some(&self, op: &Op<'_>) -> Result<()> {
        if self.count > 0 || self.dropped.elements() == 0 {
            return Ok(());
        }
        Err(op.fail("at least 1 element for each result", "none"))
    }
}

impl Op<'_> {
    fn reduced(&self, axes: &Axes) -> Result<Reduced> {
        let shape = self.operand(0).shape();
        let axes = shape.axes(axes).map_err(|error| self.explain(error))?;
        let kept = shape.with(|sizes| axes.iter().for_each(|&axis| sizes[axis] = 1))?;
        let dropped = shape.with(|sizes| {
            for &axis in axes.iter().rev() {
                sizes.remove(axis);
            }
        })?;
        Ok(Reduced {
            count: axes.iter().map(|&axis| shape[axis]).product(),
            axes,
            kept,
            dropped,
        })
    }

    /// The reduction, in the shape of the kept axes alone.
    fn reduce(&self, reduction: Reduction, reduced: &Reduced, divisor: f32) -> Result<Tensor> {
        let (mut x, mut axes) = (self.operand(0).detach(), reduced.axes.clone());
        loop {
            let params = reduce::Params::new(&x.layout, &axes, divisor);
            let jobs = [params.parts as usize, params.outputs as usize];
            let result = self.output(Shape::new(&jobs)?)?;
            let buffers = reduce::Buffers {
                x: x.buffer(),
                result: result.buffer(),
            };
            self.dispatch(params.variant(reduction), params, buffers)?;
            if params.parts == 1 {
                let layout = Layout::contiguous(reduced.dropped);
                return Ok(Tensor { layout, ..result });
            }
            // The results of the parts, [parts, outputs], are reduced again.
            (x, axes) = (result, vec![0]);
        }
    }
}
