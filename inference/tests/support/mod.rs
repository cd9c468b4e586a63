//! Random numbers, networks and legal games.

// Every test program compiles this file and uses only a part of it.
#![allow(dead_code)]

use cozy_chess::{Board, Color as Side, GameStatus, Move, Piece as Man, Square};
use wgrad_inference::{Color, Head, Inputs, Kind, Network, Piece, Plain};

/// Numbers that look random (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A number from −limit to limit.
    pub fn within(&mut self, limit: i32) -> i32 {
        self.below(2 * limit as usize + 1) as i32 - limit
    }

    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    pub fn many<T>(&mut self, count: usize, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| one(self)).collect()
    }
}

/// A bucket for each 2 × 2 squares of a mirrored board.
pub fn small_buckets() -> [u8; 64] {
    std::array::from_fn(|square| {
        let (rank, file) = (square / 8, square % 8);
        (rank / 2 * 2 + file.min(7 - file) / 2) as u8
    })
}

/// The forms of inputs, with their names.
pub fn forms() -> Vec<(&'static str, Inputs)> {
    let buckets = Inputs {
        king_buckets: std::array::from_fn(|square| (square / 24) as u8),
        ..Inputs::PLAIN
    };
    let mirrored = Inputs {
        mirrored: true,
        ..Inputs::PLAIN
    };
    let small = Inputs {
        king_buckets: small_buckets(),
        ..mirrored.clone()
    };
    let merged = Inputs {
        merged_kings: true,
        ..small.clone()
    };
    vec![
        ("plain", Inputs::PLAIN),
        ("mirrored", mirrored),
        ("king buckets", buckets),
        ("mirrored king buckets", small),
        ("merged kings", merged),
    ]
}

/// One bucket, or eight by the number of pieces.
pub fn output_buckets(count: usize) -> [u8; 33] {
    std::array::from_fn(|pieces| (pieces.max(2) - 2).min(30) as u8 / 4)
        .map(|bucket: u8| bucket.min(count as u8 - 1))
}

/// A plain network with lanes on both sides of both ends of the clip.
pub fn plain(inputs: Inputs, hidden: usize, random: &mut Random) -> Network {
    let weights = random.many(inputs.count() * hidden, |r| r.within(60) as i16);
    let biases = random.many(hidden, |r| r.within(100) as i16);
    let head = Head::Plain(Plain {
        squared: random.flag(),
        qa: 255,
        qb: 64,
        weights: random.many(16 * hidden, |r| r.within(120) as i16),
        biases: random.many(8, |r| r.within(30_000)),
    });
    Network::new(inputs, weights, biases, output_buckets(8), 400, head).unwrap()
}

/// The pieces of a board.
pub fn pieces(board: &Board) -> Vec<Piece> {
    let kinds = [
        (Man::Pawn, Kind::Pawn),
        (Man::Knight, Kind::Knight),
        (Man::Bishop, Kind::Bishop),
        (Man::Rook, Kind::Rook),
        (Man::Queen, Kind::Queen),
        (Man::King, Kind::King),
    ];
    let mut found = Vec::new();
    for (side, color) in [(Side::White, Color::White), (Side::Black, Color::Black)] {
        for (man, kind) in kinds {
            for square in board.colored_pieces(side, man) {
                let square = square as u8;
                found.push(Piece {
                    color,
                    kind,
                    square,
                });
            }
        }
    }
    found
}

pub fn color(side: Side) -> Color {
    match side {
        Side::White => Color::White,
        Side::Black => Color::Black,
    }
}

/// The moves of a kind that random games seldom have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub plies: usize,
    pub castlings: usize,
    pub en_passants: usize,
    pub promotions: usize,
    pub captures: usize,
    /// Perspectives whose king went to another bucket or half of the board.
    pub refreshes: usize,
}

