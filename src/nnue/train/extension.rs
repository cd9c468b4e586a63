//! Whether a finished or stopped stage can go on with other settings.

use super::checkpoint::Checkpoint;
use super::config::differences;
use super::settings::Settings;
use crate::error::{Error, Result};

/// The keys that make a stage longer or shorter: those that a resumed run may change.
pub const LENGTH_KEYS: [&str; 2] = ["epochs", "superbatches"];

/// Checks that settings are those of a checkpoint, or differ only in the length of the stage in
/// such a way that every step so far has had the learning rate and the λ of the new length.
///
/// # Errors
/// [`Error::Argument`] with the key.
pub(super) fn check_extension(checkpoint: &Checkpoint, given: &Settings) -> Result<()> {
    let own = &checkpoint.settings;
    let differences = differences(own, given);
    let wrong = |key: &str, expected: String, found: &str| {
        Err(Error::argument(format!("settings, {key}"), expected, found))
    };
    for (key, own_value, value) in &differences {
        if !LENGTH_KEYS.contains(key) {
            let expected = format!("{own_value}, as at the start of the run");
            return wrong(key, expected, value);
        }
    }
    let Some((key, own_value, value)) = differences.last() else {
        // What no key says cannot differ: the settings of a run come from its keys.
        return Ok(());
    };
    if own.in_superbatches() != given.in_superbatches() {
        let expected = format!("a length in {}s, as the run has", own.period_name());
        return wrong(key, expected, value);
    }
    let steps = checkpoint.step - checkpoint.progress.stage_start();
    let (old, new) = (
        own.timeline(checkpoint.positions),
        given.timeline(checkpoint.positions),
    );
    let periods_done = match own.in_superbatches() {
        true => steps.div_ceil(own.batches_per_superbatch),
        false => checkpoint.epoch + u64::from(checkpoint.batch > 0),
    };
    if new.periods < periods_done {
        let expected = format!("at least {periods_done}, which are done or begun");
        return wrong(key, expected, value);
    }
    // The epochs of the steps before are not kept, so this is exact only for data of known length.
    let per_epoch = own.steps_per_epoch(checkpoint.positions).max(1);
    let same = |step: u64| {
        let epoch = (step - 1) / per_epoch;
        let (old, new) = (old.moment(step, epoch), new.moment(step, epoch));
        own.learning_rate_at(&old) == given.learning_rate_at(&new)
            && own.lambda_at(&old) == given.lambda_at(&new)
    };
    match (1..=steps).find(|&step| !same(step)) {
        None => Ok(()),
        Some(step) => {
            let expected = format!(
                "{own_value}, because the schedules `{}` and `{}` depend on the length and step \
                 {step} was another; `--init` starts a new run from the network",
                own.schedule, own.lambda_schedule
            );
            wrong(key, expected, value)
        }
    }
}
