//! How a run begins: in a new directory, or after the newest checkpoint of an old one.

use super::Trainer;
use super::parallel::{check_ranks, state_of};
use super::stage::{Input, learner, learner_at, sharded, with_variants};
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::files::atomic::remove_unfinished;
use crate::files::lock::DirectoryLock;
use crate::nnue::Network;
use crate::nnue::data::Place;
use crate::nnue::ranks::{Alone, Ranks};
use crate::nnue::train::config::Config;
use crate::nnue::train::extension::check_extension;
use crate::nnue::train::init::{Taken, take};
use crate::nnue::train::integers::Integers;
use crate::nnue::train::log::{self, Entry, Log};
use crate::nnue::train::progress::Progress;
use crate::nnue::train::run::Run;
use crate::nnue::train::settings::Settings;
use crate::nnue::train::stage::{Stage, check_stages};
use std::sync::Arc;

/// The integer networks of the validations of a run, if it wants them. All stages have one network.
fn integers_of(run: &Run, settings: &Settings) -> Result<Option<Integers>> {
    let choice = run.validate_integers.as_ref();
    choice
        .map(|choice| Integers::new(choice, settings))
        .transpose()
}

impl Trainer {
    /// Starts a run of one stage, as [`Trainer::with_stages`].
    ///
    /// # Errors
    /// As [`Trainer::with_stages`].
    pub fn new(device: &Device, settings: &Settings, run: &Run) -> Result<Self> {
        Self::with_stages(device, &[Stage::new(settings.clone())], run)
    }

    /// Starts a run: writes `run.toml`, the first line of the log and the checkpoint of step 0.
    ///
    /// # Errors
    /// Settings, data, an initial network or a directory that cannot be used. The settings, the
    /// first million positions and the directory are checked before anything is written. A
    /// directory with the checkpoints or results of a run is refused, and what a run without any
    /// checkpoint left is replaced. While a run is going on there, the error is [`Error::InUse`].
    pub fn with_stages(device: &Device, stages: &[Stage], run: &Run) -> Result<Self> {
        Self::with_ranks(device, stages, run, Arc::new(Alone))
    }

    /// Starts a run as one of several ranks, as [`Trainer::with_stages`]. Rank 0 writes all files.
    ///
    /// # Errors
    /// As [`Trainer::with_stages`]; a number of ranks that is no power of two or above
    /// [`Settings::shards`]; and ranks that differ in their version, settings, data or device.
    pub fn with_ranks(
        device: &Device,
        stages: &[Stage],
        run: &Run,
        ranks: Arc<dyn Ranks>,
    ) -> Result<Self> {
        let writes = ranks.rank() == 0;
        check_stages(stages)?;
        let stages = &with_variants(device, stages)?[..];
        let settings = &stages[0].settings;
        settings.encoding().check(&settings.architecture)?;
        let mut inputs = Input::open_all(stages, run)?;
        if writes {
            run.check_free()?;
        }
        for (index, input) in inputs.iter().enumerate() {
            let before = &stages[..index];
            let files = stages[index].data(run);
            if !before.iter().any(|stage| stage.data(run) == files) {
                input.check_ahead(run.loader_threads())?;
            }
        }
        let input = inputs
            .pop_front()
            .ok_or_else(|| Error::argument("stages", "at least 1", 0))?;
        let integers = integers_of(run, settings)?;
        Network::check_fits(device, &settings.architecture)?;
        let initial = settings.initial;
        let mut parameters = initial.parameters(settings.architecture.clone(), settings.seed)?;
        let taken = match &run.init {
            Some(path) => Some(take(&mut parameters, path)?),
            None => None,
        };
        let learner = learner(device, settings, &parameters, &ranks)?;
        let state = state_of(&*ranks, 0, &input, &parameters)?;
        let names = check_ranks(&*ranks, device, stages, state)?;
        let (run, lock, mut log) = match writes {
            false => (run.clone(), None, Log::silent()),
            true => {
                let run = Run {
                    out: run.create_directory()?,
                    ..run.clone()
                };
                let lock = DirectoryLock::take(&run.out)?;
                // Before the lock was taken, another run may have begun and ended there.
                run.check_free()?;
                remove_unfinished(&run.out)?;
                run.checkpoints().create()?;
                run.save(stages)?;
                let log = Log::create(run.log())?;
                (run, Some(lock), log)
            }
        };
        log.append(&Entry::Start {
            version: log::VERSION,
            settings: settings.clone(),
            device: device.name().to_owned(),
            positions: input.positions,
            steps: input.timeline.steps,
            ranks: names,
        })?;
        let mut trainer = Self {
            device: device.clone(),
            stages: stages.to_vec(),
            input,
            later_inputs: inputs,
            run,
            learner,
            integers,
            log,
            progress: Progress::default(),
            epoch: 0,
            batch: 0,
            place: Place::default(),
            seen: 0,
            running_loss: None,
            resumed_from: None,
            newest: None,
            taken,
            ranks,
            _lock: lock,
        };
        trainer.save()?;
        Ok(trainer)
    }

    /// What the run took from [`Run::init`].
    pub fn taken(&self) -> Option<&Taken> {
        self.taken.as_ref()
    }

