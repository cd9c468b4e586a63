//! `wgrad train`: trains on files, writes files, and shows the progress to a person or a program.

use crate::options::{DeviceOption, ThreadsOption};
use crate::progress::{Lines, Progress};
use crate::settings::SettingsOptions;
use crate::stop::{INTERRUPTED, stop_on_request};
use crate::{Failure, Outcome, picture, print_json, quoted, quoted_path, warn};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use wgrad::nnue::train::log::Curve;
use wgrad::nnue::train::{Event, Run, Settings, Summary, Trainer};

/// The shipped data, from the root of the repository.
const SHIPPED: [&str; 2] = [
    "examples/data/chess_train.bin",
    "examples/data/chess_validation.bin",
];

/// Options of `wgrad train`.
#[derive(clap::Args)]
#[command(
    after_help = "Writes DIR/net.safetensors (the result), DIR/checkpoints/ (at step 0, at each epoch and every\n\
    --save-every steps), DIR/log.jsonl (one JSON object per line), DIR/loss.svg (the loss curve)\n\
    and DIR/run.json. DIR/run.lock keeps other runs out of DIR until this run ends.\n\
    After Ctrl-C, SIGTERM or SIGHUP, wgrad finishes the current step, saves, and prints how to\n\
    continue (exit status 130). Another signal, more than a second later, aborts. SIGHUP stays\n\
    ignored under nohup."
)]
pub struct Options {
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
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Continue the run in DIR from its newest checkpoint and with its settings; only --data,
    /// --validation, --device, --threads, --save-every, --quiet and --json may differ
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Steps between checkpoints; 0 for a checkpoint only at the end of each epoch [default: 0, or
    /// the value of the resumed run]
    #[arg(long, value_name = "STEPS")]
    save_every: Option<u64>,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    threads: ThreadsOption,
    /// Print only errors and, after Ctrl-C, how to continue
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object on stdout at the end, and the lines for a person on stderr. If a path
    /// is not Unicode, the field paths_lossy is true and U+FFFD replaces what cannot be printed
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "What determines the numbers")]
    settings: SettingsOptions,
}

/// Trains.
pub fn run(options: &Options) -> Outcome {
    let (run, settings) = match &options.resume {
        Some(directory) => resumed(options, directory)?,
        None => fresh(options)?,
    };
    let lines = match (options.quiet, options.json) {
        (true, _) => Lines::Nowhere,
        (false, true) => Lines::Stderr,
        (false, false) => Lines::Stdout,
    };
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_request(stop.clone())?;
    let device = options.device.open_with(&options.threads)?;
    let mut trainer = match options.resume {
        Some(_) => Trainer::resume(&device, &run)?,
        None => Trainer::new(&device, &settings, &run)?,
    };
    let mut run = run;
    run.out = trainer.directory().to_owned();
    let mut progress = Progress::new(lines, settings.epochs);
    progress.introduce(&settings, &describe_data(&run), &run.out);

    let mut artist = Artist::new(&run, &settings);
    let result = trainer.run(&stop, &mut |event| {
        if let Event::Started {
            steps_per_epoch, ..
        } = event
        {
            artist.steps_per_epoch = steps_per_epoch;
        }
        if progress.observe(event) {
            artist.draw_if_cheap();
        }
    });
    progress.end();
    // A training that failed gets a picture too, because the picture shows how it failed.
    let drawn = artist.draw();
    let summary = result?;
    let picture = drawn?.then_some(artist.path.as_path());
    progress.conclude(&summary, picture);
    if options.json {
        print_json(&as_json(&summary, picture))?;
    }
    if summary.finished {
        return Ok(ExitCode::SUCCESS);
    }
    let device = options.device.device.as_deref();
    let device = device.map_or(String::new(), |device| {
        format!(" --device {}", quoted(device))
    });
    let again = format!(
        "to go on:   wgrad train --resume {}{device}",
        quoted_path(&run.out)
    );
    match lines {
        Lines::Nowhere => warn(again),
        _ => progress.say(again),
    }
    Ok(ExitCode::from(INTERRUPTED))
}

