//! Other views of the same elements, and concatenation. Only [`Tensor::concat`], and
//! [`Tensor::reshape`] of elements that are not row-major, copy elements.

use super::Tensor;
use super::op::Op;
use crate::error::Result;
use crate::tensor::shape::{Layout, Shape};
use std::ops::Range;

impl Tensor {
    /// The axes in another order, without a copy: axis i of the result is axis `order[i]` of this
    /// tensor.
    ///
    /// Gradient: g with the axes put back.
    pub fn permute(&self, order: &[isize]) -> Result<Self> {
        let op = Op::new("permute", [self])?;
        let shape = self.shape();
        let each_once = shape
            .axes(&order.into())
            .map_err(|error| op.explain(error))?;
        if each_once.len() != self.rank() {
            let expected = format!("each of the {} axes", self.rank());
            return Err(op.fail(expected, format!("{order:?}")));
        }
        let order = order.iter().map(|&axis| shape.axis(axis));
        let order = order.collect::<Result<Vec<_>>>()?;
        let mut back = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            back[from] = to as isize;
        }
        let result = self.with_layout(self.layout.permute(&order));
        op.record_one(result, move |g| g.permute(&back))
    }

    /// Two axes exchanged, without a copy.
    pub fn transpose(&self, first: isize, second: isize) -> Result<Self> {
        let op = Op::new("transpose", [self])?;
        let axis = |axis| self.shape().axis(axis).map_err(|error| op.explain(error));
        let mut order: Vec<isize> = (0..self.rank() as isize).collect();
        order.swap(axis(first)?, axis(second)?);
        self.permute(&order)
    }

    /// The last two axes exchanged, without a copy. The result is the transpose of a matrix.
    pub fn t(&self) -> Result<Self> {
        self.transpose(-2, -1)
    }

    /// The same elements, row-major, under another shape.
    ///
    /// Gradient: g in the shape of this tensor.
    pub fn reshape(&self, shape: &[usize]) -> Result<Self> {
        let op = Op::new("reshape", [self])?;
        let shape = Shape::new(shape).map_err(|error| op.explain(error))?;
        if shape.elements() != self.elements() {
            let expected = format!("a shape of {} elements", self.elements());
            return Err(op.fail(expected, format!("{shape:?}")));
        }
        let dense = match self.layout.reshape(shape) {
            Some(_) => self.detach(),
            None => self.copied()?,
        };
        let layout = dense.layout.reshape(shape);
        let layout = layout.unwrap_or_else(|| Layout::contiguous(shape));
        let own = self.shape();
        op.record_one(dense.with_layout(layout), move |g| g.reshape(&own))
    }

    /// One more axis of size 1, before `axis` of the result.
    pub fn unsqueeze(&self, axis: isize) -> Result<Self> {
        let op = Op::new("unsqueeze", [self])?;
        let placed = self.shape().with(|sizes| sizes.push(1));
        let placed = placed.map_err(|error| op.explain(error))?;
        let axis = placed.axis(axis).map_err(|error| op.explain(error))?;
        // The new axis is added in front, then moved to its place.
        let front = self.shape().with(|sizes| sizes.insert(0, 1))?;
        let mut order: Vec<isize> = (1..=self.rank() as isize).collect();
        order.insert(axis, 0);
        self.broadcast_to(&front)?.permute(&order)
    }

    /// `range` of an axis, without a copy.
    ///
    /// Gradient: g in the range, zeros elsewhere.
    pub fn slice(&self, axis: isize, range: Range<usize>) -> Result<Self> {
        let op = Op::new("slice", [self])?;
        let shape = self.shape();
        let axis = shape.axis(axis).map_err(|error| op.explain(error))?;
        if range.start > range.end || range.end > shape[axis] {
            let expected = format!("a range in 0..{} of axis {axis}", shape[axis]);
            return Err(op.fail(expected, format!("{range:?}")));
        }
        let result = self.with_layout(self.layout.slice(axis, range.clone()));
        op.record_one(result, move |g| {
            g.placed(shape, |whole| whole.slice(axis, range.clone()))
        })
    }

    /// The diagonal of a matrix, without a copy.
    ///
    /// Gradient: g on the diagonal, zeros elsewhere.
    pub fn diagonal(&self) -> Result<Self> {
        let op = Op::new("diagonal", [self])?;
        if self.rank() != 2 {
            return Err(op.fail("a matrix", format!("{} axes", self.rank())));
        }
        let shape = self.shape();
        let result = self.with_layout(self.layout.diagonal());
        op.record_one(result, move |g| g.placed(shape, Layout::diagonal))
    }

    /// Stretched to a shape by NumPy's rule, without a copy.
    ///
    /// Gradient: g, summed over the axes along which this tensor was stretched.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Self> {
        let op = Op::new("broadcast_to", [self])?;
        let wanted = Shape::new(shape).map_err(|error| op.explain(error))?;
        let Some(layout) = self.layout.broadcast_to(wanted) else {
            return Err(op.fail("a shape that it stretches to", format!("{wanted:?}")));
        };
        let own = self.shape();
        op.record_one(self.with_layout(layout), move |g| g.sum_to(own))
    }

    /// Joins tensors along an axis. Their other sizes are equal.
    ///
    /// Gradients: each tensor's part of g.
    pub fn concat(tensors: &[&Self], axis: isize) -> Result<Self> {
        let op = Op::new("concat", tensors)?;
        let first = tensors[0].shape();
        let axis = first.axis(axis).map_err(|error| op.explain(error))?;
        let others = |shape: Shape| shape.with(|sizes| sizes[axis] = 0).ok();
        let fits = |one: &&&Self| one.rank() == first.len() && others(one.shape()) == others(first);
        if tensors.iter().filter(fits).count() != tensors.len() {
            return Err(op.fail(format!("equal sizes but for axis {axis}"), ""));
        }
        let ends: Vec<usize> = tensors
            .iter()
            .scan(0, |end, one| {
                *end += one.shape()[axis];
                Some(*end)
            })
            .collect();
        let total = ends.last().copied().unwrap_or(0);
        let shape = first.with(|sizes| sizes[axis] = total);
        let result = op.output(shape.map_err(|error| op.explain(error))?)?;
        let ranges: Vec<Range<usize>> = ends
            .iter()
            .zip(tensors)
            .map(|(&end, one)| end - one.shape()[axis]..end)
            .collect();
        for (one, range) in tensors.iter().zip(&ranges) {
            let place = result.layout.slice(axis, range.clone());
            op.copy((one, one.layout), (&result, place))?;
        }
        op.record(result, move |g, needs| {
            let parts = ranges.iter().zip(needs).map(|(range, &needed)| {
                needed
                    .then(|| g.slice(axis as isize, range.clone()))
                    .transpose()
            });
            parts.collect()
        })
    }

    /// The elements, row-major and without gaps. It copies them if they are not.
    pub fn contiguous(&self) -> Result<Self> {
        if self.layout.is_contiguous() {
            return Ok(self.clone());
        }
        let op = Op::new("contiguous", [self])?;
        op.record_one(self.copied()?, |g| Ok(g.clone()))
    }

    /// The elements, row-major from the start of a buffer, for kernels that take neither strides
    /// nor an offset. The result has no history.
    pub(super) fn dense(&self) -> Result<Self> {
        match self.layout.is_contiguous() && self.layout.offset == 0 {
            true => Ok(self.detach()),
            false => self.copied(),
        }
    }

    /// A row-major copy without history.
    pub(super) fn copied(&self) -> Result<Self> {
        let op = Op::new("copy", [self])?;
        let copy = op.output(self.shape())?;
        op.copy((self, self.layout), (&copy, copy.layout))?;
        Ok(copy)
    }

    /// A tensor of zeros, except for one view that holds this tensor.
    fn placed(&self, shape: Shape, view: impl Fn(&Layout) -> Layout) -> Result<Self> {
        let op = Op::new("place", [self])?;
        let whole = op.output(shape)?;
        let zeros = Self::zeros(self.device(), &shape)?;
        op.copy((&zeros, zeros.layout), (&whole, whole.layout))?;
        op.copy((self, self.layout), (&whole, view(&whole.layout)))?;
        Ok(whole)
    }

    fn with_layout(&self, layout: Layout) -> Self {
        Self {
            layout,
            ..self.detach()
        }
    }
}
