//! What a step does after its micro-batches: the update of every parameter where the gradient
//! kernels have not applied it, and the synchronization with slow weights.

use super::factorised::{self, record_merge};
use super::{Goal, ParameterBuffers, Plan, Step, Update};
use crate::engine::recording::Recording;
use crate::error::Result;
use crate::optim::UpdateBuffers;

impl Step {
    /// What follows the last micro-batch: the gradients of shared parts, or the update of every
    /// parameter with the gradients in the gradient buffers.
    pub(super) fn record_end(
        &self,
        recording: &mut Recording<'_>,
        plan: Plan,
        parameters: ParameterBuffers<'_>,
        goal: Goal<'_>,
    ) -> Result<()> {
        let (architecture, common) = (&self.architecture, &self.common);
        let gradients = goal.gradients;
        let factorised = architecture.is_factorised() && !plan.composes();
        match goal.update {
            None if factorised => {
                factorised::record_gradients(recording, architecture, gradients);
            }
            None => {}
            Some(update) if factorised => {
                let spares = [common.spare.id(), common.other_spare.id()];
                let to = (parameters, update, spares);
                factorised::record_update(recording, architecture, gradients, to);
                self.record_update(recording, parameters, gradients, update, true);
            }
            Some(update) => {
                self.record_update(recording, parameters, gradients, update, false);
                let (all, merged) = (parameters.buffers, parameters.merged);
                record_merge(recording, architecture, all, merged)?;
            }
        }
        Ok(())
    }

    /// The end of a step whose gradient buffers hold the gradients of all parameters, those of
    /// shared parts too.
    pub(in crate::nnue) fn record_whole_update(
        &self,
        recording: &mut Recording<'_>,
        parameters: ParameterBuffers<'_>,
        gradients: ParameterBuffers<'_>,
        update: Update<'_>,
    ) -> Result<()> {
        self.record_update(recording, parameters, gradients, update, false);
        let (all, merged) = (parameters.buffers, parameters.merged);
        record_merge(recording, &self.architecture, all, merged)?;
        self.record_lookahead(recording, parameters, update)
    }

    /// Updates every parameter, or the head alone, with the gradients in the gradient buffers.
    pub(super) fn record_update(
        &self,
        recording: &mut Recording<'_>,
        parameters: ParameterBuffers<'_>,
        gradients: ParameterBuffers<'_>,
        update: Update<'_>,
        head_alone: bool,
    ) {
        let first = if head_alone {
            parameters.head_index()
        } else {
            0
        };
        let pairs = parameters.buffers.iter().zip(gradients.buffers);
        for (buffer, (values, gradient)) in pairs.enumerate().skip(first) {
            let groups = match buffer == parameters.head_index() {
                true => update.head_runs(&self.architecture),
                false => vec![(values.len(), update.tensor(buffer))],
            };
            let buffers = UpdateBuffers {
                gradient: gradient.id(),
                moments: &update.moments(buffer),
                values: values.id(),
                spare: self.common.spare.id(),
            };
            update
                .optimizer
                .record_groups(recording, update.at, &groups, buffers);
        }
    }

    /// Synchronizes every parameter with its slow weights, if the optimizer does so after this
    /// step.
    pub(super) fn record_lookahead(
        &self,
        recording: &mut Recording<'_>,
        parameters: ParameterBuffers<'_>,
        update: Update<'_>,
    ) -> Result<()> {
        if !update.optimizer.synchronizes(update.at) {
            return Ok(());
        }
        let spare = self.common.spare.id();
        for (buffer, values) in parameters.buffers.iter().enumerate() {
            let buffers = UpdateBuffers {
                gradient: spare,
                moments: &update.moments(buffer),
                values: values.id(),
                spare,
            };
            update
                .optimizer
                .record_lookahead(recording, update.at, values.len(), buffers);
        }
        let (all, merged) = (parameters.buffers, parameters.merged);
        record_merge(recording, &self.architecture, all, merged)
    }
}
