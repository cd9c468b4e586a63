//! viriformat: games of one position and the moves after it, each with a score.
//!
//! A game is a position in marlinformat, whose result is that of the game, and 4 bytes per move:
//! the move, and White's score of the position before it, both little-endian. 4 zero bytes end it.
//! Each move stands for the position before it. A move has 6 bits each for the squares from and to,
//! 2 for the piece of a promotion (knight to queen), and 2 for its kind; castling goes from the
//! king's square to the rook's.

use super::marlin;
use super::packed::Input;
use super::played::Played;
use super::record::{Position, RawRecord};
use super::replay::{self, Container, Told};
use crate::error::{Fault, Result};
use aligned_vec::AVec;
use cozy_chess::{Move, Piece, Square};
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::Path;

/// The length of a move in bytes.
const MOVE: usize = 4;
/// The bits of the kind of a move that promotes.
const PROMOTION: u16 = 3;
/// The most moves of a game. With this limit, a file without ends is refused and not read into
/// memory.
const MOST_MOVES: usize = 1 << 16;

/// A game that is being replayed.
pub(crate) struct Game {
    /// The board of the next position, or what is wrong with the first one.
    board: Result<Played, Fault>,
    /// White's result in half points.
    result: u8,
    moves: Vec<[u8; MOVE]>,
    /// The index of the next move.
    next: usize,
}

impl Container for Game {
    const NAMES: [&'static str; 2] = ["game", "move"];

    fn read(input: &mut impl BufRead, left: u64) -> io::Result<Result<Self, Fault>> {
        let mut input = input.take(left);
        let mut head = RawRecord::default();
        let moves = match input.read_exact(&mut head).and_then(|()| moves(&mut input)) {
            Ok(Some(moves)) => moves,
            Ok(None) => {
                let expected = format!("at most {MOST_MOVES}");
                return Ok(Err(Fault::new("moves", expected, "more")));
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let expected = "4 zero bytes after the last move";
                return Ok(Err(Fault::new("moves", expected, "the end of the file")));
            }
            Err(error) => return Err(error),
        };
        Ok(Ok(Self {
            board: marlin::convert(&head)
                .and_then(|_| marlin::board(&head))
                .map(Played::new),
            result: head[30],
            moves,
            next: 0,
        }))
    }

    fn bytes(&self) -> u64 {
        (Position::BYTES + MOVE * (self.moves.len() + 1)) as u64
    }

    #[inline(always)]
    fn has_next(&self) -> bool {
        self.next < self.moves.len() || self.board.is_err()
    }

    #[inline(always)]
    fn next(&mut self, records: &mut AVec<RawRecord>) -> Result<Told, Fault> {
        let board = self.board.as_mut().map_err(|fault| fault.clone())?;
        let [a, b, c, d] = self.moves[self.next];
        let (bits, score) = (u16::from_le_bytes([a, b]), i16::from_le_bytes([c, d]));
        let (record, in_game) = board.play(decode(bits), score, self.result)?;
        records.push(record);
        let begins = self.next == 0;
        self.next += 1;
        Ok(Told { in_game, begins })
    }

    fn left(&self) -> u64 {
        (self.moves.len() - self.next) as u64
    }
}

/// The moves of a game up to its end, or `None` if there are too many.
fn moves(input: &mut impl BufRead) -> io::Result<Option<Vec<[u8; MOVE]>>> {
    let (mut moves, mut is_at_end) = (Vec::new(), false);
    while !is_at_end {
        let bytes = match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let (whole, _) = bytes.as_chunks();
        let found = whole.iter().position(|entry| *entry == [0; MOVE]);
        let new = &whole[..found.unwrap_or(whole.len())];
        if moves.len() + new.len() > MOST_MOVES {
            return Ok(None);
        }
        moves.extend_from_slice(new);
        let used = new.len();
        input.consume(MOVE * used);
        if found.is_some() || used == 0 {
            // The end, or a move whose bytes are not in the buffer together.
            let mut entry = [0; MOVE];
            input.read_exact(&mut entry)?;
            is_at_end = entry == [0; MOVE];
            if !is_at_end {
                moves.push(entry);
            }
        }
    }
    Ok(Some(moves))
}

/// The move of 16 bits.
fn decode(bits: u16) -> Move {
    let square = |shift: u16| Square::index(usize::from(bits >> shift & 63));
    let promoted = Piece::index(1 + usize::from(bits >> 12 & 3));
    Move {
        from: square(0),
        to: square(6),
        promotion: (bits >> 14 == PROMOTION).then_some(promoted),
    }
}

/// The bytes of a game before its position of this number.
pub(crate) fn bytes_of(inside: u64) -> u64 {
    match inside {
        0 => 0,
        moves => Position::BYTES as u64 + MOVE as u64 * moves,
    }
}

/// Whether a file begins with a game: a position in marlinformat, and a legal move or the end of a
/// game without moves.
pub(crate) fn is_game(head: &[u8]) -> bool {
    let Some((first, moves)) = head.split_first_chunk() else {
        return false;
    };
    let sound = |record: &RawRecord| marlin::convert(record).is_ok();
    // In a file of marlinformat, a second position follows the first.
    if !sound(first) || moves.first_chunk().is_some_and(sound) {
        return false;
    }
    match moves.split_first_chunk() {
        Some((&[0, 0, 0, 0], after)) => after.is_empty() || after.first_chunk().is_some_and(sound),
        Some((&[low, high, _, _], _)) => {
            let next = decode(u16::from_le_bytes([low, high]));
            marlin::board(first).is_ok_and(|board| board.is_legal(next))
        }
        None => false,
    }
}

/// The positions of the first games of a file, as [`replay::count`] counts them.
pub(crate) fn count(path: &Path, input: Input, bytes: u64, most: u64) -> Result<(u64, u64)> {
    replay::count(path, input, bytes, most, |game: Game| {
        game.moves.len() as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn moves_are_the_same_in_every_buffer() {
        let entries = [[1, 2, 3, 4], [0, 0, 0, 5], [6, 0, 0, 0], [0; MOVE], [7; 4]];
        for capacity in 1..30 {
            let mut input = BufReader::with_capacity(capacity, entries.as_flattened());
            assert_eq!(moves(&mut input).unwrap().unwrap(), entries[..3]);
            let mut rest = Vec::new();
            input.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, [7; 4], "{capacity}");
        }
        let without_end = moves(&mut entries[..3].as_flattened());
        assert_eq!(without_end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(moves(&mut &vec![9; 1 << 20][..]).unwrap(), None);
    }
}
