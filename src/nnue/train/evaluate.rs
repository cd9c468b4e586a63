//! Evaluates a network on a data file: mean loss, and correlation with the scores.

use super::objective::Objective;
use crate::error::Result;
use crate::nnue::Model;
use crate::nnue::data::{Dataset, Encoding, LoadedBatch, LoaderSettings, Shards};
use crate::nnue::loss::Link;
use crate::nnue::ranks::{Alone, Ranks};
use serde::Serialize;

/// The quality of a network's outputs on a data file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// The mean loss over all n positions.
    pub loss: f64,
    /// Pearson's correlation of σ(Y) with σ(score ÷ scale), or of the win rates in their place; NaN
    /// if one of them is constant.
    pub correlation: f64,
    /// n, the number of positions.
    pub positions: u64,
}

/// Evaluates a network on all positions of a dataset, in the order of the files. `threads` threads
/// make the batches. If the network computes on threads of the host, those threads make them
/// instead.
///
/// # Errors
/// An objective out of its range, a network of another N or another number of output buckets than
/// the encoding, damaged data, and failures of the device.
pub fn evaluate<M: Model + ?Sized>(
    model: &mut M,
    dataset: &Dataset,
    encoding: &Encoding,
    objective: Objective,
    threads: usize,
) -> Result<Evaluation> {
    let task = (dataset, encoding, objective);
    evaluate_on(&Alone, Shards::default(), model, task, threads)
}

/// As [`evaluate`], on several ranks, each of which computes its shards of every batch. The order
/// of the positions, and so the bits of the result, depends on the shards and not on the ranks.
pub(super) fn evaluate_on<M: Model + ?Sized>(
    ranks: &dyn Ranks,
    shards: Shards,
    model: &mut M,
    (dataset, encoding, objective): (&Dataset, &Encoding, Objective),
    threads: usize,
) -> Result<Evaluation> {
    encoding.check(model.architecture())?;
    let mut evaluator = Evaluator::new(objective)?;
    let settings = evaluator.loader_settings().threads(threads.max(1));
    let settings = settings.shards(shards);
    let mut loader = encoding.loader(dataset, settings, model.output_needs())?;
    loop {
        let own: Vec<_> = loader.by_ref().take(shards.len()).collect::<Result<_>>()?;
        let mut samples: Vec<Sample> = Vec::new();
        for shard in own.iter().filter(|shard| !shard.is_empty()) {
            let y = model.outputs(shard.as_ref())?;
            samples.extend(Sample::all(shard, &y));
        }
        for part in ranks.share(bytemuck::cast_slice(&samples))? {
            for sample in part.chunks_exact(size_of::<Sample>()) {
                evaluator.add_sample(bytemuck::pod_read_unaligned(sample));
            }
        }
        if own.last().is_none_or(LoadedBatch::ends_epoch) {
            return Ok(evaluator.evaluation());
        }
    }
}

/// What an evaluation needs of a position.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Sample {
    y: f32,
    target: f32,
    score: i32,
}

impl Sample {
    fn all<'a>(batch: &'a LoadedBatch, y: &'a [f32]) -> impl Iterator<Item = Self> + 'a {
        let samples = y.iter().zip(batch.targets()).zip(batch.scores());
        samples.map(|((&y, &target), &score)| Self {
            y,
            target,
            score: score.into(),
        })
    }
}

/// Evaluates outputs batch by batch, for a caller that computes them, such as one that cannot block
/// a thread.
#[derive(Debug)]
pub struct Evaluator {
    objective: Objective,
    loss: f64,
    moments: Moments,
}

impl Evaluator {
    /// An evaluation before its first batch.
    ///
    /// # Errors
    /// An objective out of its range.
    pub fn new(objective: Objective) -> Result<Self> {
        objective.check()?;
        Ok(Self {
            objective,
            loss: 0.0,
            moments: Moments::default(),
        })
    }

    /// Batches in the order of the files, with the targets of the objective.
    pub fn loader_settings(&self) -> LoaderSettings {
        let settings = LoaderSettings::default().shuffle_buffer(0);
        settings.target(self.objective.target())
    }

    /// Adds the outputs Y of a batch, `[L]`.
    pub fn add(&mut self, batch: &LoadedBatch, y: &[f32]) {
        for sample in Sample::all(batch, y) {
            self.add_sample(sample);
        }
    }

    fn add_sample(&mut self, sample: Sample) {
        let (loss, target) = (self.objective.loss, self.objective.target());
        let (y, t) = (f64::from(sample.y), f64::from(sample.target));
        self.loss += loss.term(y, t, 1.0).value;
        let (predicted, _) = match loss.win_rate {
            Some(_) => loss.predict(y),
            None => Link::Sigmoid.apply(y),
        };
        let score = target.sigmoid(sample.score as i16);
        self.moments.add(predicted, f64::from(score));
    }

    /// The evaluation of all batches so far.
    pub fn evaluation(&self) -> Evaluation {
        Evaluation {
            loss: self.loss / self.moments.count,
            correlation: self.moments.correlation(),
            positions: self.moments.count as u64,
        }
    }
}

/// Running means and co-moments of pairs, updated without cancellation.
#[derive(Debug, Default)]
struct Moments {
    count: f64,
    mean: [f64; 2],
    squares: [f64; 2],
    product: f64,
}

impl Moments {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let before = [x - self.mean[0], y - self.mean[1]];
        self.mean[0] += before[0] / self.count;
        self.mean[1] += before[1] / self.count;
        self.squares[0] += before[0] * (x - self.mean[0]);
        self.squares[1] += before[1] * (y - self.mean[1]);
        self.product += before[0] * (y - self.mean[1]);
    }

    fn correlation(&self) -> f64 {
        self.product / (self.squares[0] * self.squares[1]).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::Moments;

    #[test]
    fn correlation_of_a_hand_computed_sample() {
        let mut moments = Moments::default();
        for (x, y) in [(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (6.0, 5.0)] {
            moments.add(x, y);
        }
        // Means 3 and 3: Sxx = 14, Syy = 10, Sxy = 2 + 2 + 0 + 6 = 10.
        approx::assert_relative_eq!(moments.correlation(), 10.0 / 140f64.sqrt(), epsilon = 1e-15);
    }
}
