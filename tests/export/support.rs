//! Networks, formats and positions.

use cozy_chess::{Board, GameStatus, Move};
use wgrad::nnue::data::{ChessInputs, Encoding, OutputBuckets, Position};
use wgrad::nnue::export::{Quantized, SaveFormat, Values};
use wgrad::nnue::{Activation, Architecture, HiddenLayer, Parameters};

/// Numbers that look random: the upper bits of a linear congruence.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }

    /// A number from −limit to limit.
    pub fn within(&mut self, limit: f32) -> f32 {
        (self.below(2001) as f32 / 1000.0 - 1.0) * limit
    }
}

/// Parameters within ±limit. A short list of values again and again is cheap without optimization
/// too, and its prime length keeps rows from being alike.
pub fn parameters(architecture: &Architecture, limit: f32, seed: u64) -> Parameters {
    let mut random = Random(seed);
    let values: Vec<f32> = (0..4093).map(|_| random.within(limit)).collect();
    let tensors = architecture.tensors().into_iter().enumerate();
    let tensors = tensors.map(|(at, tensor)| {
        let values = values.iter().cycle().skip(97 * at);
        values.take(tensor.len()).copied().collect()
    });
    Parameters::from_values(architecture.clone(), tensors.collect()).unwrap()
}

pub fn inputs(name: &str, table: Option<&[usize]>) -> ChessInputs {
    ChessInputs::named(name, table).unwrap()
}

/// A bucket for each 2 × 2 squares of a mirrored board.
pub fn small_buckets() -> Vec<usize> {
    (0..32).map(|entry| entry / 8 * 2 + entry % 4 / 2).collect()
}

pub fn encoding(inputs: ChessInputs, output_buckets: usize) -> Encoding {
    Encoding::new(inputs, OutputBuckets::material(output_buckets).unwrap())
}

/// A tied network with SCReLU for an encoding.
pub fn plain(encoding: &Encoding, hidden: usize) -> Architecture {
    Architecture::new(encoding.inputs.inputs(), hidden)
        .tied()
        .activation(Activation::SCRelu)
        .buckets(encoding.output_buckets.count())
}

/// A tied network with a pairwise product and these layers.
pub fn layered(encoding: &Encoding, hidden: usize, layers: &[&str]) -> Architecture {
    plain(encoding, hidden)
        .activation(Activation::CRelu)
        .pairwise(true)
        .layers(hidden_layers(layers))
}

pub fn hidden_layers(layers: &[&str]) -> Vec<HiddenLayer> {
    layers.iter().map(|text| text.parse().unwrap()).collect()
}

/// The formats of a name without what they require, for networks of any size.
pub fn free(name: &str, architecture: &Architecture) -> SaveFormat {
    let mut format = SaveFormat::preset(name, architecture).unwrap();
    format.requires = Default::default();
    format
}

pub fn format(text: &str) -> SaveFormat {
    SaveFormat::from_toml(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

pub fn integers<'a>(quantized: &'a Quantized, name: &str) -> &'a [i32] {
    match &quantized.tensor(name).unwrap().values {
        Values::Integers(values) => values,
        Values::Floats(_) => panic!("{name} has floats"),
    }
}

/// FENs of random legal games.
pub fn fens(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let mut found = Vec::new();
    let mut board = Board::default();
    while found.len() < count {
        let mut moves: Vec<Move> = Vec::new();
        board.generate_moves(|some| {
            moves.extend(some);
            false
        });
        if board.status() != GameStatus::Ongoing {
            board = Board::default();
            continue;
        }
        board.play(moves[random.below(moves.len())]);
        if random.below(5) == 0 {
            found.push(board.to_string());
        }
    }
    found
}

pub fn position(fen: &str) -> Position {
    Position::from_fen(fen, 0, 1).unwrap()
}

/// Asserts that a result is an error with all of `words`.
#[track_caller]
pub fn refused<T>(result: wgrad::Result<T>, words: &[&str]) {
    let Err(error) = result else {
        panic!("nothing was refused; expected {words:?}");
    };
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}
