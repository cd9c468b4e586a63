//! The positions of a calibration.

use super::super::merge::MERGED;
use super::super::model::place;
use super::super::quantized::Quantized;
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::nnue::batch::Inputs;
use crate::nnue::data::{Dataset, Encoding, LoaderSettings};
use crate::nnue::model::Model;
use crate::nnue::network::Network;
use crate::nnue::parameters::Parameters;

/// Positions as lists of features, with the outputs of the network of floats.
pub(super) struct Samples {
    /// The features of the file, of both perspectives, one list after the other.
    features: Vec<u32>,
    /// Where the lists begin, two per sample, and the end.
    starts: Vec<usize>,
    /// N of the file.
    pub(super) inputs: usize,
    pub(super) buckets: Vec<u32>,
    /// Y.
    pub(super) outputs: Vec<f32>,
}

impl Samples {
    /// Reads positions in a random order.
    pub(super) fn read(
        quantized: &Quantized,
        parameters: &Parameters,
        encoding: &Encoding,
        dataset: &Dataset,
        positions: usize,
    ) -> Result<Self> {
        encoding.check(parameters.architecture())?;
        let merged = quantized.has_merged_kings();
        let inputs = match merged {
            true => encoding.inputs.inputs() / 768 * MERGED,
            false => encoding.inputs.inputs(),
        };
        let mut network = Network::new(&Device::cpu()?, parameters)?;
        let mut samples = Self {
            features: Vec::new(),
            starts: vec![0],
            inputs,
            buckets: Vec::new(),
            outputs: Vec::new(),
        };
        let settings = LoaderSettings::default().batch_size(4096);
        for batch in encoding.loader(dataset, settings, network.output_needs())? {
            let batch = batch?;
            let y = network.outputs(batch.as_ref())?;
            let Inputs::Sparse(lists) = batch.inputs() else {
                return Err(Error::argument("batch", "index lists", "dense inputs"));
            };
            for (sample, y) in y.into_iter().enumerate() {
                for lists in lists {
                    let list = lists.list(sample).iter();
                    let list = list.map(|&feature| place(feature as usize, merged) as u32);
                    samples.features.extend(list);
                    samples.starts.push(samples.features.len());
                }
                samples
                    .buckets
                    .push(batch.buckets().map_or(0, |buckets| buckets[sample]));
                samples.outputs.push(y);
                if samples.len() == positions {
                    return Ok(samples);
                }
            }
        }
        match samples.len() {
            0 => Err(Error::argument(
                "calibration data",
                "at least 1 position",
                "none",
            )),
            _ => Ok(samples),
        }
    }

    /// The number of positions.
    pub(super) fn len(&self) -> usize {
        self.outputs.len()
    }

    /// The features of a list: 2·sample, plus 1 for the other side.
    pub(super) fn list(&self, list: usize) -> &[u32] {
        &self.features[self.starts[list]..self.starts[list + 1]]
    }

    /// The features of the side to move and of the other side.
    pub(super) fn lists(&self, sample: usize) -> [&[u32]; 2] {
        [2 * sample, 2 * sample + 1].map(|list| self.list(list))
    }

    /// The samples of an output bucket.
    pub(super) fn of_bucket(&self, bucket: usize) -> impl Iterator<Item = usize> + '_ {
        let own = self.buckets.iter().enumerate();
        own.filter(move |(_, found)| **found as usize == bucket)
            .map(|(sample, _)| sample)
    }

    /// For each feature, the lists that have it, ascending.
    pub(super) fn by_feature(&self) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::new(); self.inputs];
        for list in 0..2 * self.len() {
            for &feature in self.list(list) {
                lists[feature as usize].push(list as u32);
            }
        }
        lists
    }
}
