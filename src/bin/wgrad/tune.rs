//! `wgrad tune`: times the variants of a training step on an adapter and keeps the best ones.

mod choice;
mod turns;

use crate::bench::batches::Maker;
use crate::bench::positions::Positions;
use crate::bench::shape::{Shape, ShapeOptions};
use crate::bench::{CHECKED_SAMPLES, checked};
use crate::head::HeadOptions;
use crate::options::{DeviceOption, ThreadsOption};
use crate::tuning::default_path;
use crate::{Failure, Outcome, print, print_json, warn};
use choice::{Ratio, best, median};
use serde::Serialize;
use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use turns::{ROUNDS, Turns};
use wgrad::engine::device::{Class, Device};
use wgrad::nnue::train::Settings;
use wgrad::nnue::tuning::TuningFile;
use wgrad::nnue::{Batch, Learner, Loss, Needs, Parameters, Tuning};
use wgrad::{Error, Optimizer};

/// The batches that take turns.
const BATCHES: usize = 2;
/// The recordings per submission that are timed on a GPU, besides the number that it has anyway.
const RECORDINGS: [usize; 4] = [1, 2, 4, 8];

/// Options of `wgrad tune`.
#[derive(clap::Args)]
#[command(
    after_help = "Some kernels of a step have several variants, and the fastest one depends on the adapter.\n\
    wgrad tune times the steps of every variant in turns. It keeps the fastest choice in a file, by\n\
    adapter, driver and shape, if it is faster than the choice by the vendor of the adapter by more\n\
    than the noise. wgrad train and wgrad bench then use it for the same K, L and network. The choice\n\
    is part of the bits of a training: checkpoints record it.\n\
    Before a variant is timed, its gradients are compared with the f64 reference; the exit status is\n\
    1 if any of them are not within 1e-5."
)]
pub struct Options {
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    threads: ThreadsOption,
    /// Seconds for which each choice is timed; slow steps take longer
    #[arg(
        long,
        value_name = "S",
        default_value_t = 2.0,
        allow_negative_numbers = true
    )]
    seconds: f64,
    /// The file that keeps the choice [default: wgrad/tuning.json in the user's cache directory]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(
        flatten,
        next_help_heading = "The shape [defaults: those of wgrad train, and random positions]"
    )]
    shape: ShapeOptions,
    #[command(flatten)]
    head: HeadOptions,
}

/// What was found for one shape on one device.
#[derive(Serialize)]
struct Report {
    device: String,
    shape: String,
    choices: Vec<Row>,
    /// What is kept: the choices that differ from the choice by vendor.
    tuning: Tuning,
    /// The file that keeps it; `None` if there is nothing to choose.
    file: Option<String>,
}

/// One choice.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    tuning: Tuning,
    seconds_per_step: f64,
    /// The time of a step ÷ the time with the choice by vendor, and its interval.
    ratio: f64,
    interval: (f64, f64),
    kept: bool,
}

