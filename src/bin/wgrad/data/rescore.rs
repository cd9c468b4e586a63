//! `wgrad data rescore`: positions with a network's evaluations as their scores.

use super::Files;
use crate::options::{DeviceOption, ObjectiveOptions, ThreadsOption};
use crate::sieve;
use crate::{Failure, distinct, print};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::HumanCount;
use std::path::PathBuf;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::loss::Loss;
use wgrad::nnue::train::checkpoint::objective_of;
use wgrad::nnue::train::{Rescorer, Settings};
use wgrad::nnue::{Network, read_network};

/// The network, the meaning of its output, and the file to write.
#[derive(clap::Args)]
#[command(
    after_help = "The score is that whose target, with lambda = 0, is the prediction of the network:\n\
    scale·Y for a network of sigmoid_mse or cross_entropy. It is rounded to whole centipawns.\n\
    Results stay as they are."
)]
pub struct Options {
    /// The network: the result of a training, or a checkpoint
    #[arg(long, value_name = "FILE")]
    net: PathBuf,
    /// The file, which is replaced when all positions are written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    threads: ThreadsOption,
    /// L, positions in a batch
    #[arg(long, value_name = "L", visible_alias = "batch", default_value_t = 16384, value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: u32,
    /// The divisor of a score (in centipawns) in the target of the network's training; above 0
    /// [default: as the file of the network says, else 400]
    #[arg(long, value_name = "CENTIPAWNS", allow_negative_numbers = true)]
    scale: Option<f32>,
    /// The loss of the network's training [default: as the file of the network says, else
    /// sigmoid_mse]
    #[arg(long, value_parser = PossibleValuesParser::new(Loss::NAMED.map(|loss| loss.name())).try_map(|name| name.parse::<Loss>()))]
    loss: Option<Loss>,
}

/// Writes the file.
pub fn run(files: &Files, options: &Options) -> Result<(), Failure> {
    let mut inputs = files.paths();
    inputs.push(&options.net);
    distinct(&options.out, &inputs)?;
    let (parameters, metadata) = read_network(&options.net)?;
    let own = objective_of(&options.net, &metadata)?;
    let default = Settings::new(parameters.architecture().inputs).objective();
    let given = ObjectiveOptions {
        lambda: None,
        scale: options.scale,
        loss: options.loss,
        power: None,
    };
    let objective = given.over(own.unwrap_or(default));
    objective.check()?;
    let dataset = files.open()?;
    let device = options.device.open_with(&options.threads)?;
    let mut network = Network::new(&device, &parameters)?;
    let mut rescorer = Rescorer {
        model: &mut network,
        encoding: &Encoding::from_metadata(&options.net, &metadata)?,
        objective,
        batch_size: options.batch_size as usize,
        threads: options.threads.loader_threads(),
    };
    let bar = super::bar(&dataset);
    let done = rescorer.write(&dataset, &options.out, |seen| bar.set_position(seen));
    bar.finish_and_clear();
    sieve::tell(&dataset);
    // The options are checked, and errors of data name their files, so what is left to refuse is
    // the network.
    let done = done.map_err(|error| error.in_file(&options.net))?;
    let (positions, out) = (HumanCount(done.positions), options.out.display());
    print(format_args!("{positions} positions in {out}"))?;
    match HumanCount(done.clamped) {
        HumanCount(0) => Ok(()),
        clamped => print(format_args!(
            "{clamped} of them had a score beyond ±32767 and got that"
        )),
    }
}
