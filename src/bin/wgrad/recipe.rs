//! The training that a file and options describe.

use crate::Failure;
use crate::options::{DeviceOption, ThreadsOption};
use crate::settings::{SettingsOptions, put};
use std::path::{Path, PathBuf};
use wgrad::nnue::export::FormatChoice;
use wgrad::nnue::train::Config;

/// The shipped data, from the root of the repository.
pub const SHIPPED: [&str; 2] = [
    "examples/data/chess_train.bin",
    "examples/data/chess_validation.bin",
];

/// Options that are keys of a file too.
#[derive(clap::Args)]
pub struct RecipeOptions {
    /// Training data, in this order: bulletformat, or lines `FEN | score | result` [default: the
    /// shipped chess positions, with their own validation data]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Data on which to evaluate the network after each epoch [default: none; for the shipped data,
    /// their validation data]
    #[arg(long, value_name = "FILE")]
    validation: Option<PathBuf>,
    /// The directory of the run, which no other run may use [default: the first of runs/train-1,
    /// runs/train-2, ... that does not exist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Start from the tensors of this network or checkpoint that fit
    #[arg(long, value_name = "NET")]
    init: Option<PathBuf>,
    /// Steps between checkpoints; 0 for a checkpoint only at the end of each superbatch or epoch
    /// [default: 0]
    #[arg(long, value_name = "STEPS")]
    save_every: Option<u64>,
    /// Steps between validations besides those at the end of each superbatch or epoch [default: 0]
    #[arg(long, value_name = "STEPS")]
    validate_every: Option<u64>,
    /// The save format in whose integers each validation evaluates the network too: a name as
    /// `wgrad export` lists them, or a file [default: none]
    #[arg(long, value_name = "NAME|FILE.toml")]
    validate_integers: Option<FormatChoice>,
    /// Newest checkpoints to keep, besides the end of each stage; 0 for all [default: 3]
    #[arg(long, value_name = "COUNT")]
    keep: Option<usize>,
    /// Whether to keep the checkpoint with the lowest validation loss [default: true]
    #[arg(long, value_name = "BOOL")]
    keep_best: Option<bool>,
    /// End a stage after this many validations without a lower loss; 0 for never [default: 0]
    #[arg(long, value_name = "COUNT")]
    patience: Option<u64>,
    /// Set a key of a file in every stage, after all options: --set beta1=0.95
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    threads: ThreadsOption,
    #[command(flatten, next_help_heading = "What determines the numbers")]
    pub settings: SettingsOptions,
}

/// The training of a file and of the options.
pub fn configured(file: Option<&Path>, options: &RecipeOptions) -> Result<Config, Failure> {
    let mut config = match file {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    for stage in &mut config.stages {
        options.settings.over(&mut stage.settings)?;
    }
    options.over(&mut config)?;
    config.check()?;
    Ok(config)
}

impl RecipeOptions {
    /// Overwrites the files and the device with the given options, and then sets keys.
    ///
    /// # Errors
    /// A key or a value that no file can have.
    pub fn over(&self, config: &mut Config) -> Result<(), Failure> {
        let run = &mut config.run;
        if !self.data.is_empty() {
            run.data.clone_from(&self.data);
        }
        let or = |given: &Option<PathBuf>, own: &mut Option<PathBuf>| {
            if given.is_some() {
                own.clone_from(given);
            }
        };
        or(&self.validation, &mut run.validation);
        or(&self.init, &mut run.init);
        put(&mut run.out, self.out.clone());
        put(&mut run.save_every, self.save_every);
        put(&mut run.validate_every, self.validate_every);
        if self.validate_integers.is_some() {
            run.validate_integers.clone_from(&self.validate_integers);
        }
        put(&mut run.keep, self.keep);
        put(&mut run.keep_best, self.keep_best);
        put(&mut run.patience, self.patience);
        if self.threads.threads > 0 {
            run.threads = self.threads.threads;
        }
        if self.device.device.is_some() {
            config.device.clone_from(&self.device.device);
        }
        for text in &self.set {
            let set = config.set(text);
            set.map_err(|fault| Failure::Message(format!("--set {text}: {fault}")))?;
        }
        Ok(())
    }
}

/// The shipped training and validation data, from the current directory or, if they are not there,
/// from the directory where the program was built.
pub fn shipped() -> Result<[PathBuf; 2], Failure> {
    let roots = [Path::new(""), Path::new(env!("CARGO_MANIFEST_DIR"))];
    let places = roots.map(|root| SHIPPED.map(|name| root.join(name)));
    let found = places
        .into_iter()
        .find(|files| files.iter().all(|file| file.exists()));
    found.ok_or_else(|| {
        let [training, validation] = SHIPPED;
        Failure::Message(format!(
            "the shipped data {training} and {validation} are not under the current directory; name files by --data"
        ))
    })
}
