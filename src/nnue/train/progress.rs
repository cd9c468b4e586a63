//! How far a training is, besides its steps: its stages and its validations.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The stages of a training that have begun, and the validations of the current one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Progress {
    /// The number of steps before each stage that has begun, from the second stage on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub later_stages: Vec<u64>,
    /// The best validation of the current stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// The number of validations of the current stage after the best.
    #[serde(skip_serializing_if = "is_zero")]
    pub stale: u64,
    /// Whether the validation after the last step could not be done. A resumed run does it first.
    #[serde(skip_serializing_if = "is_false")]
    pub validation_due: bool,
}

/// The validation with the lowest loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Best {
    /// The number of steps of the training before it.
    pub step: u64,
    /// The mean loss. Files hold it as a text, because the JSON reader may miss the last bit.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub loss: f64,
}

impl Progress {
    /// The index of the current stage.
    pub fn stage(&self) -> usize {
        self.later_stages.len()
    }

    /// The number of steps before the current stage.
    pub fn stage_start(&self) -> u64 {
        self.later_stages.last().copied().unwrap_or(0)
    }

    /// Begins the next stage after this many steps.
    pub(super) fn begin_stage(&mut self, step: u64) {
        self.later_stages.push(step);
        (self.best, self.stale) = (None, 0);
    }

    /// Notes a validation. A loss that is not finite is never the best.
    pub(super) fn validated(&mut self, step: u64, loss: f64) {
        if loss.is_finite() && self.best.is_none_or(|best| loss < best.loss) {
            self.best = Some(Best { step, loss });
            self.stale = 0;
        } else {
            self.stale += 1;
        }
    }

    pub(super) fn is_first(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

// serde passes a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn as_text<S: Serializer>(loss: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(loss)
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_validation_is_that_of_the_stage() {
        let mut progress = Progress::default();
        assert!(progress.is_first());
        progress.validated(5, f64::NAN);
        assert_eq!((progress.best, progress.stale), (None, 1));
        for (step, loss) in [(10, 0.3), (20, 0.2), (30, 0.25), (40, 0.2)] {
            progress.validated(step, loss);
        }
        let best = progress.best.unwrap();
        assert_eq!((best.step, best.loss, progress.stale), (20, 0.2, 2));
        let json = serde_json::to_string(&progress).unwrap();
        assert_eq!(json, r#"{"best":{"step":20,"loss":"0.2"},"stale":2}"#);
        assert_eq!(serde_json::from_str::<Progress>(&json).unwrap(), progress);
        progress.begin_stage(40);
        assert_eq!((progress.stage(), progress.stage_start()), (1, 40));
        assert_eq!((progress.best, progress.stale), (None, 0));
    }
}
