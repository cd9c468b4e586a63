//! Records and text: each is read as the board that it describes.

use crate::support::{board, file, load, loader, sample_lines, shipped};
use cozy_chess::{Board, Color, Square};
use wgrad::nnue::data::{Dataset, LoaderSettings, Place, Position};

#[test]
fn every_shipped_line_is_read_as_the_board_that_it_spells() {
    let lines = sample_lines();
    assert_eq!(lines.len(), 5000);
    for line in lines {
        let position: Position = line.parse().unwrap();
        let fields: Vec<_> = line.split('|').map(str::trim).collect();
        let board: Board = fields[0].parse().unwrap();
        let black = board.side_to_move() == Color::Black;

        let mut placed = 0;
        for piece in position.pieces() {
            let square = Square::index(usize::from(if black {
                piece.square ^ 56
            } else {
                piece.square
            }));
            assert_eq!(board.piece_on(square).unwrap() as u8, piece.kind, "{line}");
            let own = board.color_on(square) == Some(board.side_to_move());
            assert_eq!(own, piece.own, "{line}");
            placed += 1;
        }
        assert_eq!(board.occupied().len(), placed, "{line}");

        let (score, result): (i16, f32) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
        assert_eq!(position.score(), if black { -score } else { score });
        assert_eq!(position.result(), if black { 1.0 - result } else { result });
        let own_king = board.king(board.side_to_move()) as u8;
        assert_eq!(
            position.kings()[0],
            if black { own_king ^ 56 } else { own_king }
        );
        assert_eq!(
            Position::from_bytes(&position.to_bytes()).unwrap(),
            position
        );
    }
}

#[test]
fn text_and_its_records_load_alike() {
    let folder = tempfile::tempdir().unwrap();
    let lines = sample_lines();
    let records: Vec<u8> = lines
        .iter()
        .flat_map(|line| line.parse::<Position>().unwrap().to_bytes())
        .collect();
    let binary = file(&folder, "sample.bin", records);
    // A name without a known ending, blank lines, Windows line ends, no clocks.
    let text: String = lines
        .iter()
        .map(|line| {
            let (fen, rest) = line.split_once(" | ").unwrap();
            let fen: Vec<_> = fen.split(' ').take(4).collect();
            format!("{} | {rest}\r\n \r\n", fen.join(" "))
        })
        .collect();
    let text = file(&folder, "sample.data", text);
    let settings = LoaderSettings::default()
        .batch_size(600)
        .shuffle_buffer(1000)
        .start(Place::after(0, 2));
    let expected = load(&[binary], &settings).unwrap();
    assert_eq!(expected.len(), 7);
    assert_eq!(load(&[text], &settings).unwrap(), expected);
    assert_eq!(
        load(&[shipped("chess_sample.txt")], &settings).unwrap(),
        expected
    );
}

#[test]
fn castling_rights_that_do_not_fit_and_late_clocks_do_no_harm() {
    let kings = board("4k3/8/8/8/8/8/8/4K3 w - -", 0);
    for fen in [
        "4k3/8/8/8/8/8/8/4K3 w KQkq - 0 0",
        "4k3/8/8/8/8/8/8/4K3 w HAha e3 150 300",
        "4k3/8/8/8/8/8/8/4K3 w - -",
    ] {
        assert_eq!(board(fen, 0), kings);
    }
}

#[test]
fn shipped_records_are_all_positions() {
    for (name, count) in [
        ("chess_train.bin", 200_000),
        ("chess_validation.bin", 20_000),
    ] {
        let dataset = Dataset::open(&[shipped(name)]).unwrap();
        assert_eq!(dataset.positions(), Some(count));
        let settings = LoaderSettings::default().shuffle_buffer(0);
        let batches = loader(&dataset, &settings).unwrap();
        let loaded: usize = batches.map(|batch| batch.unwrap().len()).sum();
        assert_eq!(loaded as u64, count);
    }
}
