//! `wgrad inspect`: prints the architecture of a network and the ranges of its tensors, and what its
//! neurons and buckets do on positions.

pub mod activity;
pub mod boards;
pub mod rooms;
pub mod tensors;

use crate::options::ObjectiveOptions;
use crate::sieve::{self, SieveOptions};
use crate::{Failure, Outcome, print, print_json};
use activity::Activity;
use boards::Lane;
use rooms::Rooms;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tensors::Tensor;
use wgrad::files::atomic::write_atomically;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::train::Settings;
use wgrad::nnue::train::checkpoint::objective_of;
use wgrad::nnue::train::inspect::{FirstLayer, inspect};
use wgrad::nnue::{Architecture, Parameters, read_network};

/// Options of `wgrad inspect`.
#[derive(clap::Args)]
pub struct Options {
    /// The network: the result of a training, or a checkpoint
    #[arg(value_name = "NET")]
    net: PathBuf,
    /// Data files on which to count dead and saturated neurons, buckets and losses
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
    /// The most positions to read from the data; 0 for all
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1_000_000,
        requires = "data"
    )]
    positions: u64,
    #[command(flatten)]
    sieve: SieveOptions,
    #[command(
        flatten,
        next_help_heading = "The target of the losses [defaults: those the network was trained with]"
    )]
    objective: ObjectiveOptions,
    /// Say how near the integers of this save format come to the limits of their types
    #[arg(long, value_name = "NAME|FILE.toml")]
    format: Option<String>,
    /// Write the weights of lanes by piece and square to DIR/lanes.svg, in an untied network to
    /// DIR/lanes-own.svg and DIR/lanes-other.svg
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pictures: Option<PathBuf>,
    /// The number of lanes in these pictures, from lane 0 on
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 32,
        requires = "pictures",
        help_heading = "Output"
    )]
    lanes: usize,
    /// Print one JSON object: architecture, encoding, tensors and, with data, what was counted
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    architecture: Architecture,
    /// `None` for inputs that are not chess positions.
    encoding: Option<Encoding>,
    tensors: Vec<Tensor>,
    /// `None` without a format.
    #[serde(skip_serializing_if = "Option::is_none")]
    integers: Option<Rooms>,
    /// `None` without data.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Activity>,
}

/// Prints the architecture, the encoding and a line per tensor, and tables of what was counted.
pub fn run(options: &Options) -> Outcome {
    let (parameters, metadata) = read_network(&options.net)?;
    let architecture = parameters.architecture();
    let encoding = Encoding::from_metadata(&options.net, &metadata)?;
    let data = match options.data.is_empty() {
        true if options.sieve.is_given() || options.objective.is_given() => {
            let message = "options of positions and of their target go with --data".to_owned();
            return Err(Failure::Usage("inspect", message));
        }
        true => None,
        false => {
            let checked = encoding.check(architecture);
            checked.map_err(|error| error.in_file(&options.net))?;
            let settings = Settings::new(architecture.inputs);
            let own = objective_of(&options.net, &metadata)?;
            let objective = options.objective.over(own.unwrap_or(settings.objective()));
            let dataset = options.sieve.open(&options.data, settings)?;
            let found = inspect(
                &parameters,
                &dataset,
                &encoding,
                objective,
                options.positions,
            )?;
            sieve::tell(&dataset);
            Some(Activity::new(objective, found, architecture))
        }
    };
    let pictures = match &options.pictures {
        Some(directory) => draw(directory, &parameters, options.lanes)?,
        None => Vec::new(),
    };
    let integers = match &options.format {
        Some(name) => Some(Rooms::new(name, &parameters, &encoding)?),
        None => None,
    };
    let report = Report {
        integers,
        architecture: architecture.clone(),
        encoding: encoding.check(architecture).is_ok().then_some(encoding),
        tensors: Tensor::all(&parameters),
        data,
    };
    if options.json {
        print_json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    report.print()?;
    for path in pictures {
        print(format_args!("picture  {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Report {
    fn print(&self) -> Result<(), Failure> {
        let architecture = &self.architecture;
        let clip = match architecture.activation.has_clip() {
            true => format!(" with T = {}", architecture.clip),
            false => String::new(),
        };
        let activation = architecture.activation.name();
        print(format_args!("network  {architecture}, {activation}{clip}"))?;
        if let Some(encoding) = &self.encoding {
            let (inputs, buckets) = (&encoding.inputs, &encoding.output_buckets);
            print(format_args!("inputs   {inputs}; output buckets {buckets}"))?;
        }
        tensors::print_all(&self.tensors)?;
        if let Some(integers) = &self.integers {
            integers.print()?;
        }
        self.data.as_ref().map_or(Ok(()), Activity::print)
    }
}

/// Writes a sheet of the first lanes of each accumulator. Returns the files.
fn draw(directory: &Path, parameters: &Parameters, most: usize) -> Result<Vec<PathBuf>, Failure> {
    let layer = FirstLayer::new(parameters);
    let names: &[&str] = match layer.accumulators() {
        1 => &["lanes.svg"],
        _ => &["lanes-own.svg", "lanes-other.svg"],
    };
    let count = parameters.architecture().hidden.min(most);
    let lanes: Vec<_> = (0..count).collect();
    let title = format!("Weights of {count} lanes by piece and square: blue above 0, brown below");
    let mut sheets = Vec::new();
    for accumulator in 0..names.len() {
        let lanes = pictured(&layer, accumulator, &lanes)?;
        sheets.push(boards::sheet(&lanes, 2, &title));
    }
    std::fs::create_dir_all(directory).map_err(wgrad::Error::io(directory, "create"))?;
    let mut paths = Vec::new();
    for (name, sheet) in names.iter().zip(sheets) {
        let path = directory.join(name);
        write_atomically(&path, |out| out.write_all(sheet.as_bytes()))?;
        paths.push(path);
    }
    Ok(paths)
}

/// Lanes of an accumulator with their weights.
pub fn pictured(
    layer: &FirstLayer<'_>,
    accumulator: usize,
    lanes: &[usize],
) -> wgrad::Result<Vec<Lane>> {
    let lanes = lanes.iter().map(|&index| {
        Ok(Lane {
            index,
            weights: layer.piece_squares(accumulator, index)?,
        })
    });
    lanes.collect()
}
