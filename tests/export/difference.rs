//! Integer networks are near the networks of floats: within what their rounding explains.

use crate::support::{
    encoding, fens, format, inputs, layered, parameters, plain, position, small_buckets,
};
use wgrad::nnue::data::{Encoding, Position};
use wgrad::nnue::export::{Evaluator, Quantized, SaveFormat};
use wgrad::nnue::{Activation, Architecture, ParameterName, Parameters};
use wgrad_inference::{Color, pieces_of};

/// Half the distance of floats near 1.
const FLOAT: f64 = 1.0 / (1 << 24) as f64;
const MOST_PIECES: f64 = 32.0;

/// The evaluations of both networks in centipawns.
fn evaluations(format: &SaveFormat, net: &Parameters, encoding: &Encoding) -> Vec<(f64, f64)> {
    let network = Quantized::new(format, net, Some(encoding))
        .unwrap()
        .network()
        .unwrap();
    let fens = fens(150, 23);
    let positions: Vec<Position> = fens.iter().map(|fen| position(fen)).collect();
    let mut evaluator = Evaluator::new(net, encoding).unwrap();
    let floats = evaluator.outputs(&positions).unwrap();
    let integers = fens.iter().map(|fen| {
        let to_move = if fen.contains(" w ") {
            Color::White
        } else {
            Color::Black
        };
        let board = pieces_of(fen.split(' ').next().unwrap());
        network.evaluate_checked(board, to_move).unwrap()
    });
    let scale = f64::from(network.scale());
    let floats = floats.into_iter().map(|float| f64::from(float) * scale);
    integers.map(f64::from).zip(floats).collect()
}

#[track_caller]
fn within(bound: f64, pairs: &[(f64, f64)], name: &str) {
    let size = pairs.iter().map(|(_, float)| float.abs()).sum::<f64>() / pairs.len() as f64;
    // The bound means something: evaluations are larger.
    assert!(
        size > 3.0 * bound,
        "{name}: mean size {size}, bound {bound}"
    );
    for (integer, float) in pairs {
        let difference = (integer - float).abs();
        assert!(
            difference <= bound,
            "{name}: {integer} for {float}, bound {bound}"
        );
    }
    let used = pairs
        .iter()
        .map(|(integer, float)| (integer - float).abs())
        .fold(0.0, f64::max);
    assert!(used > 0.0, "{name}: integers have no fractions");
}

/// The largest error of a clipped lane: half a step for each weight and the bias, and the rounding
/// of a sum of floats, whose parts are within 33 times the largest weight.
fn lane_error(qa: f64, limit: f64) -> f64 {
    let terms = MOST_PIECES + 1.0;
    0.5 * terms / qa + terms * terms * limit * FLOAT
}

/// The largest sum of sizes in a row of so many weights.
fn largest_row(weights: &[f32], width: usize) -> f64 {
    let sums = weights.chunks(width);
    let sums = sums.map(|row| row.iter().map(|weight| f64::from(weight.abs())).sum());
    sums.fold(0.0, f64::max)
}

/// y = Σ w·h + d. A lane h is wrong by at most e (CReLU) or 2e (its square), a weight by half a
/// step, the bias too, and h is at most 1. Divisions cut one step of QA·QB at most and then one
/// centipawn.
#[test]
fn plain_networks_are_within_their_rounding() {
    const QA: f64 = 1024.0;
    const QB: f64 = 32.0;
    let format = format(
        "[[tensors]]\ntensor = 'A1'\nmerge = ['shared']\ntype = 'i16'\nscale = 1024\n\
         [[tensors]]\ntensor = 'B1'\ntype = 'i16'\nscale = 1024\n\
         [[tensors]]\ntensor = 'C'\ntype = 'i16'\nscale = 32\n\
         [[tensors]]\ntensor = 'd'\ntype = 'i32'\nscale = 32768\n\
         [evaluation]\nscale = 400\n",
    );
    let kings = encoding(inputs("king-buckets-mirrored", Some(&small_buckets())), 8);
    let chess = encoding(inputs("chess768", None), 1);
    for (encoding, activation) in [
        (&chess, Activation::SCRelu),
        (&chess, Activation::CRelu),
        (&kings, Activation::SCRelu),
        (&kings, Activation::CRelu),
    ] {
        let hidden = 16;
        let architecture = plain(encoding, hidden).activation(activation);
        let mut net = parameters(&architecture, 0.3, 24);
        // Large output weights of one sign make evaluations large next to the bound.
        net.values_mut()[2]
            .iter_mut()
            .for_each(|weight| *weight = 10.0 * weight.abs());
        let width = 2 * hidden;
        let slope = if activation == Activation::SCRelu {
            2.0
        } else {
            1.0
        };
        let row = largest_row(net.get(ParameterName::C).unwrap(), width);
        let output = slope * lane_error(QA, 0.3) * row
            + width as f64 * 0.5 / QB
            + 1.5 / (QA * QB)
            + (width + 1) as f64 * (row + 0.3) * FLOAT;
        let bound = 400.0 * output + 1.0;
        let pairs = evaluations(&format, &net, encoding);
        within(bound, &pairs, &format!("{activation:?}, {architecture}"));
    }
}

/// A product of clipped lanes is wrong by at most 2e and the bits that its shift cuts. From there
/// each layer adds its row's error, and CReLU adds none.
#[test]
fn layered_networks_are_within_their_rounding() {
    const QA: f64 = 1023.0;
    const Q1: f64 = 128.0;
    let encoding = encoding(inputs("chess768", None), 8);
    let architecture: Architecture = layered(&encoding, 16, &["4:crelu", "3:crelu"]);
    let mut net = parameters(&architecture, 0.3, 25);
    for tensor in 2..5 {
        net.values_mut()[tensor]
            .iter_mut()
            .for_each(|weight| *weight = 0.7 * weight.abs());
    }
    net.values_mut()[4]
        .iter_mut()
        .for_each(|weight| *weight += 3.0);
    net.values_mut()[6].iter_mut().for_each(|bias| *bias += 0.5);
    let mut format = crate::support::free("integral", &architecture);
    (format.tensors[0].scale, format.tensors[1].scale) = (QA, QA);
    format.evaluation.as_mut().unwrap().product_shift = 12;
    let row = |layer, width| largest_row(net.get(ParameterName::W(layer)).unwrap(), width);
    let (first, second, third) = (row(0, 16), row(1, 4), row(2, 3));
    let unit = QA * QA / 4096.0;
    let product = 2.0 * lane_error(QA, 0.3) + 1.0 / unit;
    let z = first * product + 16.0 * 0.5 / Q1;
    let floats = 64.0 * (first + second + third + 1.0) * FLOAT;
    let output = third * (second * z) + (1.0 + third) * (1.0 + second) * floats;
    let bound = 200.0 * output + 1.0;
    within(bound, &evaluations(&format, &net, &encoding), "integral");
}
