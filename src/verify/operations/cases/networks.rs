//! The parts of two-perspective networks: sums over index lists, products of pairs, and a matrix
//! for each bucket.

use super::table::{Range, Table, turned, whole};
use crate::engine::kernel::inputs::Inputs;
use crate::verify::operations::{Operation, View};

pub(super) fn networks(table: &mut Table) {
    accumulate(table);
    pairwise(table);
    bucketed_linear(table);
}

fn accumulate(table: &mut Table) {
    // [samples, longest list, inputs, lanes]
    for [samples, width, inputs, lanes] in [
        [0, 1, 3, 2],
        [2, 2, 3, 0],
        [1, 1, 1, 1],
        [7, 4, 9, 5],
        [33, 7, 40, 63],
        [64, 32, 768, 64],
        [65, 5, 11, 65],
        // Feature 0 has more than one chunk of samples.
        [1031, 3, 13, 4],
    ] {
        let lists = Inputs::new(30_000 + samples as u64).sparse(samples, width, inputs);
        let lists = (0..samples).map(|s| lists.list(s).to_vec()).collect();
        let (a, b) = ([inputs, lanes], [lanes]);
        let operands = [whole(&a), whole(&b)];
        table.add(Operation::Accumulate { lists }, &operands, (8.0, 1031));
    }
    let lists = vec![vec![3, 0], vec![], vec![1, 2, 3]];
    let operands = [turned(&[5, 4]), whole(&[5])];
    table.add(Operation::Accumulate { lists }, &operands, (8.0, 3));
}

fn pairwise(table: &mut Table) {
    // Signed values lie on the kink at 0, and on the one at T = 1.5.
    let clip = 1.5;
    for (shape, view) in [
        (&[2][..], View::Whole),
        (&[3, 0], View::Whole),
        (&[0, 4], View::Whole),
        (&[63, 2], View::Whole),
        (&[2, 3, 16], View::Whole),
        (&[5, 128], View::Whole),
        (&[7, 130], View::Whole),
        (&[3, 1994], View::Whole),
        (&[6, 9], View::Transposed),
        (&[6, 10], View::Inner),
        (&[1, 6], View::Stretched(vec![5, 6])),
    ] {
        let operand = [(shape, view, Range::Signed)];
        table.add(Operation::Pairwise { clip }, &operand, (3.0, 5));
    }
}

fn bucketed_linear(table: &mut Table) {
    // [samples, buckets, inputs, outputs]; the last bucket of more than 2 is empty.
    for [samples, buckets, inputs, outputs] in [
        [0, 2, 3, 2],
        [3, 2, 0, 2],
        [3, 2, 3, 0],
        [1, 1, 1, 1],
        [9, 1, 5, 4],
        [7, 3, 4, 5],
        [63, 3, 17, 15],
        [64, 8, 64, 16],
        [65, 4, 65, 17],
        [997, 8, 31, 33],
        [5, 40, 3, 2],
        // More than one chunk of samples in a bucket.
        [3001, 2, 3, 2],
    ] {
        let filled = if buckets > 2 { buckets - 1 } else { buckets };
        let of_samples = Inputs::new(31_000 + samples as u64).words(samples, filled as u32);
        let operation = Operation::BucketedLinear {
            buckets: of_samples,
        };
        let (x, w, c) = (
            [samples, inputs],
            [buckets, outputs, inputs],
            [buckets, outputs],
        );
        let operands = [whole(&x), whole(&w), whole(&c)];
        table.add(operation, &operands, (8.0, 3001));
    }
    let operation = Operation::BucketedLinear {
        buckets: vec![1, 0, 1, 1],
    };
    let operands = [turned(&[3, 4]), turned(&[2, 3, 5]), turned(&[5, 2])];
    table.add(operation, &operands, (8.0, 5));
}
