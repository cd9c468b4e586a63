//! A batch of samples: inputs, targets and output buckets.

mod random;

pub use random::random_lists;

use super::records::Records;
use crate::error::{Error, Result};
use crate::tensor::lists::SparseInputs;
use std::sync::OnceLock;

/// The inputs of both perspectives. Perspective 0 is the side to move.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// X1 and X2 as matrices.
    Dense {
        /// N, the number of inputs of one perspective.
        inputs: usize,
        /// X1 and X2, each `[L, N]`, row-major.
        values: [Vec<f32>; 2],
    },
    /// X1 and X2 as lists of the inputs that are 1.
    Sparse([SparseInputs; 2]),
}

impl Inputs {
    /// N, the number of inputs of one perspective.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Dense { inputs, .. } => *inputs,
            Self::Sparse([first, _]) => first.inputs(),
        }
    }

    /// The same inputs as [`Inputs::Dense`].
    #[must_use]
    pub fn to_dense(&self) -> Self {
        let Self::Sparse(lists) = self else {
            return self.clone();
        };
        let inputs = self.inputs();
        let values = lists.each_ref().map(|lists| {
            let mut x = vec![0.0; lists.len() * inputs];
            for (sample, row) in x.chunks_mut(inputs).enumerate() {
                for &index in lists.list(sample) {
                    row[index as usize] = 1.0;
                }
            }
            x
        });
        Self::Dense { inputs, values }
    }
}

/// L samples: inputs, targets t and, for networks with several output buckets, the bucket of each
/// sample.
///
/// A batch from a loader may hold records instead of inputs, for a device that decodes them. Then
/// the inputs are computed when they are first read.
#[derive(Clone, Debug)]
pub struct Batch {
    inputs: OnceLock<Inputs>,
    /// The samples as records, if they came as records.
    records: Option<Records>,
    targets: Vec<f32>,
    buckets: Option<Vec<u32>>,
    weights: Option<Vec<f32>>,
}

impl Batch {
    /// A batch of L = `targets.len()` samples.
    ///
    /// # Errors
    /// No samples, inputs whose number of samples differs, or perspectives of different N.
    pub fn new(inputs: Inputs, targets: Vec<f32>) -> Result<Self> {
        let samples = targets.len();
        if samples == 0 {
            return Err(Error::argument("batch", "at least 1 sample", samples));
        }
        for perspective in 0..2 {
            let (found, expected) = match &inputs {
                Inputs::Dense { inputs, values } => (values[perspective].len(), samples * inputs),
                Inputs::Sparse(lists) => (lists[perspective].len(), samples),
            };
            if found != expected {
                return Err(Error::argument(
                    format!("inputs of perspective {}", perspective + 1),
                    format!("{expected} for {samples} targets"),
                    found,
                ));
            }
        }
        if let Inputs::Sparse([first, second]) = &inputs
            && first.inputs() != second.inputs()
        {
            return Err(Error::argument(
                "inputs of perspective 2",
                format!("N = {} as in perspective 1", first.inputs()),
                second.inputs(),
            ));
        }
        Ok(Self {
            inputs: inputs.into(),
            records: None,
            targets,
            buckets: None,
            weights: None,
        })
    }

    /// A batch without samples, which only holds memory.
    pub(crate) fn empty() -> Self {
        Self {
            inputs: Inputs::Sparse(Default::default()).into(),
            records: None,
            targets: Vec::new(),
            buckets: None,
            weights: None,
        }
    }

    /// A batch of at least one record, with the targets and the buckets that the records have.
    pub(crate) fn from_records(
        records: Records,
        targets: Vec<f32>,
        buckets: Option<Vec<u32>>,
    ) -> Self {
        Self {
            inputs: OnceLock::new(),
            records: Some(records),
            targets,
            buckets,
            weights: None,
        }
    }

    /// Whether the samples are records, which a device can decode.
    #[doc(hidden)]
    pub fn has_records(&self) -> bool {
        self.records.is_some()
    }

    /// The samples as records, if they came as records.
    pub(crate) fn records(&self) -> Option<&Records> {
        self.records.as_ref()
    }

    /// Takes the records away, for their memory.
    pub(crate) fn take_records(&mut self) -> Option<Records> {
        self.records.take()
    }

    /// The inputs, the targets and the buckets, so that the caller can reuse their memory. Weights
    /// are dropped.
    pub fn into_parts(self) -> (Inputs, Vec<f32>, Option<Vec<u32>>) {
        self.inputs();
        let inputs = self.inputs.into_inner();
        let inputs = inputs.unwrap_or_else(|| Inputs::Sparse(Default::default()));
        (inputs, self.targets, self.buckets)
    }

    /// The same batch with an output bucket for each sample, `[L]`. A step is faster if they
    /// ascend: else it copies index lists in the order of their buckets first.
    ///
    /// # Errors
    /// A number of buckets that is not the number of samples.
    pub fn with_buckets(mut self, buckets: Vec<u32>) -> Result<Self> {
        if buckets.len() != self.len() {
            return Err(Error::argument(
                "buckets",
                format!("{}, one per sample", self.len()),
                buckets.len(),
            ));
        }
        // Records have buckets of their own.
        self.inputs();
        self.records = None;
        self.buckets = Some(buckets);
        Ok(self)
    }

    /// The same batch with a weight for each sample, `[L]`: the factor of its term in a
    /// [`Loss`](super::Loss). The loss stays a sum over the samples divided by L, whatever the
    /// weights add up to.
    ///
    /// # Errors
    /// A number of weights that is not the number of samples, and a weight that is not finite and
    /// at least 0.
    pub fn with_weights(mut self, weights: Vec<f32>) -> Result<Self> {
        if weights.len() != self.len() {
            let expected = format!("{}, one per sample", self.len());
            return Err(Error::argument("weights", expected, weights.len()));
        }
        let wrong = |weight: &f32| !(*weight >= 0.0 && weight.is_finite());
        if let Some(sample) = weights.iter().position(wrong) {
            let place = format!("weight of sample {sample}");
            let expected = "a finite number from 0";
            return Err(Error::argument(place, expected, weights[sample]));
        }
        self.weights = Some(weights);
        Ok(self)
    }

    /// L, the number of samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Always false: a batch has at least one sample.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The inputs of both perspectives.
    pub fn inputs(&self) -> &Inputs {
        self.inputs.get_or_init(|| match &self.records {
            Some(records) => Inputs::Sparse(records.lists()),
            None => Inputs::Sparse(Default::default()),
        })
    }

    /// N, the number of inputs of one perspective.
    pub(crate) fn width(&self) -> usize {
        match &self.records {
            Some(records) => records.inputs(),
            None => self.inputs().inputs(),
        }
    }

    /// The targets t, `[L]`.
    pub fn targets(&self) -> &[f32] {
        &self.targets
    }

    /// The weight of each sample, `[L]`, if the batch has weights.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// The output bucket of each sample, `[L]`, if the batch has buckets.
    pub fn buckets(&self) -> Option<&[u32]> {
        self.buckets.as_deref()
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.inputs() == other.inputs()
            && self.targets == other.targets
            && self.buckets == other.buckets
            && self.weights == other.weights
    }
}

/// Lets a call take a batch by reference, whether it is a [`Batch`] or a
/// [`LoadedBatch`](super::data::LoadedBatch).
impl AsRef<Batch> for Batch {
    fn as_ref(&self) -> &Batch {
        self
    }
}
