//! Shapes, broadcasting and strided views. This is pure arithmetic, without a device.

mod layout;

#[doc(hidden)]
pub use layout::{Layout, Walk, place};

use crate::error::{Error, Result};
use std::ops::Deref;

/// The most axes that a tensor has.
pub const MAX_RANK: usize = 6;

/// The sizes of a tensor's axes, outermost first. A shape without axes is a scalar and has one
/// element.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    sizes: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// The shape of one element without axes.
    pub const SCALAR: Self = Self {
        sizes: [1; MAX_RANK],
        rank: 0,
    };

    /// A shape of these sizes.
    ///
    /// # Errors
    /// More than [`MAX_RANK`] axes, or more elements than a `u32` can count, because shaders use
    /// `u32` indices.
    pub fn new(sizes: &[usize]) -> Result<Self> {
        if sizes.len() > MAX_RANK {
            let expected = format!("at most {MAX_RANK} axes");
            return Err(Error::argument("shape", expected, format!("{sizes:?}")));
        }
        // Strides are computed from the other axes, so an axis of size 0 must not hide their
        // overflow.
        let product = sizes
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
        if product.is_none_or(|product| product > u32::MAX as usize) {
            let expected = format!("at most {} elements", u32::MAX);
            return Err(Error::argument("shape", expected, format!("{sizes:?}")));
        }
        Ok(Self::of(sizes))
    }

    /// For sizes that come from a checked shape.
    fn of(sizes: &[usize]) -> Self {
        let mut shape = Self::SCALAR;
        shape.sizes[..sizes.len()].copy_from_slice(sizes);
        shape.rank = sizes.len();
        shape
    }

    /// The number of elements, 0 if the size of an axis is 0.
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// The shape to which both shapes stretch by NumPy's rule: from the last axis on, sizes are
    /// equal, or one of them is 1 or missing.
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank.max(other.rank);
        let mut sizes = [1; MAX_RANK];
        for (back, size) in (0..rank).zip(sizes[..rank].iter_mut().rev()) {
            *size = match (self.size_from_back(back), other.size_from_back(back)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Self::new(&sizes[..rank]).ok()
    }

    /// The size of an axis counted from the last; 1 if there is no such axis.
    fn size_from_back(&self, back: usize) -> usize {
        if back < self.rank {
            self.sizes[self.rank - 1 - back]
        } else {
            1
        }
    }

    /// The axis with a number: 0 is the outermost axis, −1 the last.
    pub fn axis(&self, axis: isize) -> Result<usize> {
        let rank = self.rank as isize;
        let found = if axis < 0 { axis + rank } else { axis };
        if (0..rank).contains(&found) {
            return Ok(found as usize);
        }
        let expected = match rank {
            0 => format!("none, for the shape {self:?} has no axis"),
            _ => format!("from {} to {} for the shape {self:?}", -rank, rank - 1),
        };
        Err(Error::argument("axis", expected, axis))
    }

    /// The axes of the set, ascending.
    ///
    /// # Errors
    /// An axis that is named twice.
    pub fn axes(&self, axes: &Axes) -> Result<Vec<usize>> {
        let Axes::Some(given) = axes else {
            return Ok((0..self.rank).collect());
        };
        let mut found = given
            .iter()
            .map(|&axis| self.axis(axis))
            .collect::<Result<Vec<_>>>()?;
        found.sort_unstable();
        if found.windows(2).any(|pair| pair[0] == pair[1]) {
            let expected = "each axis once";
            return Err(Error::argument("axes", expected, format!("{given:?}")));
        }
        Ok(found)
    }

    /// This shape with `change` applied to its list of sizes.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Vec<usize>)) -> Result<Self> {
        let mut sizes = self.to_vec();
        change(&mut sizes);
        Self::new(&sizes)
    }
}

impl AsRef<[usize]> for Shape {
    fn as_ref(&self) -> &[usize] {
        self
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// A set of axes: `..` for all, a number, or an array of numbers. Negative numbers count back from
/// the last axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axes {
    /// Every axis.
    All,
    /// These axes.
    Some(Vec<isize>),
}

impl From<std::ops::RangeFull> for Axes {
    fn from(_: std::ops::RangeFull) -> Self {
        Self::All
    }
}
impl From<isize> for Axes {
    fn from(axis: isize) -> Self {
        Self::Some(vec![axis])
    }
}
impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Self {
        Self::Some(axes.to_vec())
    }
}
impl From<&[isize]> for Axes {
    fn from(axes: &[isize]) -> Self {
        Self::Some(axes.to_vec())
    }
}
impl From<&[usize]> for Axes {
    fn from(axes: &[usize]) -> Self {
        Self::Some(axes.iter().map(|&axis| axis as isize).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(sizes: &[usize]) -> Shape {
        Shape::new(sizes).unwrap()
    }

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        type Stretched<'a> = (&'a [usize], &'a [usize], Option<&'a [usize]>);
        let cases: [Stretched<'_>; 9] = [
            (&[2, 3], &[3], Some(&[2, 3])),
            (&[2, 1], &[1, 3], Some(&[2, 3])),
            (&[], &[4, 5], Some(&[4, 5])),
            (&[3, 1, 2], &[7, 1], Some(&[3, 7, 2])),
            (&[0, 3], &[1], Some(&[0, 3])),
            (&[1], &[0], Some(&[0])),
            (&[2, 3], &[2], None),
            (&[0], &[2], None),
            (&[4, 2, 3], &[3, 3], None),
        ];
        for (a, b, expected) in cases {
            let expected = expected.map(shape);
            assert_eq!(shape(a).broadcast(&shape(b)), expected, "{a:?} {b:?}");
            assert_eq!(shape(b).broadcast(&shape(a)), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn too_many_axes_or_elements_are_refused() {
        let error = Shape::new(&[1; 7]).unwrap_err().to_string();
        assert!(error.contains("at most 6 axes"), "{error}");
        assert!(Shape::new(&[1 << 20, 1 << 20]).is_err());
        assert!(Shape::new(&[1 << 40, 1 << 40, 0]).is_err());
        assert_eq!(shape(&[3, 0]).elements(), 0);
        assert_eq!(shape(&[]).elements(), 1);
    }

    #[test]
    fn axes_count_from_both_ends() {
        let three = shape(&[2, 3, 4]);
        assert_eq!(three.axis(-1).unwrap(), 2);
        assert_eq!(three.axes(&[-1, 0].into()).unwrap(), [0, 2]);
        assert_eq!(three.axes(&(..).into()).unwrap(), [0, 1, 2]);
        assert!(three.axes(&[1, -2].into()).is_err());
        let error = three.axis(3).unwrap_err().to_string();
        assert_eq!(
            error,
            "axis: expected from -3 to 2 for the shape [2, 3, 4], found 3"
        );
        assert!(shape(&[]).axis(0).is_err());
    }
}
