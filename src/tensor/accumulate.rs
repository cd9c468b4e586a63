//! Index lists on a device, and the sums of rows that they choose (section 4).

use super::Tensor;
use super::op::Op;
use super::storage::Storage;
use crate::engine::device::{Class, Device};
use crate::engine::recording::BufferId;
use crate::error::Result;
use crate::tensor::kernels::{accumulator_sparse, weights_gradient_sparse};
use crate::tensor::lists::SparseInputs;
use crate::tensor::shape::Shape;
use std::sync::Arc;

const NAME: &str = "accumulate";

/// Index lists on a device, one per sample, with their transposed index. Clones share the memory.
///
/// ```
/// use wgrad::tensor::lists::SparseInputs;
/// use wgrad::tensor::IndexLists;
/// use wgrad::{Device, Tensor};
///
/// let device = Device::cpu()?;
/// // Sample 0 has the inputs 0 and 2, sample 1 has none; N = 3.
/// let lists = SparseInputs::new(3, 2, vec![0, 2, -1, -1])?;
/// let lists = IndexLists::new(&device, &lists)?;
/// let a = Tensor::new(&device, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2])?.parameter();
/// let b = Tensor::new(&device, &[0.5, -0.5], &[2])?.parameter();
/// let z = lists.accumulate(&a, &b)?;
/// assert_eq!(z.to_vec()?, [6.5, 7.5, 0.5, -0.5]);
///
/// let gradients = z.sum(.., false)?.backward()?;
/// assert_eq!(gradients.of(&a)?.to_vec()?, [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
/// assert_eq!(gradients.of(&b)?.to_vec()?, [2.0, 2.0]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone)]
pub struct IndexLists(Arc<Parts>);

/// The parts of [`SparseInputs`] on a device.
struct Parts {
    samples: usize,
    inputs: usize,
    entries: usize,
    /// Chunks of the lists of samples, and whether one of these lists has more than one.
    chunks: usize,
    has_long: bool,
    starts: Storage,
    indices: Storage,
    transposed: [Storage; 2],
    /// The first chunk of each input, the start of each chunk, and the number of each chunk.
    chunked: [Storage; 3],
}

impl IndexLists {
    /// Uploads index lists and their transposed index.
    ///
    /// # Errors
    /// What [`Device::allocate`] refuses.
    pub fn new(device: &Device, lists: &SparseInputs) -> Result<Self> {
        let words = |what, words: &[u32]| Storage::of_words(device, what, words);
        let (first_chunks, chunk_starts) = (lists.first_chunks(), lists.chunk_starts());
        let chunks = chunk_starts.len() - 1;
        let numbers: Vec<u32> = (0..chunks as u32).collect();
        let has_long = first_chunks.windows(2).any(|ends| ends[1] - ends[0] > 1);
        Ok(Self(Arc::new(Parts {
            samples: lists.len(),
            inputs: lists.inputs(),
            entries: lists.indices().len(),
            chunks,
            has_long,
            starts: words("starts of the index lists", lists.starts())?,
            indices: words("index lists", lists.indices())?,
            transposed: [
                words("offsets of the transposed index", lists.offsets())?,
                words("samples of the transposed index", lists.samples())?,
            ],
            chunked: [
                words("first chunks of the transposed index", first_chunks)?,
                words("chunks of the transposed index", chunk_starts)?,
                words("chunks of the transposed index", &numbers)?,
            ],
        })))
    }

    /// N, the number of inputs.
    pub fn inputs(&self) -> usize {
        self.0.inputs
    }

