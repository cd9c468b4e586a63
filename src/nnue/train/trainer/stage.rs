//! The stages of a training: their data, their learners, and the change from one to the next.

use super::Trainer;
use super::parallel::shards_of;
use crate::engine::device::Device;
use crate::error::Result;
use crate::nnue::data::{Dataset, Dropped, Loader, LoaderSettings, Place};
use crate::nnue::ranks::Ranks;
use crate::nnue::train::checkpoint::Checkpoint;
use crate::nnue::train::event::Event;
use crate::nnue::train::input::{check_ahead, open};
use crate::nnue::train::log::Entry;
use crate::nnue::train::run::Run;
use crate::nnue::train::settings::Settings;
use crate::nnue::train::stage::Stage;
use crate::nnue::{Learner, Parameters, ShardedLearner, Trainable};
use crate::optim::schedule::Timeline;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// The data of a stage.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) dataset: Dataset,
    pub(super) validation: Option<Dataset>,
    /// The number of positions of an epoch, or an estimate of it.
    pub(super) positions: u64,
    pub(super) timeline: Timeline,
}

impl Input {
    /// Opens the data of each stage. Stages with the same files share them.
    pub(super) fn open_all(stages: &[Stage], run: &Run) -> Result<VecDeque<Self>> {
        let mut opened: Vec<(&[PathBuf], Dataset, u64)> = Vec::new();
        let mut inputs = VecDeque::with_capacity(stages.len());
        for stage in stages {
            let files = stage.data(run);
            let known = opened.iter().find(|(own, ..)| *own == files);
            let (dataset, positions) = match known {
                Some((_, dataset, positions)) => (dataset.clone(), *positions),
                None => {
                    let dataset = open(files)?;
                    let positions = dataset.estimate()?.positions;
                    opened.push((files, dataset.clone(), positions));
                    (dataset, positions)
                }
            };
            let validation = stage.validation(run);
            let validation = validation.map(|path| open(std::slice::from_ref(path)));
            let validation = validation.transpose()?;
            let settings = &stage.settings;
            let sieved = |dataset| settings.sieved(dataset);
            inputs.push_back(Self {
                validation: validation.map(sieved).transpose()?,
                positions,
                timeline: settings.timeline(positions),
                dataset: sieved(dataset)?,
            });
        }
        Ok(inputs)
    }

    /// Checks the first records, so that damaged files are refused before a directory is created.
    pub(super) fn check_ahead(&self, threads: usize) -> Result<()> {
        let datasets = [Some(&self.dataset), self.validation.as_ref()];
        let mut datasets = datasets.into_iter().flatten();
        datasets.try_for_each(|dataset| check_ahead(dataset, threads))
    }
}

/// The learner of a stage before its first step.
pub(super) fn learner(
    device: &Device,
    settings: &Settings,
    parameters: &Parameters,
    ranks: &Arc<dyn Ranks>,
) -> Result<Box<dyn Trainable>> {
    let learner = Learner::new(device, parameters, settings.loss, settings.optimizer)?;
    sharded(with_options(learner, settings)?, settings, ranks)
}

/// A learner whose steps are made of the shards of the settings.
pub(super) fn sharded(
    learner: Learner,
    settings: &Settings,
    ranks: &Arc<dyn Ranks>,
) -> Result<Box<dyn Trainable>> {
    Ok(match settings.shards {
        1 => Box::new(learner),
        shards => Box::new(ShardedLearner::new(learner, ranks.clone(), shards)?),
    })
}

/// The learner of a stage at a checkpoint.
pub(in crate::nnue::train) fn learner_at(
    device: &Device,
    checkpoint: &Checkpoint,
) -> Result<Learner> {
    let settings = &checkpoint.settings;
    let learner = Learner::resume(
        device,
        &checkpoint.parameters,
        settings.loss,
        settings.optimizer,
        &checkpoint.moments,
        checkpoint.step - checkpoint.progress.stage_start(),
    )?;
    with_options(learner, settings)
}

