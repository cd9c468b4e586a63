//! `wgrad bench`: the positions per second of a training step, and the limit that the device's
//! memory and arithmetic set.

mod bars;
pub(crate) mod batches;
mod kernels;
mod plot;
pub(crate) mod positions;
mod rates;
mod report;
pub(crate) mod shape;
pub(crate) mod steps;

use crate::head::HeadOptions;
use crate::options::ThreadsOption;
use crate::tuning::{KeptTunings, TuningOptions};
use crate::{Failure, Outcome, print, print_json, warn};
use clap::builder::TypedValueParser;
use positions::Positions;
use rates::Rates;
use report::{Measurement, Table};
use shape::{Shape, ShapeOptions, StepOptions};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use steps::How;
use wgrad::Error;
use wgrad::engine::device::{Class, Device, adapters};
use wgrad::nnue::{Architecture, Inputs, Needs, Tuning, gradient_error_of};

/// The largest relative L2 error of a gradient that a timed step may have.
const TOLERANCE: f64 = 1e-5;
/// The samples of the batch whose gradients are checked: several workgroups, the last of them not
/// full.
pub const CHECKED_SAMPLES: usize = 100;

/// Options of `wgrad bench`.
#[derive(clap::Args)]
#[command(
    after_help = "A step builds the transposed index of both perspectives from plain index lists, and \
    runs forward, loss, gradients and optimizer. Before it is timed, the gradients of a small \
    batch are compared with the f64 reference; the exit status is 1 if they are not within 1e-5.\n\
    The floor is the time of the step's bytes and operations at the measured rates of a copy and \
    of multiply-adds. A step may be faster if a cache holds the results of one kernel for the next."
)]
pub struct Options {
    /// Devices, each as in `wgrad train --device` [default: the CPU executor and every GPU, but no
    /// software adapter]
    #[arg(long, value_name = "D", num_args = 1..)]
    device: Vec<String>,
    #[command(flatten)]
    threads: ThreadsOption,
    #[command(
        flatten,
        next_help_heading = "One shape instead of the grid [defaults: 256, 16384, 768, 32, crelu, adamw, one output bucket]"
    )]
    shape: ShapeOptions,
    #[command(flatten)]
    head: HeadOptions,
    #[command(flatten)]
    step: StepOptions,
    #[command(flatten)]
    tuning: TuningOptions,
    /// Seconds for which each shape is timed on each device; slow steps take longer
    #[arg(
        long,
        value_name = "S",
        default_value_t = 3.0,
        allow_negative_numbers = true
    )]
    seconds: f64,
    /// The most steps that an adapter gets in one submission [default: as `wgrad tune` kept, else 4
    /// on a GPU and 1 on a software adapter]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64).map(usize::from))]
    submit: Option<usize>,
    /// Print one JSON object per shape and device
    #[arg(long)]
    json: bool,
    /// List each kernel of a step: its time on the device, its bytes and operations, and its floor.
    /// The steps are timed once more for this
    #[arg(long)]
    kernels: bool,
    /// Draw SVG pictures in this directory: the speed and the limit of the grid over K and over L,
    /// and with `--kernels` the kernels of each step
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
}

/// Times every shape on every device. The exit status is 1 if the gradients of any of them are
/// wrong.
pub fn run(options: &Options) -> Outcome {
    let how = How {
        threads: options.threads.loader_threads(),
        seconds: seconds(options.seconds)?,
        kernels: options.kernels,
    };
    let given = options.shape.given(&options.head, &options.step);
    if let Some(given) = given.filter(|_| options.plot.is_some() && !options.kernels) {
        let message = format!("--plot draws the grid; with {given} it goes with --kernels");
        return Err(Failure::Usage("bench", message));
    }
    let one = options.shape.one(&options.head, &options.step)?;
    // This reports a wrong option before anything is measured.
    let mut positions_of_file = match (&one, &options.shape.data) {
        (Some(shape), Some(file)) => Some(Positions::from_file(
            file,
            shape,
            how.threads,
            Needs::default(),
        )?),
        _ => None,
    };
    let devices = devices(options)?;
    let by_lanes = one
        .as_ref()
        .is_some_and(|shape| shape.tuning.lanes.is_some());
    if by_lanes && devices.iter().all(|device| device.adapter().is_none()) {
        let message = "--lanes goes with an adapter".to_owned();
        return Err(Failure::Usage("bench", message));
    }
    let submit = options.submit.and_then(NonZeroUsize::new);
    if let Some(recordings) = submit {
        let set = |device: &Device| device.set_recordings_per_submission(recordings);
        devices.iter().for_each(set);
    }
    let software = devices
        .iter()
        .any(|device| device.class() == Class::Software);
    let shapes = one.map_or_else(|| shape::grid(software), |shape| vec![shape]);
    if let Some(directory) = &options.plot {
        let made = std::fs::create_dir_all(directory);
        made.map_err(Error::io(directory, "create the directory"))?;
    }
    if how.kernels {
        // An adapter without timestamps is refused before anything is measured.
        let timed = |device: &Device| device.kernel_times(1, || Ok(())).map(drop);
        devices.iter().try_for_each(timed)?;
    }
    let rates = devices.iter().map(Rates::measure);
    let rates = rates.collect::<wgrad::Result<Vec<_>>>()?;
    let table = Table::new(&devices);
    let kept = options.tuning.open();
    if !options.json {
        table.heading(&rates).iter().try_for_each(print)?;
    }
    let (mut measured, mut right) = (Vec::new(), true);
    for shape in &shapes {
        let positions = match positions_of_file.take() {
            Some(positions) => positions,
            None => Positions::random(shape)?,
        };
        let (mut cells, mut notes, mut kernels) = (Vec::new(), Vec::new(), Vec::new());
        for (device, rates) in devices.iter().zip(&rates) {
            let choice = Choice::new(device, shape, submit, &kept);
            let measurement = measure(device, rates, shape, choice, &positions, &how)?;
            match &measurement {
                Ok(measurement) if options.json => print_json(measurement)?,
                Ok(_) => {}
                Err(reason) => warn(reason),
            }
            right &= measurement.is_ok();
            notes.extend(choice.note(device, devices.len()));
            let measurement = measurement.ok();
            cells.push(table.cell(measurement.as_ref()));
            kernels.extend(measurement.iter().flat_map(kernels::lines));
            measured.extend(measurement);
        }
        if !options.json {
            print(table.row(shape, &positions, &cells, &notes))?;
            kernels.iter().try_for_each(print)?;
        }
    }
    if let Some(directory) = &options.plot {
        let mut paths = Vec::new();
        if given.is_none() {
            paths.extend(plot::draw(directory, &measured, shape::base(software))?);
        }
        if how.kernels {
            paths.extend(bars::draw(directory, &measured)?);
        }
        for path in paths {
            warn(format_args!("{}", path.display()));
        }
    }
    Ok(if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub fn seconds(seconds: f64) -> Result<Duration, Error> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds <= 3600.0 => Ok(duration),
        _ => Err(Error::argument(
            "--seconds",
            "a number above 0, at most 3600",
            seconds,
        )),
    }
}

