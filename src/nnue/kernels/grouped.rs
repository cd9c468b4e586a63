//! Rows of weights, stored one lane group at a time, for the gathers of a forward pass.

use crate::engine::cpu::simd::{Simd, Sixteen};
use crate::nnue::kernels::masked::GROUP;
use aligned_vec::{AVec, avec};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Sixteens in a lane group.
const UNITS: usize = GROUP / 16;
/// A matrix is packed if each row is read at least this many times on average.
const USES: usize = 16;

/// The memory of packed matrices that are not in use. New memory would cost more than the copy: the
/// system clears it page by page.
static SPARES: Mutex<Vec<AVec<Sixteen>>> = Mutex::new(Vec::new());

/// Memory for `len` sixteens of any value.
fn memory(len: usize) -> AVec<Sixteen> {
    let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |spare: &AVec<Sixteen>| spare.len() == len;
    match spares.iter().position(fits) {
        Some(place) => spares.swap_remove(place),
        None => {
            // The matrices of another network.
            spares.clear();
            avec![[0.0; 16]; len]
        }
    }
}

/// A matrix `[N, K]` whose rows are read one lane group at a time.
///
/// In the matrix, the rows of a lane group are K floats apart, so they share a fraction of the
/// cache's sets: an eighth of them at K = 1024. Packed rows are contiguous.
#[derive(Debug)]
pub struct Grouped<'a> {
    rows: &'a [Sixteen],
    /// All rows of the first lane group, then all of the second.
    packed: Option<AVec<Sixteen>>,
    units: usize,
}

impl<'a> Grouped<'a> {
    /// A matrix of these rows. A row has `units` sixteens, and all rows together are read `reads`
    /// times.
    pub fn new(rows: &'a [Sixteen], units: usize, reads: usize) -> Self {
        let features = rows.len() / units.max(1);
        let packed = (units > UNITS && reads >= USES * features).then(|| {
            let mut values = memory(features * units);
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

    /// The rows from sixteen `unit` on, and the distance in sixteens from one row to the next.
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

impl Drop for Grouped<'_> {
    fn drop(&mut self) {
        if let Some(packed) = self.packed.take() {
            let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
            spares.push(packed);
        }
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
