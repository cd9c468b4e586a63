//! What is joined with the weights of an accumulator before they are written.

use crate::error::{Error, Result};
use crate::nnue::data::{Encoding, KingBuckets};

/// The inputs of a king bucket.
const BUCKET: usize = 768;
/// The inputs of a king bucket with merged kings.
pub(super) const MERGED: usize = 704;
/// The first input of the own king.
const OWN_KING: usize = 5 * 64;
/// The first input of the opponent's king.
const OTHER_KING: usize = 11 * 64;

/// The sum of the own and the shared part.
pub(super) fn shared(own: &mut [f32], shared: &[f32]) {
    for (own, shared) in own.iter_mut().zip(shared.iter().cycle()) {
        *own += shared;
    }
}

/// The weights `[768·b, K]` with one plane for both kings, `[704·b, K]`.
pub(super) fn kings(
    weights: &[f32],
    hidden: usize,
    encoding: Option<&Encoding>,
) -> Result<Vec<f32>> {
    let place = "tensor A1, merge kings";
    let kings = encoding.and_then(|encoding| encoding.inputs.king_buckets());
    let Some(kings) = kings else {
        let expected = "inputs with king buckets or a mirrored board";
        return Err(Error::argument(place, expected, "others"));
    };
    let own = own_squares(kings);
    if let Some(bucket) = own.iter().position(|squares| !fits(squares)) {
        let expected = "king buckets of at most 2 × 2 squares, where the opponent's king cannot be";
        let found = format!("bucket {bucket} with {} squares", own[bucket].len());
        return Err(Error::argument(place, expected, found));
    }
    let mut merged = Vec::with_capacity(weights.len() / BUCKET * MERGED);
    for (bucket, squares) in weights.chunks_exact(BUCKET * hidden).zip(&own) {
        let from = merged.len();
        merged.extend(&bucket[..OTHER_KING * hidden]);
        for square in (0..64).filter(|square| !squares.contains(square)) {
            let row = &bucket[(OTHER_KING + square) * hidden..][..hidden];
            merged[from + (OWN_KING + square) * hidden..][..hidden].copy_from_slice(row);
        }
    }
    Ok(merged)
}

/// The weights `[704·b, K]` with a plane for each king again, `[768·b, K]`. Both planes are the
/// same.
pub(super) fn split_kings(merged: &[f32], hidden: usize) -> Vec<f32> {
    let mut weights = Vec::with_capacity(merged.len() / MERGED * BUCKET);
    for bucket in merged.chunks_exact(MERGED * hidden) {
        weights.extend(bucket);
        weights.extend(&bucket[OWN_KING * hidden..][..64 * hidden]);
    }
    weights
}

/// The squares of the own king in each bucket, after mirroring.
fn own_squares(kings: &KingBuckets) -> Vec<Vec<usize>> {
    let mut squares = vec![Vec::new(); kings.buckets()];
    for (entry, &bucket) in kings.table().iter().enumerate() {
        let square = match kings.is_mirrored() {
            true => entry / 4 * 8 + entry % 4,
            false => entry,
        };
        squares[bucket].push(square);
    }
    squares
}

/// Whether squares lie within two ranks and two files.
fn fits(squares: &[usize]) -> bool {
    let within = |place: fn(usize) -> usize| {
        let places = squares.iter().map(|&square| place(square));
        let (low, high) = (places.clone().min(), places.max());
        high.unwrap_or(0) - low.unwrap_or(0) <= 1
    };
    within(|square| square / 8) && within(|square| square % 8)
}
