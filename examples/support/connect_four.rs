//! Connect Four: positions, moves and lines of four.

use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;

/// The discs of the side to move and of the other side, as bits 7·column + row. Bit 6 of a column
/// stays 0, so that no line runs from one column into the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position(pub [u64; 2]);

pub const SQUARES: usize = 42;
/// The six squares of the first column.
const COLUMN: u64 = 0b11_1111;
/// The lowest square of each column: the sum of 128^column.
const BOTTOM: u64 = ((1 << 49) - 1) / 127;
const BOARD: u64 = BOTTOM * COLUMN;
/// The bits from a square of a line to the next: up, down to the right, right, up to the right.
const STEPS: [u32; 4] = [1, 6, 7, 8];

/// The first squares of the lines of four that lie in these squares.
fn lines(squares: u64, step: u32) -> u64 {
    let pairs = squares & (squares >> step);
    pairs & (pairs >> (2 * step))
}

impl Position {
    pub fn discs(&self) -> usize {
        (self.0[0] | self.0[1]).count_ones() as usize
    }

    /// The squares on which a disc can land, as single bits, from the middle to the edges.
    pub fn moves(&self) -> impl Iterator<Item = u64> {
        // The sum carries through the discs of each column to its first empty square.
        let landing = ((self.0[0] | self.0[1]) + BOTTOM) & BOARD;
        let columns = [3, 2, 4, 1, 5, 0, 6].map(|column| landing & (COLUMN << (7 * column)));
        columns.into_iter().filter(|square| *square != 0)
    }

    /// The position after a move, seen by the other side.
    pub fn play(&self, square: u64) -> Self {
        let [own, other] = self.0;
        Self([other, own | square])
    }

    /// A move that gives the side to move four in a row.
    pub fn win(&self) -> Option<u64> {
        let is_win = |square| STEPS.map(|step| lines(self.0[0] | square, step)) != [0; 4];
        self.moves().find(|square| is_win(*square))
    }

    /// The material count of this game, for the side to move: a disc counts once for each line of
    /// four that holds it and no disc of the other side.
    pub fn count(&self) -> f32 {
        let [own, other] = self.0;
        let mut sum = 0;
        for step in STEPS {
            let [ours, theirs] = [other, own].map(|blocked| lines(BOARD & !blocked, step));
            for shift in [0, step, 2 * step, 3 * step] {
                sum += (own & (ours << shift)).count_ones() as i32;
                sum -= (other & (theirs << shift)).count_ones() as i32;
            }
        }
        sum as f32
    }

    /// A position after random moves, in which nobody has won or wins at once.
    pub fn random(moves: usize, random: &mut ChaCha8Rng) -> Self {
        let mut position = Self::default();
        while position.discs() < moves {
            let square = position.moves().choose(random);
            position = square.map_or(position, |square| position.play(square));
            if position.win().is_some() {
                position = Self::default();
            }
        }
        position
    }
}