/// Times the variants, and keeps the best ones.
pub fn run(options: &Options) -> Outcome {
    let seconds = crate::bench::seconds(options.seconds)?;
    let settings = Settings::default();
    let base = (settings.architecture.hidden, settings.batch_size);
    let shape = options.shape.shape("tune", base, &options.head)?;
    let device = options.device.open_with(&options.threads)?;
    if device.adapter().is_none() {
        return nothing(options, &device, &shape);
    }
    // A file that cannot be used is refused before anything is measured.
    let path = path(options)?;
    let positions = positions(options, &shape)?;
    let mut learner = learner(&device, &shape)?;
    let batches = batches(options, &shape, &positions, &learner)?;
    let (variants, right) = variants(&mut learner, &shape, &positions, &batches[0])?;
    let Some(variants) = variants else {
        return Ok(ExitCode::FAILURE);
    };
    let standard = Tuning::standard(&device, &shape.architecture);
    let standard = standard.recordings(NonZeroUsize::new(device.recordings_per_submission()));
    let mut tunings = Vec::new();
    for variant in variants {
        let recordings = recordings(&device);
        let each = recordings.map(|recordings| variant.recordings(recordings));
        tunings.extend(each);
    }
    if tunings.len() < 2 {
        return nothing(options, &device, &shape);
    }
    let full: Vec<_> = tunings.iter().map(|tuning| tuning.or(standard)).collect();
    let times = Turns::new(learner, &batches).time(&full, seconds)?;
    let differences: Vec<_> = tunings.iter().map(differences).collect();
    let kept = best(&times, &differences);
    keep(&path, &device, &shape, tunings[kept])?;

    // Only what differs between the choices is shown.
    let shown = |tuning: &Tuning| shown(tuning.or(standard), &tunings);
    let rows = full
        .iter()
        .zip(&times)
        .enumerate()
        .map(|(index, (tuning, own))| {
            let ratio = Ratio::new(own, &times[0]);
            Row {
                tuning: shown(tuning),
                seconds_per_step: median(own),
                ratio: ratio.median,
                interval: ratio.interval,
                kept: index == kept,
            }
        });
    let report = Report {
        device: device.name().to_owned(),
        shape: shape.to_string(),
        choices: rows.collect(),
        tuning: tunings[kept],
        file: Some(path.display().to_string()),
    };
    match options.json {
        true => print_json(&report)?,
        false => lines(&report, kept, &path).iter().try_for_each(print)?,
    }
    Ok(match right {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Says that there is nothing to choose.
fn nothing(options: &Options, device: &Device, shape: &Shape) -> Outcome {
    if options.json {
        print_json(&Report {
            device: device.name().to_owned(),
            shape: shape.to_string(),
            choices: Vec::new(),
            tuning: Tuning::default(),
            file: None,
        })?;
    } else {
        let name = device.name();
        print(format_args!(
            "there is nothing to choose for {shape} on {name}"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The file that keeps the choice. A file that the caller names is not overwritten if it is no
/// tuning file. The one in the cache directory is.
fn path(options: &Options) -> Result<PathBuf, Failure> {
    if let Some(path) = &options.file {
        TuningFile::read(path)?;
        return Ok(path.clone());
    }
    default_path().ok_or_else(|| {
        let message = "there is no cache directory to keep the choice in; name a file by --file";
        Failure::Message(message.to_owned())
    })
}

fn positions(options: &Options, shape: &Shape) -> wgrad::Result<Positions> {
    match &options.shape.data {
        Some(file) => {
            let threads = options.threads.loader_threads();
            Positions::from_file(file, shape, threads, Needs::default())
        }
        None => Positions::random(shape),
    }
}

fn learner(device: &Device, shape: &Shape) -> wgrad::Result<Learner> {
    let parameters = Parameters::initial(shape.architecture.clone(), 1)?;
    let mut learner = Learner::new(device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW)?;
    learner.set_half(shape.half)?;
    learner.set_half_weights(shape.half_weights)?;
    Ok(learner)
}

/// The batches of the steps, in the form in which a training gives them to the device.
fn batches(
    options: &Options,
    shape: &Shape,
    positions: &Positions,
    learner: &Learner,
) -> wgrad::Result<Vec<Batch>> {
    let needs = match shape.dense {
        true => learner.needs().with_records(false),
        false => learner.needs(),
    };
    let own = positions.in_form(shape, options.threads.loader_threads(), needs)?;
    let positions = own.as_ref().unwrap_or(positions);
    let entries = 2.0 * positions.indices * shape.batch as f64;
    let transpose = learner.needs().transpose(shape.batch, entries as usize);
    let maker = Maker::new(positions, transpose);
    let batches = (0..BATCHES).map(|_| maker.make(None).map(Cow::into_owned));
    batches.collect()
}

/// The variants whose gradients are right, the choice by vendor first, and whether all are. `None`
/// if even the choice by vendor is wrong.
fn variants(
    learner: &mut Learner,
    shape: &Shape,
    positions: &Positions,
    batch: &Batch,
) -> wgrad::Result<(Option<Vec<Tuning>>, bool)> {
    let network = learner.network();
    let (device, tunings) = (network.device(), network.tunings(batch)?);
    let (mut variants, mut right) = (Vec::new(), true);
    for tuning in tunings {
        let inputs = positions.small(shape, CHECKED_SAMPLES)?;
        match checked(device, &shape.architecture, inputs, tuning)? {
            Ok(_) => variants.push(tuning),
            Err(reason) => {
                let name = device.name();
                warn(format_args!(
                    "FAILED {shape} with {tuning} on {name}: {reason}; not timed"
                ));
                right = false;
            }
        }
    }
    let standard = variants.first().is_some_and(Tuning::is_empty);
    Ok((standard.then_some(variants), right))
}

/// The recordings per submission to time; `None`, the number that the device has anyway, is the
/// first. A software adapter computes on the cores of the host and gains nothing from others.
fn recordings(device: &Device) -> impl Iterator<Item = Option<NonZeroUsize>> + use<> {
    let own = device.recordings_per_submission();
    let is_gpu = device.class() == Class::Gpu;
    let others = RECORDINGS.into_iter();
    let others = others.filter(move |&recordings| is_gpu && recordings != own);
    std::iter::once(None).chain(others.map(NonZeroUsize::new))
}

/// The number of choices that differ from the choice by vendor.
fn differences(tuning: &Tuning) -> usize {
    let given = [
        tuning.lanes.is_some(),
        tuning.tiles.is_some(),
        tuning.recordings.is_some(),
    ];
    given.into_iter().filter(|given| *given).count()
}

/// A full tuning without the choices that no tuning varies.
fn shown(full: Tuning, tunings: &[Tuning]) -> Tuning {
    let varies = |has: fn(&Tuning) -> bool| tunings.iter().any(has);
    Tuning::default()
        .lanes(
            full.lanes
                .filter(|_| varies(|tuning| tuning.lanes.is_some())),
        )
        .tiles(
            full.tiles
                .filter(|_| varies(|tuning| tuning.tiles.is_some())),
        )
        .recordings(
            full.recordings
                .filter(|_| varies(|tuning| tuning.recordings.is_some())),
        )
}

/// Keeps a tuning. The file is read once more, because another run may have written it meanwhile.
fn keep(path: &Path, device: &Device, shape: &Shape, tuning: Tuning) -> Result<(), Error> {
    let Some(adapter) = device.adapter() else {
        return Ok(());
    };
    let mut file = TuningFile::read(path).unwrap_or_else(|error| {
        log::warn!("it is replaced: {error}");
        TuningFile::default()
    });
    file.keep(adapter, &shape.tuned(), tuning);
    file.write(path)
}

/// The report as lines.
fn lines(report: &Report, kept: usize, path: &Path) -> Vec<String> {
    let names: Vec<_> = report
        .choices
        .iter()
        .map(|row| row.tuning.to_string())
        .collect();
    let longest = names.iter().map(|name| name.chars().count()).max();
    let width = longest.unwrap_or(0).max("choice".len());
    let mut lines = vec![
        format!("{} on {}", report.shape, report.device),
        format!(
            "{:<width$}   {:>10}   ratio (interval of {ROUNDS} rounds)",
            "choice", "a step"
        ),
    ];
    for (index, (row, name)) in report.choices.iter().zip(&names).enumerate() {
        let time = format!("{:.3} ms", 1e3 * row.seconds_per_step);
        let (low, high) = row.interval;
        let ratio = match index {
            0 => "by vendor".to_owned(),
            _ => format!("{:.3} ({low:.3} to {high:.3})", row.ratio),
        };
        lines.push(format!("{name:<width$}   {time:>10}   {ratio}"));
    }
    let place = path.display();
    lines.push(match kept {
        0 => format!(
            "no other choice is faster beyond the noise: kept the choice by vendor in {place}"
        ),
        _ => format!("kept {} in {place}", names[kept]),
    });
    lines
}
