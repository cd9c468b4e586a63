//! The accumulators of a position, which follow its moves.

use super::alloc::vec::Vec;
use super::board::{Color, Kind, Piece};
use super::inputs::View;
use super::network::Network;
use super::sums::Overflow;

/// The accumulators of a position in both perspectives: the biases plus the weights of each
/// feature, in 16 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulators {
    /// By color.
    sides: [Side; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    color: Color,
    view: View,
    lanes: Vec<i16>,
}

impl Accumulators {
    /// The accumulators of a position, which has one king of each color.
    pub fn new(network: &Network, board: impl Iterator<Item = Piece> + Clone) -> Self {
        let side = |color| {
            let mut side = Side {
                color,
                view: view_of(network, color, board.clone()),
                lanes: network.biases.clone(),
            };
            side.refresh(network, board.clone());
            side
        };
        Self {
            sides: Color::ALL.map(side),
        }
    }

    /// Follows a move: `removed` are the pieces that left the board, which are the moved pieces on
    /// their old squares and a captured piece, and `added` are the moved pieces on their new
    /// squares. `board` has all pieces after the move. A perspective is computed anew from it if
    /// its king went to another bucket or, with mirroring, across the middle of the board.
    pub fn update(
        &mut self,
        network: &Network,
        removed: &[Piece],
        added: &[Piece],
        board: impl Iterator<Item = Piece> + Clone,
    ) {
        for side in &mut self.sides {
            let king = king_of(side.color, added.iter().copied());
            if let Some(king) = king {
                let view = network.inputs.view(side.color, king);
                if view != side.view {
                    side.view = view;
                    side.refresh(network, board.clone());
                    continue;
                }
            }
            for &piece in removed {
                side.change(network, piece, i16::wrapping_sub);
            }
            for &piece in added {
                side.change(network, piece, i16::wrapping_add);
            }
        }
    }

    /// The accumulator of the side to move and the one of the other side.
    pub fn lanes(&self, to_move: Color) -> [&[i16]; 2] {
        [to_move, to_move.other()].map(|color| &self.sides[color as usize].lanes[..])
    }

    /// The same as [`Accumulators::new`], with a check of each lane.
    pub(crate) fn checked(
        network: &Network,
        board: impl Iterator<Item = Piece> + Clone,
    ) -> Result<Self, Overflow> {
        let sums = Color::ALL.map(|color| {
            let view = view_of(network, color, board.clone());
            let mut sums: Vec<i32> = network.biases.iter().copied().map(i32::from).collect();
            for piece in board.clone() {
                let feature = network.inputs.feature(color, view, piece);
                for (sum, &weight) in sums.iter_mut().zip(network.row(feature)) {
                    *sum += i32::from(weight);
                }
            }
            (color, view, sums)
        });
        for (lane, &value) in sums.iter().flat_map(|(_, _, sums)| sums.iter().enumerate()) {
            if i16::try_from(value).is_err() {
                let value = value.into();
                return Err(Overflow::Accumulator { lane, value });
            }
        }
        let sides = sums.map(|(color, view, sums)| Side {
            color,
            view,
            lanes: sums.into_iter().map(|sum| sum as i16).collect(),
        });
        Ok(Self { sides })
    }
}

impl Side {
    fn refresh(&mut self, network: &Network, board: impl Iterator<Item = Piece>) {
        self.lanes.copy_from_slice(&network.biases);
        for piece in board {
            self.change(network, piece, i16::wrapping_add);
        }
    }

    #[inline]
    fn change(&mut self, network: &Network, piece: Piece, join: impl Fn(i16, i16) -> i16) {
        let feature = network.inputs.feature(self.color, self.view, piece);
        for (lane, &weight) in self.lanes.iter_mut().zip(network.row(feature)) {
            *lane = join(*lane, weight);
        }
    }
}

/// The view of a perspective. Without a king, it is as if the king were on its a1.
fn view_of(network: &Network, color: Color, board: impl Iterator<Item = Piece>) -> View {
    let home = match color {
        Color::White => 0,
        Color::Black => 56,
    };
    let king = king_of(color, board).unwrap_or(home);
    network.inputs.view(color, king)
}

fn king_of(color: Color, mut pieces: impl Iterator<Item = Piece>) -> Option<u8> {
    let king = pieces.find(|piece| piece.color == color && piece.kind == Kind::King);
    king.map(|king| king.square)
}
