//! `wgrad eval`: evaluates a network on data files or single positions.

mod fens;

use crate::export::format_file;
use crate::net::Net;
use crate::options::{DeviceOption, ObjectiveOptions, ThreadsOption};
use crate::sieve::{self, SieveOptions};
use crate::{Failure, Outcome, distinct_as, print, print_json};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::Error;
use wgrad::files::atomic::try_write_atomically;
use wgrad::nnue::Network;
use wgrad::nnue::data::Dataset;
use wgrad::nnue::export::{Difference, IntegerModel, Pair, Quantized, compare};
use wgrad::nnue::train::checkpoint::objective_of;
use wgrad::nnue::train::{Evaluation, Objective, Settings, evaluate};

/// Options of `wgrad eval`.
#[derive(clap::Args)]
pub struct Options {
    /// The network: the result of a training, a checkpoint, or a file of `wgrad export` in the
    /// format wgrad
    #[arg(long, value_name = "FILE")]
    net: PathBuf,
    /// Data files, as `wgrad train` takes them
    #[arg(long, value_name = "FILE", required_unless_present = "fen", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Positions: prints their evaluations and what each piece is worth
    #[arg(long, value_name = "FEN", num_args = 1..)]
    fen: Vec<String>,
    /// Compare with the integers of this save format [default: with --fen wgrad, else none]
    #[arg(long, value_name = "NAME|FILE.toml")]
    format: Option<String>,
    /// Take the integers from this file of `wgrad export` in that format, instead of rounding
    #[arg(long, value_name = "FILE")]
    integers: Option<PathBuf>,
    /// Write the evaluation of each position with those integers to this file, one per line
    #[arg(long, value_name = "FILE", requires = "data")]
    evaluations: Option<PathBuf>,
    #[command(flatten)]
    sieve: SieveOptions,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    threads: ThreadsOption,
    #[command(
        flatten,
        next_help_heading = "The target [defaults: those the network was trained with; if its file does not say, 0, 400, sigmoid_mse and 2]"
    )]
    objective: ObjectiveOptions,
    /// Print one JSON object: loss, correlation, positions
    #[arg(long)]
    json: bool,
}

/// Prints the evaluations of the positions, and the loss and the correlation over the data.
pub fn run(options: &Options) -> Outcome {
    let net = Net::read(&options.net)?;
    if !options.fen.is_empty() {
        let quantized = quantized(options, &net)?;
        fens::run(&net, &quantized, &options.fen, options.json)?;
    }
    if options.data.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let own = objective_of(&options.net, &net.metadata)?;
    let default = Settings::new(net.parameters.architecture().inputs);
    let objective = options.objective.over(own.unwrap_or(default.objective()));
    objective.check()?;
    let dataset = options.sieve.open(&options.data, default)?;
    let device = options.device.open_with(&options.threads)?;
    let mut network = Network::new(&device, &net.parameters)?;
    let threads = match options.threads.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let evaluation = evaluate(&mut network, &dataset, &net.encoding, objective, threads)?;
    sieve::tell(&dataset);
    let asked = options.format.is_some() || options.integers.is_some();
    let integer = match asked || options.evaluations.is_some() {
        true => Some(integer(options, &net, &dataset, objective, threads)?),
        false => None,
    };
    if options.json {
        print_json(&Report {
            evaluation,
            integer,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    print(format_args!(
        "loss {:.6}, correlation {:.4} over {} positions ({}, power {}, lambda {}, scale {}, on {})",
        evaluation.loss,
        evaluation.correlation,
        indicatif::HumanCount(evaluation.positions),
        objective.loss.name(),
        objective.loss.power,
        objective.lambda,
        objective.scale,
        device.name(),
    ))?;
    if let Some(integer) = integer {
        let difference = integer.difference;
        print(format_args!(
            "integers: loss {:.6}, correlation {:.4}; {:.2} centipawns from the floats on average, \
             {:.1} at most, {:+.2} in the mean; {:.2}% of the signs differ; {} overflows",
            integer.evaluation.loss,
            integer.evaluation.correlation,
            difference.mean,
            difference.largest,
            difference.bias,
            100.0 * difference.sign_flips,
            indicatif::HumanCount(difference.overflows),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn quantized(options: &Options, net: &Net) -> Result<Quantized, Failure> {
    net.quantized(options.format.as_deref(), options.integers.as_deref())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    integer: Option<Integer>,
}

/// The integer network over the data.
#[derive(Serialize)]
struct Integer {
    #[serde(flatten)]
    evaluation: Evaluation,
    difference: Difference,
}

fn integer(
    options: &Options,
    net: &Net,
    dataset: &Dataset,
    objective: Objective,
    threads: usize,
) -> Result<Integer, Failure> {
    let quantized = quantized(options, net)?;
    let mut model = IntegerModel::new(&quantized)?;
    let evaluation = evaluate(&mut model, dataset, &net.encoding, objective, threads)?;
    let compared = |seen: &mut dyn FnMut(Pair) -> Result<(), Error>| {
        compare(
            model.network(),
            &net.parameters,
            &net.encoding,
            dataset,
            seen,
        )
    };
    let difference = match &options.evaluations {
        None => compared(&mut |_| Ok(()))?,
        Some(path) => {
            let mut inputs: Vec<&Path> = options.data.iter().map(PathBuf::as_path).collect();
            inputs.push(&options.net);
            inputs.extend(options.format.as_deref().and_then(format_file));
            distinct_as("--evaluations", path, &inputs)?;
            try_write_atomically(path, |out| {
                compared(&mut |pair| {
                    writeln!(out, "{}", pair.integer).map_err(Error::io(path, "write"))
                })
            })?
        }
    };
    Ok(Integer {
        evaluation,
        difference,
    })
}
