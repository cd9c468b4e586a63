//! The integer network as a model, for losses over data.

use super::merge::MERGED;
use super::quantized::Quantized;
use crate::error::{Error, Result};
use crate::nnue::architecture::Architecture;
use crate::nnue::batch::{Batch, Inputs};
use crate::nnue::model::Model;
use crate::nnue::needs::Needs;
use rayon::prelude::*;
use wgrad_inference as engine;

/// An integer network whose outputs are its evaluations divided by their scale, as an engine sees
/// them: Y in steps of 1 ÷ scale.
#[derive(Clone, Debug)]
pub struct IntegerModel {
    network: engine::Network,
    architecture: Architecture,
}

impl IntegerModel {
    /// The model of a quantized network.
    ///
    /// # Errors
    /// As [`Quantized::network`].
    pub fn new(quantized: &Quantized) -> Result<Self> {
        Ok(Self {
            network: quantized.network()?,
            architecture: quantized.architecture().clone(),
        })
    }

    /// The network.
    pub fn network(&self) -> &engine::Network {
        &self.network
    }
}

impl Model for IntegerModel {
    fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    fn outputs(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let Inputs::Sparse(lists) = batch.inputs() else {
            return Err(Error::argument("batch", "index lists", "dense inputs"));
        };
        if batch.inputs().inputs() != self.architecture.inputs {
            let expected = format!("{} inputs (N)", self.architecture.inputs);
            return Err(Error::argument("batch", expected, batch.inputs().inputs()));
        }
        let buckets = self.architecture.buckets;
        let bucket = |sample: usize| {
            batch
                .buckets()
                .map_or(0, |buckets| buckets[sample] as usize)
        };
        if let Some(sample) = (0..batch.len()).find(|&sample| bucket(sample) >= buckets) {
            let name = format!("bucket of sample {sample}");
            return Err(Error::argument(
                name,
                format!("below {buckets}"),
                bucket(sample),
            ));
        }
        let network = &self.network;
        let merged = network.inputs().merged_kings;
        let scale = network.scale() as f32;
        let samples = (0..batch.len()).into_par_iter().with_min_len(64);
        let outputs = samples.map(|sample| {
            let features = lists.each_ref().map(|lists| {
                let list = lists.list(sample).iter();
                list.map(move |&feature| place(feature as usize, merged))
            });
            network.evaluate_features(features, bucket(sample)) as f32 / scale
        });
        Ok(outputs.collect())
    }

    fn output_needs(&self) -> Needs<'_> {
        Needs::default()
    }
}

/// The feature of the integer network for one of the training.
pub(super) fn place(feature: usize, merged: bool) -> usize {
    if !merged {
        return feature;
    }
    let (bucket, own) = (feature / 768, feature % 768);
    // The opponent's king has the plane of the own king.
    let own = if own < MERGED {
        own
    } else {
        own - MERGED + 5 * 64
    };
    MERGED * bucket + own
}
