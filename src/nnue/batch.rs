//! A batch of samples as the network takes it: inputs, targets, and the transposed index. Knows no chess and no device.

mod random;

pub use random::random_lists;

use crate::error::{Error, Result};
use crate::tensor::lists::SparseInputs;

/// The inputs of both perspectives; index 0 is the side to move.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// X1 and X2, each `[L, N]` row-major.
    Dense {
        /// N, the number of inputs.
        features: usize,
        /// X1 and X2.
        values: [Vec<f32>; 2],
    },
    /// Index lists of ones.
    Sparse([SparseInputs; 2]),
}

/// L samples: inputs, targets t, and the output bucket of each where the network has more than one.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    inputs: Inputs,
    targets: Vec<f32>,
    buckets: Option<Vec<u32>>,
}

impl Batch {
    /// A batch of `targets.len()` samples; the inputs must have as many.
    pub fn new(inputs: Inputs, targets: Vec<f32>) -> Result<Self> {
        let samples = targets.len();
        if samples == 0 {
            return Err(Error::argument("batch", "at least 1 sample", samples));
        }
        for perspective in 0..2 {
            let (found, expected) = match &inputs {
                Inputs::Dense { features, values } => {
                    (values[perspective].len(), samples * features)
                }
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
            && first.features() != second.features()
        {
            return Err(Error::argument(
                "inputs of perspective 2",
                format!("{} features as in perspective 1", first.features()),
                second.features(),
            ));
        }
        Ok(Self {
            inputs,
            targets,
            buckets: None,
        })
    }

    /// Inputs and targets, for their memory.
    pub fn into_parts(self) -> (Inputs, Vec<f32>) {
        (self.inputs, self.targets)
    }

    /// Gives each sample its output bucket.
    pub fn with_buckets(mut self, buckets: Vec<u32>) -> Result<Self> {
        if buckets.len() != self.len() {
            return Err(Error::argument(
                "buckets",
                format!("{}, one a sample", self.len()),
                buckets.len(),
            ));
        }
        self.buckets = Some(buckets);
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

    /// N, the number of inputs of one perspective.
    pub fn features(&self) -> usize {
        match &self.inputs {
            Inputs::Dense { features, .. } => *features,
            Inputs::Sparse([first, _]) => first.features(),
        }
    }

    /// The inputs of both perspectives.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The targets t, `[L]`.
    pub fn targets(&self) -> &[f32] {
        &self.targets
    }

    /// The output bucket of each sample, if the batch has them.
    pub fn buckets(&self) -> Option<&[u32]> {
        self.buckets.as_deref()
    }
}
