//! Another game: Connect Four, with data that the example makes itself. A search plays against
//! itself, and a network with a hidden layer and output buckets learns from the games. In the first
//! round the search uses a material count: a disc counts once for each line of four that its side
//! can still complete. In the next two rounds it uses the network. After each round, network and
//! count play 1,000 games with the same depth, from 500 random openings with both colors. The
//! example fails if the network does not win the last match by more than chance explains.
//!
//! ```text
//! cargo run --release --example 09_connect_four
//! ```
//!
//! The first line names the device. The other lines, after half a minute on two cores (these are
//! the CPU executor's; on a GPU other games follow):
//!
//! ```text
//! network (84 -> 64) x 2 -> 16:crelu -> 1 x 4, tied
//! round 1: 341828 positions, loss 0.0260, score 50.8%
//! round 2: 677604 positions, loss 0.0279, score 62.3%
//! round 3: 1019751 positions, loss 0.0279, score 65.8%
//! ```

#[path = "support/connect_four.rs"]
mod connect_four;

use clap::Parser;
use connect_four::{Position, SQUARES};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::sync::Arc;
use wgrad::nnue::ParameterName::{A1, B1, Bias, W};
use wgrad::nnue::data::{BatchBuilder, FeatureSet, Perspective};
use wgrad::nnue::{Architecture, Batch, HeadActivation, HiddenLayer, Learner, Loss, Parameters};
use wgrad::optim::schedule::Schedule;
use wgrad::{Device, Optimizer};

/// K, the lanes of an accumulator.
const LANES: usize = 64;
/// The lanes of the hidden layer.
const HIDDEN: usize = 16;
/// The output buckets: quarters of the game, by the number of discs.
const BUCKETS: usize = 4;
/// The number of moves that a search looks ahead.
const DEPTH: u32 = 4;
const EPOCHS: u64 = 8;
const BATCH: usize = 1024;
/// λ, the share of the game's result in a target. The rest comes from the search.
const LAMBDA: f32 = 0.3;

#[derive(Parser)]
struct Options {
    /// The device, as `wgrad --device` takes it
    #[arg(long, default_value = "auto")]
    device: String,
    /// The seed of games and network
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play few games, after which the network need not win
    #[arg(long)]
    quick: bool,
}

/// A position with its score by the search, which its target replaces.
type Sample = (Position, f32);

/// The logit of the probability that the side to move wins.
type Evaluation<'a> = dyn Fn(&Position) -> f32 + Sync + 'a;

/// The inputs of the network. A disc of the perspective's side on square s is feature s, and one of
/// the other side is feature 42 + s.
struct Discs;

impl FeatureSet for Discs {
    type Position = Position;

    fn inputs(&self) -> usize {
        2 * SQUARES
    }

    fn max_indices(&self) -> usize {
        SQUARES
    }

    fn write(&self, position: &Position, perspective: Perspective, list: &mut [u32]) -> usize {
        let own = usize::from(perspective == Perspective::Other);
        let mut count = 0;
        for (side, first) in [(own, 0), (1 - own, SQUARES as u32)] {
            let mut discs = position.0[side];
            while discs != 0 {
                let bit = discs.trailing_zeros();
                // Every seventh bit is unused.
                list[count] = first + bit - bit / 7;
                discs &= discs - 1;
                count += 1;
            }
        }
        count
    }
}

fn bucket(position: &Position) -> usize {
    position.discs() * BUCKETS / (SQUARES + 1)
}

/// The network in plain loops. An engine would update the accumulators with each move.
fn plain(parameters: &Parameters) -> impl Fn(&Position) -> f32 + Sync {
    let tensors = [A1, B1, W(0), Bias(0), W(1), Bias(1)];
    let [a, b, w1, c1, w2, c2] = tensors.map(|name| parameters.get(name).unwrap_or_default());
    move |position| {
        let z = [Perspective::Own, Perspective::Other].map(|perspective| {
            let (mut z, mut list) = ([0.0; LANES], [0; SQUARES]);
            z.copy_from_slice(b);
            let count = Discs.write(position, perspective, &mut list);
            for feature in &list[..count] {
                let row = &a[*feature as usize * LANES..][..LANES];
                z.iter_mut().zip(row).for_each(|(z, weight)| *z += weight);
            }
            z.map(|z| z.clamp(0.0, 1.0))
        });
        let (bucket, h) = (bucket(position), z.as_flattened());
        let mut y = c2[bucket];
        for lane in bucket * HIDDEN..(bucket + 1) * HIDDEN {
            let z = c1[lane] + dot(&w1[lane * h.len()..], h);
            y += w2[lane] * z.clamp(0.0, 1.0);
        }
        y
    }
}

/// Σ a·b. The sixteen sums are what a compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        sums = std::array::from_fn(|lane| sums[lane] + a[lane] * b[lane]);
    }
    sums.iter().sum()
}

/// Alpha-beta: the score of a position for the side to move, and the best move.
fn search(evaluate: &Evaluation, position: &Position, depth: u32, window: [f32; 2]) -> (f32, u64) {
    let ([alpha, beta], mut best) = (window, (f32::NEG_INFINITY, 0));
    if let Some(square) = position.win() {
        // More than any evaluation, and a near win is more than a far one.
        return (1000.0 + depth as f32, square);
    }
    if position.discs() == SQUARES {
        return (0.0, 0);
    }
    if depth == 0 {
        return (evaluate(position), 0);
    }
    for square in position.moves() {
        let window = [-beta, -alpha.max(best.0)];
        let (score, _) = search(evaluate, &position.play(square), depth - 1, window);
        if -score > best.0 {
            best = (-score, square);
        }
        if best.0 >= beta {
            break;
        }
    }
    best
}

