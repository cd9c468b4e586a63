//! Strided views of a buffer, and walks through several of them.

use super::{MAX_RANK, Shape};

/// The indices of a tensor's elements in its buffer: element (i, j, …) has the index offset +
/// i·stride₀ + j·stride₁ + ….
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The sizes.
    pub shape: Shape,
    strides: [usize; MAX_RANK],
    /// The index of the first element.
    pub offset: usize,
}

impl Layout {
    /// Row-major from the start of the buffer.
    pub fn contiguous(shape: Shape) -> Self {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..shape.len()).rev() {
            strides[axis] = step;
            step *= shape[axis].max(1);
        }
        Self {
            shape,
            strides,
            offset: 0,
        }
    }

    /// The distance from one index of each axis to the next, in elements.
    pub fn strides(&self) -> &[usize] {
        &self.strides[..self.shape.len()]
    }

    /// Whether the elements are row-major without gaps. The offset does not matter.
    pub fn is_contiguous(&self) -> bool {
        let dense = Self::contiguous(self.shape);
        let axes = self.shape.iter().zip(self.strides()).zip(dense.strides());
        self.shape.elements() == 0
            || axes
                .into_iter()
                .all(|((&size, stride), dense)| size == 1 || stride == dense)
    }

    /// The axes in another order: axis i of the result is axis `order[i]` of this one.
    pub fn permute(&self, order: &[usize]) -> Self {
        let sizes: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let mut layout = Self {
            shape: Shape::of(&sizes),
            strides: [0; MAX_RANK],
            offset: self.offset,
        };
        for (to, &axis) in order.iter().enumerate() {
            layout.strides[to] = self.strides[axis];
        }
        layout
    }

    /// Stretched to a shape that [`Shape::broadcast`] allows. New axes in front, and axes of size
    /// 1, get the stride 0.
    pub fn broadcast_to(&self, shape: Shape) -> Option<Self> {
        if self.shape.broadcast(&shape) != Some(shape) {
            return None;
        }
        let front = shape.len() - self.shape.len();
        let mut strides = [0; MAX_RANK];
        for (axis, &size) in self.shape.iter().enumerate() {
            strides[front + axis] = if size == 1 { 0 } else { self.strides[axis] };
        }
        Some(Self {
            shape,
            strides,
            offset: self.offset,
        })
    }

    /// `start..end` of an axis, a range that the caller has checked.
    pub fn slice(&self, axis: usize, range: std::ops::Range<usize>) -> Self {
        let mut layout = *self;
        layout.shape.sizes[axis] = range.len();
        layout.offset += range.start * self.strides[axis];
        layout
    }

    /// The diagonal of a matrix.
    pub fn diagonal(&self) -> Self {
        let mut layout = Self {
            shape: Shape::of(&[self.shape[0].min(self.shape[1])]),
            ..*self
        };
        layout.strides[0] = self.strides[0] + self.strides[1];
        layout
    }

    /// Another shape with the same number of elements over the same memory, if this layout is
    /// row-major.
    pub fn reshape(&self, shape: Shape) -> Option<Self> {
        (self.is_contiguous() && shape.elements() == self.shape.elements()).then(|| Self {
            offset: self.offset,
            ..Self::contiguous(shape)
        })
    }
}

/// A walk over the elements of one shape through `N` layouts, row-major. Axes are joined where all
/// layouts allow it.
///
/// It has the form that shaders read: innermost axis first, with the number of axes in `shape[7]`
/// and the offset in `operands[k][6]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk<const N: usize> {
    /// Sizes, innermost first, and 1 after the last.
    pub shape: [u32; 8],
    /// The strides of each layout, innermost first, then its offset.
    pub operands: [[u32; 8]; N],
    /// The number of elements.
    pub length: u32,
}

impl<const N: usize> Walk<N> {
    /// The walk over layouts that all have the shape of the first one.
    pub fn new(layouts: [&Layout; N]) -> Self {
        let shape = layouts[0].shape;
        Self::over(&(0..shape.len()).collect::<Vec<_>>(), layouts)
    }

