//! Rows of weights a group of lanes at a time: what the gathers of a forward pass read.

use crate::engine::cpu::simd::{Simd, Sixteen};
use crate::nnue::kernels::masked::GROUP;
use aligned_vec::{AVec, avec};
use rayon::prelude::*;

/// Units of sixteen lanes in a group.
const UNITS: usize = GROUP / 16;
/// A matrix is packed when its rows are read so many times and more.
const USES: usize = 4;

/// A matrix `[N, K]` whose rows are read in parts of a group.
///
/// The parts of a group lie K floats apart, so they meet in a fraction of the cache's sets: at K = 1024 in an eighth of
/// them. Packed they lie end to end.
#[derive(Debug)]
pub struct Grouped<'a> {
    rows: &'a [Sixteen],
    /// All parts of the first group, then all of the second.
    packed: Option<AVec<Sixteen>>,
    units: usize,
}

impl<'a> Grouped<'a> {
    /// Of these rows of `units`, which are read `reads` times in all.
    pub fn new(rows: &'a [Sixteen], units: usize, reads: usize) -> Self {
        let features = rows.len() / units.max(1);
        let packed = (units > UNITS && reads >= USES * features).then(|| {
            let mut values = avec![[0.0; 16]; rows.len()];
            let groups = values.par_chunks_mut(UNITS * features).enumerate();
            groups.for_each(|(group, parts)| {
                let width = parts.len() / features;
                let rows = rows.chunks(units);
                for (part, row) in parts.chunks_mut(width).zip(rows) {
                    part.copy_from_slice(&row[group * UNITS..][..width]);
                }
            });
            values
        });
        Self {
            rows,
            packed,
            units,
        }
    }

    /// Where the parts that begin at `unit` are, and the distance from one row's to the next row's.
    pub fn parts(&self, unit: usize) -> (&[Sixteen], usize) {
        let Some(packed) = &self.packed else {
            return (&self.rows[unit..], self.units);
        };
        let features = self.rows.len() / self.units;
        let first = unit / UNITS * UNITS;
        let width = UNITS.min(self.units - first);
        (&packed[first * features + unit - first..], width)
    }
}

/// x^power, for the powers of activations.
#[inline(always)]
pub fn powered<S: Simd>(simd: S, power: u32, x: S::Vector) -> S::Vector {
    match power {
        1 => x,
        2 => simd.multiply(x, x),
        _ => simd.multiply(simd.multiply(x, x), x),
    }
}
