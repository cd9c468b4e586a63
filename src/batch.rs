//! A batch of samples as the network takes it: inputs, targets, and the transposed index. Knows no chess and no device.

use crate::error::{Error, Result};

/// What stands for "no index" in a padded list.
pub const PADDING: i32 = -1;

/// Sparse inputs of one perspective: for each sample the features that are 1, and the transposed index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseInputs {
    features: usize,
    width: usize,
    indices: Vec<i32>,
    offsets: Vec<u32>,
    samples: Vec<u32>,
}

impl SparseInputs {
    /// From index lists `[L, width]`, padded with −1 in any place, over N = `features` inputs.
    ///
    /// Builds the transposed index, for each feature the ascending list of samples that have it, by a stable
    /// counting sort. An index out of `0..features`, or twice in one list, is an error that names the sample.
    pub fn new(name: &str, features: usize, width: usize, indices: Vec<i32>) -> Result<Self> {
        if features == 0 {
            return Err(Error::argument(name, "at least 1 feature", features));
        }
        if width == 0 {
            return Err(Error::argument(
                name,
                "lists of at least 1 place (F)",
                width,
            ));
        }
        if !indices.len().is_multiple_of(width) {
            return Err(Error::argument(
                name,
                format!("lists of {width} places each"),
                format!("{} in all", indices.len()),
            ));
        }
        let mut offsets = vec![0u32; features + 1];
        for (place, &index) in indices.iter().enumerate() {
            if index == PADDING {
                continue;
            }
            if index < 0 || index as usize >= features {
                return Err(Error::argument(
                    format!("{name}, sample {}", place / width),
                    format!("an index from 0 to {} or {PADDING}", features - 1),
                    index,
                ));
            }
            offsets[index as usize + 1] += 1;
        }
        for feature in 0..features {
            offsets[feature + 1] += offsets[feature];
        }
        let mut next = offsets.clone();
        let mut samples = vec![0u32; offsets[features] as usize];
        for (place, &index) in indices.iter().enumerate() {
            if index == PADDING {
                continue;
            }
            let (feature, sample) = (index as usize, (place / width) as u32);
            let at = next[feature];
            // Samples come in ascending order, so a duplicate stands right before.
            if at > offsets[feature] && samples[at as usize - 1] == sample {
                return Err(Error::argument(
                    format!("{name}, sample {sample}"),
                    "each index at most once",
                    format!("{index} twice"),
                ));
            }
            samples[at as usize] = sample;
            next[feature] += 1;
        }
        Ok(Self {
            features,
            width,
            indices,
            offsets,
            samples,
        })
    }

    /// N, the number of inputs.
    pub fn features(&self) -> usize {
        self.features
    }

    /// F, the length of one padded list.
    pub fn width(&self) -> usize {
        self.width
    }

    /// L, the number of samples.
    pub fn len(&self) -> usize {
        self.indices.len() / self.width
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The padded lists, `[L, F]`.
    pub fn indices(&self) -> &[i32] {
        &self.indices
    }

    /// Where each feature's list of samples begins in [`Self::samples`], `[N + 1]`.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The samples of each feature, ascending, one list after the other.
    pub fn samples(&self) -> &[u32] {
        &self.samples
    }
}

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
