//! `wgrad data describe`: distributions, and duplicates.

use crate::{Failure, print};
use indicatif::HumanCount;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use wgrad::Error;
use wgrad::nnue::data::{Dataset, FeatureSet, KingBuckets, OutputBuckets, Position};

/// What to count besides scores, results and pieces.
#[derive(clap::Args)]
pub struct Options {
    /// The output buckets to count
    #[arg(long, value_name = "TABLE", default_value = "material:8")]
    output_buckets: OutputBuckets,
    /// The king buckets to count, as `wgrad train --buckets` takes them: 64 numbers with commas
    /// for a1, b1, ..., h8, or 32 for a1 to d1, a2 to d2, ..., d8 of a mirrored board [default:
    /// none]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    buckets: Option<Vec<usize>>,
    /// Count the positions whose board, seen by the side to move, is that of an earlier position.
    /// It takes 10 to 31 bytes of memory for each different board. Boards are compared by 64-bit
    /// hashes: of n boards, about n² ÷ 2⁶⁵ are taken for another one
    #[arg(long)]
    duplicates: bool,
}

/// Prints the description of all positions.
pub fn run(dataset: &Dataset, options: &Options) -> Result<(), Failure> {
    let kings = options.buckets.as_deref().map(king_buckets).transpose()?;
    let mut found = Description::new(&options.output_buckets, kings.as_ref());
    let mut boards = options.duplicates.then(Boards::default);
    let bar = super::bar(dataset);
    for position in dataset {
        let position = position.inspect_err(|_| bar.finish_and_clear())?;
        found.add(&position);
        if let Some(boards) = &mut boards {
            let added = boards.add(&position);
            added.inspect_err(|_| bar.finish_and_clear())?;
        }
        if found.positions.is_multiple_of(1 << 16) {
            bar.set_position(found.positions);
        }
    }
    bar.finish_and_clear();
    found.print(boards.as_ref())
}

/// The buckets of a table, whose length tells whether the board is mirrored.
fn king_buckets(table: &[usize]) -> Result<KingBuckets, Error> {
    match table.len() {
        64 => KingBuckets::new(table),
        32 => KingBuckets::mirrored(table),
        found => {
            let expected = "64 numbers (a1, b1, ..., h8), or 32 (a1 to d1, ..., d8) if mirrored";
            Err(Error::argument("--buckets", expected, found))
        }
    }
}

/// The counts.
struct Description<'a> {
    positions: u64,
    /// By the result for the side to move: lost, drawn, won.
    results: [u64; 3],
    /// By the number of pieces.
    pieces: [u64; 33],
    output_buckets: &'a OutputBuckets,
    kings: Option<&'a KingBuckets>,
    /// By the bucket of the own king and that of the other king: `own · buckets + other`.
    king_pairs: Vec<u64>,
    /// By the score, from −32768 on.
    scores: Vec<u64>,
}

impl<'a> Description<'a> {
    fn new(output_buckets: &'a OutputBuckets, kings: Option<&'a KingBuckets>) -> Self {
        Self {
            positions: 0,
            results: [0; 3],
            pieces: [0; 33],
            output_buckets,
            kings,
            king_pairs: vec![0; kings.map_or(0, FeatureSet::groups)],
            scores: vec![0; 1 << 16],
        }
    }

    fn add(&mut self, position: &Position) {
        self.positions += 1;
        self.results[(2.0 * position.result()) as usize] += 1;
        self.pieces[position.piece_count()] += 1;
        if let Some(kings) = self.kings {
            self.king_pairs[kings.group(position)] += 1;
        }
        let score = i32::from(position.score()) - i32::from(i16::MIN);
        self.scores[score as usize] += 1;
    }

    /// The least score that at least this share of the positions does not exceed.
    fn quantile(&self, share: f64) -> i32 {
        let rank = ((self.positions as f64 - 1.0) * share) as u64;
        let mut before = 0;
        let score = self.scores.iter().position(|count| {
            before += count;
            before > rank
        });
        score.unwrap_or(0) as i32 + i32::from(i16::MIN)
    }

    fn print(&self, boards: Option<&Boards>) -> Result<(), Failure> {
        let all = self.positions as f64;
        let share = |count: u64| 100.0 * count as f64 / all;
        print(format_args!("positions   {}", HumanCount(self.positions)))?;
        if let Some(boards) = boards {
            let (count, part) = (boards.duplicates, share(boards.duplicates));
            print(format_args!(
                "duplicates  {} ({part:.1}%)",
                HumanCount(count)
            ))?;
        }
        let [lost, drawn, won] = self.results.map(share);
        print(format_args!(
            "results     {won:.1}% won, {drawn:.1}% drawn, {lost:.1}% lost (side to move)"
        ))?;
        print(format_args!(
            "scores      least {}, 5% {}, median {}, 95% {}, most {}",
            self.quantile(0.0),
            self.quantile(0.05),
            self.quantile(0.5),
            self.quantile(0.95),
            self.quantile(1.0),
        ))?;
        let mut output_buckets = vec![0; self.output_buckets.count()];
        for (pieces, &count) in self.pieces.iter().enumerate() {
            output_buckets[self.output_buckets.table()[pieces]] += count;
            if count > 0 {
                print(format_args!("{pieces:>2} pieces   {:>5.1}%", share(count)))?;
            }
        }
        for (bucket, &count) in output_buckets.iter().enumerate() {
            print(format_args!("bucket {bucket:<2}   {:>5.1}%", share(count)))?;
        }
        let buckets = self.kings.map_or(0, KingBuckets::buckets);
        for bucket in 0..buckets {
            let own: u64 = self.king_pairs[bucket * buckets..][..buckets].iter().sum();
            let other: u64 = self.king_pairs[bucket..].iter().step_by(buckets).sum();
            print(format_args!(
                "king bucket {bucket:<2} {:>5.1}% (own king {:.1}%, other king {:.1}%)",
                share(own + other) / 2.0,
                share(own),
                share(other)
            ))?;
        }
        Ok(())
    }
}

/// The boards so far.
#[derive(Default)]
struct Boards {
    hashes: HashSet<u64>,
    duplicates: u64,
}

impl Boards {
    fn add(&mut self, position: &Position) -> Result<(), Failure> {
        let mut hasher = DefaultHasher::new();
        let bytes = position.to_bytes();
        let (squares, rest) = bytes.split_at(8);
        // Two pieces share a byte. What follows the last piece has no meaning.
        let pieces = position.piece_count();
        let whole = &rest[..pieces / 2];
        let last = (pieces % 2 == 1).then(|| rest[pieces / 2] & 15);
        (squares, whole, last).hash(&mut hasher);
        if self.hashes.try_reserve(1).is_err() {
            let message = format!(
                "--duplicates: the memory does not suffice for more than {} boards",
                HumanCount(self.hashes.len() as u64)
            );
            return Err(Failure::Message(message));
        }
        self.duplicates += u64::from(!self.hashes.insert(hasher.finish()));
        Ok(())
    }
}
