//! Positions as lines of text, in the forms that engines and tools write.

use super::record::Position;
use crate::error::{Error, Fault, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The characters between the fields. The first of them that a line has separates its fields.
const SEPARATORS: [u8; 4] = *b"|;\t,";

/// Whose score or result the lines of text hold.
///
/// ```
/// use wgrad::nnue::data::Side;
///
/// assert_eq!("mover".parse::<Side>().unwrap(), Side::Mover);
/// assert_eq!(Side::default().name(), "white");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// White's.
    #[default]
    White,
    /// That of the side to move.
    Mover,
}

impl Side {
    /// The names in options.
    pub const NAMES: [&'static str; 2] = ["white", "mover"];

    /// The name in options.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl FromStr for Side {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "white" => Ok(Self::White),
            "mover" => Ok(Self::Mover),
            _ => Err(Error::argument("side", "white or mover", text)),
        }
    }
}

/// The sides of the scores and of the results of a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sides {
    pub(crate) scores: Side,
    pub(crate) results: Side,
}

impl Sides {
    fn any_mover(self) -> bool {
        self.scores == Side::Mover || self.results == Side::Mover
    }
}

/// Reads `FEN | score | result`, with `|`, `;`, `,` or tabs, or `FEN [result] score`.
///
/// The score is in centipawns; decimals are rounded. The result is 1, 0.5 or 0 in any decimal form,
/// `1-0`, `0-1`, `1/2-1/2` or `1/2`, with or without square brackets. Both are relative to White.
impl FromStr for Position {
    type Err = Fault;

    fn from_str(line: &str) -> Result<Self, Fault> {
        read_line(line, Sides::default())
    }
}

/// Reads a line whose score and result are those of some side.
pub(crate) fn read_line(line: &str, sides: Sides) -> Result<Position, Fault> {
    let [fen, score, result] = fields(line)?;
    let (mut score, mut result) = (read_score(score)?, read_result(result)?);
    // `from_fen` takes White's.
    let black = sides.any_mover() && matches!(fen.split_ascii_whitespace().nth(1), Some("b" | "B"));
    if black && sides.scores == Side::Mover {
        score = -score;
    }
    if black && sides.results == Side::Mover {
        result = 2 - result;
    }
    Position::from_fen(fen, score, result)
}

/// FEN, score and result of a line.
fn fields(line: &str) -> Result<[&str; 3], Fault> {
    let contains = |separator: &u8| line.as_bytes().contains(separator);
    if let Some(separator) = SEPARATORS.into_iter().find(contains) {
        // A list of characters splits short texts faster than a character.
        let parts = line.split([char::from(separator)]);
        let mut fields = [""; 3];
        let mut count = 0;
        for part in parts {
            if let Some(field) = fields.get_mut(count) {
                *field = part.trim_ascii();
            }
            count += 1;
        }
        if count != 3 {
            return Err(Fault::new("fields", "3, FEN | score | result", count));
        }
        return Ok(fields);
    }
    let bracketed = line.split_once('[').and_then(|(fen, rest)| {
        let (result, score) = rest.split_once(']')?;
        Some([fen.trim(), score.trim(), result.trim()])
    });
    bracketed.ok_or_else(|| {
        let expected = "3, FEN | score | result, or FEN [result] score";
        Fault::new("fields", expected, 1)
    })
}

fn read_score(text: &str) -> Result<i16, Fault> {
    let wrong = || {
        let expected = "centipawns from -32767 to 32767";
        Fault::new("score", expected, format!("{text:?}"))
    };
    // A text such as `inf` or `1e3` is no score.
    let decimal = |letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.');
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|_| text.chars().all(decimal));
    let rounded = number.map(f64::round).ok_or_else(wrong)?;
    match rounded.abs() <= f64::from(i16::MAX) {
        true => Ok(rounded as i16),
        false => Err(wrong()),
    }
}

/// The result in half points.
fn read_result(text: &str) -> Result<u8, Fault> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    match inner.unwrap_or(text).trim() {
        "1-0" => return Ok(2),
        "1/2-1/2" | "1/2" => return Ok(1),
        "0-1" => return Ok(0),
        _ => {}
    }
    match inner.unwrap_or(text).trim().parse::<f64>() {
        Ok(1.0) => Ok(2),
        Ok(0.5) => Ok(1),
        Ok(0.0) => Ok(0),
        _ => {
            let expected = "1.0, 0.5 or 0.0, or 1-0, 1/2-1/2 or 0-1";
            Err(Fault::new("result", expected, format!("{text:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1";

    #[test]
    fn forms_of_one_line() {
        let whole = Position::from_fen(START, 35, 2).unwrap();
        for rest in [
            " | 35 | 1.0",
            "|35|1",
            ";35;1.00",
            ",35,1-0",
            "\t35\t[1.0]",
            " | 35.0 | [1-0]",
            " | +35 | 1.",
            " [1.0] 35",
            " [1-0] 35.2",
            " | 34.5 | 1",
        ] {
            let line = format!("{START}{rest}");
            assert_eq!(line.parse::<Position>().unwrap(), whole, "{line:?}");
        }
        for draw in ["0.5", ".5", "0.50", "1/2", "1/2-1/2", "[0.5]", "[1/2-1/2]"] {
            let position: Position = format!("{START} | -7 | {draw}").parse().unwrap();
            assert_eq!((position.score(), position.result()), (-7, 0.5), "{draw}");
        }
        let lost: Position = format!("{START} | 0 | 0-1").parse().unwrap();
        assert_eq!(lost.result(), 0.0);
    }

    #[test]
    fn a_score_and_a_result_may_be_those_of_the_mover() {
        let read = |mover: &str, scores, results| {
            let line = format!("k7/8/8/8/8/8/1P6/K7 {mover} - - 0 1 | 7 | 1-0");
            let position = read_line(&line, Sides { scores, results }).unwrap();
            (position.score(), position.result())
        };
        for (scores, results, of_black) in [
            (Side::White, Side::White, (-7, 0.0)),
            (Side::Mover, Side::White, (7, 0.0)),
            (Side::White, Side::Mover, (-7, 1.0)),
            (Side::Mover, Side::Mover, (7, 1.0)),
        ] {
            assert_eq!(read("w", scores, results), (7, 1.0));
            assert_eq!(read("b", scores, results), of_black);
        }
    }

    #[test]
    fn what_is_no_line_names_its_field() {
        for (rest, words) in [
            (
                "",
                "fields: expected 3, FEN | score | result, or FEN [result] score, found 1",
            ),
            (" | 35", "fields: expected 3, FEN | score | result, found 2"),
            (" | 35 | 1 | x", "found 4"),
            (
                " | mate 3 | 1.0",
                "score: expected centipawns from -32767 to 32767",
            ),
            (" | inf | 1.0", "score: "),
            (" | 1e3 | 1.0", "score: "),
            (" | 32768 | 1.0", "score: "),
            (" | 35 | 2", "result: expected 1.0, 0.5 or 0.0"),
            (" | 35 | *", "result: "),
        ] {
            let fault = format!("{START}{rest}").parse::<Position>().unwrap_err();
            let fault = fault.to_string();
            assert!(fault.contains(words), "{rest:?}: {fault}");
        }
    }
}
