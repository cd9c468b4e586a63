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

/// The index of the last element of a matrix of `rows` and `columns`, neither of them 0.
fn last(rows: usize, columns: usize, row: usize, column: usize) -> usize {
    (rows - 1) * row + (columns - 1) * column
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
    assert!(last(m, depth, a.row, a.column) < a.values.len());
    assert!(last(depth, n, b.row, b.column) < b.values.len());
    assert!(last(m, n, stride, 1) < result.len());
    // The multiplication prefers columns of the result that are contiguous. Rows that are make it
    // compute the transposed product, resultᵀ = bᵀ·aᵀ.
    let flip = |matrix: Matrix<'_>| (matrix.values.as_ptr(), matrix.row, matrix.column);
    let keep = |matrix: Matrix<'_>| (matrix.values.as_ptr(), matrix.column, matrix.row);
    let ((m, n), (column, row), left, right) = match stride {
        2.. => ((n, m), (stride, 1), flip(b), flip(a)),
        _ => ((m, n), (1, stride), keep(a), keep(b)),
    };
    // SAFETY: no size is 0. The assertions above hold that the last element that each matrix
    // reaches by its strides, which are not negative, lies in its slice. `result` is borrowed
    // mutably, so it overlaps neither operand.
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
