//! Plays random legal games and asserts after every move that the accumulators that followed it
//! equal those of the position.
//!
//! `cargo run --release -p wgrad-inference --example games -- 1000`

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Random, Seen, forms, plain, play, without};
use wgrad_inference::Accumulators;

fn main() {
    let games = std::env::args()
        .nth(1)
        .map_or(Ok(1000), |text| text.parse());
    let games: usize = games.expect("the argument is a number of games");
    let mut random = Random(1);
    for (name, inputs) in forms() {
        let network = plain(inputs.clone(), 32, &mut random);
        let mut seen = Seen::default();
        for game in 1..=games {
            let mut followed: Option<Accumulators> = None;
            play(&mut random, &inputs, &mut seen, |before, after, to_move| {
                let start = || Accumulators::new(&network, before.iter().copied());
                let mut accumulators = followed.take().unwrap_or_else(start);
                let (removed, added) = (without(before, after), without(after, before));
                accumulators.update(&network, &removed, &added, after.iter().copied());
                let fresh = Accumulators::new(&network, after.iter().copied());
                assert_eq!(accumulators, fresh, "{name}, game {game}");
                let value = network.evaluate(&accumulators, to_move, after.len());
                let checked = network.evaluate_checked(after.iter().copied(), to_move);
                assert_eq!(checked, Ok(value), "{name}, game {game}");
                followed = Some(accumulators);
            });
        }
        println!(
            "{name}: {games} games, {} positions, {} refreshes, {} castlings, {} captures en \
             passant, {} promotions",
            seen.plies, seen.refreshes, seen.castlings, seen.en_passants, seen.promotions
        );
    }
}
