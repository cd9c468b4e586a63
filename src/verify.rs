//! The case table run on a device and held against the reference.
//!
//! Every float output is poisoned with NaN before the run and followed by guards that must stay NaN. An error is
//! accepted only if it is at most its bound, and NaN is never accepted where the reference has a number.

mod operation;
pub mod operations;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod table;

pub use operation::verify_operation;

use crate::engine::device::{Buffer, Device};
use crate::engine::kernel::{Bound, Case, Element, Kernel, Slot};
use crate::engine::recording::{Command, Dispatch, Recording};
use crate::error::Result;
use serde::Serialize;

/// Elements behind each output that nobody may touch, at least.
const GUARDS: usize = 64;

/// What became of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The kernel, with its variant; empty for a case of an operation, whatever kernels it takes.
    pub kernel: String,
    /// The operation of the mathematics.
    pub operation: &'static str,
    /// `forward`, `gradient` or `update`.
    pub pass: &'static str,
    /// Sizes and what is special.
    pub case: String,
    /// The absolute error of the element that comes closest to its bound or breaks it.
    pub error: f64,
    /// That element's bound.
    pub bound: f64,
    /// `error` by `bound`, the worst over all elements: at most 1 passes.
    pub fraction: f64,
    /// Whether every element is within its bound and every guard is whole.
    pub ok: bool,
    /// What is wrong, if anything: the output, the element, both values.
    pub note: Option<String>,
}

/// The worst element of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// |found − expected| there; infinite for a NaN that should be a number.
    pub error: f64,
    /// The bound there.
    pub bound: f64,
    /// `error` by `bound`, 0 where both are 0.
    pub fraction: f64,
    /// Which element; none if there are no elements.
    pub index: Option<usize>,
}

/// Compares element by element. NaN fails first, unless both are NaN; equal values (infinities too) are no error;
/// anything else must be within the bound, and a bound that is not a finite number above 0 accepts nothing.
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

/// What guards words.
const GUARD: u32 = 0xDEAD_BEEF;

/// So many that they end with the buffer's memory, which is a whole number of vectors of four.
fn guards_after(len: usize) -> usize {
    (len + GUARDS).next_multiple_of(4) - len
}

/// The values a slot owns after a run, and whether its guards are whole.
struct Output {
    values: Vec<f64>,
    guards_whole: bool,
}

/// Runs a case as it stands on a device; with `magnitudes`, on the absolute values of all its floats.
fn run(
    device: &Device,
    kernel: &'static Kernel,
    case: &Case,
    magnitudes: bool,
) -> Result<Vec<Option<Output>>> {
    let prepare = |values: &[f32]| -> Vec<f32> {
        let absolute = |value: &f32| if magnitudes { value.abs() } else { *value };
        values.iter().map(absolute).collect()
    };
    let poison = |len: usize| vec![f32::NAN; len];
    let mut buffers: Vec<Buffer> = Vec::new();
    for slot in &case.slots {
        let upload = |values: Vec<f32>| device.upload("case", values.as_slice());
        buffers.push(match slot {
            Slot::Floats(values) if values.is_empty() => {
                device.allocate("case", Element::Float, 0)?
            }
            Slot::Floats(values) => upload(prepare(values))?,
            Slot::Words(words) if words.is_empty() => device.allocate("case", Element::Word, 0)?,
            Slot::Words(words) => device.upload("case", words.as_slice())?,
            Slot::Output { len, .. } => upload(poison(len + guards_after(*len)))?,
            Slot::UpdateWords(words) => {
                let guards = vec![GUARD; guards_after(words.len())];
                device.upload("case", [words.as_slice(), &guards].concat().as_slice())?
            }
            Slot::Update { values, .. } => {
                let guards = poison(guards_after(values.len()));
                upload([prepare(values), guards].concat())?
            }
        });
    }
    let mut recording = Recording::new();
    recording.commands.push(Command::Dispatch(Dispatch {
        kernel,
        variant: case.variant,
        params: case.params.clone(),
        groups: case.groups,
        buffers: buffers.iter().map(Buffer::id).collect(),
    }));
    for (buffer, slot) in buffers.iter().zip(&case.slots) {
        if !matches!(slot, Slot::Floats(_) | Slot::Words(_)) {
            recording.read(buffer.id(), buffer.len());
        }
    }
    let mut values = device.play(&recording)?.wait()?.into_iter();
    let outputs = case.slots.iter().map(|slot| {
        let len = match slot {
            Slot::Floats(_) | Slot::Words(_) => return None,
            Slot::Output { len, .. } => *len,
            Slot::UpdateWords(words) => words.len(),
            Slot::Update { values, .. } => values.len(),
        };
        let mut values = values.next()?.into_f64();
        let guards = values.split_off(len);
        let is_whole = |guard: &f64| match slot {
            Slot::UpdateWords(_) => *guard == f64::from(GUARD),
            _ => guard.is_nan(),
        };
        Some(Output {
            guards_whole: guards.len() == guards_after(len) && guards.iter().all(is_whole),
            values,
        })
    });
    Ok(outputs.collect())
}

