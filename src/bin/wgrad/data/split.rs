//! `wgrad data split`: two files of positions from one list of files.

use super::Files;
use crate::sieve;
use crate::{Failure, distinct_as, print};
use indicatif::HumanCount;
use std::path::PathBuf;
use wgrad::nnue::data::split;

/// The files to write, and the choice between them.
#[derive(clap::Args)]
#[command(
    after_help = "The same data, seed and share give the same files. A game of viriformat or\n\
    Stockfish binpack stays whole; other formats do not know games. Equal positions may be in\n\
    both files; `wgrad data describe --duplicates` counts equal positions."
)]
pub struct Options {
    /// The file of most positions
    #[arg(long, value_name = "FILE")]
    train: PathBuf,
    /// The file of the others. Both files are replaced when all positions are written
    #[arg(long, value_name = "FILE")]
    validation: PathBuf,
    /// The probability with which a game or position goes to the file of --validation; between 0
    /// and 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.05,
        allow_negative_numbers = true
    )]
    share: f64,
    /// The seed of the choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Writes both files.
pub fn run(files: &Files, options: &Options) -> Result<(), Failure> {
    let [train, validation] = [&*options.train, &*options.validation];
    let inputs = files.paths();
    distinct_as("--train", train, &inputs)?;
    let others = [&inputs[..], &[train]].concat();
    distinct_as("--validation", validation, &others)?;
    let dataset = files.open()?;
    let bar = super::bar(&dataset);
    let counts = split(
        &dataset,
        [train, validation],
        options.share,
        options.seed,
        |seen| bar.set_position(seen),
    );
    bar.finish_and_clear();
    sieve::tell(&dataset);
    for (count, path) in counts?.into_iter().zip([train, validation]) {
        let count = HumanCount(count);
        print(format_args!("{count} positions in {}", path.display()))?;
    }
    Ok(())
}
