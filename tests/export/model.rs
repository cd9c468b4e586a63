//! The integer network of a format: its numbers, its tables, and the model over batches.

use crate::support::{
    encoding, fens, free, inputs, integers, layered, parameters, plain, position, refused,
    small_buckets,
};
use wgrad::nnue::data::{BatchBuilder, Encoding};
use wgrad::nnue::export::{CheckList, IntegerModel, Quantized, Values};
use wgrad::nnue::{Activation, Architecture, Model, Parameters};
use wgrad_inference::{
    Accumulators, Activation as Engine, Color, FirstInputs, Head, Network, Square, Tail, pieces_of,
};

/// Every kind of inputs, with a network for it.
fn networks() -> Vec<(Architecture, Encoding, &'static str)> {
    let whole: Vec<usize> = (0..64).map(|square| square / 24).collect();
    let small = small_buckets();
    let named =
        |name: &str, table: Option<&[usize]>, buckets| encoding(inputs(name, table), buckets);
    let chess = named("chess768", None, 1);
    let mirrored = named("chess768-mirrored", None, 8);
    let kings = named("king-buckets", Some(&whole), 4);
    let small = named("king-buckets-mirrored", Some(&small), 8);
    let two = ["4:dual", "3:crelu"];
    vec![
        (plain(&chess, 6), chess.clone(), "bullet"),
        (
            plain(&mirrored, 6).activation(Activation::CRelu),
            mirrored.clone(),
            "bullet",
        ),
        (
            plain(&kings, 4).factorised(true).unwrap(),
            kings.clone(),
            "wgrad",
        ),
        (layered(&mirrored, 8, &["4:screlu"]), mirrored, "wgrad"),
        (
            layered(&small, 8, &["4:dual-square", "3:crelu"]),
            small.clone(),
            "hobbes",
        ),
        (layered(&kings, 8, &two).skip(true), kings, "bullet"),
        (
            layered(&small, 8, &["4:relu", "3:screlu", "2:crelu"]),
            small,
            "integral",
        ),
    ]
}

fn quantized(
    architecture: &Architecture,
    encoding: &Encoding,
    name: &str,
) -> (Parameters, Quantized) {
    let net = parameters(architecture, 0.45, 19);
    let format = free(name, architecture);
    let quantized = Quantized::new(&format, &net, Some(encoding)).unwrap();
    (net, quantized)
}

/// The evaluation of a FEN with the accumulators of its board.
fn evaluate(network: &Network, fen: &str) -> i32 {
    let mut fields = fen.split(' ');
    let board = pieces_of(fields.next().unwrap());
    let to_move = if fields.next() == Some("w") {
        Color::White
    } else {
        Color::Black
    };
    let accumulators = Accumulators::new(network, board.clone());
    network.evaluate(&accumulators, to_move, board.count())
}

#[test]
fn the_model_computes_what_an_engine_computes() {
    for (architecture, encoding, name) in networks() {
        let (net, quantized) = quantized(&architecture, &encoding, name);
        let mut model = IntegerModel::new(&quantized).unwrap();
        assert_eq!(model.architecture().inputs, net.architecture().inputs);
        let network = model.network().clone();
        let fens = fens(200, 20);
        let mut builder = BatchBuilder::new(encoding.inputs.features());
        for fen in &fens {
            let position = position(fen);
            builder.push_with_bucket(&position, 0.5, encoding.output_buckets.of(&position));
        }
        let batch = builder.finish(model.output_needs()).unwrap();
        let outputs = model.outputs(&batch).unwrap();
        assert_eq!(outputs.len(), fens.len());
        let mut values = Vec::new();
        for (fen, output) in fens.iter().zip(outputs) {
            let value = evaluate(&network, fen);
            assert_eq!(
                output,
                value as f32 / network.scale() as f32,
                "{name}: {fen}"
            );
            values.push(value);
        }
        values.sort_unstable();
        values.dedup();
        assert!(
            values.len() > 9,
            "{name}: {} different evaluations",
            values.len()
        );
    }
}

#[test]
fn a_check_list_has_the_evaluations_of_an_engine() {
    for (architecture, encoding, name) in networks() {
        let (net, quantized) = quantized(&architecture, &encoding, name);
        let network = quantized.network().unwrap();
        let list = CheckList::new(&network, &net, &encoding).unwrap();
        assert_eq!(list.rows().len(), 100);
        for row in list.rows() {
            assert_eq!(row.integer, evaluate(&network, &row.fen), "{}", row.fen);
            let pieces = pieces_of(row.fen.split(' ').next().unwrap()).count();
            assert_eq!(row.output_bucket, encoding.output_buckets.table()[pieces]);
            assert!(
                row.king_buckets
                    .iter()
                    .all(|&bucket| bucket < network.inputs().buckets())
            );
        }
        let mut counts: Vec<usize> = list.rows().iter().map(|row| row.output_bucket).collect();
        counts.sort_unstable();
        counts.dedup();
        assert_eq!(
            counts.len(),
            encoding.output_buckets.count(),
            "every output bucket occurs"
        );
        let mut text = Vec::new();
        list.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count(), 101);
        assert!(text.lines().all(|line| line.split('\t').count() == 6));
    }
}

