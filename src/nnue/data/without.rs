//! Positions with a piece less.

use super::record::Position;

impl Position {
    /// The same position without the piece on a square, from the view of the side to move; `None`
    /// if a king or no piece is there.
    pub(crate) fn without(&self, square: u8) -> Option<Self> {
        const KING: u8 = 5;
        let mut boards = [0u64; 8];
        let mut found = false;
        for piece in self.pieces() {
            if piece.square == square {
                if piece.kind == KING {
                    return None;
                }
                found = true;
                continue;
            }
            let bit = 1u64 << piece.square;
            boards[usize::from(!piece.own)] |= bit;
            boards[2 + usize::from(piece.kind)] |= bit;
        }
        let half_points = (2.0 * self.result()) as u8;
        let position = Self::from_boards(boards, false, self.score(), half_points).ok();
        position.filter(|_| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_leaves_the_others_where_they_are() {
        let fen = "4k3/8/8/8/8/8/3q4/R3K3 b - - 0 1";
        let position = Position::from_fen(fen, 30, 2).unwrap();
        let squares: Vec<u8> = position.pieces().map(|piece| piece.square).collect();
        let queen = position.pieces().find(|piece| piece.kind == 4).unwrap();
        assert!(queen.own);
        let without = position.without(queen.square).unwrap();
        let left: Vec<u8> = without.pieces().map(|piece| piece.square).collect();
        let expected: Vec<u8> = squares
            .into_iter()
            .filter(|&one| one != queen.square)
            .collect();
        assert_eq!(left, expected);
        assert_eq!((without.score(), without.result()), (-30, 0.0));
        assert_eq!(without.kings(), position.kings());
        for square in [position.kings()[0], 20] {
            assert_eq!(position.without(square), None);
        }
    }
}