/// A new run and its settings.
fn fresh(options: &Options) -> Result<(Run, Settings), Failure> {
    let mut settings = Settings::default();
    options.settings.over(&mut settings)?;
    settings.check()?;
    let (mut data, mut validation) = (options.data.clone(), options.validation.clone());
    if data.is_empty() {
        let [training, own] = shipped()?;
        data.push(training);
        validation.get_or_insert(own);
    }
    let run = Run::new(data, options.out.clone().unwrap_or_default())
        .validation(validation)
        .save_every(options.save_every.unwrap_or(0))
        .threads(options.threads.threads);
    Ok((run, settings))
}

/// The run in a directory. Options that would change its numbers are refused before anything is
/// written.
fn resumed(options: &Options, directory: &Path) -> Result<(Run, Settings), Failure> {
    let mut run = Run::load(directory)?;
    if !options.data.is_empty() {
        run.data.clone_from(&options.data);
    }
    if options.validation.is_some() {
        run.validation.clone_from(&options.validation);
    }
    run.save_every = options.save_every.unwrap_or(run.save_every);
    run.threads = options.threads.threads;
    let Some((_, checkpoint)) = run.checkpoints().latest()? else {
        let place = run.checkpoints().directory().display().to_string();
        return Err(wgrad::Error::argument(place, "a checkpoint to go on from", "none").into());
    };
    let own = checkpoint.settings;
    let mut settings = own.clone();
    options.settings.over(&mut settings)?;
    if settings != own {
        let differences = crate::settings::differences(&own, &settings).join(", ");
        let message = format!(
            "a resumed run keeps what determines its numbers; given otherwise: {differences}"
        );
        return Err(Failure::Usage("train", message));
    }
    Ok((run, own))
}

/// The shipped training and validation data, from the current directory or, if they are not there,
/// from the directory where the program was built.
fn shipped() -> Result<[PathBuf; 2], Failure> {
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

fn describe_data(run: &Run) -> String {
    let shown = |path: &PathBuf| {
        // The shipped data appear under their own names, in whatever directory they are.
        let shipped = SHIPPED.iter().find(|name| path.ends_with(name));
        shipped.map_or_else(|| path.display().to_string(), |name| (*name).to_owned())
    };
    let data = match run.data.as_slice() {
        [first, .., last] if run.data.len() > 3 => {
            format!(
                "{} files, {} to {}",
                run.data.len(),
                shown(first),
                shown(last)
            )
        }
        files => files.iter().map(shown).collect::<Vec<_>>().join(", "),
    };
    match &run.validation {
        Some(path) => format!("{data}; validation {}", shown(path)),
        None => format!("{data}; no validation"),
    }
}

/// Draws the loss curve from the log.
struct Artist {
    path: PathBuf,
    log: PathBuf,
    title: String,
    steps_per_epoch: u64,
    drawn: Instant,
    cost: Duration,
}

impl Artist {
    fn new(run: &Run, settings: &Settings) -> Self {
        let activation = settings.architecture.activation.name();
        Self {
            path: run.out.join("loss.svg"),
            log: run.log(),
            title: format!("Loss of {}, {activation}", settings.architecture),
            steps_per_epoch: 1,
            drawn: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// Draws the curve, unless drawing would take more than a hundredth of the time, because the
    /// log grows. A failure is reported at the end.
    fn draw_if_cheap(&mut self) {
        if self.drawn.elapsed() > 100 * self.cost {
            let began = Instant::now();
            if let Err(error) = self.draw() {
                log::info!("{error}");
            }
            self.drawn = Instant::now();
            self.cost = self.drawn - began;
        }
    }

    fn draw(&self) -> wgrad::Result<bool> {
        picture::draw(
            &self.path,
            &Curve::read(&self.log)?,
            &self.title,
            self.steps_per_epoch,
        )
    }
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
        "finished": summary.finished,
        "step": summary.step,
        "total_steps": summary.total_steps,
        "validation": summary.validation,
        "net": net,
        "checkpoint": checkpoint,
        "log": log,
        "picture": picture,
        "paths_lossy": lossy,
        "seconds": summary.seconds,
        "positions_per_second": summary.positions_per_second,
    })
}
