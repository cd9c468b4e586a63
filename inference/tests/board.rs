//! Pieces of FENs.

use wgrad_inference::{Color, Kind, Piece, pieces_of};

#[test]
fn pieces_lie_on_the_squares_that_the_fen_says() {
    let found: Vec<Piece> = pieces_of("r3k2r/8/8/3pP3/8/8/6B1/N6K").collect();
    let piece = |letter, square| Piece::new(letter, square).unwrap();
    let expected = [
        piece('r', 56),
        piece('k', 60),
        piece('r', 63),
        piece('p', 35),
        piece('P', 36),
        piece('B', 14),
        piece('N', 0),
        piece('K', 7),
    ];
    assert_eq!(found, expected);
    assert_eq!(pieces_of("8/8/8/8/8/8/8/8").count(), 0);
    assert_eq!(pieces_of("").count(), 0);
    let start = pieces_of("rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR");
    assert_eq!(start.clone().count(), 32);
    let kings: Vec<u8> = start
        .filter(|piece| piece.kind == Kind::King)
        .map(|piece| piece.square)
        .collect();
    assert_eq!(kings, [60, 4]);
}

#[test]
fn letters_name_color_and_kind() {
    let kinds = [
        ('p', Kind::Pawn),
        ('n', Kind::Knight),
        ('b', Kind::Bishop),
        ('r', Kind::Rook),
        ('q', Kind::Queen),
        ('k', Kind::King),
    ];
    for (letter, kind) in kinds {
        for (letter, color) in [
            (letter, Color::Black),
            (letter.to_ascii_uppercase(), Color::White),
        ] {
            let expected = Piece {
                color,
                kind,
                square: 63,
            };
            assert_eq!(Piece::new(letter, 63), Some(expected));
            assert_eq!(Piece::new(letter, 64), None);
        }
    }
    for letter in ['x', '1', '/', ' ', 'é'] {
        assert_eq!(Piece::new(letter, 0), None, "{letter}");
    }
    assert_eq!(Color::White.other(), Color::Black);
    assert_eq!(Color::ALL.map(Color::other), [Color::Black, Color::White]);
}

#[test]
fn a_wrong_field_gives_no_piece_outside_of_the_board() {
    for field in [
        "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
        "88888888888888888888/k",
        "x?é9k",
        "////////",
    ] {
        assert!(pieces_of(field).all(|piece| piece.square < 64), "{field}");
    }
    let squares: Vec<u8> = pieces_of("x?k").map(|piece| piece.square).collect();
    assert_eq!(squares, [58], "unknown letters count as one square");
}
