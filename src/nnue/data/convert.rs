//! Writes positions to files.

use super::dataset::Dataset;
use super::marlin;
use super::record::Position;
use crate::error::{Error, Result};
use crate::files::atomic::write_atomically;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

/// A format that wgrad writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// bulletformat: records of 32 bytes.
    Records,
    /// marlinformat: records of 32 bytes, without castling rights and clocks, which a position does
    /// not hold. White is to move in every record, because a position does not say which side plays
    /// White.
    Marlin,
    /// Lines `FEN | score | result`, with White to move likewise.
    Text,
}

impl OutputFormat {
    /// The names in options.
    pub const NAMES: [&'static str; 3] = ["bulletformat", "marlinformat", "text"];
}

impl FromStr for OutputFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bulletformat" => Ok(Self::Records),
            "marlinformat" => Ok(Self::Marlin),
            "text" => Ok(Self::Text),
            _ => {
                let expected = "bulletformat, marlinformat or text";
                Err(Error::argument("format", expected, format!("{text:?}")))
            }
        }
    }
}

/// A position as a line `FEN | score | result`, with White to move.
impl Display for Position {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut board = [None; 64];
        for piece in self.pieces() {
            let letter = b"pnbrqk"[usize::from(piece.kind)];
            let letter = match piece.own {
                true => letter.to_ascii_uppercase(),
                false => letter,
            };
            board[usize::from(piece.square)] = Some(char::from(letter));
        }
        for rank in (0..8).rev() {
            let mut empty = 0;
            for square in &board[8 * rank..8 * rank + 8] {
                match square {
                    None => empty += 1,
                    Some(letter) => {
                        if empty > 0 {
                            write!(f, "{empty}")?;
                        }
                        write!(f, "{letter}")?;
                        empty = 0;
                    }
                }
            }
            if empty > 0 {
                write!(f, "{empty}")?;
            }
            if rank > 0 {
                f.write_str("/")?;
            }
        }
        let result = ["0.0", "0.5", "1.0"][(2.0 * self.result()) as usize];
        write!(f, " w - - 0 1 | {} | {result}", self.score())
    }
}

/// Writes all positions of a dataset to a file and returns their number. `seen` is called with the
/// number of positions from time to time. The file is replaced only when all are written.
///
/// # Errors
/// Damaged data, and every error of the file system.
pub fn convert(
    dataset: &Dataset,
    path: &Path,
    format: OutputFormat,
    mut seen: impl FnMut(u64),
) -> Result<u64> {
    let (mut written, mut damage) = (0u64, None);
    let wrote = write_atomically(path, |out| {
        for position in dataset {
            let position = match position {
                Ok(position) => position,
                Err(error) => {
                    damage = Some(error);
                    return Err(io::Error::other("damaged data"));
                }
            };
            match format {
                OutputFormat::Records => out.write_all(&position.to_bytes())?,
                OutputFormat::Marlin => out.write_all(&marlin::record(&position))?,
                OutputFormat::Text => writeln!(out, "{position}")?,
            }
            written += 1;
            if written.is_multiple_of(1 << 16) {
                seen(written);
            }
        }
        Ok(())
    });
    match damage {
        Some(error) => Err(error),
        None => wrote.map(|()| written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_position_that_it_was_written_from() {
        for line in [
            "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w - - 0 1 | 35 | 1.0",
            "k7/1p6/8/3Q4/8/8/8/7K w - - 0 1 | -12 | 0.0",
            "8/8/8/k6K/8/8/8/8 w - - 0 1 | 0 | 0.5",
        ] {
            let position: Position = line.parse().unwrap();
            assert_eq!(position.to_string(), line);
        }
        // Black to move is White to move on the turned board.
        let black: Position = "k7/1p6/8/8/8/8/8/7K b - - 0 1 | 7 | 1.0".parse().unwrap();
        assert_eq!(
            black.to_string(),
            "7k/8/8/8/8/8/1P6/K7 w - - 0 1 | -7 | 0.0"
        );
        assert_eq!(black.to_string().parse::<Position>().unwrap(), black);
    }
}
