//! What a network does on positions: how often its neurons are at an end of their range, and its
//! loss by output bucket and by number of pieces.

mod first_layer;
mod forward;
mod histogram;
mod lanes;
mod neurons;

pub use first_layer::FirstLayer;
pub use histogram::Histogram;
pub use lanes::Lanes;
pub use neurons::{MOSTLY, Neurons};

use super::objective::Objective;
use crate::error::{Error, Result};
use crate::nnue::Parameters;
use crate::nnue::data::{
    Dataset, Encoding, FeatureSet, KingBuckets, OutputBuckets, Perspective, Position,
};
use crate::nnue::loss::Loss;
use forward::Forward;
use rayon::prelude::*;
use serde::Serialize;
use std::sync::Arc;

/// Positions that are counted together. The sums of such tasks are joined in ascending order, so
/// the results do not depend on the number of threads.
const TASK: usize = 1024;
/// Tasks whose positions are in memory together.
const TASKS: usize = 64;
/// The entries of a table by the number of pieces, 0 to 32.
const PIECES: usize = 33;

/// What a network does on positions.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The number of positions.
    pub positions: u64,
    /// The mean loss over them.
    pub loss: f64,
    /// The lanes of the accumulators, `[K]` each: of the side to move and of the other side.
    pub accumulators: [Lanes; 2],
    /// The lanes of each hidden layer, `[buckets, width]`. A position counts for the lanes of its
    /// bucket.
    pub layers: Vec<Lanes>,
    /// The positions of each output bucket.
    pub output_buckets: Vec<Group>,
    /// The positions of each king bucket; empty for inputs without king buckets.
    pub king_buckets: Vec<KingGroup>,
    /// The positions by their number of pieces, `[33]`.
    pub pieces: Vec<Group>,
}

/// Some of the positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// The number of positions.
    pub positions: u64,
    /// The mean loss over them; NaN without positions.
    pub loss: f64,
}

/// The positions of a king bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KingGroup {
    /// Those in which the king of the side to move is in the bucket.
    pub own: u64,
    /// Those in which the king of the other side is in it, from that side's view.
    pub other: u64,
}

/// The last number of pieces of each phase: 2 to 8 pieces, 9 to 16, 17 to 24, and 25 to 32.
pub const PHASES: [usize; 4] = [8, 16, 24, 32];

impl Inspection {
    /// The positions of each of the [`PHASES`].
    pub fn phases(&self) -> [Group; PHASES.len()] {
        let mut first = 0;
        PHASES.map(|last| {
            let groups = self.pieces.iter().take(last + 1).skip(first);
            first = last + 1;
            let (mut positions, mut loss) = (0, 0.0);
            for group in groups.filter(|group| group.positions > 0) {
                positions += group.positions;
                loss += group.loss * group.positions as f64;
            }
            Group {
                positions,
                loss: loss / positions as f64,
            }
        })
    }
}

/// Runs a network on the first `most` positions of a dataset, or on all if `most` is 0. It computes
/// in f32 on the threads of rayon's global pool, whatever device trained the network.
///
/// # Errors
/// An objective out of its range, a network of another N or another number of output buckets than
/// the encoding, a dataset without positions, and damaged data.
pub fn inspect(
    parameters: &Parameters,
    dataset: &Dataset,
    encoding: &Encoding,
    objective: Objective,
    most: u64,
) -> Result<Inspection> {
    objective.check()?;
    encoding.check(parameters.architecture())?;
    let inspector = Inspector {
        forward: Forward::new(parameters),
        features: encoding.inputs.features(),
        output_buckets: encoding.output_buckets,
        kings: encoding.inputs.king_buckets(),
        objective,
    };
    let mut positions = dataset.iter().take(match most {
        0 => usize::MAX,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    });
    let mut all = inspector.tally();
    loop {
        let turn = positions.by_ref().take(TASKS * TASK);
        let turn = turn.collect::<Result<Vec<_>>>()?;
        if turn.is_empty() {
            break;
        }
        let tallies = turn.par_chunks(TASK).map(|task| inspector.count(task));
        for tally in tallies.collect::<Vec<_>>() {
            all.add(&tally);
        }
    }
    if all.positions() == 0 {
        return Err(Error::argument("positions of the data", "at least 1", 0));
    }
    Ok(all.finish())
}

struct Inspector<'a> {
    forward: Forward<'a>,
    features: Arc<dyn FeatureSet<Position = Position>>,
    output_buckets: OutputBuckets,
    kings: Option<&'a KingBuckets>,
    objective: Objective,
}

