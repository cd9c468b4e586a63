//! `wgrad train`: trains on files, writes files, and shows the progress to a person or a program.

use crate::artist::Artist;
use crate::fallback::FallbackOption;
use crate::job::Job;
use crate::progress::{Lines, Progress};
use crate::recipe::{RecipeOptions, configured, shipped};
use crate::stop::{INTERRUPTED, stop_on_request};
use crate::tuning::TuningOptions;
use crate::{Failure, Outcome, print_json, quoted, quoted_path, warn};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wgrad::Device;
use wgrad::nnue::train::checkpoint::Checkpoints;
use wgrad::nnue::train::{
    Config, Event, LENGTH_KEYS, Run, Settings, Summary, Trainer, differences,
};

/// Options of `wgrad train`.
#[derive(clap::Args)]
#[command(
    after_help = "Writes DIR/net.safetensors (the result), DIR/checkpoints/ (at the end of each superbatch or epoch\n\
    and every --save-every steps), DIR/log.jsonl (one JSON object per line), DIR/loss.svg (the loss curve)\n\
    and DIR/run.toml. DIR/run.lock keeps other runs out of DIR until this run ends.\n\
    After Ctrl-C, SIGTERM or SIGHUP, wgrad finishes the current step, saves, and prints how to\n\
    continue (exit status 130). Another signal, more than a second later, aborts. SIGHUP stays\n\
    ignored under nohup."
)]
pub struct Options {
    /// A TOML file with the training: its keys are these options with underscores, and `wgrad
    /// config` writes one. Options given here replace its values in every stage
    #[arg(value_name = "CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    recipe: RecipeOptions,
    /// Continue the run in DIR from its newest checkpoint and with its settings; only --data,
    /// --validation, --device, --threads, --save-every and the options of checkpoints and output
    /// may differ, and the length of the current stage where its schedules allow it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "init", "out"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    tuning: TuningOptions,
    #[command(flatten)]
    fallback: FallbackOption,
    /// Print only errors and, after Ctrl-C, how to continue
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object on stdout at the end, which docs/events.md describes, and the lines for
    /// a person on stderr. If a path is not Unicode, the field paths_lossy is true and U+FFFD
    /// replaces what cannot be printed
    #[arg(long)]
    json: bool,
}

/// The least shards of a batch of several processes, if nobody chooses them: so many processes can
/// go on with the run later.
const SHARDS: usize = 8;

/// Trains, alone or as a process of a job.
pub fn run(options: &Options) -> Outcome {
    let job = Job::join()?;
    let outcome = run_in(&job, options);
    job.leave(outcome)
}

fn run_in(job: &Job, options: &Options) -> Outcome {
    let mut config = match &options.resume {
        Some(directory) => resumed(options, directory)?,
        None => fresh(options)?,
    };
    if job.is_shared() {
        options.fallback.refuse_several()?;
        if options.resume.is_none() {
            let shards = job.ranks.count().max(SHARDS);
            for stage in config
                .stages
                .iter_mut()
                .filter(|stage| stage.settings.shards == 1)
            {
                stage.settings.shards = shards;
            }
        }
    }
    let lines = match (options.quiet || !job.is_first(), options.json) {
        (true, _) => Lines::Nowhere,
        (false, true) => Lines::Stderr,
        (false, false) => Lines::Stdout,
    };
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_request(stop.clone())?;
    options.fallback.check(&config.stages)?;
    let fallback = &options.fallback;
    let device = fallback.instead(job.open(&config), &mut config, |device, _| Ok(device))?;
    let kept = options.tuning.open();
    if options.resume.is_none() {
        kept.over(&device, &mut config.stages);
    }
    let (stages, mut run) = (config.stages.clone(), config.run.clone());
    let begin = |device: &Device| match options.resume {
        Some(_) => Trainer::resume_ranks(device, &stages, &run, job.ranks.clone()),
        None => Trainer::with_ranks(device, &stages, &run, job.ranks.clone()),
    };
    let begun = begin(&device);
    let mut trainer = fallback.instead(begun, &mut config, |device, _| begin(&device))?;
    kept.set_recordings(&device, trainer.settings());
    run.out = trainer.directory().to_owned();
    let mut progress = Progress::new(lines);
    progress.introduce(&config, &run.out);
    if let (Some(taken), Some(init)) = (trainer.taken(), &run.init) {
        progress.tell_taken(taken, init);
    }

    if !job.is_first() {
        let summary = trainer.run(&stop, &mut |_| {})?;
        return Ok(status(&summary));
    }
    let mut artist = Artist::new(&run, trainer.settings());
    let mut observe = |event: Event<'_>| {
        if let Event::Stage {
            steps_per_period, ..
        } = event
        {
            artist.steps_per_epoch = steps_per_period;
        }
        if progress.observe(event) {
            artist.draw_if_cheap();
        }
    };
    let result = trainer.run(&stop, &mut observe);
    let result = fallback.instead(result, &mut config, |device, error| {
        trainer.fall_back(&device, error)?.run(&stop, &mut observe)
    });
    progress.end();
    // A training that failed gets a picture too, because the picture shows how it failed.
    let drawn = artist.draw();
    let summary = result.map_err(|error| failure(&error, job, &run, &config))?;
    let picture = drawn?.then_some(artist.path());
    progress.conclude(&summary, picture);
    if options.json {
        print_json(&as_json(&summary, picture))?;
    }
    if summary.finished {
        return Ok(status(&summary));
    }
    let again = format!("to go on:   {}", again(job, &run, config.device.as_deref()));
    match lines {
        Lines::Nowhere => warn(again),
        _ => progress.say(again),
    }
    Ok(status(&summary))
}

