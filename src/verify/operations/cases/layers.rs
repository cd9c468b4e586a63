//! Layers and losses.

use super::table::{Range, Table};
use crate::verify::operations::{Operation, View};

pub(super) fn layers(table: &mut Table) {
    use Operation as Op;
    use Range::*;
    for (shape, view, axis) in [
        (&[1][..], View::Whole, 0),
        (&[63], View::Whole, 0),
        (&[64, 10], View::Whole, -1),
        (&[7, 65], View::Whole, 1),
        (&[33, 5], View::Whole, 0),
        (&[3, 997], View::Whole, -1),
        (&[6, 4, 5], View::Transposed, 1),
        (&[9, 12], View::Inner, -1),
        (&[8], View::Stretched(vec![5, 8]), -1),
        (&[0, 4], View::Whole, -1),
        (&[2, 3, 2, 3, 2, 3], View::Whole, 2),
    ] {
        // exp takes differences up to 6; the logarithm takes differences up to 60, whose size
        // bounds the result.
        let operand = |range| [(shape, view.clone(), range)];
        table.add(Op::Softmax { axis }, &operand(Signed), (24.0, 5));
        table.add(Op::LogSoftmax { axis }, &operand(Logits), (8.0, 5));
    }
    for [batch, inputs, outputs] in [
        [1, 1, 1],
        [63, 65, 64],
        [64, 64, 10],
        [997, 3, 2],
        [0, 3, 2],
    ] {
        let (x, w, b) = ([batch, inputs], [inputs, outputs], [outputs]);
        let operands = [
            (&x[..], View::Whole, Signed),
            (&w[..], View::Whole, Signed),
            (&b[..], View::Whole, Signed),
        ];
        table.add(Op::Linear, &operands, (8.0, 997));
    }
    for [batch, features] in [[2, 1], [17, 63], [64, 64], [65, 16], [997, 3]] {
        let (x, each) = ([batch, features], [features]);
        let operands = [
            (&x[..], View::Whole, Signed),
            (&each[..], View::Whole, Scale),
            (&each[..], View::Whole, Signed),
        ];
        // Two samples that lie close together make 1/√(v + ε) large and their difference inexact. ε
        // keeps that factor below about 300.
        let ulps = if batch == 2 { 2000.0 } else { 32.0 };
        table.add(Op::BatchNorm { epsilon: 1e-5 }, &operands, (ulps, batch));
        let [x, gamma, beta] = operands;
        let running = [
            x,
            gamma,
            beta,
            (&each[..], View::Whole, Signed),
            (&each[..], View::Whole, Scale),
        ];
        let evaluation = Op::BatchNormEvaluation { epsilon: 1e-5 };
        table.add(evaluation, &running, (16.0, batch));
    }
    for (shape, rate) in [
        (&[64][..], 0.5),
        (&[33, 65], 0.1),
        (&[7], 0.0),
        (&[0, 3], 0.5),
    ] {
        let operation = Op::Dropout { rate, seed: 7 };
        table.add(operation, &[(shape, View::Whole, Signed)], (2.0, 1));
    }
}

pub(super) fn losses(table: &mut Table) {
    use Operation as Op;
    use Range::*;
    for [rows, columns] in [[1, 1], [63, 3], [64, 10], [65, 64], [997, 2]] {
        let shape: &[usize] = &[rows, columns];
        let pair = |left, right| [(shape, View::Whole, left), (shape, View::Whole, right)];
        table.add(Op::Mse, &pair(Signed, Signed), (8.0, 1));
        table.add(Op::CrossEntropy, &pair(Signed, Unit), (16.0, columns));
        table.add(Op::CrossEntropy, &pair(Logits, Unit), (16.0, columns));
        table.add(Op::BinaryCrossEntropy, &pair(Signed, Unit), (16.0, 1));
        table.add(Op::BinaryCrossEntropy, &pair(Logits, Unit), (16.0, 1));
        let classes = (0..rows).map(|row| (7 * row % columns) as u32).collect();
        let operand = [(shape, View::Whole, Logits)];
        table.add(
            Op::CrossEntropyClasses { classes },
            &operand,
            (16.0, columns),
        );
    }
    let turned = [
        (&[5, 4][..], View::Transposed, Signed),
        (&[4, 5], View::Whole, Signed),
    ];
    table.add(Op::Mse, &turned, (8.0, 1));
    for [m, n, r] in [[5, 7, 2], [64, 65, 10]] {
        let (x, a, s) = ([m, n], [m, r], [r, n]);
        let operands = [
            (&x[..], View::Whole, Signed),
            (&a[..], View::Whole, Signed),
            (&s[..], View::Whole, Signed),
        ];
        table.add(Op::Factorization, &operands, (8.0, m * n));
    }
}
