//! Positions from FENs.

use super::record::{Position, check_result, check_score};
use crate::error::{Fault, Result};

/// The pieces of a FEN: for each letter, the index of its kind.
const PIECES: &[u8; 6] = b"pnbrqk";

impl Position {
    /// A position from a FEN of 2 to 6 fields, White's `score` in centipawns, and White's `result`
    /// in half points: 0, 1 or 2.
    ///
    /// A position has one king for each side and at most 32 pieces, as a binary record has.
    /// Castling rights, en passant square and clocks must be well formed if they are there, but
    /// they need not fit the position: the record does not hold them, and many programs write them
    /// carelessly.
    ///
    /// # Errors
    /// A [`Fault`] with the field of the FEN, or the score or the result.
    pub fn from_fen(fen: &str, score: i16, result: u8) -> Result<Self, Fault> {
        // First, so that these faults do not name the FEN.
        check_score(score)?;
        check_result(result)?;
        let (boards, black) = parse(fen)?;
        Self::from_boards(boards, black, score, result).map_err(|fault| fault.within("FEN"))
    }
}

/// The squares of White and Black, the squares of each kind of piece, and whether Black is to move.
fn parse(fen: &str) -> Result<([u64; 8], bool), Fault> {
    let wrong = |field: &str, expected: &str, found: &str| {
        Err(Fault::new(
            format!("FEN, {field}"),
            expected,
            format!("{found:?}"),
        ))
    };
    let mut fields = [""; 7];
    let mut count = 0;
    for field in fen.split_ascii_whitespace() {
        fields[count.min(6)] = field;
        count += 1;
    }
    if !(2..=6).contains(&count) {
        let found = format!("{count} in {fen:?}");
        return Err(Fault::new("FEN, number of fields", "2 to 6", found));
    }
    let [pieces, side, rest @ ..] = fields;
    let rest = &rest[..count - 2];
    let bitboards = place(pieces)?;
    let black = match side {
        "w" | "W" => false,
        "b" | "B" => true,
        _ => return wrong("side to move", "w or b", side),
    };
    let right = |letter| matches!(letter, 'K' | 'Q' | 'k' | 'q' | 'A'..='H' | 'a'..='h');
    if let Some(&castling) = rest.first()
        && castling != "-"
        && !castling.chars().all(right)
    {
        let expected = "letters of KQkq or A to H, or -";
        return wrong("castling rights", expected, castling);
    }
    if let Some(&square) = rest.get(1)
        && !matches!(square.as_bytes(), b"-" | [b'a'..=b'h' | b'A'..=b'H', b'1'..=b'8'])
    {
        return wrong("en passant square", "a square such as e3, or -", square);
    }
    for clock in rest.iter().skip(2) {
        if clock.parse::<u32>().is_err() {
            return wrong("clocks", "whole numbers from 0", clock);
        }
    }
    Ok((bitboards, black))
}

/// The bitboards of the first field of a FEN.
fn place(field: &str) -> Result<[u64; 8], Fault> {
    let ranks = 1 + field.bytes().filter(|&letter| letter == b'/').count();
    if ranks != 8 {
        let found = format!("{ranks} in {field:?}");
        return Err(Fault::new("FEN, number of ranks", "8", found));
    }
    let mut bitboards = [0u64; 8];
    for (rank, squares) in (0..8).rev().zip(field.split(['/'])) {
        let mut file = 0;
        for letter in squares.bytes() {
            if let digit @ b'1'..=b'8' = letter {
                file += u32::from(digit - b'0');
                continue;
            }
            let kind = PIECES.iter().position(|&piece| piece == letter | 32);
            let Some(kind) = kind.filter(|_| letter.is_ascii_alphabetic()) else {
                let expected = "letters of PNBRQKpnbrqk and digits 1 to 8";
                return Err(Fault::new("FEN, pieces", expected, format!("{squares:?}")));
            };
            if file < 8 {
                let bit = 1u64 << (8 * rank + file);
                bitboards[usize::from(letter.is_ascii_lowercase())] |= bit;
                bitboards[2 + kind] |= bit;
            }
            file += 1;
        }
        if file != 8 {
            let place = format!("FEN, rank {}", rank + 1);
            let found = format!("{file} in {squares:?}");
            return Err(Fault::new(place, "8 squares", found));
        }
    }
    Ok(bitboards)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR";

    #[test]
    fn forms_of_one_position() {
        let whole = Position::from_fen(&format!("{START} w KQkq - 0 1"), 35, 2).unwrap();
        for rest in ["w", "W", "w -", "w KQkq -", "w KQkq - 0", "w HAha E3 12 99"] {
            let fen = format!("{START} {rest}");
            assert_eq!(Position::from_fen(&fen, 35, 2).unwrap(), whole, "{fen}");
        }
        let black = Position::from_fen(&format!("{START} b"), 35, 2).unwrap();
        assert_eq!((black.score(), black.result()), (-35, 0.0));
        assert_eq!(whole.piece_count(), 32);
    }

    #[test]
    fn each_kind_of_bad_fen_has_a_message_of_its_own() {
        let kings = "k7/8/8/8/8/8/8/K7";
        let cases = [
            ("", "FEN, number of fields: expected 2 to 6, found 0"),
            (kings, "FEN, number of fields: expected 2 to 6, found 1"),
            ("k7/8/8/8/8/8/8/K7 w - - 0 1 2", "found 7"),
            (
                "k7/8/8/8/8/8/K7 w",
                "FEN, number of ranks: expected 8, found 7",
            ),
            (
                "k7/9/8/8/8/8/8/K7 w",
                "FEN, pieces: expected letters of PNBRQKpnbrqk",
            ),
            (
                "k7/8/8/8/8/8/8/K6x w",
                "FEN, pieces: expected letters of PNBRQKpnbrqk",
            ),
            (
                "k7/8/8/8/8/8/8/K6 w",
                "FEN, rank 1: expected 8 squares, found 7",
            ),
            (
                "k7/ppppppppp/8/8/8/8/8/K7 w",
                "FEN, rank 7: expected 8 squares, found 9",
            ),
            (
                "k7/8/8/8/8/8/8/K7 x",
                "FEN, side to move: expected w or b, found \"x\"",
            ),
            (
                "k7/8/8/8/8/8/8/K7 w KX",
                "FEN, castling rights: expected letters of KQkq",
            ),
            (
                "k7/8/8/8/8/8/8/K7 w - e9",
                "FEN, en passant square: expected a square",
            ),
            (
                "k7/8/8/8/8/8/8/K7 w - - x",
                "FEN, clocks: expected whole numbers from 0",
            ),
            (
                "8/8/8/8/8/8/8/K7 w",
                "FEN, kings of Black: expected 1, found 0",
            ),
            (
                "k7/8/8/8/8/8/8/KK6 w",
                "FEN, kings of White: expected 1, found 2",
            ),
            (
                "kppppppp/pppppppp/pppppppp/pppppppp/8/8/8/K7 w",
                "FEN, number of pieces: expected at most 32, found 33",
            ),
        ];
        for (fen, words) in cases {
            let fault = Position::from_fen(fen, 0, 1).unwrap_err().to_string();
            assert!(fault.contains(words), "{fen:?}: {fault}");
        }
    }
}
