//! Writes positions with a network's evaluations in place of their scores.

use super::objective::Objective;
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::files::atomic::try_write_atomically;
use crate::nnue::Model;
use crate::nnue::batch::Batch;
use crate::nnue::data::{BatchBuilder, Dataset, Encoding, FeatureSet, OutputBuckets, Position};
use crate::nnue::needs::Needs;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
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
        let threads = self.makers()?;
        let count = threads.count();
        let (batch_size, buckets) = (self.batch_size, &self.encoding.output_buckets);
        let features = self.encoding.inputs.features();
        // One for each batch of a turn, so that batches can be reused.
        let mut builders = Vec::new();
        builders.resize_with(count, || BatchBuilder::new(features.clone()));
        let mut positions = dataset.iter();
        let mut done = Rescored::default();
        try_write_atomically(path, |out| {
            loop {
                let turn = positions.by_ref().take(count.saturating_mul(batch_size));
                let turn = turn.collect::<Result<Vec<_>>>()?;
                if turn.is_empty() {
                    return Ok(done);
                }
                let chunks = builders.par_iter_mut().zip(turn.par_chunks(batch_size));
                let chunks = chunks.with_max_len(1);
                let make = || {
                    let made = chunks.map(|(builder, chunk)| batch(builder, chunk, buckets));
                    made.collect::<Vec<_>>()
                };
                let batches = threads.install(make);
                let chunks = turn.chunks(batch_size).zip(batches);
                for ((positions, batch), builder) in chunks.zip(&mut builders) {
                    let batch = batch?;
                    let outputs = self.model.outputs(&batch)?;
                    builder.reuse(batch);
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

    /// The threads that make batches.
    fn makers(&self) -> Result<Threads> {
        if let Some(device) = self.model.output_needs().threads() {
            return Ok(Threads::Device(device.clone()));
        }
        if self.threads == 0 {
            return Err(Error::argument("threads", "at least 1", 0));
        }
        let pool = ThreadPoolBuilder::new().num_threads(self.threads).build();
        let expected = "threads that the system can start";
        let pool = pool.map_err(|error| Error::argument("threads", expected, error))?;
        Ok(Threads::Own(pool))
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

/// Threads that make batches.
enum Threads {
    /// Those on which the network computes.
    Device(Device),
    Own(ThreadPool),
}

impl Threads {
    fn count(&self) -> usize {
        match self {
            Self::Device(device) => device.threads(),
            Self::Own(pool) => pool.current_num_threads(),
        }
    }

    fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self {
            Self::Device(device) => device.install(work),
            Self::Own(pool) => pool.install(work),
        }
    }
}

/// The batch of these positions.
fn batch(
    builder: &mut BatchBuilder<dyn FeatureSet<Position = Position>>,
    positions: &[Position],
    buckets: &OutputBuckets,
) -> Result<Batch> {
    for position in positions {
        match buckets.count() {
            1 => builder.push(position, 0.0),
            _ => builder.push_with_bucket(position, 0.0, buckets.of(position)),
        }
    }
    builder.finish(Needs::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::Architecture;
    use crate::nnue::loss::Loss;

    /// A model whose output is a number.
    #[derive(Debug)]
    struct Constant(Architecture, f32);

    impl Model for Constant {
        fn architecture(&self) -> &Architecture {
            &self.0
        }

        fn outputs(&mut self, batch: &Batch) -> Result<Vec<f32>> {
            Ok(vec![self.1; batch.len()])
        }

        fn output_needs(&self) -> Needs<'_> {
            Needs::default()
        }
    }

    #[test]
    fn scores_are_rounded_and_clamped_and_must_be_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let [data, out] = ["a.txt", "b.bin"].map(|name| folder.path().join(name));
        std::fs::write(&data, "k7/8/8/8/8/8/8/K7 w - - 0 1 | 7 | 1.0\n".repeat(10)).unwrap();
        let dataset = Dataset::open(&[data]).unwrap();
        let rescore = |y, batch_size, threads| {
            let mut rescorer = Rescorer {
                model: &mut Constant(Architecture::new(768, 1), y),
                encoding: &Encoding::default(),
                objective: Objective::new(Loss::SIGMOID_MSE, 0.0, 100.0),
                batch_size,
                threads,
            };
            rescorer.write(&dataset, &out, |_| {})
        };
        for (y, score, clamped) in [
            (0.126, 13, 0),
            (-0.126, -13, 0),
            (327.67, 32767, 0),
            (-327.68, -32767, 10),
            (f32::INFINITY, 32767, 10),
        ] {
            let positions = 10;
            assert_eq!(rescore(y, 3, 2).unwrap(), Rescored { positions, clamped });
            let written = Dataset::open(std::slice::from_ref(&out)).unwrap();
            for position in &written {
                let position = position.unwrap();
                assert_eq!((position.score(), position.result()), (score, 1.0));
            }
            assert_eq!(written.positions(), Some(10));
        }
        let refused = [(f32::NAN, 3, 1), (0.0, 0, 1), (0.0, 3, 0)];
        let texts = [
            "score of position 0 (counted from 0): expected a number, found NaN from Y = NaN",
            "batch_size: expected at least 1, found 0",
            "threads: expected at least 1, found 0",
        ];
        for ((y, batch_size, threads), text) in refused.into_iter().zip(texts) {
            let error = rescore(y, batch_size, threads).unwrap_err();
            assert_eq!(error.to_string(), text);
            assert_eq!(std::fs::metadata(&out).unwrap().len(), 320);
        }
    }
}
