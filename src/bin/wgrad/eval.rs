//! `wgrad eval`: evaluates a network on data files.

use crate::options::{DeviceOption, ObjectiveOptions, ThreadsOption};
use crate::sieve::{self, SieveOptions};
use crate::{Outcome, print, print_json};
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::train::checkpoint::objective_of;
use wgrad::nnue::train::{Settings, evaluate};
use wgrad::nnue::{Network, read_network};

/// Options of `wgrad eval`.
#[derive(clap::Args)]
pub struct Options {
    /// The network: the result of a training, or a checkpoint
    #[arg(long, value_name = "FILE")]
    net: PathBuf,
    /// Data files, as `wgrad train` takes them
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
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

/// Prints the loss and the correlation over the data.
pub fn run(options: &Options) -> Outcome {
    let (parameters, metadata) = read_network(&options.net)?;
    let own = objective_of(&options.net, &metadata)?;
    let encoding = Encoding::from_metadata(&options.net, &metadata)?;
    let checked = encoding.check(parameters.architecture());
    checked.map_err(|error| error.in_file(&options.net))?;
    let default = Settings::new(parameters.architecture().inputs);
    let objective = options.objective.over(own.unwrap_or(default.objective()));
    objective.check()?;
    let dataset = options.sieve.open(&options.data, default)?;
    let device = options.device.open_with(&options.threads)?;
    let mut network = Network::new(&device, &parameters)?;
    let threads = match options.threads.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let evaluation = evaluate(&mut network, &dataset, &encoding, objective, threads)?;
    sieve::tell(&dataset);
    if options.json {
        print_json(&evaluation)?;
    } else {
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
    }
    Ok(ExitCode::SUCCESS)
}