    /// The walk over some axes of the layouts, in the given order. The other axes stay at index 0.
    pub fn over(axes: &[usize], layouts: [&Layout; N]) -> Self {
        let sizes = layouts[0].shape;
        let mut walk = Self {
            shape: [1, 1, 1, 1, 1, 1, 1, 0],
            operands: layouts.map(|layout| [0, 0, 0, 0, 0, 0, layout.offset as u32, 0]),
            length: 1,
        };
        let mut rank = 0;
        for &axis in axes.iter().rev() {
            let size = sizes[axis] as u32;
            walk.length *= size;
            if size == 1 {
                continue;
            }
            let strides = layouts.map(|layout| layout.strides[axis] as u32);
            let joins = |(operand, stride): (&[u32; 8], u32)| {
                stride == operand[rank - 1].wrapping_mul(walk.shape[rank - 1])
            };
            if rank > 0 && walk.operands.iter().zip(strides).all(joins) {
                walk.shape[rank - 1] *= size;
                continue;
            }
            walk.shape[rank] = size;
            for (operand, stride) in walk.operands.iter_mut().zip(strides) {
                operand[rank] = stride;
            }
            rank += 1;
        }
        walk.shape[7] = rank as u32;
        walk
    }

    /// The index of element `index` of the walk in layout `operand`.
    pub fn place(&self, operand: usize, index: usize) -> usize {
        place(index, &self.shape, &self.operands[operand])
    }
}

/// The place in an operand's buffer of element number `index` of a [`Walk`], where the walk has this
/// shape and the operand these strides.
pub fn place(index: usize, shape: &[u32; 8], strides: &[u32; 8]) -> usize {
    let mut rest = index;
    let mut at = strides[6] as usize;
    for axis in 0..shape[7] as usize {
        let size = shape[axis] as usize;
        at += rest % size * strides[axis] as usize;
        rest /= size;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(sizes: &[usize]) -> Shape {
        Shape::new(sizes).unwrap()
    }

    /// The indices of a layout by the definition, element by element.
    fn places(layout: &Layout) -> Vec<usize> {
        let mut places = vec![layout.offset];
        for (&size, &stride) in layout.shape.iter().zip(layout.strides()) {
            let inner = |&at: &usize| (0..size).map(move |i| at + i * stride);
            places = places.iter().flat_map(inner).collect();
        }
        places
    }

    #[test]
    fn a_walk_finds_every_place_whatever_axes_it_joins() {
        let base = Layout::contiguous(shape(&[3, 1, 4, 5]));
        let views = [
            (base, 1),
            (base.permute(&[2, 1, 0, 3]), 3),
            (base.permute(&[3, 2, 1, 0]), 3),
            (base.slice(0, 1..3), 1),
            (base.slice(3, 2..4), 2),
            (base.broadcast_to(shape(&[3, 7, 4, 5])).unwrap(), 3),
            (base.slice(2, 1..2).slice(3, 4..5), 1),
        ];
        for (view, rank) in views {
            let walk = Walk::new([&view]);
            let found: Vec<usize> = (0..walk.length as usize)
                .map(|i| walk.place(0, i))
                .collect();
            assert_eq!(found, places(&view), "{view:?}");
            assert_eq!(walk.shape[7], rank, "{view:?}");
        }
    }

    #[test]
    fn only_what_stands_row_major_is_reshaped() {
        let base = Layout::contiguous(shape(&[4, 6]));
        assert!(base.slice(0, 1..3).reshape(shape(&[12])).is_some());
        assert!(base.slice(1, 1..3).reshape(shape(&[8])).is_none());
        assert!(base.permute(&[1, 0]).reshape(shape(&[24])).is_none());
        assert_eq!(base.diagonal().strides(), [7]);
        assert_eq!(base.diagonal().shape, shape(&[4]));
    }
}
