//! How a run begins: in a new directory, or after the newest checkpoint of an old one.

use super::Trainer;
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::files::lock::DirectoryLock;
use crate::nnue::train::input::{check_ahead, open_data};
use crate::nnue::train::log::{self, Entry, Log};
use crate::nnue::train::run::Run;
use crate::nnue::train::settings::Settings;
use crate::nnue::{Learner, Network, Parameters};

impl Trainer {
    /// Starts a run: writes `run.json`, the first line of the log and the checkpoint of step 0.
    ///
    /// # Errors
    /// Settings, data or a directory that cannot be used. The settings, the first million positions
    /// and the directory are checked before anything is written. A directory with the checkpoints
    /// or results of a run is refused. While that run is going on, the error is [`Error::InUse`].
    pub fn new(device: &Device, settings: &Settings, run: &Run) -> Result<Self> {
        settings.check()?;
        settings.encoding().check(&settings.architecture)?;
        let (dataset, validation) = open_data(run)?;
        run.check_free()?;
        for dataset in [Some(&dataset), validation.as_ref()].into_iter().flatten() {
            check_ahead(dataset, run.loader_threads())?;
        }
        Network::check_fits(device, &settings.architecture)?;
        let parameters = Parameters::initial(settings.architecture.clone(), settings.seed)?;
        let mut learner = Learner::new(device, &parameters, settings.loss, settings.optimizer)?;
        learner.set_half(settings.half)?;
        learner.set_half_weights(settings.half_weights)?;
        let fingerprint = dataset.fingerprint()?;
        let run = Run {
            out: run.create_directory()?,
            ..run.clone()
        };
        let lock = DirectoryLock::take(&run.out)?;
        // Before the lock was taken, another run may have begun and ended there.
        run.check_free()?;
        run.checkpoints().create()?;
        run.save()?;
        let mut log = Log::create(run.log())?;
        log.append(&Entry::Start {
            settings: settings.clone(),
            device: device.name().to_owned(),
            positions: dataset.positions(),
            steps: settings.total_steps(dataset.positions()),
        })?;
        let mut trainer = Self {
            device: device.clone(),
            settings: settings.clone(),
            run,
            fingerprint,
            dataset,
            validation,
            learner: Box::new(learner),
            log,
            epoch: 0,
            batch: 0,
            running_loss: None,
            resumed_from: None,
            newest: None,
            _lock: lock,
        };
        trainer.save()?;
        Ok(trainer)
    }

    /// Resumes the run in `run.out` from its newest checkpoint, with the settings of that
    /// checkpoint.
    ///
    /// # Errors
    /// [`Error::InUse`] while the run is going on, [`Error::Checkpoint`] if the newest checkpoint
    /// is damaged, and [`Error::Argument`] if there is no checkpoint or the data differ from the
    /// data of the run.
    pub fn resume(device: &Device, run: &Run) -> Result<Self> {
        let checkpoints = run.checkpoints();
        let none = || {
            let directory = checkpoints.directory().display().to_string();
            Error::argument(directory, "a checkpoint to resume from", "none")
        };
        // A directory without a run is left as it is: not even a lock is written.
        if checkpoints.list()?.is_empty() {
            return Err(none());
        }
        let lock = DirectoryLock::take(&run.out)?;
        let (path, checkpoint) = checkpoints.latest()?.ok_or_else(none)?;
        let encoding = checkpoint.settings.encoding();
        let fits = encoding.check(&checkpoint.settings.architecture);
        fits.map_err(|error| error.in_file(&path))?;
        let (dataset, validation) = open_data(run)?;
        let fingerprint = dataset.fingerprint()?;
        if fingerprint != checkpoint.data {
            return Err(Error::argument(
                "data",
                format!("the data of the run ({})", checkpoint.data),
                fingerprint,
            ));
        }
        let mut learner = Learner::resume(
            device,
            &checkpoint.parameters,
            checkpoint.settings.loss,
            checkpoint.settings.optimizer,
            &checkpoint.moments,
            checkpoint.step,
        )?;
        learner.set_half(checkpoint.settings.half)?;
        learner.set_half_weights(checkpoint.settings.half_weights)?;
        let before = log::read(&run.log()).unwrap_or_default();
        let started = before.iter().find_map(|entry| match entry {
            Entry::Start { settings, .. } => Some(settings),
            _ => None,
        });
        if let Some(started) = started.filter(|started| **started != checkpoint.settings) {
            let expected = format!("the settings at the start of the run, {started:?}");
            let found = format!("{:?}", checkpoint.settings);
            let fault = Error::argument("settings of the training", expected, found);
            return Err(fault.in_file(&path));
        }
        let earlier = before.iter().rev().find_map(|entry| match entry {
            Entry::Start { device, .. } | Entry::Resume { device, .. } => Some(device.as_str()),
            _ => None,
        });
        if let Some(earlier) = earlier.filter(|earlier| *earlier != device.name()) {
            let now = device.name();
            ::log::warn!("the run was on {earlier} and continues on {now}: its bits will differ");
        }
        checkpoints.create()?;
        run.save()?;
        let mut log = Log::resume(run.log(), checkpoint.step)?;
        log.append(&Entry::Resume {
            step: checkpoint.step,
            epoch: checkpoint.epoch,
            device: device.name().to_owned(),
            checkpoint: path.clone(),
        })?;
        Ok(Self {
            device: device.clone(),
            settings: checkpoint.settings,
            run: run.clone(),
            dataset,
            fingerprint,
            validation,
            learner: Box::new(learner),
            log,
            epoch: checkpoint.epoch,
            batch: checkpoint.batch,
            running_loss: checkpoint.running_loss,
            resumed_from: Some(checkpoint.step),
            newest: Some(path),
            _lock: lock,
        })
    }
}
