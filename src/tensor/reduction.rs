//! Sums, means and maxima over any set of axes (section 4).

use super::Tensor;
use super::op::Op;
use super::tape::Saved;
use crate::error::Result;
use crate::tensor::kernels::reduce::{self, Reduction};
use crate::tensor::shape::{Axes, Layout, Shape};

impl Tensor {
    /// Σ over axes: `..` for all, a number, or an array of them. With `keep` they stay with size 1. A sum of nothing is 0.
    ///
    /// Gradient: g spread back over what was summed.
    pub fn sum(&self, axes: impl Into<Axes>, keep: bool) -> Result<Self> {
        self.total("sum", axes.into(), keep, |_| 1.0)
    }

    /// The mean over axes, as [`Tensor::sum`].
    ///
    /// Gradient: g spread back, divided by the number of elements averaged into one.
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
    /// Gradient: g split equally among the elements that are equal to the maximum.
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

    /// This tensor, row-major, under another shape of as many elements, without history.
    fn viewed(&self, shape: Shape) -> Result<Self> {
        self.detach().reshape(&shape)
    }
}

/// What a reduction over some axes leaves.
struct Reduced {
    /// Ascending.
    axes: Vec<usize>,
    /// The shape with those axes of size 1.
    kept: Shape,
    /// The shape without them.
    dropped: Shape,
    /// Elements that become one.
    count: usize,
}

impl Reduced {
    /// # Errors
    /// If results are to be made of no elements.
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

    /// The reduction, with the shape of the kept axes alone.
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
            // The parts' results [parts, outputs] are reduced again.
            (x, axes) = (result, vec![0]);
        }
    }
}
