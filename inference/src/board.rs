//! Pieces on squares.

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// White.
    White,
    /// Black.
    Black,
}

impl Color {
    /// Both sides, White first.
    pub const ALL: [Self; 2] = [Self::White, Self::Black];

    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Self::White => Self::Black,
            Self::Black => Self::White,
        }
    }
}

/// A kind of piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pawn.
    Pawn,
    /// A knight.
    Knight,
    /// A bishop.
    Bishop,
    /// A rook.
    Rook,
    /// A queen.
    Queen,
    /// A king.
    King,
}

/// A piece on a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its side.
    pub color: Color,
    /// Its kind.
    pub kind: Kind,
    /// Its square: a1 = 0, b1 = 1, h8 = 63.
    pub square: u8,
}

impl Piece {
    /// The piece of a letter of a FEN on a square from 0 to 63; `None` for any other letter or
    /// square.
    pub fn new(letter: char, square: u8) -> Option<Self> {
        let kind = match letter.to_ascii_lowercase() {
            'p' => Kind::Pawn,
            'n' => Kind::Knight,
            'b' => Kind::Bishop,
            'r' => Kind::Rook,
            'q' => Kind::Queen,
            'k' => Kind::King,
            _ => return None,
        };
        let color = match letter.is_ascii_uppercase() {
            true => Color::White,
            false => Color::Black,
        };
        let piece = Self {
            color,
            kind,
            square,
        };
        (square < 64).then_some(piece)
    }
}

/// The pieces of the first field of a FEN, from a8 to h1. It does not check the field: letters that
/// name no piece count as one empty square, and what is left of the board is ignored.
pub fn pieces_of(field: &str) -> impl Iterator<Item = Piece> + Clone {
    let mut place = 0u32;
    field.chars().filter_map(move |letter| {
        match letter {
            '/' => return None,
            '1'..='8' => {
                place += letter as u32 - '0' as u32;
                return None;
            }
            _ => {}
        }
        let square = (place < 64).then_some(place as u8 ^ 56)?;
        place += 1;
        Piece::new(letter, square)
    })
}
