//! `wgrad data`: counts, shows, describes, shuffles and converts positions.

use crate::{Failure, Outcome, distinct, print};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::nnue::data::{Dataset, OutputBuckets, OutputFormat, Position, convert, shuffle_to_file};

/// Options of `wgrad data`.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the number of positions of each file
    Count(Files),
    /// Print the first positions as lines `FEN | score | result`, with the side to move as White
    Head {
        #[command(flatten)]
        files: Files,
        /// The number of positions
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
        count: usize,
    },
    /// Print the distribution of scores, results, pieces and output buckets
    Describe {
        #[command(flatten)]
        files: Files,
        /// The output buckets to count
        #[arg(long, value_name = "TABLE", default_value = "material:8")]
        output_buckets: OutputBuckets,
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
}

impl Files {
    fn open(&self) -> Result<Dataset, Failure> {
        Ok(Dataset::open(&self.data)?)
    }
}

/// Runs a subcommand.
pub fn run(options: &Options) -> Outcome {
    match &options.command {
        Command::Count(files) => count(files),
        Command::Head { files, count } => head(files, *count),
        Command::Describe {
            files,
            output_buckets,
        } => describe(files, output_buckets),
        Command::Shuffle {
            files,
            out,
            memory,
            seed,
        } => write(files, out, |dataset, seen| {
            shuffle_to_file(dataset, out, *seed, *memory << 20, seen)
        }),
        Command::Convert { files, out, to } => {
            write(files, out, |dataset, seen| convert(dataset, out, *to, seen))
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

fn count(files: &Files) -> Result<(), Failure> {
    let mut all = 0;
    for path in &files.data {
        let positions = Dataset::open(std::slice::from_ref(path))?.count()?;
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

/// Lets `write` write all positions to a file, with a progress bar.
fn write(
    files: &Files,
    out: &Path,
    write: impl Fn(&Dataset, &mut dyn FnMut(u64)) -> wgrad::Result<u64>,
) -> Result<(), Failure> {
    let inputs: Vec<_> = files.data.iter().map(PathBuf::as_path).collect();
    distinct(out, &inputs)?;
    let dataset = files.open()?;
    let target = ProgressDrawTarget::stderr_with_hz(10);
    let bar = ProgressBar::with_draw_target(dataset.positions(), target);
    let written = write(&dataset, &mut |seen| bar.set_position(seen));
    bar.finish_and_clear();
    let written = HumanCount(written?);
    print(format_args!("{written} positions in {}", out.display()))
}

/// What `describe` counts.
struct Description {
    positions: u64,
    /// By the result for the side to move: lost, drawn, won.
    results: [u64; 3],
    /// By the number of pieces.
    pieces: [u64; 33],
    buckets: Vec<u64>,
    scores: Vec<i16>,
}

fn describe(files: &Files, output_buckets: &OutputBuckets) -> Result<(), Failure> {
    let mut found = Description {
        positions: 0,
        results: [0; 3],
        pieces: [0; 33],
        buckets: vec![0; output_buckets.count()],
        scores: Vec::new(),
    };
    for position in &files.open()? {
        found.add(&position?, output_buckets);
    }
    found.print()
}

impl Description {
    fn add(&mut self, position: &Position, output_buckets: &OutputBuckets) {
        self.positions += 1;
        self.results[(2.0 * position.result()) as usize] += 1;
        self.pieces[position.piece_count()] += 1;
        self.buckets[output_buckets.table()[position.piece_count()]] += 1;
        self.scores.push(position.score());
    }

    fn print(&mut self) -> Result<(), Failure> {
        let all = self.positions as f64;
        let share = |count: u64| 100.0 * count as f64 / all;
        print(format_args!("positions   {}", HumanCount(self.positions)))?;
        let [lost, drawn, won] = self.results.map(share);
        print(format_args!(
            "results     {won:.1}% won, {drawn:.1}% drawn, {lost:.1}% lost (side to move)"
        ))?;
        self.scores.sort_unstable();
        let quantile = |share: f64| self.scores[((all - 1.0) * share) as usize];
        print(format_args!(
            "scores      least {}, 5% {}, median {}, 95% {}, most {}",
            quantile(0.0),
            quantile(0.05),
            quantile(0.5),
            quantile(0.95),
            quantile(1.0),
        ))?;
        for (pieces, &count) in self
            .pieces
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            print(format_args!("{pieces:>2} pieces   {:>5.1}%", share(count)))?;
        }
        for (bucket, &count) in self.buckets.iter().enumerate() {
            print(format_args!("bucket {bucket:<2}   {:>5.1}%", share(count)))?;
        }
        Ok(())
    }
}
