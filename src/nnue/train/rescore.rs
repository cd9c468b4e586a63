//! Writes positions with a network's evaluations in place of their scores.

use super::objective::Objective;
use crate::error::{Error, Result};
use crate::files::atomic::try_write_atomically;
use crate::nnue::Model;
use crate::nnue::batch::Batch;
use crate::nnue::data::{BatchBuilder, Dataset, Encoding, Position};
use crate::nnue::needs::Needs;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// The largest size of a score in a record.
const MOST: f64 = i16::MAX as f64;

/// What gives positions their scores.
#[derive(Debug)]
pub struct Rescorer<'a, M: ?Sized> {
    /// The network.
    pub model: &'a mut M,
    /// How positions become its samples.
    pub encoding: &'a Encoding,
    /// What its output means; see [`Objective::score`].
    pub objective: Objective,
    /// L, the positions of a batch, at least 1. It may change the last bits of an output.
    pub batch_size: usize,
    /// The number of threads that make batches, at least 1. If the network computes on threads of
    /// the host, those threads make them instead. The scores do not depend on it.
    pub threads: usize,
}

/// The result of [`Rescorer::write`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rescored {
    /// The positions in the file.
    pub positions: u64,
    /// Those whose score was beyond ±32,767, the largest that a record holds, which they got
    /// instead.
    pub clamped: u64,
}

impl<M: Model + ?Sized> Rescorer<'_, M> {
    /// Writes all positions of a dataset to a bulletformat file, in their order and with their
    /// results. The score of each is that of the network's output, rounded to whole centipawns.
    /// `seen` is called with the number of positions from time to time. The memory holds a batch
    /// for each thread. The file is replaced only when all positions are written.
    ///
    /// # Errors
    /// An objective, a batch size or a number of threads out of its range, a network of another N
    /// or another number of output buckets than the encoding, an output that is not a number,
    /// damaged data, failures of the device, and every error of the file system.
    pub fn write(
        &mut self,
        dataset: &Dataset,
        path: &Path,
        mut seen: impl FnMut(u64),
    ) -> Result<Rescored> {
        self.objective.check()?;
        self.encoding.check(self.model.architecture())?;
        if self.batch_size == 0 {
            return Err(Error::argument("batch_size", "at least 1", 0));
        }
        let device = self.model.output_needs().threads().cloned();
        let count = device.as_ref().map_or(self.threads, |own| own.threads());
        if count == 0 {
            return Err(Error::argument("threads", "at least 1", 0));
        }
        let pool = match device {
            Some(_) => None,
            None => {
                let pool = ThreadPoolBuilder::new().num_threads(count).build();
                let expected = "threads that the system can start";
                Some(pool.map_err(|error| Error::argument("threads", expected, error))?)
            }
        };
        let mut positions = dataset.iter();
        let mut done = Rescored::default();
        try_write_atomically(path, |out| {
            loop {
                let turn = positions.by_ref().take(count.saturating_mul(self.batch_size));
                let turn = turn.collect::<Result<Vec<_>>>()?;
                if turn.is_empty() {
                    return Ok(done);
                }
                let (encoding, batch_size) = (self.encoding, self.batch_size);
                let make = || batches(&turn, encoding, batch_size);
                let batches = match (&device, &pool) {
                    (Some(device), _) => device.install(make),
                    (None, Some(pool)) => pool.install(make),
                    (None, None) => make(),
                };
                for (positions, batch) in turn.chunks(batch_size).zip(batches) {
                    let outputs = self.model.outputs(&batch?)?;
                    for (position, y) in positions.iter().zip(outputs) {
                        let score = self.score(y, done.positions)?;
                        done.positions += 1;
                        done.clamped += u64::from(score.abs() > MOST);
                        let score = score.clamp(-MOST, MOST) as i16;
                        let record = position.with_score(score).to_bytes();
                        out.write_all(&record).map_err(Error::io(path, "write"))?;
                    }
                    seen(done.positions);
                }
            }
        })
    }

    /// The whole centipawns of an output.
    fn score(&self, y: f32, index: u64) -> Result<f64> {
        let score = self.objective.score(y).round();
        if score.is_nan() {
            let name = format!("score of position {index} (counted from 0)");
            return Err(Error::argument(
                name,
                "a number",
                format!("{score} from Y = {y}"),
            ));
        }
        Ok(score)
    }
}

/// The batches of consecutive positions.
fn batches(positions: &[Position], encoding: &Encoding, batch_size: usize) -> Vec<Result<Batch>> {
    let (features, buckets) = (encoding.inputs.features(), encoding.output_buckets);
    let batch = |chunk: &[Position]| {
        let mut builder = BatchBuilder::new(features.clone());
        for position in chunk {
            match buckets.count() {
                1 => builder.push(position, 0.0),
                _ => builder.push_with_bucket(position, 0.0, buckets.of(position)),
            }
        }
        builder.finish(Needs::default())
    };
    let chunks = positions.par_chunks(batch_size).with_max_len(1);
    chunks.map(batch).collect()
}
