//! The evaluations of single positions, and what each piece is worth in them.

use crate::net::Net;
use crate::{Failure, print, print_json};
use serde::Serialize;
use wgrad::Error;
use wgrad::nnue::data::Position;
use wgrad::nnue::export::{Evaluator, Quantized};
use wgrad_inference as engine;

/// The evaluations of a position in centipawns for the side to move.
#[derive(Serialize)]
struct Report<'a> {
    fen: &'a str,
    float: f32,
    integer: i32,
    /// A number that is too large for its type in an engine.
    overflow: Option<String>,
    pieces: Vec<Worth>,
}

/// A piece and its worth for White in centipawns.
#[derive(Serialize)]
struct Worth {
    piece: char,
    square: String,
    white: f32,
}

/// Prints the evaluations of FENs.
pub fn run(net: &Net, quantized: &Quantized, fens: &[String], json: bool) -> Result<(), Failure> {
    let network = quantized.network()?;
    let mut evaluator = Evaluator::new(&net.parameters, &net.encoding)?;
    for fen in fens {
        let position = Position::from_fen(fen, 0, 1).map_err(Error::Argument)?;
        let report = report(&network, &mut evaluator, fen, &position)?;
        match json {
            true => print_json(&report)?,
            false => show(&report)?,
        }
    }
    Ok(())
}

fn report<'a>(
    network: &engine::Network,
    evaluator: &mut Evaluator,
    fen: &'a str,
    position: &Position,
) -> Result<Report<'a>, Failure> {
    let scale = network.scale() as f32;
    let mut fields = fen.split_ascii_whitespace();
    let board = engine::pieces_of(fields.next().unwrap_or_default());
    let (to_move, turn, sign) = match fields.next() {
        Some("b" | "B") => (engine::Color::Black, 56, -1.0),
        _ => (engine::Color::White, 0, 1.0),
    };
    let (integer, overflow) = network.evaluate_position(board.clone(), to_move);
    let overflow = overflow.map(|overflow| overflow.to_string());
    let mut pieces = Vec::new();
    for worth in evaluator.contributions(position)? {
        let square = worth.square ^ turn;
        if let Some(piece) = board.clone().find(|piece| piece.square == square) {
            pieces.push(Worth {
                piece: letter(piece),
                square: name(square),
                white: sign * scale * worth.value,
            });
        }
    }
    let outputs = evaluator.outputs(std::slice::from_ref(position))?;
    Ok(Report {
        fen,
        float: scale * outputs.first().copied().unwrap_or(f32::NAN),
        integer,
        overflow,
        pieces,
    })
}

fn letter(piece: engine::Piece) -> char {
    let letter = ['p', 'n', 'b', 'r', 'q', 'k'][piece.kind as usize];
    match piece.color {
        engine::Color::White => letter.to_ascii_uppercase(),
        engine::Color::Black => letter,
    }
}

fn name(square: u8) -> String {
    let file = char::from(b'a' + square % 8);
    format!("{file}{}", square / 8 + 1)
}

fn show(report: &Report<'_>) -> Result<(), Failure> {
    print(report.fen)?;
    let float = report.float;
    print(format_args!(
        "  float    {float:+.1} centipawns for the side to move"
    ))?;
    print(format_args!("  integer  {:+}", report.integer))?;
    if let Some(overflow) = &report.overflow {
        print(format_args!("  overflow {overflow}"))?;
    }
    print("  centipawns for White that each piece adds (without kings):")?;
    for rank in (0..8).rev() {
        let mut line = String::from("   ");
        for file in 0..8 {
            let square = name(8 * rank + file);
            let found = report.pieces.iter().find(|worth| worth.square == square);
            line += &match found {
                Some(worth) => format!(" {}{:+6.0}", worth.piece, worth.white),
                None => format!(" {:>7}", "."),
            };
        }
        print(line)?;
    }
    Ok(())
}
