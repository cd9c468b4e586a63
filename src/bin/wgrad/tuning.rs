//! The tunings that `wgrad tune` keeps, as other commands use them.

use std::env;
use std::path::{Path, PathBuf};
use wgrad::engine::device::Device;
use wgrad::nnue::train::{Settings, Stage};
use wgrad::nnue::tuning::{TunedShape, TuningFile};
use wgrad::nnue::{Architecture, Tuning};

/// Which tunings a command uses.
#[derive(clap::Args)]
pub struct TuningOptions {
    /// Ignore what `wgrad tune` kept
    #[arg(long, conflicts_with = "tuning")]
    no_tuning: bool,
    /// The file that `wgrad tune` wrote [default: wgrad/tuning.json in the user's cache directory]
    #[arg(long, value_name = "FILE")]
    tuning: Option<PathBuf>,
}

/// A file of tunings and its path; `None` if none is used or it cannot be read.
pub struct KeptTunings(Option<(PathBuf, TuningFile)>);

impl TuningOptions {
    /// Reads the file. A file that cannot be read is a warning, because every training goes on
    /// without it.
    pub fn open(&self) -> KeptTunings {
        let path = self.tuning.clone().or_else(default_path);
        let path = path.filter(|_| !self.no_tuning);
        KeptTunings(path.and_then(|path| match TuningFile::read(&path) {
            Ok(file) => Some((path, file)),
            Err(error) => {
                log::warn!("no tuning is used: {error}");
                None
            }
        }))
    }
}

impl KeptTunings {
    /// The tuning that is kept for this shape of a network on a device with its driver.
    pub fn find(
        &self,
        device: &Device,
        architecture: &Architecture,
        shape: &TunedShape,
    ) -> Option<Tuning> {
        let (path, file) = self.0.as_ref()?;
        let tuning = file.find(device.adapter()?, shape)?;
        match tuning.check(device, architecture) {
            Ok(()) => Some(tuning),
            Err(error) => {
                log::warn!("no tuning is used: {}: {error}", path.display());
                None
            }
        }
    }
}

impl KeptTunings {
    /// Gives the stages of a new training what is kept for them, where they leave a choice open.
    pub fn over(&self, device: &Device, stages: &mut [Stage]) {
        for stage in stages {
            let settings = &mut stage.settings;
            if let Some(kept) = self.of_training(device, settings) {
                log::info!("steps have {kept}, as wgrad tune found for this adapter and shape");
                settings.tuning = settings.tuning.or(kept);
            }
        }
    }

    /// Sets the recordings per submission that are kept for a training, also if it is resumed: no
    /// bit depends on them.
    pub fn set_recordings(&self, device: &Device, settings: &Settings) {
        let kept = self.of_training(device, settings);
        if let Some(recordings) = kept.and_then(|kept| kept.recordings) {
            log::debug!("{recordings} recordings per submission, as wgrad tune found");
            device.set_recordings_per_submission(recordings);
        }
    }

    fn of_training(&self, device: &Device, settings: &Settings) -> Option<Tuning> {
        let shape = TunedShape::new(&settings.architecture, settings.batch_size)
            .half(settings.half)
            .half_weights(settings.half_weights);
        self.find(device, &settings.architecture, &shape)
    }
}

/// `wgrad/tuning.json` in the user's cache directory; `None` if the environment names none.
pub fn default_path() -> Option<PathBuf> {
    let cache = if cfg!(windows) {
        directory("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        directory("HOME").map(|home| home.join("Library/Caches"))
    } else {
        let home = || directory("HOME").map(|home| home.join(".cache"));
        directory("XDG_CACHE_HOME").or_else(home)
    };
    cache.map(|cache| cache.join(Path::new("wgrad/tuning.json")))
}

/// The directory in a variable of the environment. A relative path is ignored, as the XDG
/// specification says.
fn directory(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable)?);
    path.is_absolute().then_some(path)
}
