//! Networks that are small enough to compute by hand, and random ones beside an evaluation.

use super::lanes::{Ends, Lanes};
use super::{FirstLayer, Histogram, inspect};
use crate::engine::device::Device;
use crate::nnue::data::{ChessInputs, Dataset, Encoding, KingBuckets, OutputBuckets};
use crate::nnue::loss::Loss;
use crate::nnue::train::{Objective, evaluate};
use crate::nnue::{Activation, Architecture, HeadActivation, Network, ParameterName, Parameters};
use approx::assert_relative_eq;
use std::path::Path;

/// Two kings; two kings and a white rook; a start position. White is to move in all of them.
const LINES: &str = "4k3/8/8/8/8/8/8/4K3 w - - 0 1 | 0 | 0.5
k7/8/8/8/8/8/8/R6K w - - 0 1 | 400 | 1.0
rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1 | 0 | 0.5
";

fn dataset(directory: &Path) -> Dataset {
    let path = directory.join("positions.txt");
    std::fs::write(&path, LINES).unwrap();
    Dataset::open(&[path]).unwrap()
}

fn set(parameters: &mut Parameters, name: ParameterName, values: &[(usize, f32)]) {
    let tensors = parameters.architecture().tensors();
    let index = tensors.iter().position(|tensor| tensor.name == name);
    let mut all = parameters.values_mut();
    for &(at, value) in values {
        all[index.unwrap()][at] = value;
    }
}

fn objective() -> Objective {
    Objective::new(Loss::MSE, 0.0, 400.0)
}

/// Feature of a rook of the side to move on a1.
const OWN_ROOK_A1: usize = 3 * 64;
const SIGMOID_OF_1: f64 = 0.731_058_578_630_004_9;

#[test]
fn lanes_at_their_ends_and_losses_of_a_network_made_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let buckets: Vec<usize> = (0..33).map(|pieces| usize::from(pieces > 2)).collect();
    let encoding = Encoding::new(
        ChessInputs::default(),
        OutputBuckets::by_pieces(&buckets).unwrap(),
    );
    let architecture = Architecture::new(768, 4).tied().buckets(2);
    let mut parameters = Parameters::zeros(architecture).unwrap();
    // Lane 0 is dead and lane 1 saturated. Lane 2 is dead without an own rook on a1, and lane 3 is
    // always inside.
    let bias = [(0, -1.0), (1, 1.5), (3, 0.25)];
    set(&mut parameters, ParameterName::B1, &bias);
    set(
        &mut parameters,
        ParameterName::A1,
        &[(4 * OWN_ROOK_A1 + 2, 0.5)],
    );
    // Y is 0.5 in bucket 0, and 0.5 + Z of lane 2 of the side to move in bucket 1.
    set(&mut parameters, ParameterName::C, &[(8 + 2, 1.0)]);
    set(&mut parameters, ParameterName::D, &[(0, 0.5), (1, 0.5)]);

    let found = inspect(
        &parameters,
        &dataset(directory.path()),
        &encoding,
        objective(),
        0,
    );
    let found = found.unwrap();
    assert_eq!(found.positions, 3);
    let [own, other] = &found.accumulators;
    assert_eq!(own.positions, [3; 4]);
    // Two of the three positions have a rook on a1.
    assert_eq!(
        (&own.zero[..], &own.clipped[..]),
        (&[3, 0, 1, 0][..], &[0, 3, 0, 0][..])
    );
    // From the other side only the start position has an own rook on a1.
    assert_eq!(other.zero, [3, 0, 2, 0]);
    assert_eq!((own.dead(1.0), own.saturated(1.0)), (vec![0], vec![1]));
    assert_eq!((other.dead(0.6), other.dead(0.7)), (vec![0, 2], vec![0]));
    assert_eq!(own.with(other).zero, [6, 0, 3, 0]);
    assert_eq!(found.layers, []);

    let neurons = found.neurons(true);
    let places = neurons
        .iter()
        .map(|one| (&one.place[..], &one.dead[..], &one.saturated[..]));
    assert_eq!(
        places.collect::<Vec<_>>(),
        [
            ("own accumulator", &[0][..], &[1][..]),
            ("other accumulator", &[0], &[1]),
            ("both accumulators", &[0], &[1]),
        ]
    );
    assert_eq!(found.neurons(false).len(), 2, "no lane is in both");

    // Y − t is 0 with the two kings, 1 − σ(1) with the rook and 1 − ½ in the start position.
    let losses = [0.0, (1.0 - SIGMOID_OF_1).powi(2), 0.25];
    let [few, many] = found.output_buckets[..] else {
        panic!("{:?}", found.output_buckets);
    };
    assert_eq!((few.positions, many.positions), (1, 2));
    assert_eq!(few.loss, 0.0);
    assert_relative_eq!(many.loss, (losses[1] + losses[2]) / 2.0, epsilon = 1e-7);
    assert_relative_eq!(found.loss, losses.iter().sum::<f64>() / 3.0, epsilon = 1e-7);
    assert_eq!((found.pieces.len(), found.pieces[32].positions), (33, 1));
    let phases = found.phases();
    assert_eq!(phases.map(|phase| phase.positions), [2, 0, 0, 1]);
    assert_relative_eq!(phases[0].loss, losses[1] / 2.0, epsilon = 1e-7);
    assert!(phases[1].loss.is_nan(), "there is no such position");
    assert_eq!(found.king_buckets, [], "there are no king buckets");

    let two = inspect(
        &parameters,
        &dataset(directory.path()),
        &encoding,
        objective(),
        2,
    );
    assert_eq!(two.unwrap().positions, 2);
}