/// The counts and sums of some positions.
struct Tally {
    accumulators: [Lanes; 2],
    layers: Vec<Lanes>,
    /// For each output bucket, the positions and the sum of their losses.
    output_buckets: Vec<Group>,
    king_buckets: Vec<KingGroup>,
    pieces: Vec<Group>,
}

impl Inspector<'_> {
    fn tally(&self) -> Tally {
        let architecture = self.forward.architecture();
        let buckets = architecture.buckets;
        let widths = architecture.layers.iter().map(|layer| layer.width);
        // With one bucket that mirrors, there are no buckets to tell apart.
        let kings = self.kings.map_or(0, KingBuckets::buckets);
        Tally {
            accumulators: [0, 1].map(|_| Lanes::new(architecture.hidden)),
            layers: widths.map(|width| Lanes::new(buckets * width)).collect(),
            output_buckets: vec![Group::default(); buckets],
            king_buckets: vec![KingGroup::default(); if kings > 1 { kings } else { 0 }],
            pieces: vec![Group::default(); PIECES],
        }
    }

    /// Runs the network on some positions.
    fn count(&self, positions: &[Position]) -> Tally {
        let (mut tally, mut values) = (self.tally(), self.forward.values());
        let (target, loss): (_, Loss) = (self.objective.target(), self.objective.loss);
        let mut lists = [0, 1].map(|_| vec![0; self.features.max_indices()]);
        for position in positions {
            let [own, other] = &mut lists;
            let count = self.features.write(position, Perspective::Own, own);
            let others = self.features.write(position, Perspective::Other, other);
            let bucket = self.output_buckets.of(position) as usize;
            let lists = [&own[..count], &other[..others]];
            let y = self.forward.run(lists, bucket, &mut values);
            let t = f64::from(target.of(position));
            let term = loss.term(f64::from(y), t, 1.0).value;

            for (lanes, z) in tally.accumulators.iter_mut().zip(&values.accumulators) {
                lanes.count(0, z, self.forward.ends());
            }
            for (layer, lanes) in tally.layers.iter_mut().enumerate() {
                let z = &values.layers[layer];
                lanes.count(bucket * z.len(), z, self.forward.layer_ends(layer));
            }
            tally.output_buckets[bucket].push(term);
            tally.pieces[position.piece_count()].push(term);
            if let (Some(kings), false) = (self.kings, tally.king_buckets.is_empty()) {
                let group = kings.group(position);
                tally.king_buckets[group / kings.buckets()].own += 1;
                tally.king_buckets[group % kings.buckets()].other += 1;
            }
        }
        tally
    }
}

impl Group {
    /// Adds a position, while `loss` is a sum.
    fn push(&mut self, term: f64) {
        self.positions += 1;
        self.loss += term;
    }

    fn add(&mut self, other: &Self) {
        self.positions += other.positions;
        self.loss += other.loss;
    }

    /// The same group with the mean in place of the sum.
    fn mean(self) -> Self {
        Self {
            loss: self.loss / self.positions as f64,
            ..self
        }
    }
}

impl Tally {
    fn positions(&self) -> u64 {
        self.pieces.iter().map(|group| group.positions).sum()
    }

    fn add(&mut self, other: &Self) {
        let lanes = self.accumulators.iter_mut().chain(&mut self.layers);
        let others = other.accumulators.iter().chain(&other.layers);
        lanes.zip(others).for_each(|(own, other)| own.add(other));
        let groups = self.output_buckets.iter_mut().chain(&mut self.pieces);
        let others = other.output_buckets.iter().chain(&other.pieces);
        groups.zip(others).for_each(|(own, other)| own.add(other));
        for (own, other) in self.king_buckets.iter_mut().zip(&other.king_buckets) {
            own.own += other.own;
            own.other += other.other;
        }
    }

    fn finish(self) -> Inspection {
        let mut all = Group::default();
        self.output_buckets.iter().for_each(|group| all.add(group));
        let means = |groups: Vec<Group>| groups.into_iter().map(Group::mean).collect();
        Inspection {
            positions: all.positions,
            loss: all.mean().loss,
            accumulators: self.accumulators,
            layers: self.layers,
            output_buckets: means(self.output_buckets),
            king_buckets: self.king_buckets,
            pieces: means(self.pieces),
        }
    }
}

#[cfg(test)]
mod tests;
