//! Compares operations, layers and losses on a device with the reference, forward and gradient.

use super::{Outcome, compare};
use crate::engine::device::Device;
use crate::engine::kernel::inputs::Inputs;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::verify::operations::OperationCase;
use web_time::Instant;

/// A result and its gradients by the operands, in f64, and the seconds that each took.
struct Found {
    output: Vec<f64>,
    gradients: Vec<Vec<f64>>,
    seconds: [f64; 2],
}

fn run(device: &Device, case: &OperationCase) -> Result<Found> {
    let begun = Instant::now();
    let placed = case.inputs.iter().map(|input| input.place(device));
    let (mut parameters, mut operands) = (Vec::new(), Vec::new());
    for pair in placed {
        let [parameter, operand] = pair?;
        parameters.push(parameter);
        operands.push(operand);
    }
    let output = case.operation.apply(&operands)?;
    let values = output.to_f64_vec()?;
    let forward = begun.elapsed().as_secs_f64();
    let upstream = Inputs::new(1).floats(output.elements(), -2.0, 2.0);
    let upstream = Tensor::new(device, &upstream, &output.shape())?;
    let gradients = output.backward_with(&upstream)?;
    let gradients = parameters
        .iter()
        .map(|parameter| gradients.of(parameter)?.to_f64_vec());
    Ok(Found {
        output: values,
        gradients: gradients.collect::<Result<_>>()?,
        seconds: [forward, begun.elapsed().as_secs_f64() - forward],
    })
}

/// Runs one case on a device and compares its result and its gradients with the reference. Returns
/// one outcome per pass.
pub fn verify_operation(
    device: &Device,
    reference: &Device,
    case: &OperationCase,
) -> Result<[Outcome; 2]> {
    let (expected, found) = (run(reference, case)?, run(device, case)?);
    let seconds = found.seconds;
    let outcome = |pass: &'static str, expected: &[&Vec<f64>], found: &[&Vec<f64>], seconds| {
        let mut outcome = Outcome {
            kernel: String::new(),
            operation: case.operation.name(),
            pass,
            case: case.name.clone(),
            error: 0.0,
            bound: 0.0,
            fraction: 0.0,
            seconds,
            ok: true,
            note: None,
        };
        for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
            // An exact result is compared in f32, because any executor has to round it so.
            let rounded: Vec<f64> = match case.ulps {
                0.0 => expected
                    .iter()
                    .map(|&value| f64::from(value as f32))
                    .collect(),
                _ => expected.to_vec(),
            };
            let largest = rounded
                .iter()
                .fold(1.0, |largest: f64, value| largest.max(value.abs()));
            let epsilon = f64::from(f32::EPSILON) * (case.terms as f64).sqrt();
            let bounds = vec![case.ulps * epsilon * largest; rounded.len()];
            let worst = compare(&rounded, found, &bounds);
            if worst.fraction > outcome.fraction {
                (outcome.error, outcome.bound) = (worst.error, worst.bound);
                outcome.fraction = worst.fraction;
            }
            // Written so that a NaN fails.
            let within = worst.fraction <= 1.0;
            if !within {
                outcome.ok = false;
                let what = match pass {
                    "forward" => "the result".to_owned(),
                    _ => format!("the gradient by operand {index}"),
                };
                outcome.note = Some(match worst.index {
                    Some(at) => format!("{what} [{at}] is {}, expected {}", found[at], rounded[at]),
                    None => format!(
                        "{what} has {} elements, expected {}",
                        found.len(),
                        rounded.len()
                    ),
                });
            }
        }
        outcome
    };
    Ok([
        outcome("forward", &[&expected.output], &[&found.output], seconds[0]),
        outcome(
            "gradient",
            &expected.gradients.iter().collect::<Vec<_>>(),
            &found.gradients.iter().collect::<Vec<_>>(),
            seconds[1],
        ),
    ])
}