    /// Resumes the run in `run.out` from its newest checkpoint, with the stages of its file.
    ///
    /// # Errors
    /// As [`Trainer::resume_with`].
    pub fn resume(device: &Device, run: &Run) -> Result<Self> {
        let stages = match Config::of_run(&run.out)? {
            Some(config) => config.stages,
            None => Vec::new(),
        };
        Self::resume_with(device, &stages, run)
    }

    /// Resumes the run in `run.out` from its newest checkpoint. The settings of its current stage
    /// are those of the checkpoint, or they extend them: the stage becomes longer, and its
    /// schedules stay as they were up to the checkpoint. Without stages the run has one, the
    /// checkpoint's.
    ///
    /// # Errors
    /// [`Error::InUse`] while the run is going on, [`Error::Checkpoint`] if the newest checkpoint
    /// is damaged, and [`Error::Argument`] if there is no checkpoint, if the data differ from the
    /// data of the run, or if the settings are no extension.
    pub fn resume_with(device: &Device, stages: &[Stage], run: &Run) -> Result<Self> {
        Self::resume_ranks(device, stages, run, Arc::new(Alone))
    }

    /// Resumes a run as one of several ranks, as [`Trainer::resume_with`]. Every rank reads the
    /// checkpoint. The number of ranks may differ from that of the run so far.
    ///
    /// # Errors
    /// As [`Trainer::resume_with`] and [`Trainer::with_ranks`].
    pub fn resume_ranks(
        device: &Device,
        stages: &[Stage],
        run: &Run,
        ranks: Arc<dyn Ranks>,
    ) -> Result<Self> {
        let writes = ranks.rank() == 0;
        let checkpoints = run.checkpoints();
        let none = || {
            let directory = checkpoints.directory().display().to_string();
            Error::argument(directory, "a checkpoint to resume from", "none")
        };
        // A directory without a run is left as it is: not even a lock is written.
        if checkpoints.list()?.is_empty() {
            return Err(none());
        }
        let lock = match writes {
            true => Some(DirectoryLock::take(&run.out)?),
            false => None,
        };
        let (path, mut checkpoint) = checkpoints.latest()?.ok_or_else(none)?;
        let encoding = checkpoint.settings.encoding();
        let fits = encoding.check(&checkpoint.settings.architecture);
        fits.map_err(|error| error.in_file(&path))?;
        let mut stages = match stages.is_empty() {
            true => vec![Stage::new(checkpoint.settings.clone())],
            false => stages.to_vec(),
        };
        check_stages(&stages)?;
        let index = checkpoint.progress.stage();
        let count = stages.len();
        let Some(stage) = stages.get_mut(index) else {
            let expected = format!("at least {}, as the checkpoint has", index + 1);
            let fault = Error::argument("stages", expected, count);
            return Err(fault.in_file(&path));
        };
        // Which variants the steps have does not depend on what is tuned now.
        let given = &stage.settings;
        let given = given.tuning.recorded(device, &given.architecture);
        stage.settings.tuning = given.or(checkpoint.settings.tuning);
        check_extension(&checkpoint, &stage.settings).map_err(|error| error.in_file(&path))?;
        checkpoint.settings = stage.settings.clone();
        // The stages before are done, and need no data.
        let mut inputs = Input::open_all(&stages[index..], run)?;
        let mut input = inputs.pop_front().ok_or_else(none)?;
        checkpoint.data.check(&input.dataset)?;
        // The stage goes on as it was planned, also if its unread data have changed.
        input.positions = checkpoint.positions;
        input.timeline = checkpoint.settings.timeline(checkpoint.positions);
        let seen = checkpoint.seen();
        let integers = integers_of(run, &checkpoint.settings)?;
        let learner = learner_at(device, &checkpoint)?;
        let learner = sharded(learner, &checkpoint.settings, &ranks)?;
        let state = state_of(&*ranks, checkpoint.step, &input, &checkpoint.parameters)?;
        let names = check_ranks(&*ranks, device, &stages, state)?;
        let before = log::read(&run.log()).unwrap_or_default();
        let earlier = before.iter().rev().find_map(|entry| match entry {
            Entry::Start { device, .. } | Entry::Resume { device, .. } => Some(device.as_str()),
            _ => None,
        });
        if let Some(earlier) = earlier.filter(|earlier| *earlier != device.name()) {
            let now = device.name();
            ::log::warn!("the run was on {earlier} and continues on {now}: its bits will differ");
        }
        let mut log = match writes {
            false => Log::silent(),
            true => {
                remove_unfinished(&run.out)?;
                checkpoints.create()?;
                run.save(&stages)?;
                Log::resume(run.log(), checkpoint.step)?
            }
        };
        log.append(&Entry::Resume {
            version: log::VERSION,
            step: checkpoint.step,
            epoch: checkpoint.epoch,
            device: device.name().to_owned(),
            checkpoint: path.clone(),
            ranks: names,
        })?;
        let trainer = Self {
            device: device.clone(),
            stages,
            input,
            later_inputs: inputs,
            run: run.clone(),
            learner,
            integers,
            log,
            epoch: checkpoint.epoch,
            batch: checkpoint.batch,
            place: checkpoint.place(),
            seen,
            running_loss: checkpoint.running_loss,
            resumed_from: Some(checkpoint.step),
            progress: checkpoint.progress,
            newest: Some((checkpoint.step, path)),
            taken: None,
            ranks,
            _lock: lock,
        };
        // The run may have ended between a checkpoint and this.
        if writes {
            trainer.prune()?;
        }
        Ok(trainer)
    }
}