    /// L, the number of samples.
    pub fn len(&self) -> usize {
        self.0.samples
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device they are on.
    pub fn device(&self) -> &Device {
        self.0.starts.device()
    }

    /// Z\[s\] = B + Σ A\[i\] over the indices i in the list of sample s: A \[N, K\], B \[K\] to
    /// \[L, K\].
    ///
    /// It is the product of the inputs as a matrix of 0 and 1, \[L, N\], with A, plus B.
    ///
    /// Gradients: ∂A\[i\] = Σ g\[s\] over the samples whose list has i, in ascending order, and
    /// ∂B = Σ g\[s\] over all samples.
    ///
    /// # Errors
    /// Shapes other than \[N, K\] and \[K\] with the lists' N, and tensors of another device.
    pub fn accumulate(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let op = Op::new(NAME, [a, b])?;
        op.check_device("index lists", self.device())?;
        let hidden = match (&a.shape()[..], &b.shape()[..]) {
            (&[_, hidden], &[lanes]) if hidden == lanes => hidden,
            _ => return Err(op.fail("[N, K] and [K]", "")),
        };
        let (lists, inputs) = (&self.0, a.shape()[0]);
        if inputs != lists.inputs {
            let expected = format!("a row for each of the lists' {} inputs (N)", lists.inputs);
            return Err(op.fail(expected, inputs));
        }
        let (weights, bias) = (a.dense()?, b.dense()?);
        let z = op.output(Shape::new(&[lists.samples, hidden])?)?;
        let params = accumulator_sparse::Params {
            samples: lists.samples as u32,
            hidden: hidden as u32,
            stride: hidden as u32,
            column: 0,
            bias: 0,
            inputs: lists.inputs as u32,
            entries: lists.entries as u32,
        };
        let buffers = accumulator_sparse::Buffers {
            starts: lists.starts.id(),
            indices: lists.indices.id(),
            weights: weights.buffer(),
            small: bias.buffer(),
            z: z.buffer(),
        };
        op.dispatch(0, params, buffers)?;
        let lists = self.clone();
        op.record(z, move |g, needs| {
            let weights = needs[0].then(|| lists.sum_by_index(NAME, g));
            let bias = needs[1].then(|| g.sum(0, false));
            Ok(vec![weights.transpose()?, bias.transpose()?])
        })
    }

    /// For each input Σ rows\[s\] over the samples whose list has it: \[L, K\] to \[N, K\].
    ///
    /// An adapter sums the chunks of a list of samples side by side, and then their sums.
    pub(super) fn sum_by_index(&self, name: &'static str, rows: &Tensor) -> Result<Tensor> {
        let lists = &self.0;
        let [offsets, samples] = lists.transposed.each_ref().map(Storage::id);
        let [first_chunks, chunk_starts, numbers] = lists.chunked.each_ref().map(Storage::id);
        if self.device().class() == Class::Host || !lists.has_long {
            return sum_rows(name, rows, lists.inputs, lists.entries, [offsets, samples]);
        }
        let chunk = [chunk_starts, samples];
        let chunks = sum_rows(name, rows, lists.chunks, lists.entries, chunk)?;
        let of_input = [first_chunks, numbers];
        sum_rows(name, &chunks, lists.inputs, lists.chunks, of_input)
    }

    /// For each input Σ rows\[c\] over its chunks c: \[chunks, K\] to \[N, K\].
    pub(super) fn sum_chunks(&self, name: &'static str, rows: &Tensor) -> Result<Tensor> {
        let lists = &self.0;
        let [first_chunks, _, numbers] = lists.chunked.each_ref().map(Storage::id);
        let of_input = [first_chunks, numbers];
        sum_rows(name, rows, lists.inputs, lists.chunks, of_input)
    }

    /// Chunks of at most [`CHUNK`] samples of the same input.
    pub(super) fn chunks(&self) -> usize {
        self.0.chunks
    }

    /// The start of each chunk among the samples of the transposed index, and these samples.
    pub(super) fn chunk_buffers(&self) -> [BufferId; 2] {
        [self.0.chunked[1].id(), self.0.transposed[1].id()]
    }

    /// The index lists, one after the other.
    pub(super) fn index_buffer(&self) -> BufferId {
        self.0.indices.id()
    }
}

/// For each of `lists` lists Σ rows\[i\] over its entries i, \[lists, K\]: the offsets of the lists
/// and the entries are words on the device.
fn sum_rows(
    name: &'static str,
    rows: &Tensor,
    lists: usize,
    entries: usize,
    [offsets, samples]: [BufferId; 2],
) -> Result<Tensor> {
    let rows = rows.dense()?;
    let op = Op::new(name, [&rows])?;
    let [count, hidden] = [0, 1].map(|axis: usize| rows.shape()[axis]);
    let sums = op.output(Shape::new(&[lists, hidden])?)?;
    let params = weights_gradient_sparse::Params {
        inputs: lists as u32,
        hidden: hidden as u32,
        stride: hidden as u32,
        column: 0,
        accumulate: 0,
        samples: count as u32,
        entries: entries as u32,
    };
    let buffers = weights_gradient_sparse::Buffers {
        offsets,
        samples,
        dz: rows.buffer(),
        gradient: sums.buffer(),
    };
    op.dispatch(0, params, buffers)?;
    Ok(sums)
}

impl std::fmt::Debug for IndexLists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexLists")
            .field("samples", &self.len())
            .field("inputs", &self.inputs())
            .field("device", &self.device().name())
            .finish()
    }
}
