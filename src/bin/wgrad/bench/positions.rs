//! The positions of the timed steps, as plain index lists that are ready before the clock starts.

use super::shape::Shape;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use wgrad::error::{Error, Result};
use wgrad::nnue::data::{Dataset, LoaderSettings};
use wgrad::nnue::{Batch, Inputs, Needs, SparseInputs, Transpose, random_lists};

/// The number of batches that take turns, so that no batch is in a cache only because the last step
/// used it. There are fewer batches if they are large.
const BATCHES: usize = 4;
/// The bytes that all batches together may take, if there is more than one.
const MOST_BYTES: usize = 256 << 20;

/// Starts and indices of one perspective.
type Lists = (Vec<u32>, Vec<u32>);

/// The lists of both perspectives, the targets and the output buckets of a batch.
type Parts = ([Lists; 2], Vec<f32>, Option<Vec<u32>>);

/// The positions of the batches.
pub struct Positions {
    inputs: usize,
    batches: Vec<Prepared>,
    /// The mean number of active features per position and perspective.
    pub indices: f64,
    /// The file that they come from; `None` for random ones.
    file: Option<PathBuf>,
}

enum Prepared {
    /// Lists that are not checked yet and have no transposed index.
    Lists(Parts),
    /// Dense inputs, which need no check and no transposed index.
    Dense(Batch),
    /// Records, which a loader has checked.
    Records(Batch),
}

impl Positions {
    /// Random batches of the shape.
    pub fn random(shape: &Shape) -> Result<Self> {
        let inputs = shape.architecture.inputs;
        let lists = |seed| random_lists(seed, inputs, shape.batch, shape.indices);
        let batches = (0..count(shape) as u64).map(|index| {
            let targets = (0..shape.batch).map(|sample| sample as f32 / shape.batch as f32);
            let buckets = shape.architecture.buckets;
            let bucket = |sample| (sample % buckets) as u32;
            let buckets = (buckets > 1).then(|| (0..shape.batch).map(bucket).collect());
            let lists = [lists(2 * index)?, lists(2 * index + 1)?];
            Ok(Prepared::Lists((lists, targets.collect(), buckets)))
        });
        Self::new(None, shape, batches)
    }

    /// The first batches of a file, in the order that suits a network with these needs.
    pub fn from_file(path: &Path, shape: &Shape, threads: usize, needs: Needs<'_>) -> Result<Self> {
        let dataset = Dataset::open(&[path.to_path_buf()])?;
        let positions = dataset.count()?;
        if positions < shape.batch as u64 {
            let expected = format!("at most the {positions} positions of {}", path.display());
            return Err(Error::argument("--batch-size", expected, shape.batch));
        }
        let settings = LoaderSettings::default()
            .batch_size(shape.batch)
            .shuffle_buffer(0)
            .threads(threads);
        let whole = (positions / shape.batch as u64).min(count(shape) as u64) as usize;
        let loader = shape.encoding.loader(&dataset, settings, needs)?;
        let batches = loader.take(whole).map(|loaded| {
            let batch = loaded?;
            if batch.has_records() {
                return Ok(Prepared::Records(Batch::clone(&batch)));
            }
            let lists = match batch.inputs() {
                Inputs::Sparse(lists) => lists.each_ref(),
                Inputs::Dense { .. } => {
                    let expected = "index lists of a loader";
                    return Err(Error::argument("inputs", expected, "dense ones"));
                }
            };
            let lists = lists.map(|lists| (lists.starts().to_vec(), lists.indices().to_vec()));
            let buckets = batch.buckets().map(<[u32]>::to_vec);
            Ok(Prepared::Lists((lists, batch.targets().to_vec(), buckets)))
        });
        Self::new(Some(path.to_path_buf()), shape, batches)
    }

    /// The same positions in the order that suits a network with these needs; `None` if they are
    /// random, which has no order.
    pub fn in_form(&self, shape: &Shape, threads: usize, needs: Needs<'_>) -> Result<Option<Self>> {
        let file = self.file.as_deref();
        file.map(|file| Self::from_file(file, shape, threads, needs))
            .transpose()
    }

    /// `random`, or the name of the file.
    pub fn source(&self) -> String {
        let file = self.file.as_ref();
        file.map_or_else(|| "random".to_owned(), |file| file.display().to_string())
    }

