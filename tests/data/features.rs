//! Features computed by hand and by symmetry, and the targets that blend result and score.

use crate::support::{START, features, sample_lines};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgrad::nnue::WinRate;
use wgrad::nnue::data::{Chess768, FeatureSet, Perspective, Position, Target};

#[test]
fn features_of_the_start_position() {
    // The side to move: pawns on a2 to h2 are 8 to 15, knights 64 + 1 and 6, bishops 128 + 2 and 5,
    // rooks 192 + 0 and 7, the queen 256 + 3, the king 320 + 4. The other side: 384 more, from
    // ranks 7 and 8.
    let mut expected: Vec<u32> = (8..16)
        .chain([65, 70, 130, 133, 192, 199, 259, 324])
        .collect();
    expected.extend((432..440).chain([505, 510, 570, 573, 632, 639, 699, 764]));
    let position = Position::from_fen(START, 0, 1).unwrap();
    assert_eq!(features(&position), [expected.clone(), expected]);
}

#[test]
fn features_with_black_to_move() {
    // Black: king g8, rook a8; White: king e1, pawn e4.
    let position = Position::from_fen("r5k1/8/8/8/4P3/8/8/4K3 b - - 0 1", 35, 2).unwrap();
    // As Black sees it, the own king is on g1 = 6 and the own rook on a1 = 0, the opponent's king
    // on e8 = 60 and the opponent's pawn on e5 = 36.
    let own = vec![192, 320 + 6, 384 + 36, 384 + 320 + 60];
    // As White sees it, the own pawn is on e4 = 28 and the own king on e1 = 4, the opponent's rook
    // on a8 = 56 and the opponent's king on g8 = 62.
    let other = vec![28, 320 + 4, 384 + 192 + 56, 384 + 320 + 62];
    assert_eq!(features(&position), [own, other]);
    assert_eq!(position.score(), -35);
    assert_eq!(position.result(), 0.0);
}

#[test]
fn colours_swapped_is_the_same_and_the_other_side_to_move_swaps_perspectives() {
    for line in sample_lines().iter().step_by(7) {
        let position: Position = line.parse().unwrap();
        let fields: Vec<_> = line.split(' ').collect();
        let side = if fields[1] == "w" { "b" } else { "w" };
        let swapped: String = fields[0]
            .chars()
            .map(|c| {
                if c.is_ascii_uppercase() {
                    c.to_ascii_lowercase()
                } else {
                    c.to_ascii_uppercase()
                }
            })
            .collect();
        let mirrored: Vec<_> = swapped.split('/').rev().collect();
        let mirrored = format!("{} {side} - -", mirrored.join("/"));
        let mirrored = Position::from_fen(&mirrored, 0, 1).unwrap();
        assert_eq!(features(&mirrored), features(&position));

        // Some positions are illegal if the other side is to move.
        if let Ok(passed) = Position::from_fen(&format!("{} {side} - -", fields[0]), 0, 1) {
            let [own, other] = features(&position);
            assert_eq!(features(&passed), [other, own]);
        }
    }
}

#[test]
fn targets_blend_result_and_score() {
    let position = Position::from_fen(START, 200, 2).unwrap();
    let target = |lambda| Target::new(lambda, 400.0).of(&position);
    assert_eq!(target(1.0), 1.0);
    assert!((target(0.0) - 0.622_459_3).abs() < 1e-7);
    assert!((target(0.25) - (0.25 + 0.75 * 0.622_459_3)).abs() < 1e-7);
    assert_eq!(Target::default().sigmoid(200), target(0.0));
    assert_eq!(Target::default().sigmoid(0), 0.5);
    // A win-rate model in place of σ: at its offset half of the games are won, and σ(−540/380) of
    // them are lost.
    let modeled = Target::default().win_rate(WinRate::STOCKFISH_SCORE);
    assert_eq!(modeled.sigmoid(0), 0.5);
    let lost = 1.0 / (1.0 + (540.0f32 / 380.0).exp());
    assert!((modeled.sigmoid(270) - 0.5 * (1.5 - lost)).abs() < 1e-6);
    let blended = modeled.lambda(0.25).of(&position);
    assert!((blended - (0.25 + 0.75 * modeled.sigmoid(200))).abs() < 1e-6);
    let wrong = WinRate {
        scaling: 0.0,
        ..WinRate::STOCKFISH_SCORE
    };
    let error = Target::default().win_rate(wrong).check().unwrap_err();
    assert!(error.to_string().contains("scaling"), "{error}");
}

#[test]
fn the_names_of_the_other_side_are_what_it_writes() {
    let names = Chess768.other_names().unwrap();
    for line in sample_lines() {
        let position: Position = line.parse().unwrap();
        let [own, other] = features(&position);
        let mut renamed: Vec<_> = own.iter().map(|&feature| names[feature as usize]).collect();
        renamed.sort();
        assert_eq!(renamed, other, "{line}");
    }
}

#[test]
fn no_feature_stands_twice_in_a_list() {
    assert!(Chess768.is_distinct());
    for line in sample_lines() {
        for mut list in features(&line.parse().unwrap()) {
            let length = list.len();
            list.dedup();
            assert_eq!(list.len(), length, "{line}");
        }
    }
}

/// A board with arbitrary pieces on these squares, and the kings on the first and the last of them.
fn crowd(occupied: u64, random: &mut ChaCha8Rng) -> Position {
    let count = occupied.count_ones() as usize;
    let mut codes: Vec<u8> = (0..count)
        .map(|_| random.random_range(0..5) + 8 * random.random_range(0..2))
        .collect();
    (codes[0], codes[count - 1]) = (5, 13);
    let mut bytes = [0; Position::BYTES];
    bytes[..8].copy_from_slice(&occupied.to_le_bytes());
    for (piece, code) in codes.iter().enumerate() {
        bytes[8 + piece / 2] |= code << (4 * (piece % 2));
    }
    bytes[27] = occupied.trailing_zeros() as u8;
    bytes[28] = (63 - occupied.leading_zeros() as u8) ^ 56;
    Position::from_bytes(&bytes).unwrap()
}

#[test]
fn both_lists_at_once_are_those_one_by_one() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    // Whole quarters of the board, after an even and an odd number of pieces; one piece more than
    // three of the quarters.
    let mut boards = vec![
        0xFFFF_FFFF,
        0xFFFF_0000_0000_FFFF,
        0x7FFF_FFFF_0001,
        0x8000_FFFF_7FFF_0000,
    ];
    for _ in 0..2000 {
        // Fewer and fewer squares, at most 32.
        let few = (0..random.random_range(1..5))
            .fold(u64::MAX, |squares, _| squares & random.random::<u64>());
        if (2..=32).contains(&few.count_ones()) {
            boards.push(few);
        }
    }
    assert!(boards.len() > 1000, "{}", boards.len());
    for occupied in boards {
        let position = crowd(occupied, &mut random);
        let expected = [Perspective::Own, Perspective::Other].map(|perspective| {
            let mut list = vec![u32::MAX; Chess768.max_indices()];
            let count = Chess768.write(&position, perspective, &mut list);
            list[..count].to_vec()
        });
        for behind in [0, 16, 20] {
            let mut lists = [(); 2].map(|()| vec![u32::MAX; Chess768.max_indices() + behind]);
            let counts =
                Chess768.write_both(&position, None, lists.each_mut().map(Vec::as_mut_slice));
            for ((list, count), expected) in lists.iter().zip(counts).zip(&expected) {
                assert_eq!(list[..count], *expected, "{occupied:x}, {behind} behind");
            }
        }
    }
}
