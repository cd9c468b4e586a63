//! viriformat: games of one position and the moves after it, each with a score.
//!
//! A game is a position in marlinformat, whose result is that of the game, and 4 bytes per move:
//! the move, and White's score of the position before it, both little-endian. 4 zero bytes end it.
//! Each move stands for the position before it. A move has 6 bits each for the squares from and to,
//! 2 for the piece of a promotion (knight to queen), and 2 for its kind; castling goes from the
//! king's square to the rook's.

use super::filter::InGame;
use super::marlin;
use super::packed::Input;
use super::place::Spot;
use super::record::{Position, RawRecord};
use super::sieve::{Note, Sieve};
use crate::error::{Error, Fault, Result};
use aligned_vec::AVec;
use cozy_chess::{Board, Color, Move, Piece, Square};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The length of a move in bytes.
const MOVE: usize = 4;
/// The bits of the kind of a move that promotes.
const PROMOTION: u16 = 3;
/// The most moves of a game. With this limit, a file without ends is refused and not read into
/// memory.
const MOST_MOVES: usize = 1 << 16;

/// Reads the positions of a file of games.
pub(crate) struct GameReader {
    path: PathBuf,
    input: BufReader<Input>,
    /// The size of the file. Bytes after it are not read.
    bytes: u64,
    /// Where the game begins, and its positions that were given.
    spot: Spot,
    game: Option<Game>,
    /// An error that was found ahead of its turn.
    error: Option<Error>,
}

/// A game that is being replayed.
struct Game {
    board: Board,
    /// White's result in half points.
    result: u8,
    moves: Vec<u8>,
}

impl Game {
    /// The bytes of the game.
    fn len(&self) -> u64 {
        (Position::BYTES + self.moves.len() + MOVE) as u64
    }

    /// The number of its positions.
    fn positions(&self) -> u64 {
        (self.moves.len() / MOVE) as u64
    }
}

impl GameReader {
    /// Starts at a spot of a file that is open at the game of the spot.
    pub(crate) fn new(path: PathBuf, file: Input, bytes: u64, from: Spot) -> Self {
        Self {
            path,
            input: BufReader::with_capacity(1 << 16, file),
            bytes,
            spot: Spot { file: 0, ..from },
            game: None,
            error: None,
        }
    }

    /// The spot before the next position.
    pub(crate) fn spot(&self) -> Spot {
        self.spot
    }

    /// Whether no position is left. An error is left for [`Self::read`].
    pub(crate) fn is_at_end(&mut self, sieve: &Sieve) -> bool {
        match self.error.is_none().then(|| self.find(sieve)) {
            None => false,
            Some(Ok(found)) => !found,
            Some(Err(error)) => {
                self.error = Some(error);
                false
            }
        }
    }

