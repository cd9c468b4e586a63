//! Another game through the public API: its own position type, more than 32 features, and batches
//! without a data file.

use std::sync::Arc;
use wgrad::Device;
use wgrad::Optimizer;
use wgrad::nnue::data::{BatchBuilder, FeatureSet, Perspective};
use wgrad::nnue::{
    Architecture, Batch, Inputs, Learner, Loss, Needs, Network, Parameters, Upstream,
};

/// The points of the board.
const POINTS: usize = 121;

/// A board of a game with stones: who has each point, 0 for nobody, 1 for the side to move.
struct Board([u8; POINTS]);

/// A stone of the perspective on point p is feature p, one of the other player 121 + p.
struct Stones;

impl FeatureSet for Stones {
    type Position = Board;

    fn inputs(&self) -> usize {
        2 * POINTS
    }
    fn max_indices(&self) -> usize {
        POINTS
    }
    fn write(&self, board: &Board, perspective: Perspective, list: &mut [u32]) -> usize {
        let own = if perspective == Perspective::Own {
            1
        } else {
            2
        };
        let stones = board.0.iter().enumerate().filter(|(_, stone)| **stone > 0);
        let mut count = 0;
        for (point, &stone) in stones {
            list[count] = (point + if stone == own { 0 } else { POINTS }) as u32;
            count += 1;
        }
        count
    }
}

/// A board with this many stones, in places that depend on `seed`.
fn board(stones: usize, seed: usize) -> Board {
    let mut points = [0; POINTS];
    for stone in 0..stones {
        // 37 and 121 have no common divisor, so no point is taken twice.
        points[(37 * (stone + seed)) % POINTS] = 1 + (stone % 2) as u8;
    }
    Board(points)
}

/// 50 boards of 0 to 98 stones, and their targets.
fn boards() -> impl Iterator<Item = (Board, f32)> {
    (0..50).map(|number| (board(2 * number, number), number as f32 / 50.0))
}

fn lists(batch: &Batch) -> [Vec<u32>; 2] {
    let Inputs::Sparse(lists) = batch.inputs() else {
        panic!("a builder makes lists");
    };
    lists.each_ref().map(|lists| lists.indices().to_vec())
}

#[test]
fn lists_targets_and_buckets_are_those_of_the_positions() {
    let mut builder = BatchBuilder::new(Arc::new(Stones));
    let mut points = [0; POINTS];
    (points[3], points[120]) = (1, 2);
    builder.push_with_bucket(&Board(points), 0.25, 1);
    (points[3], points[7]) = (2, 2);
    builder.push_with_bucket(&Board(points), 0.75, 0);
    assert_eq!((builder.len(), builder.is_empty()), (2, false));
    let batch = builder.finish(Needs::default()).unwrap();
    assert_eq!(batch.targets(), [0.25, 0.75]);
    assert_eq!(batch.buckets(), Some(&[1, 0][..]));
    let own = [3, 121 + 120, 121 + 3, 121 + 7, 121 + 120].to_vec();
    let other = [121 + 3, 120, 3, 7, 120].to_vec();
    assert_eq!(lists(&batch), [own, other]);
    // The builder begins again, in the memory of the batch.
    assert!(builder.is_empty());
    builder.reuse(batch);
    for _ in 0..2 {
        builder.push(&Board(points), 0.5);
        let next = builder.finish(Needs::default()).unwrap();
        assert_eq!((next.targets(), next.buckets()), (&[0.5][..], None));
    }
}

