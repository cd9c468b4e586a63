//! The gradient of the output, from which the gradients of the parameters follow. Pure data.

use crate::error::{Error, Result};
use crate::nnue::batch::Batch;
use crate::nnue::loss::Loss;

/// The source of e = ∂E/∂Y in a gradient call.
#[derive(Clone, Copy, Debug)]
pub enum Upstream<'a> {
    /// A loss between the outputs and the targets of the batch.
    Loss(Loss),
    /// The caller's own e, `[L]`. A unit vector gives the derivatives of one output with respect to
    /// every parameter.
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

    /// An e that the caller gave.
    pub(super) fn given(&self) -> Option<&[f32]> {
        match self {
            Self::Given(e) => Some(e),
            Self::Loss(_) => None,
        }
    }

    /// Checks a loss, or checks that the length of e fits the batch.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        match self {
            Self::Loss(loss) => loss.check(),
            Self::Given(e) if e.len() != batch.len() => {
                let expected = format!("{} values, one per sample", batch.len());
                Err(Error::argument("e", expected, e.len()))
            }
            Self::Given(_) => Ok(()),
        }
    }
}
