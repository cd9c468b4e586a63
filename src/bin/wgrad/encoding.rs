//! The options that say how positions become samples.

use crate::Failure;
use clap::builder::PossibleValuesParser;
use wgrad::nnue::data::{ChessInputs, Encoding, OutputBuckets};

/// The features and the output bucket of a position.
#[derive(clap::Args)]
pub struct EncodingOptions {
    /// The features of a position; mirrored, the board is flipped if the own king is on files e to h [default: chess768]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(ChessInputs::NAMES))]
    inputs: Option<String>,
    /// Of king-buckets: the bucket of each square of the own king, a1, b1, ..., h8, 64 numbers with commas; of
    /// king-buckets-mirrored those of a1 to d1, a2 to d2, ..., d8, 32 numbers
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    buckets: Option<Vec<usize>>,
    /// The output bucket of a position by its number of pieces: material:N for N buckets of equally many numbers of pieces,
    /// 33 numbers with commas for 0 to 32 pieces, or 1 for one bucket [default: 1]
    #[arg(long, value_name = "TABLE")]
    output_buckets: Option<OutputBuckets>,
}

impl EncodingOptions {
    /// Puts what is given in the place of what stands there.
    pub fn over(&self, standing: Encoding) -> Result<Encoding, Failure> {
        let name = self.inputs.as_deref().unwrap_or(standing.inputs.name());
        let inputs = inputs("train", name, self.buckets.as_deref(), &standing.inputs)?;
        let output_buckets = self.output_buckets.unwrap_or(standing.output_buckets);
        Ok(Encoding::new(inputs, output_buckets))
    }
}

/// The inputs of a name and a table, if one is given. `standing` keeps its table. The library refuses
/// a wrong table, and `command` one that is missing or has no use.
pub fn inputs(
    command: &'static str,
    name: &str,
    table: Option<&[usize]>,
    standing: &ChessInputs,
) -> Result<ChessInputs, Failure> {
    let has_table = name.starts_with("king-buckets");
    match table {
        None if name == standing.name() => Ok(standing.clone()),
        None if has_table => {
            let message = format!("--inputs {name} needs --buckets");
            Err(Failure::Usage(command, message))
        }
        Some(_) if !has_table => {
            let message = "--buckets goes with --inputs king-buckets or king-buckets-mirrored";
            Err(Failure::Usage(command, message.to_owned()))
        }
        _ => Ok(ChessInputs::named(name, table)?),
    }
}
