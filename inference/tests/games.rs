//! Accumulators that follow legal games equal those of each position.

mod support;

use support::{Random, Seen, features, forms, plain, play, without};
use wgrad_inference::{Accumulators, Color};

/// The games of each form of inputs.
const GAMES: usize = 20;
const HIDDEN: usize = 8;

#[test]
fn updates_along_legal_games_equal_refreshes() {
    let mut random = Random(1);
    let mut all = Seen::default();
    for (name, inputs) in forms() {
        let network = plain(inputs.clone(), HIDDEN, &mut random);
        let mut seen = Seen::default();
        for _ in 0..GAMES {
            let mut followed: Option<Accumulators> = None;
            play(&mut random, &inputs, &mut seen, |before, after, to_move| {
                let mut accumulators = followed
                    .take()
                    .unwrap_or_else(|| Accumulators::new(&network, before.iter().copied()));
                let (removed, added) = (without(before, after), without(after, before));
                accumulators.update(&network, &removed, &added, after.iter().copied());
                let fresh = Accumulators::new(&network, after.iter().copied());
                assert_eq!(accumulators, fresh, "{name}");
                for (color, lanes) in [to_move, to_move.other()]
                    .into_iter()
                    .zip(accumulators.lanes(to_move))
                {
                    let mut sums = network.biases().to_vec();
                    for feature in features(&inputs, after, color) {
                        let row = &network.weights()[feature * HIDDEN..][..HIDDEN];
                        sums.iter_mut()
                            .zip(row)
                            .for_each(|(sum, weight)| *sum += weight);
                    }
                    assert_eq!(lanes, sums, "{name}, {color:?}");
                }
                let value = network.evaluate(&accumulators, to_move, after.len());
                let checked = network.evaluate_checked(after.iter().copied(), to_move);
                assert_eq!(checked, Ok(value), "{name}");
                let lists = [to_move, to_move.other()]
                    .map(|color| features(&inputs, after, color).into_iter());
                let bucket = network.output_bucket(after.len());
                assert_eq!(network.evaluate_features(lists, bucket), value, "{name}");
                followed = Some(accumulators);
            });
        }
        assert!(seen.plies > 50 * GAMES, "{name}: {seen:?}");
        let has_views = name != "plain";
        assert_eq!(seen.refreshes > 0, has_views, "{name}: {seen:?}");
        all.castlings += seen.castlings;
        all.en_passants += seen.en_passants;
        all.promotions += seen.promotions;
        all.captures += seen.captures;
    }
    let rarest = all.castlings.min(all.en_passants).min(all.promotions);
    assert!(rarest > 0 && all.captures > 100, "{all:?}");
}

#[test]
fn a_position_and_its_reflection_have_the_same_evaluation() {
    let mut random = Random(2);
    for (name, inputs) in forms() {
        let network = plain(inputs.clone(), HIDDEN, &mut random);
        play(
            &mut random,
            &inputs,
            &mut Seen::default(),
            |_, board, to_move| {
                let turned: Vec<_> = board
                    .iter()
                    .map(|piece| wgrad_inference::Piece {
                        color: piece.color.other(),
                        square: piece.square ^ 56,
                        ..*piece
                    })
                    .collect();
                let value = network.evaluate_checked(board.iter().copied(), to_move);
                let other = network.evaluate_checked(turned.iter().copied(), to_move.other());
                assert_eq!(value, other, "{name}");
            },
        );
    }
}

#[test]
fn a_board_without_kings_is_seen_from_a1() {
    let mut random = Random(3);
    for (name, inputs) in forms() {
        let network = plain(inputs, HIDDEN, &mut random);
        let empty = Accumulators::new(&network, std::iter::empty());
        for lanes in empty.lanes(Color::White) {
            assert_eq!(lanes, network.biases(), "{name}");
        }
        let pawn = wgrad_inference::Piece::new('P', 12).unwrap();
        let accumulators = Accumulators::new(&network, std::iter::once(pawn));
        let feature = usize::from(network.inputs().king_buckets[0]) * network.inputs().per_bucket();
        let row = &network.weights()[(feature + 12) * HIDDEN..][..HIDDEN];
        let sums: Vec<i16> = row
            .iter()
            .zip(network.biases())
            .map(|(a, b)| a + b)
            .collect();
        assert_eq!(accumulators.lanes(Color::White)[0], sums, "{name}");
    }
}