#[test]
fn the_integer_network_has_the_numbers_of_the_file() {
    for (architecture, encoding, name) in networks() {
        let (_, quantized) = quantized(&architecture, &encoding, name);
        let network = quantized.network().unwrap();
        let wide =
            |values: &[i16]| -> Vec<i32> { values.iter().map(|&value| value.into()).collect() };
        assert_eq!(wide(network.weights()), integers(&quantized, "A1"));
        assert_eq!(wide(network.biases()), integers(&quantized, "B1"));
        assert_eq!(
            network.output_buckets().map(usize::from),
            encoding.output_buckets.table()
        );
        let floats = |name: &str| match &quantized.tensor(name).unwrap().values {
            Values::Floats(values) => values.clone(),
            Values::Integers(_) => panic!("{name} has integers"),
        };
        match network.head() {
            Head::Plain(head) => {
                assert_eq!((head.qa, head.qb), (255, 64));
                assert_eq!(head.squared, architecture.activation == Activation::SCRelu);
                assert_eq!(wide(&head.weights), integers(&quantized, "C"));
                assert_eq!(head.biases, integers(&quantized, "d"));
            }
            Head::Layered(head) => {
                assert_eq!(head.inputs, FirstInputs::Pairwise { shift: 9 });
                assert_eq!(head.skip, architecture.skip);
                assert_eq!(head.outputs, 4);
                let first: Vec<i32> = head.weights.iter().map(|&weight| weight.into()).collect();
                assert_eq!(first, integers(&quantized, "W1"));
                match &head.tail {
                    Tail::Float(tail) => {
                        let q1 = if name == "bullet" { 64.0 } else { 128.0 };
                        assert_eq!(tail.factor, (512.0 / (255.0 * 255.0 * q1)) as f32);
                        assert_eq!(tail.biases, floats("c1"));
                        assert_eq!(tail.layers.len(), architecture.layers.len());
                        for (number, layer) in (2..).zip(&tail.layers) {
                            assert_eq!(layer.weights, floats(&format!("W{number}")));
                            assert_eq!(layer.biases, floats(&format!("c{number}")));
                        }
                    }
                    Tail::Integer(tail) => {
                        assert_eq!((tail.q, tail.shift, tail.bias_first), (64, 8, false));
                        assert_eq!(head.activation, Engine::Dual(Square::Clipped));
                        assert_eq!(tail.biases, integers(&quantized, "c1"));
                        for (number, layer) in (2..).zip(&tail.layers) {
                            assert_eq!(layer.weights, integers(&quantized, &format!("W{number}")));
                            assert_eq!(layer.biases, integers(&quantized, &format!("c{number}")));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn batches_of_other_networks_are_refused() {
    let (architecture, encoding, name) = networks().swap_remove(3);
    let (_, quantized) = quantized(&architecture, &encoding, name);
    let mut model = IntegerModel::new(&quantized).unwrap();
    let fen = &fens(1, 21)[0];
    let kings = inputs("king-buckets-mirrored", Some(&small_buckets()));
    let mut builder = BatchBuilder::new(kings.features());
    builder.push(&position(fen), 0.5);
    let batch = builder.finish(model.output_needs()).unwrap();
    refused(model.outputs(&batch), &["768 inputs (N)", "6144"]);
    let mut builder = BatchBuilder::new(encoding.inputs.features());
    builder.push_with_bucket(&position(fen), 0.5, 8);
    let batch = builder.finish(model.output_needs()).unwrap();
    refused(
        model.outputs(&batch),
        &["bucket of sample 0", "below 8", "8"],
    );
}

#[test]
fn an_overflow_of_the_check_list_names_the_position() {
    let (architecture, encoding, name) = networks().swap_remove(0);
    let mut net = parameters(&architecture, 0.45, 22);
    // 32 pieces of 128 and more each leave the 16 bits.
    net.values_mut()[0].fill(127.0);
    let format = free(name, &architecture);
    let quantized = Quantized::new(&format, &net, Some(&encoding)).unwrap();
    let network = quantized.network().unwrap();
    let words = [
        "integer evaluation of rnbq",
        "no overflow",
        "accumulator, lane 0",
    ];
    refused(CheckList::new(&network, &net, &encoding), &words);
}
