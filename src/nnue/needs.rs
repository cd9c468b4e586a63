//! The form in which a network reads its batches.

use super::network::Network;
use crate::engine::device::{Class, Device};
use crate::tensor::lists::Transpose;

/// The requirements of the network that reads the batches of a [`Loader`](super::data::Loader).
///
/// [`Learner::needs`](super::Learner::needs) and [`Network::needs`] give them. They say whether the
/// loader builds the transposed index of the lists, and on which threads the device computes.
/// Batches that ignore them give the same numbers, more slowly. The default suits batches that no
/// network reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'a> {
    network: Option<&'a Network>,
    gradients: bool,
    /// Whether samples are records where the device can decode them; `None` lets the device's class
    /// decide.
    records: Option<bool>,
}

impl<'a> Needs<'a> {
    /// The requirements of gradients.
    pub(super) fn gradients(network: &'a Network) -> Self {
        Self {
            network: Some(network),
            gradients: true,
            records: None,
        }
    }

    /// The requirements of outputs alone.
    pub(super) fn outputs(network: &'a Network) -> Self {
        Self {
            network: Some(network),
            gradients: false,
            records: None,
        }
    }

    /// The same with records of chess positions wherever the device can decode them, or never.
    /// Without this call a GPU gets records, and a software adapter, whose driver decodes them on
    /// the cores that make the batches, gets lists. Both give the same bits.
    #[must_use]
    pub fn with_records(self, records: bool) -> Self {
        Self {
            records: Some(records),
            ..self
        }
    }

    /// When the transposed index of a batch should be built. `samples` is L, and `entries` is the
    /// number of indices in the lists of both perspectives, or an upper bound.
    pub fn transpose(&self, samples: usize, entries: usize) -> Transpose {
        match self.network {
            Some(network) if self.gradients && network.reads_transposed(samples, entries) => {
                Transpose::Now
            }
            _ => Transpose::OnDemand,
        }
    }

    /// Whether the samples of a batch should be in the order of their groups, and those of a group in
    /// the order of their output buckets, instead of the buckets first. The arguments are those of
    /// [`Self::transpose`].
    pub(super) fn by_group(&self, samples: usize, entries: usize) -> bool {
        let network = self.network.filter(|_| self.gradients);
        network.is_some_and(|network| network.orders_by_group(samples, entries))
    }

    /// Whether the samples of a batch should be records, which the device decodes. The arguments are
    /// those of [`Self::transpose`].
    pub(super) fn records(&self, samples: usize, entries: usize) -> bool {
        let network = self.network.filter(|_| self.gradients);
        network.is_some_and(|network| {
            let is_gpu = network.device().class() == Class::Gpu;
            self.records.unwrap_or(is_gpu) && network.takes_records(samples, entries)
        })
    }

    /// The device of the network, if it computes on threads that can make batches between steps.
    pub(super) fn threads(&self) -> Option<&'a Device> {
        let device = self.network?.device();
        (device.threads() > 0).then_some(device)
    }
}
