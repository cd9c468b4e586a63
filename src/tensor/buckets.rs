//! A linear layer with one matrix for each bucket of samples (section 4).

use super::accumulate::IndexLists;
use super::op::Op;
use super::storage::Storage;
use super::tape::Saved;
use super::{Classes, Tensor};
use crate::engine::device::Device;
use crate::engine::libraries::tiled_for;
use crate::error::Result;
use crate::tensor::kernels::{bucketed_product, bucketed_weights};
use crate::tensor::lists::{CHUNK, SparseInputs};
use crate::tensor::shape::Shape;

const NAME: &str = "bucketed_linear";

/// Samples by bucket, on a device.
pub(super) struct Groups {
    /// One index per sample, its bucket.
    lists: IndexLists,
    /// The start of each tile of samples of the same bucket.
    tile_starts: Storage,
    tiles: usize,
}

impl Groups {
    /// From the bucket of each sample, all below `buckets`, which is at least 1.
    pub(super) fn new(device: &Device, bucket_of: &[u32], buckets: usize) -> Result<Self> {
        let starts = (0..=bucket_of.len() as u32).collect();
        let lists = SparseInputs::from_lists(buckets, starts, bucket_of.to_vec())?;
        let tile_starts = bucketed_product::tile_starts(lists.offsets());
        Ok(Self {
            lists: IndexLists::new(device, &lists)?,
            tiles: tile_starts.len() - 1,
            tile_starts: Storage::of_words(device, "tiles of the buckets", &tile_starts)?,
        })
    }
}

impl Tensor {
    /// y\[s\] = W\[b\]·x\[s\] + c\[b\] with the bucket b of sample s: x \[L, I\], W \[buckets, O, I\],
    /// c \[buckets, O\], and a bucket for each of the L samples, to \[L, O\].
    ///
    /// With one bucket it is x·Wᵀ + c, a linear layer.
    ///
    /// Gradients: ∂x\[s\] = W\[b\]ᵀ·g\[s\]; ∂W\[b\] = Σ g\[s\]·x\[s\]ᵀ and ∂c\[b\] = Σ g\[s\] over the
    /// samples of bucket b, in a fixed order. Those of a bucket without samples are 0.
    ///
    /// ```
    /// use wgrad::tensor::Classes;
    /// use wgrad::{Device, Tensor};
    ///
    /// let device = Device::cpu()?;
    /// let x = Tensor::new(&device, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2])?;
    /// let w = Tensor::new(&device, &[1.0, 1.0, 1.0, -1.0], &[2, 1, 2])?;
    /// let c = Tensor::new(&device, &[0.5, 0.0], &[2, 1])?;
    /// let buckets = Classes::new(&device, &[0, 1, 0], 2)?;
    /// let y = x.bucketed_linear(&w, &c, &buckets)?;
    /// assert_eq!(y.to_vec()?, [3.5, -1.0, 11.5]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shapes other than these, another number of buckets than the classes have, and tensors or
    /// classes of another device. [`Classes::new`] refuses a bucket out of range.
    pub fn bucketed_linear(&self, weights: &Self, bias: &Self, buckets: &Classes) -> Result<Self> {
        let op = Op::new(NAME, [self, weights, bias])?;
        op.check_device("buckets", buckets.device())?;
        let [count, outputs, inputs] = op.bucketed_sizes(buckets)?;
        if count == 1 {
            let matrix = weights.reshape(&[outputs, inputs])?.t()?;
            return self.matmul(&matrix)?.add(&bias.reshape(&[outputs])?);
        }
        let groups = buckets.groups()?;
        let (x, w, c) = (self.dense()?, weights.dense()?, bias.dense()?);
        let y = op.products(groups, &x, &w, Some(&c), [outputs, 1, inputs])?;
        let shape = weights.shape();
        let saved = [Saved::new(NAME, &x), Saved::new(NAME, &w)];
        let buckets = buckets.clone();
        op.record(y, move |g, needs| {
            let (x, w, g) = (saved[0].get()?, saved[1].get()?, g.dense()?);
            let op = Op::new(NAME, [x, w, &g])?;
            let groups = buckets.groups()?;
            let by_x = needs[0].then(|| op.products(groups, &g, w, None, [inputs, inputs, 1]));
            let by_w = needs[1].then(|| op.weights_gradient(groups, &g, x)?.reshape(&shape));
            let by_c = needs[2].then(|| groups.lists.sum_by_index(NAME, &g));
            Ok(vec![
                by_x.transpose()?,
                by_w.transpose()?,
                by_c.transpose()?,
            ])
        })
    }
}

