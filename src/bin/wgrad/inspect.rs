//! `wgrad inspect`: prints the architecture of a network and the ranges of its tensors.

use crate::{Outcome, print, print_json};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::file::shape_in_file;
use wgrad::nnue::{Architecture, read_network};

/// Options of `wgrad inspect`.
#[derive(clap::Args)]
pub struct Options {
    /// The network: the result of a training, or a checkpoint
    #[arg(value_name = "NET")]
    net: PathBuf,
    /// Print one JSON object: architecture, encoding and tensors
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    architecture: Architecture,
    /// `None` for inputs that are not chess positions.
    encoding: Option<Encoding>,
    tensors: Vec<Tensor>,
}

/// A tensor in the shape of the file.
#[derive(Serialize)]
struct Tensor {
    name: &'static str,
    shape: Vec<usize>,
    lowest: f32,
    highest: f32,
    /// The root of the mean square.
    size: f64,
    zeros: usize,
}

impl Tensor {
    fn new(name: &'static str, shape: Vec<usize>, values: &[f32]) -> Self {
        let squares = values.iter().map(|&value| f64::from(value).powi(2));
        Self {
            name,
            shape,
            lowest: values.iter().copied().fold(f32::INFINITY, f32::min),
            highest: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            size: (squares.sum::<f64>() / values.len().max(1) as f64).sqrt(),
            zeros: values.iter().filter(|&&value| value == 0.0).count(),
        }
    }
}

/// Prints the architecture, the encoding and a line per tensor.
pub fn run(options: &Options) -> Outcome {
    let (parameters, metadata) = read_network(&options.net)?;
    let architecture = parameters.architecture();
    let tensors = parameters.iter().map(|(spec, values)| {
        let shape = shape_in_file(architecture, &spec);
        Tensor::new(spec.name.as_str(), shape, values)
    });
    let encoding = Encoding::from_metadata(&options.net, &metadata)?;
    let report = Report {
        architecture: architecture.clone(),
        encoding: encoding.check(architecture).is_ok().then_some(encoding),
        tensors: tensors.collect(),
    };
    if options.json {
        print_json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let clip = match architecture.activation.has_clip() {
        true => format!(" with T = {}", architecture.clip),
        false => String::new(),
    };
    let activation = architecture.activation.name();
    print(format_args!("network  {architecture}, {activation}{clip}"))?;
    if let Some(encoding) = &report.encoding {
        let (inputs, buckets) = (&encoding.inputs, &encoding.output_buckets);
        print(format_args!("inputs   {inputs}; output buckets {buckets}"))?;
    }
    print(format_args!(
        "{:8} {:>18} {:>12} {:>12} {:>12} {:>10}",
        "tensor", "shape", "lowest", "highest", "rms", "zeros"
    ))?;
    for tensor in &report.tensors {
        print(format_args!(
            "{:8} {:>18} {:>12.5} {:>12.5} {:>12.5} {:>10}",
            tensor.name,
            format!("{:?}", tensor.shape),
            tensor.lowest,
            tensor.highest,
            tensor.size,
            tensor.zeros
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