/// The requested devices, or the CPU executor and every GPU. GL serves only a GPU that no other
/// backend reaches.
fn devices(options: &Options) -> wgrad::Result<Vec<Device>> {
    let threads = options.threads.threads;
    let requests = if options.device.is_empty() {
        let mut found = adapters()?;
        found.retain(|report| report.is_gpu() && report.unfit.is_none());
        let native = found.iter().any(|report| report.backend != "gl");
        found.retain(|report| report.backend != "gl" || !native);
        let gpus = found
            .iter()
            .map(wgrad::engine::device::AdapterReport::label);
        std::iter::once("cpu".to_owned()).chain(gpus).collect()
    } else {
        options.device.clone()
    };
    let mut devices: Vec<Device> = Vec::new();
    for request in requests {
        let device = Device::open_with_threads(Some(&request), NonZeroUsize::new(threads))?;
        if devices.iter().all(|other| other.name() != device.name()) {
            devices.push(device);
        }
    }
    Ok(devices)
}

/// The variants of a shape on a device.
#[derive(Clone, Copy)]
struct Choice {
    /// What `wgrad tune` kept.
    kept: Option<Tuning>,
    /// What the options give, and what was kept where they leave a choice open.
    tuning: Tuning,
}

impl Choice {
    fn new(
        device: &Device,
        shape: &Shape,
        submit: Option<NonZeroUsize>,
        kept: &KeptTunings,
    ) -> Self {
        if device.adapter().is_none() {
            let tuning = Tuning::default();
            return Self { kept: None, tuning };
        }
        let kept = kept.find(device, &shape.architecture, &shape.tuned());
        let given = shape.tuning.recordings(submit);
        let tuning = given.or(kept.unwrap_or_default());
        Self { kept, tuning }
    }

    /// What was kept, as words, with the name of the device if there are several.
    fn note(&self, device: &Device, devices: usize) -> Option<String> {
        let kept = self.kept?;
        Some(match devices {
            1 => format!("tuned: {kept}"),
            _ => format!("tuned on {}: {kept}", device.name()),
        })
    }
}

/// Checks the gradients of a small batch, then times the steps. The inner `Err` is the reason why
/// nothing was timed.
fn measure(
    device: &Device,
    rates: &Rates,
    shape: &Shape,
    choice: Choice,
    positions: &Positions,
    how: &How,
) -> wgrad::Result<Result<Measurement, String>> {
    let inputs = positions.small(shape, CHECKED_SAMPLES)?;
    let error = match checked(device, &shape.architecture, inputs, choice.tuning)? {
        Ok(error) => error,
        Err(reason) => {
            let name = device.name();
            return Ok(Err(format!(
                "FAILED {shape} on {name}: {reason}; not timed"
            )));
        }
    };
    // A tuning may set the recordings per submission, which are the device's.
    let recordings = device.recordings_per_submission();
    let timing = steps::time(device, shape, choice.tuning, positions, how)?;
    if let Some(recordings) = NonZeroUsize::new(recordings) {
        device.set_recordings_per_submission(recordings);
    }
    let tuned = choice.kept.is_some();
    Ok(Ok(Measurement::new(
        device, rates, shape, positions, error, tuned, &timing,
    )))
}

/// The largest relative L2 error of the gradients with these variants. The inner `Err` is the
/// reason why they are wrong.
pub fn checked(
    device: &Device,
    architecture: &Architecture,
    inputs: Inputs,
    tuning: Tuning,
) -> wgrad::Result<Result<f64, String>> {
    let (tensor, error) = gradient_error_of(device, architecture, inputs, tuning)?;
    // In this form the comparison refuses a NaN.
    let within = error <= TOLERANCE;
    Ok(match within {
        true => Ok(error),
        false => Err(format!(
            "the gradient of {tensor} is off by {error:.3e} (relative L2 error), expected at most {TOLERANCE:.0e}"
        )),
    })
}