#[test]
fn hidden_lanes_count_the_positions_of_their_bucket() {
    let directory = tempfile::tempdir().unwrap();
    let buckets: Vec<usize> = (0..33).map(|pieces| usize::from(pieces > 2)).collect();
    let mut table = [1; 64];
    // e1, where the kings of the first and of the last position are.
    table[4] = 0;
    let encoding = Encoding::new(
        KingBuckets::new(&table).unwrap().into(),
        OutputBuckets::by_pieces(&buckets).unwrap(),
    );
    let layers = ["2:crelu".parse().unwrap(), "1:relu".parse().unwrap()];
    let architecture = Architecture::new(2 * 768, 2)
        .buckets(2)
        .layers(layers.to_vec());
    let mut parameters = Parameters::zeros(architecture).unwrap();
    // Biases [buckets, width]: the first layer is (−1, 1) in bucket 0 and (½, 0) in bucket 1.
    let first = [(0, -1.0), (1, 1.0), (2, 0.5)];
    set(&mut parameters, ParameterName::Bias(0), &first);
    set(
        &mut parameters,
        ParameterName::Bias(1),
        &[(0, 5.0), (1, -5.0)],
    );
    let found = inspect(
        &parameters,
        &dataset(directory.path()),
        &encoding,
        objective(),
        0,
    );
    let found = found.unwrap();
    assert_eq!(found.layers[0].positions, [1, 1, 2, 2]);
    assert_eq!(found.layers[0].zero, [1, 0, 0, 2]);
    assert_eq!(found.layers[0].clipped, [0, 1, 0, 0]);
    let layer = &found.neurons(false)[2];
    assert_eq!(
        (&layer.place[..], layer.lanes, layer.unused),
        ("layer 1", 4, 0)
    );
    assert_eq!(
        (&layer.dead[..], &layer.saturated[..]),
        (&[0, 3][..], &[1][..])
    );
    assert_eq!(found.layers[1].zero, [0, 2]);
    assert_eq!(found.layers[1].clipped, [0, 0], "relu has no clip");
    let kings = found
        .king_buckets
        .iter()
        .map(|group| (group.own, group.other));
    // The kings of the second position are on h1 and, seen from Black, on a1.
    assert_eq!(kings.collect::<Vec<_>>(), [(2, 2), (1, 1)]);
}

