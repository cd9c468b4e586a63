//! Positions as text, one per line: `FEN | score | result`. The score is in centipawns; score and
//! result are relative to White.

use super::place::Spot;
use super::record::{Position, check_result, check_score};
use crate::error::{Error, Fault, Result};
use bulletformat::ChessBoard;
use cozy_chess::{Board, Color, Piece, Square};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::str::FromStr;

/// The largest number of bytes of a line, several times as many as the longest position needs. With
/// this limit, a file without line ends is refused and not read into memory.
const LONGEST_LINE: u64 = 4096;

impl Position {
    /// A position from a FEN of 4 or 6 fields, White's `score` in centipawns, and White's `result`
    /// in half points: 0, 1 or 2.
    ///
    /// A record holds the pieces and the side to move, and these must make a legal position.
    /// Castling rights, en passant square and clocks must be well formed, but they need not fit the
    /// position: the record does not hold them, and many programs write them carelessly.
    ///
    /// # Errors
    /// A [`Fault`] with the field.
    pub fn from_fen(fen: &str, score: i16, result: u8) -> Result<Self, Fault> {
        check_score(score)?;
        check_result(result)?;
        let board = parse_fen(fen).map_err(|reason| {
            Fault::new("FEN", "a legal position", format!("{fen:?} ({reason})"))
        })?;

        let black = board.side_to_move() == Color::Black;
        let mut bitboards = [0; 8];
        let colors = Color::ALL.map(|color| board.colors(color).0);
        bitboards[..2].copy_from_slice(&colors);
        bitboards[2..].copy_from_slice(&Piece::ALL.map(|piece| board.pieces(piece).0));
        let record = ChessBoard::from_raw(bitboards, black.into(), 0, 0.0)
            .map_err(|reason| Fault::new("FEN", "a legal position", reason))?;
        Self::new(ChessBoard {
            score: if black { -score } else { score },
            result: if black { 2 - result } else { result },
            ..record
        })
    }
}

/// Reads `FEN | score | result`. The result is 1.0, 0.5 or 0.0, or 1, 1/2 or 0, with or without
/// square brackets.
impl FromStr for Position {
    type Err = Fault;

    fn from_str(line: &str) -> Result<Self, Fault> {
        let fields: Vec<_> = line.split('|').map(str::trim).collect();
        let [fen, score, result] = fields[..] else {
            return Err(Fault::new(
                "fields",
                "3, FEN | score | result",
                fields.len(),
            ));
        };
        let score = score.parse().map_err(|_| {
            let expected = "a whole number from -32767 to 32767";
            Fault::new("score", expected, format!("{score:?}"))
        })?;
        let result = match result {
            "1.0" | "[1.0]" | "1" | "[1]" => 2,
            "0.5" | "[0.5]" | "1/2" | "[1/2]" => 1,
            "0.0" | "[0.0]" | "0" | "[0]" => 0,
            _ => {
                return Err(Fault::new(
                    "result",
                    "1.0, 0.5 or 0.0",
                    format!("{result:?}"),
                ));
            }
        };
        Self::from_fen(fen, score, result)
    }
}

/// A board with the pieces and the side to move of a FEN, or the reason why the FEN has none.
fn parse_fen(fen: &str) -> Result<Board, String> {
    let fields: Vec<_> = fen.split_whitespace().collect();
    let [pieces, side, castling, en_passant, ref clocks @ ..] = fields[..] else {
        return Err(format!("{} fields, not 4 or 6", fields.len()));
    };
    if !matches!(clocks.len(), 0 | 2) {
        return Err(format!("{} fields, not 4 or 6", fields.len()));
    }
    if pieces.split('/').count() != 8 {
        return Err("not 8 ranks".into());
    }
    let right = |letter| matches!(letter, 'K' | 'Q' | 'k' | 'q' | 'A'..='H' | 'a'..='h');
    if castling != "-" && !castling.chars().all(right) {
        return Err("the castling field has letters that are no castling right".into());
    }
    if en_passant != "-" && en_passant.parse::<Square>().is_err() {
        return Err("the en passant field is no square".into());
    }
    if clocks.iter().any(|clock| clock.parse::<u32>().is_err()) {
        return Err("a clock is no number".into());
    }
    Board::from_fen(&format!("{pieces} {side} - - 0 1"), false).map_err(|error| error.to_string())
}

/// Reads the lines of a file, except blank ones.
pub(crate) struct TextReader {
    path: PathBuf,
    input: BufReader<File>,
    /// The size of the file. Bytes after it are not read.
    bytes: u64,
    buffer: Vec<u8>,
    /// The spot after the line in `buffer`.
    after: Spot,
    /// The next line, read into `buffer` ahead of its turn, and the spot before it.
    ahead: Option<(Result<bool>, Spot)>,
}

impl TextReader {
    /// Starts at a spot of an open file, which must be there already.
    pub(crate) fn new(path: PathBuf, file: File, bytes: u64, from: Spot) -> Self {
        Self {
            path,
            input: BufReader::with_capacity(1 << 16, file),
            bytes,
            buffer: Vec::new(),
            after: Spot { file: 0, ..from },
            ahead: None,
        }
    }

    /// The spot after the last line that was given. Its number is that of the line, from 1.
    pub(crate) fn spot(&self) -> Spot {
        self.ahead
            .as_ref()
            .map_or(self.after, |(_, before)| *before)
    }

    /// Whether no line is left. An error is left for [`Self::advance`].
    pub(crate) fn is_at_end(&mut self) -> bool {
        if self.ahead.is_none() {
            let before = self.after;
            self.ahead = Some((self.read_line(), before));
        }
        matches!(self.ahead, Some((Ok(false), _)))
    }

    /// Moves to the next line that is not blank; false at the end of the file.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        match self.ahead.take() {
            Some((read, _)) => read,
            None => self.read_line(),
        }
    }

    fn read_line(&mut self) -> Result<bool> {
        loop {
            self.buffer.clear();
            let left = self.bytes.saturating_sub(self.after.offset);
            let read = (&mut self.input)
                .take(left.min(LONGEST_LINE + 1))
                .read_until(b'\n', &mut self.buffer)
                .map_err(Error::io(&self.path, "read"))?;
            if read == 0 {
                if left > 0 {
                    let expected = format!("the {} bytes that it had when opened", self.bytes);
                    let found = format!("{} bytes", self.after.offset);
                    let fault = Fault::new("size", expected, found);
                    return Err(Error::data(&self.path, fault));
                }
                return Ok(false);
            }
            self.after.offset += read as u64;
            self.after.number += 1;
            let line = self.after.number;
            // Some editors write a byte order mark at the beginning of a file.
            if line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if read as u64 > LONGEST_LINE {
                let place = format!("line {line}");
                let expected = format!("at most {LONGEST_LINE} bytes");
                return Err(Error::data(&self.path, Fault::new(place, expected, "more")));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The next position; `None` at the end of the file.
    pub(crate) fn position(&mut self) -> Result<Option<Position>> {
        if !self.advance()? {
            return Ok(None);
        }
        let line = str::from_utf8(&self.buffer).map_err(|error| Fault::new("text", "UTF-8", error));
        line.and_then(str::parse).map(Some).map_err(|fault| {
            let fault = fault.within(format_args!("line {}", self.after.number));
            Error::data(&self.path, fault)
        })
    }
}
