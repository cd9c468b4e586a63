//! `wgrad data`: counts, shows, describes, shuffles, splits, rescores and converts positions.

mod describe;
mod rescore;
mod split;

use crate::sieve::{self, SieveOptions};
use crate::{Failure, Outcome, distinct, print};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::nnue::data::{Dataset, OutputFormat, convert, shuffle_to_file};
use wgrad::nnue::train::Settings;

/// Options of `wgrad data`.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the number of positions of each file, without those that options leave out
    Count(Files),
    /// Print the first positions as lines `FEN | score | result`, with the side to move as White
    Head {
        #[command(flatten)]
        files: Files,
        /// The number of positions
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
        count: usize,
    },
    /// Print the distribution of scores, results, pieces and buckets, and count duplicates
    Describe {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        options: describe::Options,
    },
    /// Write all positions to one bulletformat file in a random order
    Shuffle {
        #[command(flatten)]
        files: Files,
        /// The file, which is replaced when all positions are written
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The memory to use, in MiB; the directory of FILE holds as much as the data meanwhile
        #[arg(long, value_name = "MIB", default_value_t = 1024)]
        memory: u64,
        /// The seed of the order
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Write each position to one of two bulletformat files, by a random choice for each game
    Split {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        options: split::Options,
    },
    /// Write all positions to one bulletformat file, with a network's evaluations as their scores
    Rescore {
        #[command(flatten)]
        files: Files,
        #[command(flatten)]
        options: rescore::Options,
    },
    /// Write all positions to one file of another format
    Convert {
        #[command(flatten)]
        files: Files,
        /// The file, which is replaced when all positions are written
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Its format
        #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(OutputFormat::NAMES).try_map(|name| name.parse::<OutputFormat>()))]
        to: OutputFormat,
    },
}

/// The files to read.
#[derive(clap::Args)]
struct Files {
    /// Data files, in this order
    #[arg(value_name = "FILE", required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    sieve: SieveOptions,
}

impl Files {
    fn paths(&self) -> Vec<&Path> {
        self.data.iter().map(PathBuf::as_path).collect()
    }

    fn open(&self) -> Result<Dataset, Failure> {
        self.sieve
            .open(&self.data, Settings::default().max_score(0))
    }
}

/// Runs a subcommand.
pub fn run(options: &Options) -> Outcome {
    match &options.command {
        Command::Count(files) => count(files),
        Command::Head { files, count } => head(files, *count),
        Command::Describe { files, options } => describe::run(&files.open()?, options),
        Command::Shuffle {
            files,
            out,
            memory,
            seed,
        } => write(files, out, |dataset, seen| {
            shuffle_to_file(dataset, out, *seed, *memory << 20, seen)
        }),
        Command::Split { files, options } => split::run(files, options),
        Command::Rescore { files, options } => rescore::run(files, options),
        Command::Convert { files, out, to } => {
            write(files, out, |dataset, seen| convert(dataset, out, *to, seen))
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

fn count(files: &Files) -> Result<(), Failure> {
    let mut all = 0;
    for path in &files.data {
        let path = std::slice::from_ref(path);
        let dataset = files.sieve.open(path, Settings::default().max_score(0))?;
        let positions = match files.sieve.is_given() {
            true => dataset
                .iter()
                .try_fold(0, |count, position| position.map(|_| count + 1))?,
            false => dataset.count()?,
        };
        let path = &path[0];
        print(format_args!("{positions:>14}  {}", path.display()))?;
        all += positions;
    }
    match files.data.len() {
        1 => Ok(()),
        _ => print(format_args!("{all:>14}  in all")),
    }
}

fn head(files: &Files, count: usize) -> Result<(), Failure> {
    for position in files.open()?.iter().take(count) {
        print(position?)?;
    }
    Ok(())
}

/// A bar over the positions, if stderr is a terminal. It knows no end if the files do not tell it.
fn bar(dataset: &Dataset) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(10);
    ProgressBar::with_draw_target(dataset.positions(), target)
}

/// Lets `write` write all positions to a file, with a progress bar.
fn write(
    files: &Files,
    out: &Path,
    write: impl Fn(&Dataset, &mut dyn FnMut(u64)) -> wgrad::Result<u64>,
) -> Result<(), Failure> {
    distinct(out, &files.paths())?;
    let dataset = files.open()?;
    let bar = bar(&dataset);
    let written = write(&dataset, &mut |seen| bar.set_position(seen));
    bar.finish_and_clear();
    sieve::tell(&dataset);
    let written = HumanCount(written?);
    print(format_args!("{written} positions in {}", out.display()))
}
