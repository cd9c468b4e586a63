//! Functions of one number, functions of two, and reductions.

use super::table::{Range, Table, seen, views};
use crate::verify::operations::{Operation, View};

pub(super) fn elementwise(table: &mut Table) {
    use Operation as Op;
    use Range::*;
    let unary = [
        // WGSL allows exp 3 + 2·|x| ulps, and log 2⁻²¹ near 1. Exact functions are allowed one ulp.
        (Op::Log, Positive, 8.0),
        (Op::Exp, Signed, 10.0),
        (Op::Relu, Signed, 0.0),
        (Op::Sigmoid, Signed, 12.0),
        (Op::Tanh, Signed, 16.0),
        (Op::Neg, Signed, 0.0),
        (Op::Abs, Signed, 0.0),
        (Op::Sqrt, Positive, 6.0),
        (Op::Softplus, Signed, 12.0),
        (
            Op::Clamp {
                low: -0.5,
                high: 1.5,
            },
            Signed,
            0.0,
        ),
        (
            Op::Affine {
                factor: -1.5,
                summand: 0.25,
            },
            Signed,
            2.0,
        ),
    ];
    for (operation, range, ulps) in unary {
        for (shape, view) in views() {
            // A stretched operand sums its gradient.
            let (ulps, terms) = match &view {
                View::Stretched(_) => (ulps + 1.0, 8),
                _ => (ulps, 1),
            };
            table.add(operation.clone(), &[(&shape, view, range)], (ulps, terms));
        }
    }
    let binary = [
        (Op::Add, Signed, Signed, 1.0),
        (Op::Sub, Signed, Signed, 1.0),
        (Op::Mul, Signed, Signed, 2.0),
        (Op::Div, Signed, Scale, 8.0),
        // x is up to 64 and y up to 2. WGSL's pow inherits from exp2 and log2: 3 + 2·12 ulps and
        // 2·ln 2·2⁻²¹.
        (Op::Pow, Positive, Scale, 64.0),
    ];
    for (operation, left, right, ulps) in binary {
        for (shape, view) in views() {
            let other = seen(&shape, &view);
            let operands = [(&shape[..], view, left), (&other[..], View::Whole, right)];
            table.add(operation.clone(), &operands, (ulps, 8));
        }
        let stretched: [[&[usize]; 2]; 5] = [
            [&[5, 7], &[7]],
            [&[4, 1, 3], &[2, 1]],
            [&[], &[33]],
            [&[66, 1], &[1, 65]],
            [&[0, 3], &[3]],
        ];
        for [x, y] in stretched {
            let operands = [(x, View::Whole, left), (y, View::Whole, right)];
            table.add(operation.clone(), &operands, (ulps, 66));
        }
    }
}

pub(super) fn reductions(table: &mut Table) {
    use Operation as Op;
    let shapes: [(&[usize], View, &[isize]); 10] = [
        (&[1], View::Whole, &[0]),
        (&[63], View::Whole, &[0]),
        (&[64, 65], View::Whole, &[0]),
        (&[65, 64], View::Whole, &[-1]),
        (&[997], View::Whole, &[-1]),
        (&[4, 5, 6], View::Whole, &[0, 2]),
        (&[2, 3, 2, 3, 2, 3], View::Whole, &[1, -1, 3]),
        (&[31, 17], View::Transposed, &[0]),
        (&[9, 6], View::Inner, &[1]),
        (&[5, 1], View::Stretched(vec![2, 5, 33]), &[0, 2]),
    ];
    for (shape, view, axes) in shapes {
        let all = None;
        let some = Some(axes.to_vec());
        for (axes, keep) in [(all, false), (some.clone(), false), (some, true)] {
            let terms: usize = seen(shape, &view).iter().product();
            let operand = |range| [(shape, view.clone(), range)];
            let (sum, mean, max) = (axes.clone(), axes.clone(), axes);
            table.add(
                Op::Sum { axes: sum, keep },
                &operand(Range::Signed),
                (4.0, 4 * terms),
            );
            table.add(
                Op::Mean { axes: mean, keep },
                &operand(Range::Signed),
                (4.0, terms),
            );
            table.add(
                Op::Max { axes: max, keep },
                &operand(Range::Tied),
                (3.0, terms),
            );
        }
    }
    let nothing = Op::Sum {
        axes: Some(vec![0]),
        keep: false,
    };
    table.add(nothing, &[(&[0, 3], View::Whole, Range::Signed)], (0.0, 1));
    // Past 65,535 workgroups, and long enough to be summed in splits.
    let rows = Some(vec![-1]);
    let long: &[usize] = &[65_601, 32];
    let operand = [(long, View::Whole, Range::Signed)];
    table.add(
        Op::Sum {
            axes: rows,
            keep: false,
        },
        &operand,
        (4.0, 128),
    );
    table.add(
        Op::Mean {
            axes: None,
            keep: false,
        },
        &operand,
        (4.0, 1),
    );
}
