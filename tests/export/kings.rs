//! One plane for both kings.

use crate::support::{
    encoding, fens, format, inputs, integers, parameters, plain, position, refused, small_buckets,
};
use wgrad::nnue::data::{ChessInputs, Encoding};
use wgrad::nnue::export::{Quantized, SaveFormat};
use wgrad::nnue::{Architecture, Parameters};
use wgrad_inference::{Color, Network, pieces_of};

fn merging(merge: &str) -> SaveFormat {
    format(&format!(
        "[[tensors]]\ntensor = 'A1'\nmerge = [{merge}]\ntype = 'i16'\nscale = 255\n\
         [[tensors]]\ntensor = 'B1'\ntype = 'i16'\nscale = 255\n\
         [[tensors]]\ntensor = 'C'\ntype = 'i16'\nscale = 64\n\
         [[tensors]]\ntensor = 'd'\ntype = 'i16'\nscale = 16320\n[evaluation]\nscale = 400\n"
    ))
}

fn evaluate(network: &Network, fen: &str) -> i32 {
    let mut fields = fen.split(' ');
    let board = pieces_of(fields.next().unwrap());
    let to_move = match fields.next().unwrap() {
        "w" => Color::White,
        _ => Color::Black,
    };
    network.evaluate_checked(board, to_move).unwrap()
}

fn network(name: &str, table: &[usize]) -> (Architecture, Parameters, Encoding) {
    let encoding = encoding(inputs(name, Some(table)), 8);
    let architecture = plain(&encoding, 8).factorised(true).unwrap();
    let net = parameters(&architecture, 0.4, 6);
    (architecture, net, encoding)
}

/// Buckets of 2 × 2 squares of the whole board.
fn whole_board() -> Vec<usize> {
    (0..64)
        .map(|square| square / 16 * 4 + square % 8 / 2)
        .collect()
}

#[test]
fn merged_kings_evaluate_legal_positions_as_before() {
    for (name, table) in [
        ("king-buckets-mirrored", small_buckets()),
        ("king-buckets", whole_board()),
    ] {
        let (_, net, encoding) = network(name, &table);
        let quantized = |merge: &str| Quantized::new(&merging(merge), &net, Some(&encoding));
        let whole = quantized("'shared'").unwrap();
        let merged = quantized("'shared', 'kings'").unwrap();
        let lanes = integers(&whole, "A1").len() / 768;
        assert_eq!(integers(&merged, "A1").len(), 704 * lanes);
        let (whole, merged) = (whole.network().unwrap(), merged.network().unwrap());
        assert!(merged.inputs().merged_kings && !whole.inputs().merged_kings);
        let mut values: Vec<i32> = fens(150, 7)
            .iter()
            .map(|fen| {
                let (expected, found) = (evaluate(&whole, fen), evaluate(&merged, fen));
                assert_eq!(found, expected, "{name}: {fen}");
                found
            })
            .collect();
        values.sort_unstable();
        values.dedup();
        assert!(values.len() > 100, "{} different evaluations", values.len());
    }
}

#[test]
fn the_merged_plane_has_the_own_king_in_its_bucket_and_the_other_one_elsewhere() {
    let (_, net, encoding) = network("king-buckets-mirrored", &small_buckets());
    let whole = Quantized::new(&merging("'shared'"), &net, Some(&encoding)).unwrap();
    let merged = Quantized::new(&merging("'shared', 'kings'"), &net, Some(&encoding)).unwrap();
    let row =
        |quantized: &Quantized, row: usize| integers(quantized, "A1")[8 * row..][..8].to_vec();
    for bucket in 0..8 {
        for feature in 0..320 {
            let (before, after) = (768 * bucket + feature, 704 * bucket + feature);
            assert_eq!(row(&merged, after), row(&whole, before));
            // The pieces of the opponent but the king.
            assert_eq!(row(&merged, after + 384), row(&whole, before + 384));
        }
        for square in 0..64 {
            let (rank, file) = (square / 8, square % 8);
            let is_own = file < 4 && rank / 2 * 2 + file / 2 == bucket;
            let king = if is_own { 5 } else { 11 };
            let expected = row(&whole, 768 * bucket + 64 * king + square);
            assert_eq!(
                row(&merged, 704 * bucket + 320 + square),
                expected,
                "{bucket}, {square}"
            );
        }
    }
}

#[test]
fn a_merged_network_is_read_and_written_again() {
    let (architecture, net, encoding) = network("king-buckets-mirrored", &small_buckets());
    let format = merging("'shared', 'kings'");
    let written = Quantized::new(&format, &net, Some(&encoding)).unwrap();
    let bytes = written.to_bytes().unwrap();
    let read = Quantized::from_bytes(&format, &architecture, Some(&encoding), &bytes).unwrap();
    assert_eq!(read.tensors(), written.tensors());
    // A plane for each king again, which merges to the same.
    let parameters = read.parameters().unwrap();
    assert_eq!(parameters.architecture(), &plain(&encoding, 8));
    let again = Quantized::new(&format, &parameters, Some(&encoding)).unwrap();
    assert!(again.to_bytes().unwrap() == bytes);
    let network = read.network().unwrap();
    let other = Quantized::new(&merging(""), &parameters, Some(&encoding)).unwrap();
    let other = other.network().unwrap();
    for fen in fens(30, 8) {
        position(&fen);
        assert_eq!(evaluate(&network, &fen), evaluate(&other, &fen), "{fen}");
    }
    // The file of wgrad-inference keeps the merged plane.
    let file = Network::from_bytes(&network.to_bytes()).unwrap();
    let from = Quantized::from_network(&file).unwrap();
    assert_eq!(integers(&from, "A1"), integers(&written, "A1"));
    assert!(from.to_bytes().unwrap() == network.to_bytes());
}

#[test]
fn buckets_where_both_kings_can_be_are_refused() {
    let refuse = |encoding: ChessInputs, words: &[&str]| {
        let encoding = Encoding::new(encoding, Default::default());
        let net = parameters(&plain(&encoding, 1), 0.5, 9);
        let merged = Quantized::new(&merging("'kings'"), &net, Some(&encoding));
        refused(merged, &[&["tensor A1, merge kings"], words].concat());
    };
    // Two ranks of three files: d1 and b1 are two steps from each other.
    let mut wide = small_buckets();
    wide[2] = 0;
    let words = ["2 × 2 squares", "bucket 0 with 5 squares"];
    refuse(inputs("king-buckets-mirrored", Some(&wide)), &words);
    let ranks: Vec<usize> = (0..32).map(|entry| entry / 4).collect();
    let words = ["2 × 2 squares", "bucket 0 with 4 squares"];
    refuse(inputs("king-buckets-mirrored", Some(&ranks)), &words);
    let files: Vec<usize> = (0..64).map(|square| square % 8).collect();
    refuse(
        inputs("king-buckets", Some(&files)),
        &["bucket 0 with 8 squares"],
    );
    refuse(
        inputs("chess768-mirrored", None),
        &["bucket 0 with 32 squares"],
    );
    refuse(
        inputs("chess768", None),
        &["king buckets or a mirrored board", "others"],
    );
    let another = Architecture::new(768, 1).tied();
    let merged = Quantized::new(
        &merging("'kings'"),
        &Parameters::zeros(another).unwrap(),
        None,
    );
    refused(merged, &["merge kings"]);
}