fn with_options(mut learner: Learner, settings: &Settings) -> Result<Learner> {
    learner.set_half(settings.half)?;
    learner.set_half_weights(settings.half_weights)?;
    learner.set_quantization(settings.quantization()?)?;
    learner.set_l1(settings.l1)?;
    learner.set_groups(&settings.groups)?;
    // A new run has checked it. A resumed run may be on another device.
    if let Err(error) = learner.set_tuning(settings.tuning) {
        ::log::warn!("the run's steps cannot go on as they began: its bits will differ: {error}");
    }
    Ok(learner)
}

/// The stages with the variants that their steps have on a device, as a run records them.
///
/// # Errors
/// As [`Tuning::check`](crate::nnue::Tuning::check).
pub(super) fn with_variants(device: &Device, stages: &[Stage]) -> Result<Vec<Stage>> {
    let stages = stages.iter().map(|stage| {
        let settings = &stage.settings;
        settings.tuning.check(device, &settings.architecture)?;
        let recorded = settings.tuning.recorded(device, &settings.architecture);
        Ok(Stage {
            settings: settings.clone().tuning(recorded),
            ..stage.clone()
        })
    });
    stages.collect()
}

impl Trainer {
    /// The batches of the rest of the stage. A new epoch begins without a delay.
    pub(super) fn loader(&self) -> Result<Loader> {
        self.loader_at(&*self.learner, self.place, self.epoch)
    }

    /// The batches of the rest of the stage after the steps of a learner.
    pub(super) fn loader_at(
        &self,
        learner: &dyn Trainable,
        start: Place,
        epoch: u64,
    ) -> Result<Loader> {
        let (settings, input) = (self.settings(), &self.input);
        let epochs = match settings.in_superbatches() {
            true => None,
            false => Some(settings.epochs.saturating_sub(epoch)),
        };
        let loader = LoaderSettings {
            batch_size: settings.batch_size,
            shuffle_buffer: settings.shuffle_buffer,
            seed: settings.seed,
            start,
            epochs,
            judge: None,
            shards: shards_of(&*self.ranks, settings.shards)?,
            shares: settings.shares(input.timeline, learner.steps()),
            target: settings.objective().target(),
            output_buckets: settings.output_buckets,
            threads: self.run.loader_threads(),
        };
        let needs = learner.step_needs();
        settings.inputs.loader(&input.dataset, &loader, needs)
    }

    /// Tells what was left out of the data of the current stage.
    pub(super) fn tell_dropped(&mut self) -> Result<()> {
        let dropped = self.input.dataset.dropped();
        if dropped.total() == 0 {
            return Ok(());
        }
        ::log::warn!("left out so far: {dropped}");
        let Dropped {
            scores,
            filtered,
            bad,
        } = dropped;
        self.log.append(&Entry::Dropped {
            step: self.steps(),
            scores,
            filtered,
            bad,
        })
    }

    /// Tells the observer of the current stage.
    pub(super) fn announce_stage(&self, observe: &mut dyn FnMut(Event<'_>)) {
        let index = self.progress.stage();
        let input = &self.input;
        observe(Event::Stage {
            index,
            stages: self.stages.len(),
            stage: &self.stages[index],
            positions: input.positions,
            steps: input.timeline.steps,
            steps_per_period: match input.timeline.batches {
                Some(batches) => batches,
                None => self.settings().steps_per_epoch(input.positions),
            },
        });
    }

    /// Goes on with the next stage: its optimizer begins anew on the parameters of this stage.
    pub(super) fn next_stage(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let (step, parameters) = (self.steps(), self.learner.parameters()?);
        let next = self.progress.stage() + 1;
        let settings = &self.stages[next].settings;
        self.learner = learner(&self.device, settings, &parameters, &self.ranks)?;
        self.progress.begin_stage(step);
        (self.epoch, self.batch, self.running_loss) = (0, 0, None);
        (self.place, self.seen) = (Place::default(), 0);
        if let Some(input) = self.later_inputs.pop_front() {
            self.input = input;
        }
        let input = &self.input;
        self.log.append(&Entry::Stage {
            step,
            stage: next,
            name: self.stages[next].name.clone(),
            settings: self.stages[next].settings.clone(),
            positions: input.positions,
            steps: input.timeline.steps,
        })?;
        // The checkpoint of the end of a stage holds the beginning of the next one.
        self.save_and_tell(observe)
    }
}
