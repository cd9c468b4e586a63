//! Runs the table of cases on a device and compares the results with the reference.
//!
//! Every float output starts as NaN, and guard elements after it must stay NaN. An error passes
//! only if it is at most its bound, and a NaN never passes where the reference has a number.

mod dispatch;
mod operation;
pub mod operations;
pub mod table;

#[doc(hidden)]
pub use dispatch::{Contents, contents};
pub use operation::verify_operation;

use crate::engine::device::{Device, Wait, blocked};
use crate::engine::kernel::{Bound, Case, Kernel, Slot};
use crate::error::Result;
use dispatch::{Output, run};
use serde::Serialize;
use web_time::Instant;

/// The outcome of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The kernel and its variant; empty for the case of an operation, whatever kernels it uses.
    pub kernel: String,
    /// The operation of the mathematics.
    pub operation: &'static str,
    /// `forward`, `gradient` or `update`.
    pub pass: &'static str,
    /// The sizes and what is special about the case.
    pub case: String,
    /// The absolute error of the element that comes closest to its bound or exceeds it.
    pub error: f64,
    /// The bound of that element.
    pub bound: f64,
    /// The largest `error` ÷ `bound` over all elements. The case passes if it is at most 1.
    pub fraction: f64,
    /// The time on the device, with uploads, reads and, at its first use, compilation.
    #[serde(skip)]
    pub seconds: f64,
    /// Whether every element is within its bound and every guard is unchanged.
    pub ok: bool,
    /// The fault, if there is one: the output, the element and both values.
    pub note: Option<String>,
}

/// The worst element of a comparison.
#[derive(Clone, Debug, PartialEq)]
#[doc(hidden)]
pub struct Worst {
    /// |found − expected| of that element; infinite for a NaN where a number is expected.
    pub error: f64,
    /// Its bound.
    pub bound: f64,
    /// `error` ÷ `bound`; 0 if both are 0.
    pub fraction: f64,
    /// The index of the element; `None` if there are no elements.
    pub index: Option<usize>,
}

/// Compares element by element.
///
/// A NaN fails, unless both values are NaN. Equal values, infinities included, have no error. Any
/// other value must be within its bound, and a bound that is not a finite number above 0 accepts
/// nothing.
#[doc(hidden)]
pub fn compare(expected: &[f64], found: &[f64], bounds: &[f64]) -> Worst {
    let mut worst = Worst {
        error: 0.0,
        bound: 0.0,
        fraction: 0.0,
        index: None,
    };
    if expected.len() != found.len() || expected.len() != bounds.len() {
        worst.error = f64::INFINITY;
        worst.fraction = f64::INFINITY;
        return worst;
    }
    for (index, ((&expected, &found), &bound)) in expected.iter().zip(found).zip(bounds).enumerate()
    {
        let same = expected == found || (expected.is_nan() && found.is_nan());
        let error = if same {
            0.0
        } else if expected.is_finite() && found.is_finite() {
            (found - expected).abs()
        } else {
            f64::INFINITY
        };
        let fraction = match error {
            0.0 => 0.0,
            _ if bound > 0.0 && bound.is_finite() => error / bound,
            _ => f64::INFINITY,
        };
        if worst.index.is_none() || fraction > worst.fraction {
            worst = Worst {
                error,
                bound,
                fraction,
                index: Some(index),
            };
        }
    }
    worst
}

/// The bound of each element of an output.
fn bounds(bound: Bound, expected: &[f64], magnitudes: Option<&Output>) -> Vec<f64> {
    let epsilon = f64::from(f32::EPSILON);
    let magnitudes = magnitudes.map_or(&[][..], |output| &output.values);
    match bound {
        Bound::Exact => vec![0.0; expected.len()],
        Bound::Ulps { ulps, absolute } => {
            let bound = |expected: &f64| ulps * epsilon * expected.abs() + absolute;
            expected.iter().map(bound).collect()
        }
        Bound::Sum { terms, c } => {
            let scale = c * epsilon * (terms as f64).sqrt();
            magnitudes.iter().map(|sum| scale * sum.abs()).collect()
        }
        Bound::Sums { terms, c } => {
            let each = magnitudes.iter().zip(terms);
            let bound =
                |(sum, terms): (&f64, usize)| c * epsilon * (terms as f64).sqrt() * sum.abs();
            each.map(bound).collect()
        }
        Bound::Each(bounds) => bounds,
    }
}

/// The reference's results of a case. Devices are compared with them one after the other.
#[derive(Debug)]
pub struct Expected {
    outputs: Vec<Option<Allowed>>,
}

/// The values that an output should have, and the error that each may have.
#[derive(Debug)]
#[doc(hidden)]
pub struct Allowed {
    pub values: Vec<f64>,
    pub bounds: Vec<f64>,
}

