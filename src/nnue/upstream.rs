//! What the gradients of a pass start from. Pure data.

use crate::error::{Error, Result};
use crate::nnue::batch::Batch;
use crate::nnue::loss::Loss;

/// What stands above the output in a gradient call.
#[derive(Clone, Copy, Debug)]
pub enum Upstream<'a> {
    /// e = ∂Loss/∂Y of a loss against the batch's targets.
    Loss(Loss),
    /// An e of the caller's own, `[L]`. A unit vector gives the derivatives of one output by every parameter, and with
    /// C a unit vector beside it those of one activation.
    Given(&'a [f32]),
}

impl Upstream<'_> {
    /// The loss, if there is one.
    pub(super) fn loss(&self) -> Option<Loss> {
        match self {
            Self::Loss(loss) => Some(*loss),
            Self::Given(_) => None,
        }
    }

    /// Refuses a loss out of its range and an e of another length than the batch.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        match self {
            Self::Loss(loss) => loss.check(),
            Self::Given(e) if e.len() != batch.len() => {
                let expected = format!("{} values, one a sample", batch.len());
                Err(Error::argument("e", expected, e.len()))
            }
            Self::Given(_) => Ok(()),
        }
    }
}