fn status(summary: &Summary) -> ExitCode {
    match summary.finished {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(INTERRUPTED),
    }
}

/// The command that goes on with a run.
fn again(job: &Job, run: &Run, device: Option<&str>) -> String {
    let device = device_option(device);
    job.command(&format!(
        "wgrad train --resume {}{device}",
        quoted_path(&run.out)
    ))
}

/// The option that names a device, if it is named.
fn device_option(device: Option<&str>) -> String {
    let option = |device| format!(" --device {}", quoted(device));
    device.map_or(String::new(), option)
}

/// The message of a training that failed, with the commands that go on.
fn failure(error: &wgrad::Error, job: &Job, run: &Run, config: &Config) -> Failure {
    let mut message = error.to_string();
    if let wgrad::Error::NotFinite {
        file: Some(file), ..
    } = error
    {
        let (own, device) = (quoted_path(file), device_option(job.device(config)));
        let out = quoted_path(&run.out.join("gradients.safetensors"));
        message +=
            &format!("\nto see it: wgrad gradients --net {own} --batch {own} --out {out}{device}");
    }
    if let wgrad::Error::Training { .. } = error {
        let own = again(job, run, config.device.as_deref());
        message += &format!("\nto go on: {own}");
        if error.is_of_device() {
            message += &format!("\non the CPU: {}", again(job, run, Some("cpu")));
        }
    }
    Failure::Message(message)
}

/// A new training.
fn fresh(options: &Options) -> Result<Config, Failure> {
    let mut config = configured(options.config.as_deref(), &options.recipe)?;
    if options.config.is_none() && config.run.data.is_empty() {
        let [training, own] = shipped()?;
        config.run.data.push(training);
        config.run.validation.get_or_insert(own);
    }
    Ok(config)
}

/// The training in a directory. Options that would change its numbers are refused before anything
/// is written.
fn resumed(options: &Options, directory: &Path) -> Result<Config, Failure> {
    let latest = Checkpoints::new(directory).latest()?;
    let Some((_, checkpoint)) = latest else {
        return Err(without_checkpoint(directory));
    };
    let run = Run::load(directory)?;
    let mut config = match Config::of_run(directory)? {
        Some(config) => config,
        None => Config::new(checkpoint.settings.clone(), Run::default()),
    };
    config.run = run;
    let index = checkpoint.progress.stage();
    let own = config.stages.get(index).cloned();
    if let Some(stage) = config.stages.get_mut(index) {
        options.recipe.settings.over(&mut stage.settings)?;
    }
    options.recipe.over(&mut config)?;
    if let (Some(own), Some(given)) = (own, config.stages.get(index)) {
        refuse(&own.settings, &given.settings)?;
    }
    config.check()?;
    Ok(config)
}

/// The error of a directory without checkpoints. If it is that of a run that ended before its first
/// one, the message says how to begin the run again.
fn without_checkpoint(directory: &Path) -> Failure {
    let run = Run::new(Vec::new(), directory);
    let recipe = Config::path(directory);
    let again = match (recipe.exists(), run.log().exists()) {
        (true, _) => format!("{} --out", quoted_path(&recipe)),
        (false, true) => "--out".to_owned(),
        (false, false) => match Run::load(directory) {
            Err(error) => return error.into(),
            Ok(_) => "--out".to_owned(),
        },
    };
    let found = format!(
        "none, because the run ended before its first; to begin it again: wgrad train {again} {}",
        quoted_path(directory)
    );
    let place = run.checkpoints().directory().display().to_string();
    wgrad::Error::argument(place, "a checkpoint to go on from", found).into()
}

/// Refuses other settings than those of the run, except its length, which the library checks.
fn refuse(own: &Settings, given: &Settings) -> Result<(), Failure> {
    let different = differences(own, given);
    let fixed = different
        .iter()
        .filter(|(key, ..)| !LENGTH_KEYS.contains(key));
    let fixed: Vec<_> = fixed
        .map(|(key, own, given)| {
            let option = key.replace('_', "-");
            format!("--{option} {given} (the run has {own})")
        })
        .collect();
    if fixed.is_empty() {
        return Ok(());
    }
    let message = format!(
        "a resumed run keeps what determines its numbers; given otherwise: {}",
        fixed.join(", ")
    );
    Err(Failure::Usage("train", message))
}

fn as_json(summary: &Summary, picture: Option<&Path>) -> serde_json::Value {
    let paths = [
        summary.net.as_deref(),
        Some(summary.checkpoint.as_path()),
        Some(summary.log.as_path()),
        picture,
    ];
    let lossy = paths.iter().flatten().any(|path| path.to_str().is_none());
    let [net, checkpoint, log, picture] = paths.map(|path| path.map(Path::to_string_lossy));
    serde_json::json!({
        "version": wgrad::nnue::train::log::VERSION,
        "finished": summary.finished,
        "step": summary.step,
        "total_steps": summary.total_steps,
        "validation": summary.validation,
        "integer_validation": summary.integer_validation,
        "net": net,
        "checkpoint": checkpoint,
        "log": log,
        "picture": picture,
        "paths_lossy": lossy,
        "seconds": summary.seconds,
        "positions_per_second": summary.positions_per_second,
    })
}
