//! Whether a king is attacked.

use super::record::Position;
use cozy_chess::{
    BitBoard, Color, Square, get_bishop_moves, get_king_moves, get_knight_moves, get_pawn_attacks,
    get_rook_moves,
};

/// Whether the side to move is in check.
pub(crate) fn in_check(position: &Position) -> bool {
    let mut occupied = BitBoard::EMPTY;
    let mut theirs = [BitBoard::EMPTY; 6];
    for piece in position.pieces() {
        let square = Square::index(usize::from(piece.square)).bitboard();
        occupied |= square;
        if !piece.own {
            theirs[usize::from(piece.kind)] |= square;
        }
    }
    let [pawns, knights, bishops, rooks, queens, kings] = theirs;
    let king = Square::index(usize::from(position.kings()[0]));
    // The side to move plays upwards, as White does.
    let attackers = get_pawn_attacks(king, Color::White) & pawns
        | get_knight_moves(king) & knights
        | get_king_moves(king) & kings
        | get_bishop_moves(king, occupied) & (bishops | queens)
        | get_rook_moves(king, occupied) & (rooks | queens);
    !attackers.is_empty()
}
