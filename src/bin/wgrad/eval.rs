//! `wgrad eval`: evaluates a network on data files.

use crate::options::{DeviceOption, ObjectiveOptions, ThreadsOption};
use crate::{Outcome, print, print_json};
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad::nnue::data::{Dataset, Encoding};
use wgrad::nnue::train::checkpoint::objective_of;
use wgrad::nnue::train::{Settings, evaluate};
use wgrad::nnue::{Network, read_network};

/// Options of `wgrad eval`.
#[derive(clap::Args)]
pub struct Options {
    /// The network: the result of a training, or a checkpoint
    #[arg(long, value_name = "FILE")]
    net: PathBuf,
    /// Data files: bulletformat, or lines `FEN | score | result`
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
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
    let default = Settings::new(parameters.architecture().inputs).objective();
    let objective = options.objective.over(own.unwrap_or(default));
    objective.check()?;
    let dataset = Dataset::open(&options.data)?;
    let device = options.device.open_with(&options.threads)?;
    let mut network = Network::new(&device, &parameters)?;
    let threads = match options.threads.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    // Besides the data and the objective, `evaluate` can refuse only the network, so the error gets
    // the path of the network.
    let evaluation = evaluate(&mut network, &dataset, &encoding, objective, threads);
    let evaluation = evaluation.map_err(|error| error.in_file(&options.net))?;
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