/// Plays a legal game and calls `ply` with the pieces before and after each move and the side to
/// move after it. Rare moves are played whenever there is one, and captures seldom, so that the
/// games are long.
pub fn play(
    random: &mut Random,
    inputs: &Inputs,
    seen: &mut Seen,
    mut ply: impl FnMut(&[Piece], &[Piece], Color),
) {
    let mut board = Board::default();
    for _ in 0..240 {
        if board.status() != GameStatus::Ongoing {
            return;
        }
        let mut moves: Vec<Move> = Vec::new();
        board.generate_moves(|some| {
            moves.extend(some);
            false
        });
        let rare = |chosen: &&Move| {
            is_castling(&board, **chosen)
                || is_en_passant(&board, **chosen)
                || chosen.promotion.is_some() && random.0.is_multiple_of(2)
        };
        let rare = moves.iter().find(rare).copied();
        let mut chosen = moves[random.below(moves.len())];
        if board.color_on(chosen.to).is_some() && random.below(3) > 0 {
            chosen = moves[random.below(moves.len())];
        }
        let chosen = rare.unwrap_or(chosen);
        seen.castlings += usize::from(is_castling(&board, chosen));
        seen.en_passants += usize::from(is_en_passant(&board, chosen));
        seen.promotions += usize::from(chosen.promotion.is_some());
        let before = pieces(&board);
        let kings = [Side::White, Side::Black].map(|side| view(inputs, side, board.king(side)));
        board.play(chosen);
        let after = pieces(&board);
        seen.captures += usize::from(after.len() < before.len());
        for (side, king) in [Side::White, Side::Black].into_iter().zip(kings) {
            seen.refreshes += usize::from(view(inputs, side, board.king(side)) != king);
        }
        seen.plies += 1;
        ply(&before, &after, color(board.side_to_move()));
    }
}

/// The bucket and the half of the board that decide the features of a perspective.
fn view(inputs: &Inputs, side: Side, king: Square) -> (u8, bool) {
    let own = match side {
        Side::White => king as usize,
        Side::Black => king as usize ^ 56,
    };
    (inputs.king_buckets[own], inputs.mirrored && own % 8 > 3)
}

fn is_castling(board: &Board, chosen: Move) -> bool {
    board.color_on(chosen.to) == Some(board.side_to_move())
}

fn is_en_passant(board: &Board, chosen: Move) -> bool {
    board.piece_on(chosen.from) == Some(Man::Pawn)
        && chosen.from.file() != chosen.to.file()
        && board.piece_on(chosen.to).is_none()
}

/// The pieces of one board that another one lacks.
pub fn without(board: &[Piece], other: &[Piece]) -> Vec<Piece> {
    let missing = |piece: &&Piece| !other.contains(piece);
    board.iter().filter(missing).copied().collect()
}

/// The features of a perspective, written from the documentation of [`Inputs`].
pub fn features(inputs: &Inputs, board: &[Piece], side: Color) -> Vec<usize> {
    let turn = |square: u8| {
        if side == Color::White {
            square
        } else {
            square ^ 56
        }
    };
    let is_own_king = |piece: &&Piece| piece.color == side && piece.kind == Kind::King;
    let king = board
        .iter()
        .find(is_own_king)
        .map_or(0, |king| turn(king.square));
    let mirror = inputs.mirrored && king % 8 >= 4;
    let per_bucket = if inputs.merged_kings { 704 } else { 768 };
    let first = per_bucket * usize::from(inputs.king_buckets[usize::from(king)]);
    let feature = |piece: &Piece| {
        let square = usize::from(if mirror {
            turn(piece.square) ^ 7
        } else {
            turn(piece.square)
        });
        let kind = match piece.kind {
            Kind::Pawn => 0,
            Kind::Knight => 1,
            Kind::Bishop => 2,
            Kind::Rook => 3,
            Kind::Queen => 4,
            Kind::King => 5,
        };
        let shared = inputs.merged_kings && piece.kind == Kind::King;
        let other = if piece.color == side || shared {
            0
        } else {
            384
        };
        first + other + 64 * kind + square
    };
    board.iter().map(feature).collect()
}
