//! Finds the step, the tensor and the batch of the first number that is not finite. A training has
//! the same bits again, so the steps since the newest checkpoint are replayed.

use super::stage::learner_at;
use super::{CHECK_EVERY, Trainer};
use crate::error::{Error, Result};
use crate::files::safetensors::{Metadata, TensorFile};
use crate::nnue::train::checkpoint::Checkpoint;
use crate::nnue::train::data_state::DataState;
use crate::nnue::train::step_file;
use crate::nnue::{Batch, Parameters};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first value that is not finite.
fn first_not_finite<'a>(sets: impl IntoIterator<Item = &'a Parameters>) -> Option<f32> {
    let mut values = sets.into_iter().flat_map(Parameters::values).flatten();
    values.find(|value| !value.is_finite()).copied()
}

impl Trainer {
    /// Checks all parameters and moments, and not their sums.
    pub(super) fn check_values(&self, step: u64) -> Result<()> {
        self.check_sets(step, &self.learner.parameters()?, &self.learner.moments()?)
    }

    /// Checks that parameters and moments after a step are finite.
    pub(super) fn check_sets(
        &self,
        step: u64,
        parameters: &Parameters,
        moments: &[Parameters],
    ) -> Result<()> {
        match first_not_finite(moments.iter().chain([parameters])) {
            None => Ok(()),
            Some(found) => Err(self.not_finite(step, "a parameter or a moment", found)),
        }
    }

    /// What is known without a replay.
    pub(super) fn not_finite(&self, step: u64, place: &str, found: f32) -> Error {
        Error::NotFinite {
            step,
            place: place.to_owned(),
            found,
            file: None,
            last_checkpoint: self.newest_path(),
        }
    }

    /// An [`Error::NotFinite`] with the tensor and the batch, and a file that reproduces it, if the
    /// replay finds them before somebody asks to stop.
    pub(super) fn explained(&self, error: Error, stop: &AtomicBool) -> Error {
        let Error::NotFinite { step, .. } = &error else {
            return error;
        };
        match self.replay(*step, stop) {
            Ok(Some(explained)) => explained,
            Ok(None) => error,
            Err(reason) => {
                ::log::warn!("the steps before could not be replayed: {reason}");
                error
            }
        }
    }

    /// Replays the steps from the newest checkpoint to the one whose check failed.
    fn replay(&self, failed: u64, stop: &AtomicBool) -> Result<Option<Error>> {
        let Some((_, path)) = &self.newest else {
            return Ok(None);
        };
        // The state before the next step. Its tensors are read back from `sound` on.
        let mut state = Checkpoint::read(path)?;
        // The steps of one process, which reads whole batches, have other bits than those of shards.
        if state.progress.stage() != self.progress.stage() || self.settings().shards > 1 {
            return Ok(None);
        }
        // Everything was finite then.
        let sound = (failed.saturating_sub(1) / CHECK_EVERY * CHECK_EVERY).max(state.step);
        ::log::warn!(
            "step {failed} is not finite; the steps from step {} on are replayed to find the cause",
            state.step
        );
        let (timeline, settings) = (self.timeline(), self.settings());
        let (mut place, mut seen) = (state.place(), state.seen());
        let mut learner = learner_at(&self.device, &state)?;
        for batch in self.loader_at(&learner, place, state.epoch)? {
            if state.step == failed || stop.load(Ordering::Relaxed) {
                break;
            }
            let batch = batch?;
            let moment = timeline.moment(learner.steps() + 1, state.epoch);
            let learning_rate = settings.learning_rate_at(&moment);
            let loss = learner.step(batch.as_ref(), learning_rate)?.wait()?;
            if state.step + 1 >= sound {
                let (parameters, moments) = (learner.parameters()?, learner.moments()?);
                let wrong = first_not_finite(moments.iter().chain([&parameters]));
                if !loss.is_finite() || wrong.is_some() {
                    drop(learner);
                    let past = self.input.dataset.past(&place)?;
                    state.data = DataState::Read { place, past, seen };
                    return self.recorded(&state, &batch, learning_rate);
                }
                (state.parameters, state.moments) = (parameters, moments);
            }
            state.step += 1;
            state.batch += 1;
            seen += batch.len() as u64;
            place = *batch.next_place();
            if batch.ends_epoch() {
                (state.epoch, state.batch) = (state.epoch + 1, 0);
            }
        }
        if state.step == failed {
            ::log::warn!("the replay is finite: the device computes other numbers now");
        }
        Ok(None)
    }

    /// Writes the file of a step, and looks for the first number in it that is not finite.
    fn recorded(
        &self,
        before: &Checkpoint,
        batch: &Batch,
        learning_rate: f32,
    ) -> Result<Option<Error>> {
        let step = before.step + 1;
        let path = self
            .run
            .out
            .join(format!("not-finite-{step:08}.safetensors"));
        step_file::write(&path, before, batch, learning_rate)?;
        let mut numbers = TensorFile::new(&path, Metadata::new());
        step_file::perform_step(&mut numbers, before, &self.device, batch, learning_rate)?;
        let Some((place, found)) = numbers.not_finite() else {
            ::log::warn!("{}: the step is finite if it is alone", path.display());
            return Ok(None);
        };
        Ok(Some(Error::NotFinite {
            step,
            place: format!(
                "batch {} of epoch {}, {place}",
                before.batch + 1,
                before.epoch + 1
            ),
            found,
            file: Some(path),
            last_checkpoint: self.newest_path(),
        }))
    }
}
