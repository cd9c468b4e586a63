//! How often lanes are at an end of their range.

use crate::nnue::HeadActivation;
use serde::Serialize;

/// The values before an activation at which a lane is at an end of its range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The lowest and the highest value after which every output of the lane is 0.
    zero: [f32; 2],
    /// The highest value below 0 and the lowest one above 0 after which an output is at the clip.
    clip: [f32; 2],
}

impl Ends {
    /// max(z, 0), with an upper end or without one (infinity).
    pub(super) fn rectified(limit: f32) -> Self {
        Self {
            zero: [f32::NEG_INFINITY, 0.0],
            clip: [f32::NEG_INFINITY, limit],
        }
    }

    /// The ends of a hidden layer. The square of a dual-square is above 0 for a z below 0, and at
    /// the clip from −1 down.
    pub(super) fn of(activation: HeadActivation) -> Self {
        match activation {
            HeadActivation::Relu => Self::rectified(f32::INFINITY),
            HeadActivation::CRelu | HeadActivation::SCRelu | HeadActivation::Dual => {
                Self::rectified(1.0)
            }
            HeadActivation::DualSquare => Self {
                zero: [0.0, 0.0],
                clip: [-1.0, 1.0],
            },
        }
    }
}

/// How often each lane of an accumulator or of a hidden layer is at an end of its range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Lanes {
    /// The positions that each lane was computed for.
    pub positions: Vec<u64>,
    /// Those after whose activation the lane is 0, with every output if it has several.
    pub zero: Vec<u64>,
    /// Those after whose activation an output of the lane is at the clip; none without a clip.
    pub clipped: Vec<u64>,
}

impl Lanes {
    pub(super) fn new(lanes: usize) -> Self {
        let none = vec![0; lanes];
        Self {
            positions: none.clone(),
            zero: none.clone(),
            clipped: none,
        }
    }

    /// Counts a position, whose values before the activation are those of the lanes from `first`
    /// on.
    pub(super) fn count(&mut self, first: usize, z: &[f32], ends: Ends) {
        let Ends {
            zero: [lowest, highest],
            clip: [below, above],
        } = ends;
        let lanes = first..first + z.len();
        let positions = &mut self.positions[lanes.clone()];
        positions.iter_mut().for_each(|count| *count += 1);
        let ends = self.zero[lanes.clone()].iter_mut();
        let ends = ends.zip(&mut self.clipped[lanes]);
        for ((zero, clipped), &z) in ends.zip(z) {
            *zero += u64::from((z >= lowest) & (z <= highest));
            *clipped += u64::from((z <= below) | (z >= above));
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.positions, &other.positions),
            (&mut self.zero, &other.zero),
            (&mut self.clipped, &other.clipped),
        ] {
            own.iter_mut()
                .zip(other)
                .for_each(|(own, other)| *own += other);
        }
    }

    /// The number of lanes.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are no lanes, which no network has.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The lanes that are 0 for at least this share of their positions, ascending. Lanes without
    /// positions do not count.
    pub fn dead(&self, share: f64) -> Vec<usize> {
        self.reaching(&self.zero, share)
    }

    /// The lanes that are at the clip for at least this share of their positions.
    pub fn saturated(&self, share: f64) -> Vec<usize> {
        self.reaching(&self.clipped, share)
    }

    /// The number of lanes that have no position, because their bucket has none.
    pub fn unused(&self) -> usize {
        self.positions.iter().filter(|&&count| count == 0).count()
    }

    /// The counts of both perspectives of a tied network together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.add(other);
        both
    }

    fn reaching(&self, counts: &[u64], share: f64) -> Vec<usize> {
        let reaches = |&lane: &usize| {
            let positions = self.positions[lane];
            positions > 0 && counts[lane] as f64 >= share * positions as f64
        };
        (0..self.len()).filter(reaches).collect()
    }
}
