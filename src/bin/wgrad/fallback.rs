//! `--fallback`: the device of a training whose adapter fails.

use crate::{Failure, warn};
use std::num::NonZeroUsize;
use wgrad::nnue::train::{Config, Stage};
use wgrad::{Device, Result};

/// The device to go on with if an adapter fails.
#[derive(clap::Args)]
pub struct FallbackOption {
    /// If the adapter fails, go on from the newest checkpoint on this device instead of stopping:
    /// `cpu`, which has no steps in 16 bits
    #[arg(long, value_name = "D", value_parser = ["cpu"])]
    fallback: Option<String>,
}

impl FallbackOption {
    /// Refuses steps that the CPU executor does not have.
    pub fn check(&self, stages: &[Stage]) -> Result<(), Failure> {
        let halves = |stage: &Stage| stage.settings.half || stage.settings.half_weights;
        if self.fallback.is_none() || !stages.iter().any(halves) {
            return Ok(());
        }
        let message = "--fallback cpu: the CPU executor has no --half and no --half-weights";
        Err(Failure::Usage("train", message.to_owned()))
    }

    /// Refuses a training in several processes, which would go on on several kinds of device.
    pub fn refuse_several(&self) -> Result<(), Failure> {
        match self.fallback {
            None => Ok(()),
            Some(_) => {
                let message = "--fallback: only a training in one process can go on elsewhere";
                Err(Failure::Usage("train", message.to_owned()))
            }
        }
    }

    /// The result of work on the device of a training, or, if an adapter failed, that of other work
    /// on another one, which is the device of the training from then on.
    pub fn instead<T>(
        &self,
        result: Result<T>,
        config: &mut Config,
        work: impl FnOnce(Device, &wgrad::Error) -> Result<T>,
    ) -> Result<T> {
        match (result, &self.fallback) {
            (Err(error), Some(fallback))
                if error.is_of_device() && config.device.as_ref() != Some(fallback) =>
            {
                warn(format_args!("warning: {error}; going on on {fallback}"));
                config.device = Some(fallback.clone());
                let threads = NonZeroUsize::new(config.run.threads);
                work(Device::open_with_threads(Some(fallback), threads)?, &error)
            }
            (result, _) => result,
        }
    }
}
