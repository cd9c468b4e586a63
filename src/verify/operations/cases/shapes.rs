//! Products, views and joins.

use super::table::{Operand, Range, Table, turned, whole};
use crate::verify::operations::{Operation, View};

pub(super) fn products(table: &mut Table) {
    use Operation as Op;
    use Range::Signed;
    let pairs: [[Operand<'_>; 2]; 16] = [
        [whole(&[0, 3]), whole(&[3, 2])],
        [whole(&[3, 0]), whole(&[0, 2])],
        [whole(&[1, 1]), whole(&[1, 1])],
        [whole(&[63, 15]), whole(&[15, 65])],
        [whole(&[64, 16]), whole(&[16, 64])],
        [whole(&[65, 17]), whole(&[17, 63])],
        [whole(&[7, 997]), whole(&[997, 5])],
        [turned(&[33, 70]), whole(&[33, 5])],
        [whole(&[6, 33]), turned(&[70, 33])],
        [turned(&[20, 9]), turned(&[11, 20])],
        [
            (&[9, 12], View::Inner, Signed),
            (&[12, 6], View::Inner, Signed),
        ],
        [whole(&[5, 7, 9]), whole(&[5, 9, 4])],
        [whole(&[2, 1, 7, 9]), whole(&[3, 9, 4])],
        [whole(&[9]), whole(&[9, 4])],
        [whole(&[6, 9]), whole(&[9])],
        [whole(&[17]), whole(&[17])],
    ];
    for operands in pairs {
        table.add(Op::Matmul, &operands, (8.0, 997));
    }
    for length in [0, 1, 63, 64, 65, 997] {
        let sizes: &[usize] = &[length];
        table.add(Op::Dot, &[whole(sizes), whole(sizes)], (8.0, length.max(1)));
    }
    for size in [0, 1, 2, 64, 97] {
        let sizes: &[usize] = &[size, size];
        table.add(Op::Trace, &[whole(sizes)], (4.0, size.max(1)));
        table.add(Op::Trace, &[turned(sizes)], (4.0, size.max(1)));
        table.add(Op::Diagonal, &[whole(sizes)], (0.0, 1));
        table.add(Op::Diagonal, &[turned(&[size, size + 3])], (0.0, 1));
    }
}

pub(super) fn shapes(table: &mut Table) {
    use Operation as Op;
    let signed = |shape: &'static [usize], view| (shape, view, Range::Signed);
    for (shape, view, order) in [
        (&[5, 7][..], View::Whole, &[1, 0][..]),
        (&[4, 3, 5], View::Transposed, &[2, 0, 1]),
        (&[2, 3, 1, 2, 3, 2], View::Whole, &[5, 3, -6, 1, 4, 2]),
        (&[], View::Whole, &[]),
        (&[0, 4], View::Whole, &[-1, 0]),
    ] {
        let order = order.to_vec();
        table.add(Op::Permute { order }, &[signed(shape, view)], (0.0, 1));
    }
    for (shape, view, to) in [
        (&[6, 4][..], View::Whole, &[2, 12][..]),
        (&[6, 4], View::Transposed, &[24]),
        (&[7, 8], View::Inner, &[3, 2, 5]),
        (&[1], View::Whole, &[]),
        (&[0, 4], View::Whole, &[2, 0]),
        (&[3, 1], View::Stretched(vec![3, 4]), &[2, 6]),
    ] {
        let shape_to = to.to_vec();
        table.add(
            Op::Reshape { shape: shape_to },
            &[signed(shape, view)],
            (1.0, 4),
        );
    }
    for (shape, view, axis, start, end) in [
        (&[9][..], View::Whole, 0, 2, 7),
        (&[5, 6], View::Whole, -1, 0, 6),
        (&[5, 6], View::Transposed, 0, 1, 3),
        (&[4, 5, 6], View::Inner, 1, 1, 1),
    ] {
        let operation = Op::Slice { axis, start, end };
        table.add(operation, &[signed(shape, view)], (0.0, 1));
    }
    table.add(
        Op::Concat { axis: 0 },
        &[whole(&[3]), whole(&[0]), whole(&[65])],
        (0.0, 1),
    );
    let mixed = [
        whole(&[4, 3]),
        signed(&[2, 4], View::Transposed),
        whole(&[4, 1]),
    ];
    table.add(Op::Concat { axis: 1 }, &mixed, (0.0, 1));
    table.add(
        Op::Concat { axis: -2 },
        &[whole(&[2, 3, 5]), whole(&[2, 1, 5])],
        (0.0, 1),
    );
    for (shape, to) in [
        (&[][..], &[64][..]),
        (&[7], &[3, 7]),
        (&[4, 1, 3], &[2, 4, 65, 3]),
        (&[1, 0], &[5, 0]),
    ] {
        let operation = Op::BroadcastTo { shape: to.to_vec() };
        table.add(operation, &[whole(shape)], (2.0, 130));
    }
}
