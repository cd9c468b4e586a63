//! What the cases of the deep path's kernels share: an index with splits and layers.

use super::super::half::{self, Scale};
use super::super::head::{self, Layer};
use super::SPLIT;
use crate::engine::kernel::Slot;
use crate::engine::kernel::inputs::Inputs;
use crate::nnue::architecture::Architecture;
use crate::nnue::head::{HeadActivation, HiddenLayer};
use crate::tensor::lists;

/// The index of a case, with the offsets of its parts.
pub(in crate::nnue::kernels) struct Index {
    pub(in crate::nnue::kernels) words: Vec<u32>,
    /// The layers' words.
    pub(in crate::nnue::kernels) layers: u32,
    /// The bucket of each sample.
    pub(in crate::nnue::kernels) bucket: u32,
    /// The first split of each bucket.
    pub(in crate::nnue::kernels) first_splits: u32,
    /// The first sample of each split.
    pub(in crate::nnue::kernels) starts: u32,
    /// The number of splits of each bucket.
    pub(in crate::nnue::kernels) splits: Vec<usize>,
}

impl Index {
    /// Of samples in the order of their buckets, some of which have none.
    pub(in crate::nnue::kernels) fn new(
        inputs: &mut Inputs,
        architecture: &Architecture,
        samples: usize,
    ) -> Self {
        Self::with_splits(inputs, architecture, samples, SPLIT)
    }

    /// The same with splits of at most this many samples.
    pub(in crate::nnue::kernels) fn with_splits(
        inputs: &mut Inputs,
        architecture: &Architecture,
        samples: usize,
        most: usize,
    ) -> Self {
        let buckets = architecture.buckets;
        let mut ends = inputs.words(buckets - 1, samples as u32 + 1);
        ends.push(samples as u32);
        ends.sort_unstable();
        let own =
            (0..samples as u32).map(|sample| ends.partition_point(|&end| end <= sample) as u32);
        let own: Vec<u32> = own.collect();
        let splits = lists::blocks(&ends, most);
        // Something else precedes the parts.
        let mut words = vec![u32::MAX; 3];
        let mut join = |part: &[u32]| {
            words.extend(part);
            (words.len() - part.len()) as u32
        };
        let layers = join(&head::words(&head::layers(architecture)));
        let bucket = join(&own);
        let first_splits = join(&splits.first);
        let starts = join(&splits.starts);
        let counts = splits.first.windows(2);
        Self {
            words,
            layers,
            bucket,
            first_splits,
            starts,
            splits: counts.map(|ends| (ends[1] - ends[0]) as usize).collect(),
        }
    }

    pub(in crate::nnue::kernels) fn count(&self) -> u32 {
        self.splits.iter().sum::<usize>() as u32
    }
}

/// The activations of hidden layers in turn. No two that square follow each other, because the sums
/// of squares of squares have too many bits to be exact in f32.
const ACTIVATIONS: [HeadActivation; 7] = [
    HeadActivation::CRelu,
    HeadActivation::Relu,
    HeadActivation::Dual,
    HeadActivation::CRelu,
    HeadActivation::DualSquare,
    HeadActivation::Relu,
    HeadActivation::SCRelu,
];

/// An architecture with hidden layers of these widths, each with the next activation, from the one
/// with this number on. In even turns, one of three layers or more has a skip connection.
pub(in crate::nnue::kernels) fn architecture(
    hidden: usize,
    pairwise: bool,
    widths: &[usize],
    buckets: usize,
    turn: usize,
) -> Architecture {
    let layers = widths.iter().enumerate().map(|(index, &width)| {
        let activation = ACTIVATIONS[(turn + index) % ACTIVATIONS.len()];
        HiddenLayer::new(width, activation)
    });
    let mut architecture = Architecture::new(1, hidden)
        .pairwise(pairwise)
        .layers(layers.collect())
        .skip(widths.len() > 1 && turn.is_multiple_of(2))
        .buckets(buckets);
    architecture.tied = turn % 3 == 1;
    architecture
}

/// The elements of the head buffer.
pub(in crate::nnue::kernels) fn head_len(layers: &[Layer], buckets: usize) -> usize {
    layers
        .last()
        .map_or(0, |layer| layer.bias + buckets * layer.width)
}

/// Z in 32 bits and nothing, or nothing and Z in 16 bits.
pub(in crate::nnue::kernels) fn stored(z: Vec<f32>, scale: Option<Scale>) -> [Slot; 2] {
    let Some(scale) = scale else {
        return [Slot::Floats(z), Slot::Words(Vec::new())];
    };
    let mut words = vec![0; z.len() / 2];
    for (i, &z) in z.iter().enumerate() {
        half::put(&mut words, i, scale.ratio(f64::from(z)));
    }
    [Slot::Floats(Vec::new()), Slot::Words(words)]
}