#[test]
fn a_dual_square_is_0_at_0_alone_and_at_the_clip_on_both_sides() {
    let z = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0];
    let counted = |activation| {
        let mut lanes = Lanes::new(z.len());
        lanes.count(0, &z, Ends::of(activation));
        (lanes.zero, lanes.clipped)
    };
    let (zero, clipped) = counted(HeadActivation::DualSquare);
    assert_eq!(zero, [0, 0, 0, 1, 0, 0]);
    assert_eq!(clipped, [1, 1, 0, 0, 0, 1]);
    let (zero, clipped) = counted(HeadActivation::Dual);
    assert_eq!(zero, [1, 1, 1, 1, 0, 0]);
    assert_eq!(clipped, [0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_loss_is_that_of_an_evaluation_for_every_form_of_network() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(root.join("examples/data/chess_train.bin")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.bin");
    // More than a task, and a part of one.
    std::fs::write(&path, &bytes[..32 * 1500]).unwrap();
    let dataset = Dataset::open(&[path]).unwrap();
    let table: Vec<usize> = (0..32).map(|square| square / 8).collect();
    let kings: ChessInputs = KingBuckets::mirrored(&table).unwrap().into();
    let plain = ChessInputs::default();
    let layers =
        ["8:dual", "6:dual-square", "4:screlu", "4:relu"].map(|layer| layer.parse().unwrap());
    let (network, wide) = (Architecture::new(768, 16), Architecture::new(4 * 768, 16));
    let forms = [
        (network.clone().tied(), &plain),
        (network.activation(Activation::SCRelu).buckets(8), &plain),
        (
            wide.clone().pairwise(true).factorised(true).unwrap(),
            &kings,
        ),
        (
            wide.tied()
                .pairwise(true)
                .layers(layers.to_vec())
                .skip(true)
                .buckets(8),
            &kings,
        ),
    ];
    let objective = Objective::new(Loss::SIGMOID_MSE, 0.3, 400.0);
    for (architecture, inputs) in forms {
        let buckets = match architecture.buckets {
            1 => OutputBuckets::ONE,
            count => OutputBuckets::material(count).unwrap(),
        };
        let encoding = Encoding::new(inputs.clone(), buckets);
        let parameters = Parameters::initial(architecture.clone(), 3).unwrap();
        let mut network = Network::new(&Device::cpu().unwrap(), &parameters).unwrap();
        let expected = evaluate(&mut network, &dataset, &encoding, objective, 1).unwrap();
        let found = inspect(&parameters, &dataset, &encoding, objective, 0).unwrap();
        assert_eq!(found.positions, expected.positions);
        assert_relative_eq!(found.loss, expected.loss, max_relative = 1e-5);
        let all: u64 = found.pieces.iter().map(|group| group.positions).sum();
        assert_eq!(all, found.positions, "{architecture}");
    }
}

#[test]
fn no_positions_and_a_wrong_encoding_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let parameters = Parameters::zeros(Architecture::new(768, 2)).unwrap();
    let dataset = dataset(directory.path());
    let wrong = Encoding::new(ChessInputs::default(), OutputBuckets::material(8).unwrap());
    let error = inspect(&parameters, &dataset, &wrong, objective(), 0).unwrap_err();
    assert!(error.to_string().contains("buckets: expected 8"), "{error}");
    let path = directory.path().join("mate.txt");
    std::fs::write(&path, "4k3/8/8/8/8/8/8/R3K3 w - - 0 1 | 30000 | 1.0\n").unwrap();
    let none = Dataset::open(&[path]).unwrap().max_score(20_000);
    let encoding = Encoding::default();
    let error = inspect(&parameters, &none, &encoding, objective(), 0).unwrap_err();
    assert!(error.to_string().contains("at least 1"), "{error}");
}

#[test]
fn piece_squares_are_means_over_king_buckets_with_the_shared_part() {
    let architecture = Architecture::new(2 * 768, 2).factorised(true).unwrap();
    let mut parameters = Parameters::zeros(architecture).unwrap();
    // The rook on a1 in both buckets, and its shared part.
    let own = [
        (2 * OWN_ROOK_A1 + 1, 1.0),
        (2 * (768 + OWN_ROOK_A1) + 1, 2.0),
    ];
    set(&mut parameters, ParameterName::A2, &own);
    set(
        &mut parameters,
        ParameterName::Shared2,
        &[(2 * OWN_ROOK_A1 + 1, 4.0)],
    );
    let layer = FirstLayer::new(&parameters);
    assert_eq!(layer.accumulators(), 2);
    let squares = layer.piece_squares(1, 1).unwrap();
    assert_eq!((squares.len(), squares[OWN_ROOK_A1]), (768, 5.5));
    assert_eq!(squares.iter().filter(|&&weight| weight != 0.0).count(), 1);
    assert_eq!(layer.piece_squares(0, 1).unwrap(), [0.0; 768]);
    assert_eq!(layer.largest_lanes(1).unwrap(), [1, 0]);
    for (accumulator, lane, word) in [(2, 0, "accumulator"), (0, 2, "lane")] {
        let error = layer
            .piece_squares(accumulator, lane)
            .unwrap_err()
            .to_string();
        assert!(error.contains(word) && error.contains("below 2"), "{error}");
    }
    let other = Parameters::zeros(Architecture::new(100, 2)).unwrap();
    let error = FirstLayer::new(&other).piece_squares(0, 0).unwrap_err();
    assert!(error.to_string().contains("multiple of 768"), "{error}");
}

#[test]
fn a_histogram_counts_every_value_once() {
    let values = [-1.0, -0.5, 0.0, 0.25, 0.5, 1.0];
    let histogram = Histogram::of(&values, 4);
    assert_eq!((histogram.lowest, histogram.highest), (-1.0, 1.0));
    assert_eq!(histogram.counts, [1, 1, 2, 2]);
    assert_eq!(Histogram::of(&[0.5; 3], 4).counts, [3, 0, 0, 0]);
    let none = Histogram::of(&[], 2);
    assert_eq!((none.lowest, none.counts), (0.0, vec![0, 0]));
}
