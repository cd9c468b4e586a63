//! `wgrad eval` with integer networks, over data and for single positions.

use crate::export::{evaluate, export, network};
use crate::support::{WGRAD, command, cut, ended, scratch, wgrad};
use std::fs;

#[test]
fn integers_are_compared_over_data() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 700);
    for (name, format) in [("plain", "bullet"), ("layered", "wgrad")] {
        let net = network(&directory, name);
        let written = directory.join("evaluations.txt");
        let paths = [
            ("--net", &*net),
            ("--data", &*data),
            ("--evaluations", &*written),
        ];
        let line = format!("eval --device cpu --json --format {format}");
        let found = wgrad(&line, &paths).success().json();
        let text = fs::read_to_string(&written).unwrap();
        let integers: Vec<i32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(integers.len(), 700);
        let difference = &found["integer"]["difference"];
        assert_eq!(difference["positions"], 700);
        assert_eq!(difference["overflows"], 0);
        assert_eq!(found["integer"]["positions"], found["positions"]);
        let mean = difference["mean"].as_f64().unwrap();
        let largest = difference["largest"].as_f64().unwrap();
        assert!(
            0.0 < mean && mean <= largest && largest < 60.0,
            "{difference}"
        );
        assert!(
            difference["bias"].as_f64().unwrap().abs() <= mean,
            "{difference}"
        );
        let (own, floats) = (found["integer"]["loss"].as_f64(), found["loss"].as_f64());
        assert!((own.unwrap() - floats.unwrap()).abs() < 0.01, "{found}");
        // The exported file has the same integers.
        let out = directory.join("net.nnue");
        export(&net, format, &out, "").success();
        let other = directory.join("other.txt");
        if format == "wgrad" {
            let paths = [
                ("--net", &*out),
                ("--data", &*data),
                ("--evaluations", &*other),
            ];
            wgrad("eval --device cpu", &paths).success();
            assert_eq!(fs::read_to_string(&other).unwrap(), text);
        }
        let line = format!("eval --device cpu --format {format}");
        let shown = wgrad(&line, &[("--net", &net), ("--data", &data)])
            .success()
            .stdout;
        assert!(
            shown.contains("integers: loss") && shown.contains("0 overflows"),
            "{shown}"
        );
    }
}

#[test]
fn positions_show_what_each_piece_is_worth() {
    let (_guard, directory) = scratch();
    let net = network(&directory, "plain");
    let fen = "4k3/8/8/8/8/8/4P3/4K2R b - - 0 1";
    let found = &evaluate(&net, "", &[fen])[0];
    let pieces = found["pieces"].as_array().unwrap();
    let names: Vec<String> = pieces
        .iter()
        .map(|piece| format!("{}{}", piece["piece"], piece["square"]))
        .collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, ["\"P\"\"e2\"", "\"R\"\"h1\""]);
    // A piece is worth what the evaluation loses without it, for White.
    let without = &evaluate(&net, "", &["4k3/8/8/8/8/8/4P3/4K3 b - - 0 1"])[0];
    let rook = pieces.iter().find(|piece| piece["square"] == "h1").unwrap();
    let loss = without["float"].as_f64().unwrap() - found["float"].as_f64().unwrap();
    assert!(
        (rook["white"].as_f64().unwrap() - loss).abs() < 0.01,
        "{rook}, {loss}"
    );
    let text = ["eval", "--net", net.to_str().unwrap(), "--fen", fen];
    let shown = ended(command(WGRAD, text)).success().stdout;
    assert!(
        shown.contains(fen) && shown.contains("for the side to move"),
        "{shown}"
    );
    assert!(shown.contains(" R") && shown.contains(" P"), "{shown}");
    // Both sides to move see the same integers on a turned board.
    let turned = "4k2r/4p3/8/8/8/8/8/4K3 w - - 0 1";
    assert_eq!(
        evaluate(&net, "", &[turned])[0]["integer"],
        found["integer"]
    );
}

#[test]
fn each_kind_of_wrong_fen_is_named() {
    let (_guard, directory) = scratch();
    let net = network(&directory, "plain");
    for (fen, words) in [
        ("", "FEN, number of fields: expected 2 to 6, found 0"),
        (
            "k7/8/8/8/8/8/8/K7",
            "FEN, number of fields: expected 2 to 6, found 1",
        ),
        (
            "k7/8/8/8/8/8/K7 w",
            "FEN, number of ranks: expected 8, found 7",
        ),
        (
            "k7/9/8/8/8/8/8/K7 w",
            "FEN, pieces: expected letters of PNBRQK",
        ),
        (
            "k7/8/8/8/8/8/8/K6 w",
            "FEN, rank 1: expected 8 squares, found 7",
        ),
        (
            "k7/8/8/8/8/8/8/K7 x",
            "FEN, side to move: expected w or b, found \"x\"",
        ),
        ("k7/8/8/8/8/8/8/K7 w xyz", "FEN, castling rights"),
        ("k7/8/8/8/8/8/8/K7 w - e9", "FEN, en passant square"),
        ("k7/8/8/8/8/8/8/K7 w - - x 1", "FEN, clocks"),
        ("8/8/8/8/8/8/8/K7 w", "FEN, "),
        ("kk6/8/8/8/8/8/8/K7 w", "FEN, "),
        ("kppppppp/pppppppp/pppppppp/pppppppp/8/8/8/K7 w", "FEN, "),
    ] {
        let words = [words];
        let line = ["eval", "--net", net.to_str().unwrap(), "--fen", fen];
        ended(command(WGRAD, line)).refused(1, &words);
    }
}
