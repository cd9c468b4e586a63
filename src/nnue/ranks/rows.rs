//! The sum of matrices of which most rows may be zero.
//!
//! A batch touches only some rows of A if there are many inputs. The ranks tell each other which,
//! and add packed values: a row that is zero on all of them stays at home. The bits are those of
//! [`sum`], because a row of zeros has a sum of zeros.

use super::{Ranks, sum};
use crate::error::Result;
use std::ops::Range;

/// A matrix among values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The place of its first value.
    pub start: usize,
    /// The number of its rows.
    pub count: usize,
    /// The values of a row.
    pub width: usize,
}

impl Rows {
    fn range(&self, row: usize) -> Range<usize> {
        let start = self.start + row * self.width;
        start..start + self.width
    }
}

/// As [`sum`]. The rows of `matrices`, which are in order and do not overlap, only travel if one
/// rank has a number other than +0 in them, unless that takes more bytes.
///
/// # Errors
/// A rank that cannot be reached.
pub fn sum_of_rows(
    ranks: &dyn Ranks,
    values: &mut [f32],
    matrices: &[Rows],
    spare: &mut Vec<f32>,
) -> Result<()> {
    if ranks.count() == 1 || matrices.is_empty() {
        return sum(ranks, values, spare);
    }
    let touched = touched(ranks, values, matrices)?;
    let travelling = travelling(values.len(), matrices, &touched);
    let packed: usize = travelling.iter().map(Range::len).sum();
    // The marks of all ranks travel too.
    if size_of::<f32>() * packed + ranks.count() * touched.len() >= size_of_val(values) {
        return sum(ranks, values, spare);
    }
    let mut end = 0;
    for range in &travelling {
        values.copy_within(range.clone(), end);
        end += range.len();
    }
    sum(ranks, &mut values[..packed], spare)?;
    // From the last range on, so that none lands on values that are still packed.
    let mut after = values.len();
    for range in travelling.iter().rev() {
        end -= range.len();
        values.copy_within(end..end + range.len(), range.start);
        values[range.end..after].fill(0.0);
        after = range.start;
    }
    values[..after].fill(0.0);
    Ok(())
}

/// A bit for each row: whether one of the ranks has a number other than +0 in it.
fn touched(ranks: &dyn Ranks, values: &[f32], matrices: &[Rows]) -> Result<Vec<u8>> {
    let rows = matrices
        .iter()
        .flat_map(|matrix| (0..matrix.count).map(|row| matrix.range(row)));
    let is_touched = |range: Range<usize>| values[range].iter().any(|value| value.to_bits() != 0);
    let count: usize = matrices.iter().map(|matrix| matrix.count).sum();
    let mut own = vec![0; count.div_ceil(8)];
    for (index, row) in rows.enumerate() {
        own[index / 8] |= u8::from(is_touched(row)) << (index % 8);
    }
    for others in ranks.share(&own)? {
        for (own, other) in own.iter_mut().zip(others) {
            *own |= other;
        }
    }
    Ok(own)
}

/// The ranges of the values that travel: everything but rows without a mark.
fn travelling(len: usize, matrices: &[Rows], touched: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut push = |range: Range<usize>| match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ if range.is_empty() => {}
        _ => ranges.push(range),
    };
    let (mut end, mut index) = (0, 0);
    for matrix in matrices {
        push(end..matrix.start);
        for row in 0..matrix.count {
            if touched[index / 8] >> (index % 8) & 1 == 1 {
                push(matrix.range(row));
            }
            index += 1;
        }
        end = matrix.range(matrix.count).start;
    }
    push(end..len);
    ranges
}