    /// Appends the next positions, at most `most`; fewer only at the end of the file.
    pub(crate) fn read(
        &mut self,
        records: &mut AVec<RawRecord>,
        notes: &mut Vec<Note>,
        most: usize,
        sieve: &Sieve,
    ) -> Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let full = records.len() + most;
        while records.len() < full && self.find(sieve)? {
            let Spot { number, inside, .. } = self.spot;
            match self.step() {
                Ok((position, in_game)) => {
                    records.push(position.to_bytes());
                    notes.push(Note {
                        number,
                        game: number - inside,
                        in_game,
                    });
                }
                Err(fault) => {
                    let at = self.spot;
                    sieve.refuse(&self.path, name(at), fault)?;
                    self.leave();
                }
            }
        }
        Ok(())
    }

    /// Whether a position is left, after it has gone to the next game that has one if necessary.
    fn find(&mut self, sieve: &Sieve) -> Result<bool> {
        loop {
            if let Some(game) = &self.game {
                if self.spot.inside < game.positions() {
                    return Ok(true);
                }
                self.leave();
            }
            if self.spot.offset >= self.bytes {
                return Ok(false);
            }
            self.open(sieve)?;
        }
    }

    /// Goes to the end of the game.
    fn leave(&mut self) {
        if let Some(game) = self.game.take() {
            self.spot.offset += game.len();
            self.spot.number += game.positions().saturating_sub(self.spot.inside);
            self.spot.inside = 0;
        }
    }

    /// Reads the game at the spot, and replays it up to there. A damaged beginning is left out with
    /// its game if the sieve allows it.
    fn open(&mut self, sieve: &Sieve) -> Result<()> {
        let (head, moves) = match self.game_bytes().map_err(Error::io(&self.path, "read"))? {
            Ok(bytes) => bytes,
            Err(fault) => {
                // Nothing tells where another game begins.
                sieve.refuse(&self.path, name(self.spot), fault)?;
                self.spot.offset = self.bytes;
                return Ok(());
            }
        };
        let Spot { inside, number, .. } = self.spot;
        let game = Game {
            board: Board::default(),
            result: head[30],
            moves,
        };
        let game = self.game.insert(game);
        match marlin::convert(&head).and_then(|_| marlin::board(&head)) {
            Ok(board) => game.board = board,
            Err(fault) => {
                sieve.refuse(&self.path, name(self.spot), fault)?;
                self.leave();
                return Ok(());
            }
        }
        let positions = game.positions();
        if inside > positions {
            let expected = format!("at most the {positions} positions of the game");
            return Err(Error::argument("start, inside", expected, inside));
        }
        self.spot.inside = 0;
        for _ in 0..inside {
            if let Err(fault) = self.step() {
                return Err(Error::data(&self.path, fault.within(name(self.spot))));
            }
        }
        // The spot has counted them already.
        self.spot.number = number;
        Ok(())
    }

    /// The bytes of the position and of the moves of the next game.
    fn game_bytes(&mut self) -> io::Result<Result<(RawRecord, Vec<u8>), Fault>> {
        let mut input = (&mut self.input).take(self.bytes - self.spot.offset);
        let mut head = RawRecord::default();
        let mut moves = Vec::new();
        let mut read = || {
            input.read_exact(&mut head)?;
            let mut entry = [0; MOVE];
            loop {
                input.read_exact(&mut entry)?;
                if entry == [0; MOVE] {
                    return io::Result::Ok(true);
                }
                if moves.len() == MOVE * MOST_MOVES {
                    return Ok(false);
                }
                moves.extend(entry);
            }
        };
        let place = "moves";
        match read() {
            Ok(true) => Ok(Ok((head, moves))),
            Ok(false) => {
                let expected = format!("at most {MOST_MOVES}");
                Ok(Err(Fault::new(place, expected, "more")))
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let expected = "4 zero bytes after the last move";
                Ok(Err(Fault::new(place, expected, "the end of the file")))
            }
            Err(error) => Err(error),
        }
    }

    /// The next position of the game and its note, and plays its move.
    fn step(&mut self) -> Result<(Position, InGame), Fault> {
        let at = MOVE * self.spot.inside as usize;
        let Some(game) = &mut self.game else {
            return Err(Fault::new("game", "a game", "none"));
        };
        let entry = &game.moves[at..at + MOVE];
        let word = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let (bits, score) = (word(0), word(2) as i16);
        let board = &mut game.board;
        let position = position(board, score, game.result)?;
        let next = decode(bits);
        let (castling, tactical) = kind(board, next);
        let check = Some(!board.checkers().is_empty());
        let black = u32::from(board.side_to_move() == Color::Black);
        let ply = 2 * u32::from(board.fullmove_number()).saturating_sub(1) + black;
        board.try_play(next).map_err(|_| {
            let expected = format!("a legal move in {board}");
            Fault::new("move", expected, format!("{next} (bits {bits:#06x})"))
        })?;
        self.spot.inside += 1;
        self.spot.number += 1;
        let in_game = InGame {
            ply,
            tactical,
            castling,
            check,
        };
        Ok((position, in_game))
    }
}

/// The place of a position as errors name it.
fn name(spot: Spot) -> String {
    let Spot { offset, inside, .. } = spot;
    format!("game at byte {offset}, move {inside} (counted from 0)")
}

/// The record of a board.
fn position(board: &Board, score: i16, result: u8) -> Result<Position, Fault> {
    let colors = [Color::White, Color::Black].map(|color| board.colors(color).0);
    let kinds = Piece::ALL.map(|piece| board.pieces(piece).0);
    let mut boards = [0; 8];
    boards[..2].copy_from_slice(&colors);
    boards[2..].copy_from_slice(&kinds);
    let black = board.side_to_move() == Color::Black;
    Position::from_boards(boards, black, score, result)
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

/// Whether a move is castling, and whether it captures or promotes.
fn kind(board: &Board, next: Move) -> (bool, bool) {
    let own = board.side_to_move();
    let castles = board.color_on(next.to) == Some(own);
    let takes = board.color_on(next.to) == Some(!own);
    let passes =
        board.piece_on(next.from) == Some(Piece::Pawn) && next.from.file() != next.to.file();
    (castles, takes || passes || next.promotion.is_some())
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

/// The positions of the first games of a file, at least `most` if there are as many, and the bytes
/// of those games. A game without an end does not count.
pub(crate) fn count(path: &Path, input: Input, most: u64) -> Result<(u64, u64)> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let (mut positions, mut bytes) = (0, 0);
    let mut head = RawRecord::default();
    while positions < most {
        let mut game = || {
            input.read_exact(&mut head)?;
            let (mut moves, mut entry) = (0u64, [u8::MAX; MOVE]);
            while entry != [0; MOVE] {
                input.read_exact(&mut entry)?;
                moves += 1;
            }
            io::Result::Ok(moves)
        };
        match game() {
            Ok(moves) => {
                positions += moves - 1;
                bytes += Position::BYTES as u64 + MOVE as u64 * moves;
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(Error::io(path, "read")(error)),
        }
    }
    Ok((positions, bytes))
}