/// The bound of each element of an output.
fn bounds(bound: &Bound, expected: &[f64], magnitudes: Option<&Output>) -> Vec<f64> {
    let epsilon = f64::from(f32::EPSILON);
    let magnitudes = magnitudes.map_or(&[][..], |output| &output.values);
    match bound {
        Bound::Exact => vec![0.0; expected.len()],
        Bound::Ulps { ulps, absolute } => {
            let bound = |expected: &f64| ulps * epsilon * expected.abs() + absolute;
            expected.iter().map(bound).collect()
        }
        Bound::Sum { terms, c } => {
            let scale = c * epsilon * (*terms as f64).sqrt();
            magnitudes.iter().map(|sum| scale * sum.abs()).collect()
        }
        Bound::Sums { terms, c } => {
            let each = magnitudes.iter().zip(terms);
            let bound =
                |(sum, &terms): (&f64, &usize)| c * epsilon * (terms as f64).sqrt() * sum.abs();
            each.map(bound).collect()
        }
        Bound::Each(bounds) => bounds.clone(),
    }
}

/// Runs one case on a device and compares every output with the reference.
pub fn verify_case(
    device: &Device,
    reference: &Device,
    kernel: &'static Kernel,
    case: &Case,
) -> Result<Outcome> {
    let found = run(device, kernel, case, false)?;
    let expected = run(reference, kernel, case, false)?;
    let bound_of = |slot: &Slot| match slot {
        Slot::Output { bound, .. } | Slot::Update { bound, .. } => Some(bound.clone()),
        Slot::UpdateWords(_) => Some(Bound::Exact),
        Slot::Floats(_) | Slot::Words(_) => None,
    };
    let sums = |slot: &Slot| matches!(bound_of(slot), Some(Bound::Sum { .. } | Bound::Sums { .. }));
    let magnitudes = if case.slots.iter().any(sums) {
        run(reference, kernel, case, true)?
    } else {
        case.slots.iter().map(|_| None).collect()
    };
    let mut outcome = Outcome {
        kernel: kernel.label(case.variant),
        operation: kernel.operation(case.variant),
        pass: kernel.pass.name(),
        case: case.name.clone(),
        error: 0.0,
        bound: 0.0,
        fraction: 0.0,
        ok: true,
        note: None,
    };
    for (index, slot) in case.slots.iter().enumerate() {
        let (Some(bound), Some(found), Some(expected)) =
            (bound_of(slot), &found[index], &expected[index])
        else {
            continue;
        };
        let name = kernel.bindings[index].name;
        // What is exact is compared in f32, as any executor would have to round it.
        let rounded: Vec<f64> = match bound {
            Bound::Exact if !matches!(slot, Slot::UpdateWords(_)) => expected
                .values
                .iter()
                .map(|&v| f64::from(v as f32))
                .collect(),
            _ => expected.values.clone(),
        };
        let bounds = bounds(&bound, &rounded, magnitudes[index].as_ref());
        let worst = compare(&rounded, &found.values, &bounds);
        if worst.fraction > outcome.fraction {
            (outcome.error, outcome.bound) = (worst.error, worst.bound);
            outcome.fraction = worst.fraction;
        }
        // Written so that a NaN fraction fails.
        let within = worst.fraction <= 1.0;
        if !within {
            outcome.ok = false;
            outcome.note = Some(match worst.index {
                Some(at) => format!(
                    "{name}[{at}] is {}, expected {}",
                    found.values[at], rounded[at]
                ),
                None => format!(
                    "{name} has {} elements and {} bounds, expected {}",
                    found.values.len(),
                    bounds.len(),
                    rounded.len()
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

/// Whether a device runs the kernel with code of its own, so that a comparison says anything: the CPU executor falls
/// back on the twin where a kernel has no CPU body.
pub fn is_verified_on(device: &Device, kernel: &Kernel) -> bool {
    device.name() != "cpu" || kernel.cpu.is_some()
}

/// Runs every case of a kernel on a device, handing each outcome to `report` as it comes. Failures of the device are
/// errors; failures of a comparison are outcomes.
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