impl Expected {
    /// Runs a case on the reference.
    ///
    /// # Errors
    /// Failures of the reference, such as too little memory.
    pub fn new(reference: &Device, kernel: &'static Kernel, case: &Case) -> Result<Self> {
        let bound_of = |slot: &Slot| match slot {
            Slot::Output { bound, .. } | Slot::Update { bound, .. } => Some(bound.clone()),
            Slot::UpdateWords(_) => Some(Bound::Exact),
            Slot::Floats(_) | Slot::Words(_) => None,
        };
        let is_sum =
            |slot: &Slot| matches!(bound_of(slot), Some(Bound::Sum { .. } | Bound::Sums { .. }));
        let run = |magnitudes| blocked(run(reference, kernel, case, magnitudes, Wait::Blocking));
        let found = run(false)?;
        let magnitudes = if case.slots.iter().any(is_sum) {
            run(true)?
        } else {
            case.slots.iter().map(|_| None).collect()
        };
        let outputs = case.slots.iter().zip(found).zip(magnitudes);
        let outputs = outputs.map(|((slot, found), magnitudes)| {
            let (bound, mut values) = (bound_of(slot)?, found?.values);
            // An exact result is compared in f32, because any executor has to round it so.
            if matches!(bound, Bound::Exact) && !matches!(slot, Slot::UpdateWords(_)) {
                values
                    .iter_mut()
                    .for_each(|value| *value = f64::from(*value as f32));
            }
            let bounds = bounds(bound, &values, magnitudes.as_ref());
            Some(Allowed { values, bounds })
        });
        Ok(Self {
            outputs: outputs.collect(),
        })
    }

    /// One entry per slot; `None` for a slot that is only read.
    #[doc(hidden)]
    pub fn outputs(&self) -> &[Option<Allowed>] {
        &self.outputs
    }

    /// Runs the same case on a device and compares every output.
    ///
    /// # Errors
    /// Failures of the device. A failed comparison is an outcome.
    pub fn compare(
        &self,
        device: &Device,
        kernel: &'static Kernel,
        case: &Case,
    ) -> Result<Outcome> {
        blocked(self.compare_by(device, kernel, case, Wait::Blocking))
    }

    /// As [`Expected::compare`], without blocking a thread.
    ///
    /// # Errors
    /// As [`Expected::compare`].
    pub async fn compare_async(
        &self,
        device: &Device,
        kernel: &'static Kernel,
        case: &Case,
    ) -> Result<Outcome> {
        self.compare_by(device, kernel, case, Wait::Async).await
    }

    async fn compare_by(
        &self,
        device: &Device,
        kernel: &'static Kernel,
        case: &Case,
        wait: Wait,
    ) -> Result<Outcome> {
        let begun = Instant::now();
        let found = run(device, kernel, case, false, wait).await?;
        let mut outcome = Outcome {
            kernel: kernel.label(case.variant),
            operation: kernel.operation(case.variant),
            pass: kernel.pass.name(),
            case: case.name.clone(),
            error: 0.0,
            bound: 0.0,
            fraction: 0.0,
            seconds: begun.elapsed().as_secs_f64(),
            ok: true,
            note: None,
        };
        for (index, (expected, found)) in self.outputs.iter().zip(&found).enumerate() {
            let (Some(Allowed { values, bounds }), Some(found)) = (expected, found) else {
                continue;
            };
            let name = kernel.bindings[index].name;
            let worst = compare(values, &found.values, bounds);
            if worst.fraction > outcome.fraction {
                (outcome.error, outcome.bound) = (worst.error, worst.bound);
                outcome.fraction = worst.fraction;
            }
            // Written so that a NaN fails.
            let within = worst.fraction <= 1.0;
            if !within {
                outcome.ok = false;
                outcome.note = Some(match worst.index {
                    Some(at) => format!(
                        "{name}[{at}] is {}, expected {}",
                        found.values[at], values[at]
                    ),
                    None => format!(
                        "{name} has {} elements and {} bounds, expected {}",
                        found.values.len(),
                        bounds.len(),
                        values.len()
                    ),
                });
            } else if !found.guards_whole {
                outcome.ok = false;
                outcome.fraction = f64::INFINITY;
                outcome.note = Some(format!(
                    "{name}: written past its {} elements",
                    found.values.len()
                ));
            }
        }
        Ok(outcome)
    }
}

/// Runs one case on a device and compares every output with the reference.
///
/// # Errors
/// Failures of the device. A failed comparison is an outcome.
pub fn verify_case(
    device: &Device,
    reference: &Device,
    kernel: &'static Kernel,
    case: &Case,
) -> Result<Outcome> {
    Expected::new(reference, kernel, case)?.compare(device, kernel, case)
}

/// Whether a device runs the kernel by code of its own, so that a comparison means something. The
/// CPU executor falls back to the twin if a kernel has no CPU implementation.
#[doc(hidden)]
pub fn is_verified_on(device: &Device, kernel: &Kernel) -> bool {
    device.name() != "cpu" || kernel.cpu.is_some()
}

/// Runs every case of a kernel on a device and passes each outcome to `report` as it arrives.
///
/// # Errors
/// Failures of the device. A failed comparison is an outcome.
pub fn verify(
    device: &Device,
    kernel: &'static Kernel,
    mut report: impl FnMut(Outcome),
) -> Result<()> {
    let reference = Device::reference();
    for case in (kernel.cases)() {
        report(verify_case(device, &reference, kernel, &case)?);
    }
    Ok(())
}
