//! Positions of a training for an integer network.

use crate::nnue::data::{Piece, Position};
use wgrad_inference as engine;

/// The pieces of a position from the view of its side to move, which counts as White.
pub(super) fn pieces(position: &Position) -> Vec<engine::Piece> {
    const KINDS: [engine::Kind; 6] = [
        engine::Kind::Pawn,
        engine::Kind::Knight,
        engine::Kind::Bishop,
        engine::Kind::Rook,
        engine::Kind::Queen,
        engine::Kind::King,
    ];
    let piece = |piece: Piece| engine::Piece {
        color: match piece.own {
            true => engine::Color::White,
            false => engine::Color::Black,
        },
        kind: KINDS[usize::from(piece.kind) % KINDS.len()],
        square: piece.square,
    };
    position.pieces().map(piece).collect()
}
