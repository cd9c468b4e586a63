//! What a training has read of its data, as checkpoints hold it.

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::nnue::data::{Dataset, Past, Place};
use serde::{Deserialize, Serialize};

/// How far a stage is in its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DataState {
    /// The [fingerprint](Dataset::fingerprint) of all data, in a file of release 0.1.0. The place
    /// follows from the epoch and its batches.
    Fingerprint(String),
    /// What the stage has read.
    Read {
        /// Where its batches go on.
        place: Place,
        /// What was read before that.
        past: Past,
        /// The positions that the stage was trained on.
        seen: u64,
    },
}

impl From<&str> for DataState {
    fn from(fingerprint: &str) -> Self {
        Self::Fingerprint(fingerprint.to_owned())
    }
}

impl DataState {
    /// Checks that a dataset begins with what was read. A dataset of release 0.1.0 must be the same
    /// in all.
    ///
    /// # Errors
    /// Other data, with the place if the state knows it.
    pub(super) fn check(&self, dataset: &Dataset) -> Result<()> {
        let fingerprint = match self {
            Self::Read { past, .. } => return dataset.check_past(past),
            Self::Fingerprint(fingerprint) => fingerprint,
        };
        let found = dataset.fingerprint()?;
        if found == *fingerprint {
            return Ok(());
        }
        let expected = format!("the data of the run ({fingerprint})");
        Err(Error::argument("data", expected, found))
    }
}

impl Checkpoint {
    /// Where the batches of the stage go on.
    pub(super) fn place(&self) -> Place {
        match &self.data {
            DataState::Read { place, .. } => *place,
            DataState::Fingerprint(_) => Place::after(self.epoch, self.batch),
        }
    }

    /// The positions that the stage was trained on.
    pub(super) fn seen(&self) -> u64 {
        match &self.data {
            DataState::Read { seen, .. } => *seen,
            DataState::Fingerprint(_) => {
                let of_epoch = self.batch * self.settings.batch_size as u64;
                self.epoch * self.positions + of_epoch
            }
        }
    }
}
