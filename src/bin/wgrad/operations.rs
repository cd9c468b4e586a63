//! `wgrad operations`: operations, layers and losses on tensors from a file, forward and backward.

use crate::options::DeviceOption;
use crate::{Outcome, counted, distinct, print};
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad::Result;
use wgrad::engine::device::Device;
use wgrad::files::safetensors::{Metadata, StoredTensor, TensorData, TensorFile};
use wgrad::tensor::Tensor;
use wgrad::verify::operations::Operation;

/// Options of `wgrad operations`.
#[derive(clap::Args)]
#[command(after_help = "Both files are safetensors in f32.\n\
    in:  metadata cases, a JSON list of operations such as {\"op\": \"sum\", \"axes\": [0], \"keep\": false}; for\n     \
         case i the operands i.0, i.1, ..., and i.upstream, the gradient of the result, in its shape\n\
    out: for case i the result i.y and the gradients i.0.grad, i.1.grad, ...")]
pub struct Options {
    /// The file with the operations and their operands; without it, the command prints the names of
    /// all operations
    #[arg(long = "in", value_name = "FILE", requires = "output")]
    input: Option<PathBuf>,
    /// The file for results and gradients; nothing is written if anything fails
    #[arg(long = "out", value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceOption,
}

/// Computes every case of the file, or lists the operations.
pub fn run(options: &Options) -> Outcome {
    let (Some(input), Some(output)) = (&options.input, &options.output) else {
        Operation::NAMES.iter().try_for_each(print)?;
        return Ok(ExitCode::SUCCESS);
    };
    distinct(output, &[input])?;
    let file = TensorFile::read(input)?;
    let cases = file.text("cases")?;
    let cases: Vec<Operation> = serde_json::from_str(cases)
        .map_err(|error| file.fault("metadata `cases`", "a list of operations", error))?;
    let device = options.device.open()?;
    let mut results = TensorFile::new(output, Metadata::new());
    for (index, operation) in cases.iter().enumerate() {
        compute(&device, &file, index, operation, &mut results).map_err(|error| {
            error
                .within(format_args!("case {index}"))
                .in_file(file.path())
        })?;
    }
    results.write()?;
    let count = counted(cases.len(), "case");
    print(format_args!("{count} on {}", device.name()))?;
    Ok(ExitCode::SUCCESS)
}

fn compute(
    device: &Device,
    file: &TensorFile,
    index: usize,
    operation: &Operation,
    results: &mut TensorFile,
) -> Result<()> {
    let read = |name: &str| {
        let shape = &file.tensor(name)?.shape;
        Tensor::new(device, file.floats(name, shape)?, shape)
    };
    let is_there = |name: &String| file.tensors.iter().any(|tensor| tensor.name == *name);
    let names: Vec<String> = (0..)
        .map(|operand| format!("{index}.{operand}"))
        .take_while(is_there)
        .collect();
    let operands = names.iter().map(|name| Ok(read(name)?.parameter()));
    let operands = operands.collect::<Result<Vec<_>>>()?;
    let y = operation.apply(&operands)?;
    let gradients = y.backward_with(&read(&format!("{index}.upstream"))?)?;
    let mut keep = |name: String, tensor: &Tensor| {
        results.tensors.push(StoredTensor {
            name,
            shape: tensor.shape().to_vec(),
            data: TensorData::F32(tensor.to_vec()?),
        });
        Ok(())
    };
    keep(format!("{index}.y"), &y)?;
    for (name, operand) in names.iter().zip(&operands) {
        keep(format!("{name}.grad"), &gradients.of(operand)?)?;
    }
    Ok(())
}