/// Plays from an opening until a side has a winning move or the board is full. Returns the result
/// for the side that begins, 1, ½ or 0, and the positions with their scores.
fn play(players: [&Evaluation; 2], opening: Position) -> (f32, Vec<Sample>) {
    let (mut position, mut past) = (opening, Vec::new());
    while position.win().is_none() && position.discs() < SQUARES {
        let window = [f32::NEG_INFINITY, f32::INFINITY];
        let (score, square) = search(players[past.len() % 2], &position, DEPTH, window);
        past.push((position, score));
        position = position.play(square);
    }
    let result = position.win().map_or(0.5, |_| [1.0, 0.0][past.len() % 2]);
    (result, past)
}

/// The positions of games against itself, with their targets t = λ·result + (1 − λ)·σ(score).
fn self_play(evaluate: &Evaluation, seed: u64, round: u64, games: u64) -> Vec<Sample> {
    let numbers = (round * games..(round + 1) * games).into_par_iter();
    let games = numbers.map(|number| {
        let mut random = ChaCha8Rng::seed_from_u64((seed << 32) + number);
        let opening = Position::random(random.random_range(4..=12), &mut random);
        let (mut result, mut past) = play([evaluate; 2], opening);
        for (_, value) in &mut past {
            *value = LAMBDA * result + (1.0 - LAMBDA) / (1.0 + (-*value).exp());
            result = 1.0 - result;
        }
        past
    });
    games.flatten_iter().collect()
}

/// The score of A in percent, from random openings that are each played with both colors.
fn contest(a: &Evaluation, b: &Evaluation, seed: u64, openings: u64) -> f32 {
    let pairs = (0..openings).into_par_iter().map(|pair| {
        let mut random = ChaCha8Rng::seed_from_u64((seed << 32) + (1 << 31) + pair);
        let opening = Position::random(6, &mut random);
        play([a, b], opening).0 + 1.0 - play([b, a], opening).0
    });
    // Halves add up exactly, in any order.
    50.0 * pairs.sum::<f32>() / openings as f32
}

fn batch(samples: &[Sample], learner: &Learner) -> wgrad::Result<Batch> {
    let mut builder = BatchBuilder::new(Arc::new(Discs));
    for (position, target) in samples {
        builder.push_with_bucket(position, *target, bucket(position) as u32);
    }
    builder.finish(learner.needs())
}

/// Trains for some epochs and returns the mean loss of the last one.
fn train(learner: &mut Learner, samples: &mut [Sample], seed: u64) -> wgrad::Result<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let steps = samples.len().div_ceil(BATCH) as u64;
    let mut sum = 0.0;
    for epoch in 0..EPOCHS {
        samples.shuffle(&mut random);
        sum = 0.0;
        for (step, chunk) in (epoch * steps + 1..).zip(samples.chunks(BATCH)) {
            let rate = Schedule::COSINE.at_step(3e-3, step, EPOCHS * steps);
            let loss = learner.step(&batch(chunk, learner)?, rate)?;
            sum += chunk.len() as f32 * loss.wait()?;
        }
    }
    Ok(sum / samples.len() as f32)
}

fn main() -> wgrad::Result<()> {
    let options = Options::parse();
    let (seed, quick) = (options.seed, options.quick);
    let (games, openings) = if quick { (300, 50) } else { (15_000, 500) };
    let device = Device::open(Some(&options.device))?;
    println!("{}", device.reason());
    let architecture = Architecture::new(Discs.inputs(), LANES)
        .tied()
        .layers(vec![HiddenLayer::new(HIDDEN, HeadActivation::CRelu)])
        .buckets(BUCKETS);
    println!("network {architecture}");
    let mut parameters = Parameters::initial(architecture, seed)?;
    let mut learner = Learner::new(&device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW)?;
    let count = |position: &Position| position.count() / 8.0;
    let (mut samples, mut score) = (Vec::new(), 0.0);
    for round in 1..=3 {
        samples.extend(match round {
            1 => self_play(&count, seed, round, games),
            _ => self_play(&plain(&parameters), seed, round, games),
        });
        let loss = train(&mut learner, &mut samples, seed)?;
        parameters = learner.parameters()?;
        let network = plain(&parameters);
        let some = batch(&samples[..1000], &learner)?;
        let outputs = learner.network_mut().forward(&some)?;
        for ((position, _), output) in samples.iter().zip(outputs) {
            let value = network(position);
            assert!((value - output).abs() <= 1e-4, "{value} is not {output}");
            // A move without a disc lets the sides change places.
            assert_eq!(position.count(), -position.play(0).count());
        }
        score = contest(&network, &count, seed, openings);
        let positions = samples.len();
        println!("round {round}: {positions} positions, loss {loss:.4}, score {score:.1}%");
    }
    // The two games from an opening score 0 to 100%. Between equal players, the mean of n such
    // scores has a standard deviation of at most 50% / √n. The bound is three of them.
    let bound = 50.0 + 150.0 / (openings as f32).sqrt();
    assert!(quick || score > bound, "a win is above {bound:.1}%");
    Ok(())
}