    fn new(
        file: Option<PathBuf>,
        shape: &Shape,
        batches: impl Iterator<Item = Result<Prepared>>,
    ) -> Result<Self> {
        let inputs = shape.architecture.inputs;
        let (mut prepared, mut entries, mut samples) = (Vec::new(), 0, 0);
        for batch in batches {
            let batch = batch?;
            let (of_lists, len) = match &batch {
                Prepared::Lists((lists, targets, _)) => {
                    (lists.each_ref().map(|lists| lists.1.len()), targets.len())
                }
                Prepared::Records(batch) | Prepared::Dense(batch) => {
                    // The copy computes its lists; the batch that is measured does not.
                    let of_lists = match batch.clone().inputs() {
                        Inputs::Sparse(lists) => {
                            lists.each_ref().map(|lists| lists.indices().len())
                        }
                        Inputs::Dense { .. } => [0; 2],
                    };
                    (of_lists, batch.len())
                }
            };
            samples += 2 * len;
            entries += of_lists.iter().sum::<usize>();
            prepared.push(match batch {
                Prepared::Lists((lists, targets, buckets)) if shape.dense => {
                    let [first, second] = lists.each_ref().map(|lists| sparse(inputs, lists));
                    let inputs = Inputs::Sparse([first?, second?]).to_dense();
                    Prepared::Dense(batch_of(inputs, targets, buckets)?)
                }
                batch => batch,
            });
        }
        Ok(Self {
            inputs,
            batches: prepared,
            indices: entries as f64 / samples.max(1) as f64,
            file,
        })
    }

    /// The batch of a step, in the memory of `spare`. Index lists are checked here, one thread per
    /// perspective, and get a transposed index if it is wanted. Records are only copied.
    pub fn batch(
        &self,
        step: usize,
        spare: Option<Batch>,
        transpose: Transpose,
    ) -> Result<Cow<'_, Batch>> {
        match &self.batches[step % self.batches.len()] {
            Prepared::Dense(batch) => Ok(Cow::Borrowed(batch)),
            Prepared::Records(batch) => Ok(Cow::Owned(batch.clone())),
            Prepared::Lists(([first, second], targets, buckets)) => {
                let inputs = |spare: SparseInputs, (starts, indices): &Lists| {
                    spare.refill(self.inputs, starts, indices, transpose)
                };
                let (spare, mut memory, mut of_buckets) = match spare.map(Batch::into_parts) {
                    Some((Inputs::Sparse(spare), memory, buckets)) => (spare, memory, buckets),
                    _ => Default::default(),
                };
                let [own, other] = spare;
                let first = || inputs(own, first);
                let second = || inputs(other, second);
                let (first, second) = rayon::join(first, second);
                memory.clone_from(targets);
                of_buckets.clone_from(buckets);
                let inputs = Inputs::Sparse([first?, second?]);
                Ok(Cow::Owned(batch_of(inputs, memory, of_buckets)?))
            }
        }
    }

    /// Random inputs of at most `samples` positions that are otherwise like these.
    pub fn small(&self, shape: &Shape, samples: usize) -> Result<Inputs> {
        // Bounds the size of a dense reference.
        let samples = if shape.dense {
            (1 << 27) / (self.inputs * shape.architecture.hidden)
        } else {
            samples
        }
        .clamp(4, samples)
        .min(shape.batch);
        let indices = (self.indices.round() as usize).clamp(1, self.inputs);
        let batch = Batch::random(1, self.inputs, samples, indices)?;
        Ok(match shape.dense {
            true => batch.inputs().to_dense(),
            false => batch.inputs().clone(),
        })
    }
}

fn batch_of(inputs: Inputs, targets: Vec<f32>, buckets: Option<Vec<u32>>) -> Result<Batch> {
    let batch = Batch::new(inputs, targets)?;
    match buckets {
        Some(buckets) => batch.with_buckets(buckets),
        None => Ok(batch),
    }
}

fn sparse(inputs: usize, (starts, indices): &Lists) -> Result<SparseInputs> {
    SparseInputs::from_lists(inputs, starts.clone(), indices.clone())
}

/// The number of batches that are ready.
fn count(shape: &Shape) -> usize {
    let each = match shape.dense {
        true => shape.architecture.inputs,
        false => shape.indices,
    };
    (MOST_BYTES / (8 * each * shape.batch)).clamp(1, BATCHES)
}