impl Op<'_> {
    /// Checks x \[L, I\], W \[buckets, O, I\] and c \[buckets, O\], and returns W's sizes.
    fn bucketed_sizes(&self, buckets: &Classes) -> Result<[usize; 3]> {
        let shapes = [0, 1, 2].map(|index| self.operand(index).shape());
        let sizes = match shapes.each_ref().map(|shape| &shape[..]) {
            [
                &[samples, inputs],
                &[count, outputs, columns],
                &[rows, biases],
            ] if (inputs, count, outputs) == (columns, rows, biases) => {
                if samples != buckets.rows() {
                    let expected = format!("{} samples, each with a bucket", buckets.rows());
                    return Err(self.fail(expected, samples));
                }
                [count, outputs, inputs]
            }
            _ => return Err(self.fail("[L, I], [buckets, O, I] and [buckets, O]", "")),
        };
        if sizes[0] == 0 {
            return Err(self.fail("at least 1 bucket", 0));
        }
        if sizes[0] != buckets.classes() {
            let expected = format!("a matrix for each of {} buckets", buckets.classes());
            return Err(self.fail(expected, sizes[0]));
        }
        Ok(sizes)
    }

    /// The rows of x, each times the matrix of its bucket: a matrix with these columns and these
    /// strides from a row to the next and from a column to the next.
    fn products(
        &self,
        groups: &Groups,
        x: &Tensor,
        w: &Tensor,
        c: Option<&Tensor>,
        [columns, w_row, w_column]: [usize; 3],
    ) -> Result<Tensor> {
        let [samples, depth] = [0, 1].map(|axis: usize| x.shape()[axis]);
        let y = self.output(Shape::new(&[samples, columns])?)?;
        let params = bucketed_product::Params {
            tiles: groups.tiles as u32,
            depth: depth as u32,
            columns: columns as u32,
            w_row: w_row as u32,
            w_column: w_column as u32,
            biased: u32::from(c.is_some()),
            samples: samples as u32,
        };
        let [_, order] = groups.lists.chunk_buffers();
        let buffers = bucketed_product::Buffers {
            bucket: groups.lists.index_buffer(),
            order,
            tile_starts: groups.tile_starts.id(),
            x: x.buffer(),
            w: w.buffer(),
            c: c.unwrap_or(w).buffer(),
            y: y.buffer(),
        };
        self.dispatch(tiled_for(self.device().class()), params, buffers)?;
        Ok(y)
    }

    /// ∂W, \[buckets, O·I\]: the sum of each chunk of samples, then the sums of the chunks.
    fn weights_gradient(&self, groups: &Groups, g: &Tensor, x: &Tensor) -> Result<Tensor> {
        let [rows, columns] = [g, x].map(|tensor| tensor.shape()[1]);
        let chunks = groups.lists.chunks();
        let result = self.output(Shape::new(&[chunks, rows * columns])?)?;
        let params = bucketed_weights::Params {
            chunks: chunks as u32,
            longest: groups.lists.len().min(CHUNK) as u32,
            rows: rows as u32,
            columns: columns as u32,
        };
        let [chunk_starts, order] = groups.lists.chunk_buffers();
        let buffers = bucketed_weights::Buffers {
            chunk_starts,
            order,
            upstream: g.buffer(),
            x: x.buffer(),
            result: result.buffer(),
        };
        self.dispatch(tiled_for(self.device().class()), params, buffers)?;
        groups.lists.sum_chunks(NAME, &result)
    }
}
