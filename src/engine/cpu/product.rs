//! Matrix products on the CPU.

use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;

/// A matrix in a slice, whose first element has index 0.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Its elements.
    pub values: &'a [f32],
    /// The distance from one row to the next, in elements.
    pub row: usize,
    /// The distance from one column to the next, in elements.
    pub column: usize,
}

/// Whether the last element of a matrix of `rows` and `columns` lies in a slice of `len` elements,
/// at strides that a pointer can have. A size of 0 has no last element, and an index that no
/// `usize` holds lies in no slice.
fn fits([rows, columns]: [usize; 2], [row, column]: [usize; 2], len: usize) -> bool {
    let steps = |count: usize, stride: usize| count.checked_sub(1)?.checked_mul(stride);
    let last = || steps(rows, row)?.checked_add(steps(columns, column)?);
    let is_a_stride = |stride| isize::try_from(stride).is_ok();
    last().is_some_and(|last| last < len) && is_a_stride(row) && is_a_stride(column)
}

/// result \[m, n\] = a·b, summed over `depth`, or that product added to `result` if `add`.
///
/// Rows of the result are `stride` elements apart, and no size is 0. The order of the sums depends
/// on the processor and on the sizes, but not on the number of threads.
pub fn product(
    sizes: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    result: &mut [f32],
    stride: usize,
    add: bool,
) {
    let parallel = match sizes.iter().product() {
        ..65_536 => Parallelism::None,
        _ => Parallelism::Rayon(0),
    };
    multiply(sizes, a, b, result, (stride, add), parallel);
}

/// The same on the calling thread alone, for work that is cut for the threads already.
pub fn product_here(
    sizes: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    result: &mut [f32],
    stride: usize,
    add: bool,
) {
    multiply(sizes, a, b, result, (stride, add), Parallelism::None);
}

fn multiply(
    [m, n, depth]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    result: &mut [f32],
    (stride, add): (usize, bool),
    parallel: Parallelism,
) {
    assert!(fits([m, depth], [a.row, a.column], a.values.len()));
    assert!(fits([depth, n], [b.row, b.column], b.values.len()));
    assert!(fits([m, n], [stride, 1], result.len()));
    // The multiplication prefers columns of the result that are contiguous. Rows that are make it
    // compute the transposed product, resultᵀ = bᵀ·aᵀ.
    let flip = |matrix: Matrix<'_>| (matrix.values.as_ptr(), matrix.row, matrix.column);
    let keep = |matrix: Matrix<'_>| (matrix.values.as_ptr(), matrix.column, matrix.row);
    let ((m, n), (column, row), left, right) = match stride {
        2.. => ((n, m), (stride, 1), flip(b), flip(a)),
        _ => ((m, n), (1, stride), keep(a), keep(b)),
    };
    // SAFETY: the assertions above hold that no size is 0, that the last element that each matrix
    // reaches by its strides lies in its slice, without an overflow, and that each stride is an
    // `isize`. `result` is borrowed mutably, so it overlaps neither operand.
    #[allow(
        unsafe_code,
        reason = "gemm takes pointers; plain loops reach a tenth of its speed"
    )]
    unsafe {
        get_gemm_fn()(
            m,
            n,
            depth,
            result.as_mut_ptr(),
            column as isize,
            row as isize,
            add,
            left.0,
            left.1 as isize,
            left.2 as isize,
            right.0,
            right.1 as isize,
            right.2 as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallel,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_fits_if_its_last_element_does() {
        assert!(fits([2, 3], [3, 1], 6));
        assert!(!fits([2, 3], [3, 1], 5));
        assert!(!fits([0, 3], [3, 1], 6));
        assert!(!fits([2, 0], [3, 1], 6));
    }

    #[test]
    fn strides_that_wrap_around_fit_nothing() {
        // 4·2⁶² and 2·2⁶³ are 0 modulo 2⁶⁴.
        assert!(!fits([5, 1], [1 << 62, 1], 8));
        assert!(!fits([3, 3], [1 << 63, 1 << 63], 8));
        assert!(!fits([1, 1], [1 << 63, 1], 8));
    }

    #[test]
    #[should_panic(expected = "fits([m, depth]")]
    fn a_product_with_a_stride_that_wraps_around_panics() {
        let values = [1.0; 8];
        let a = Matrix {
            values: &values,
            row: 1 << 62,
            column: 1,
        };
        let b = Matrix {
            values: &values,
            row: 1,
            column: 1,
        };
        product([5, 1, 1], a, b, &mut [0.0; 5], 1, false);
    }
}