#[test]
fn gradients_of_long_lists_are_those_of_the_matrix() {
    for buckets in [1, 3] {
        let architecture = Architecture::new(Stones.inputs(), 40).buckets(buckets);
        let parameters = Parameters::initial(architecture, 3).unwrap();
        let cpu = Device::cpu().unwrap();
        let mut network = Network::new(&cpu, &parameters).unwrap();
        let mut builder = BatchBuilder::new(Arc::new(Stones));
        for (sample, (board, target)) in boards().enumerate() {
            match buckets {
                1 => builder.push(&board, target),
                _ => builder.push_with_bucket(&board, target, (sample % buckets) as u32),
            }
        }
        let sparse = builder.finish(network.needs()).unwrap();
        let mut dense = Batch::new(sparse.inputs().to_dense(), sparse.targets().to_vec()).unwrap();
        if let Some(buckets) = sparse.buckets() {
            dense = dense.with_buckets(buckets.to_vec()).unwrap();
        }
        let loss = Upstream::Loss(Loss::SIGMOID_MSE);
        let found = network.gradients(&sparse, loss).unwrap();
        let mut reference = Network::new(&Device::reference(), &parameters).unwrap();
        let expected = reference.gradients(&dense, loss).unwrap();
        let pairs = found
            .parameters
            .values()
            .iter()
            .zip(expected.parameters.values());
        for (found, expected) in pairs {
            let norm = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
            let difference = found.iter().zip(expected).map(|(a, b)| (a - b) * (a - b));
            let difference = difference.sum::<f32>().sqrt();
            assert!(
                norm > 0.0 && difference <= 1e-5 * norm,
                "{difference} {norm}"
            );
        }
    }
}

#[test]
fn another_game_trains() {
    let cpu = Device::cpu().unwrap();
    let architecture = Architecture::new(Stones.inputs(), 16);
    let parameters = Parameters::initial(architecture, 1).unwrap();
    let mut learner = Learner::new(&cpu, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW).unwrap();
    let mut builder = BatchBuilder::new(Arc::new(Stones));
    let mut losses = Vec::new();
    for _ in 0..60 {
        boards().for_each(|(board, target)| builder.push(&board, target));
        let batch = builder.finish(learner.needs()).unwrap();
        losses.push(learner.step(&batch, 1e-2).unwrap().wait().unwrap());
        builder.reuse(batch);
    }
    assert!(losses[59] < 0.1 * losses[0], "{} {}", losses[0], losses[59]);
}

/// Writes two features whatever the position.
struct Constant([u32; 2]);

impl FeatureSet for Constant {
    type Position = ();

    fn inputs(&self) -> usize {
        10
    }
    fn max_indices(&self) -> usize {
        2
    }
    fn write(&self, (): &(), _: Perspective, list: &mut [u32]) -> usize {
        list.copy_from_slice(&self.0);
        2
    }
}

#[test]
fn batches_that_no_network_can_read_are_refused() {
    let cpu = Device::cpu().unwrap();
    let architecture = Architecture::new(10, 4).buckets(2);
    let parameters = Parameters::initial(architecture, 1).unwrap();
    let mut network = Network::new(&cpu, &parameters).unwrap();
    for (features, words) in [
        (
            [3, 10],
            ["features of the side to move", "from 0 to 9", "found 10"],
        ),
        (
            [3, 3],
            ["features of the side to move", "at most once", "3 twice"],
        ),
    ] {
        let mut builder = BatchBuilder::new(Arc::new(Constant(features)));
        builder.push(&(), 0.5);
        let error = builder.finish(network.needs()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        // The samples of the error are gone.
        let error = builder.finish(Needs::default()).unwrap_err().to_string();
        assert!(error.contains("at least 1 sample"), "{error}");
    }
    let mut builder = BatchBuilder::new(Arc::new(Constant([1, 2])));
    builder.push_with_bucket(&(), 0.5, 0);
    builder.push(&(), 0.5);
    let error = builder.finish(Needs::default()).unwrap_err().to_string();
    assert!(
        error.contains("buckets") && error.contains("found 1"),
        "{error}"
    );

    let mut refused = |buckets: Option<u32>, words: [&str; 2]| {
        match buckets {
            Some(bucket) => builder.push_with_bucket(&(), 0.5, bucket),
            None => builder.push(&(), 0.5),
        }
        let batch = builder.finish(Needs::default()).unwrap();
        let error = network.forward(&batch).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused(Some(2), ["bucket of sample 0", "at most 1"]);
    refused(None, ["a bucket below 2", "found none"]);

    // A network of another game.
    let mut builder = BatchBuilder::new(Arc::new(Stones));
    builder.push_with_bucket(&board(5, 0), 0.5, 0);
    let batch = builder.finish(Needs::default()).unwrap();
    let error = network.forward(&batch).unwrap_err().to_string();
    assert!(
        error.contains("10 inputs (N)") && error.contains("242"),
        "{error}"
    );
}
