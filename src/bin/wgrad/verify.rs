//! `wgrad verify`: compares the cases of every kernel and operation on a device with the f64
//! reference.

use crate::options::DeviceOption;
use crate::{Failure, Outcome, counted, print, print_json, quoted, warn};
use std::collections::BTreeMap;
use std::process::ExitCode;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::{self, Kernel};
use wgrad::verify::operations::{self, Operation};
use wgrad::verify::table;
use wgrad::verify::{self, is_verified_on, verify_case, verify_operation};

/// Options of `wgrad verify`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    device: DeviceOption,
    /// Only this kernel, by its name, or one of its variants, as in `output.relu`
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Only this operation, layer or loss, by its name in `wgrad operations`
    #[arg(long, value_name = "NAME", conflicts_with = "kernel")]
    operation: Option<String>,
    /// Only the cases with this name
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Print one JSON object per case: kernel, operation, pass, case, error, bound, fraction, ok,
    /// note
    #[arg(long)]
    json: bool,
}

/// The cases to run.
enum Selection {
    Kernel(&'static Kernel, Vec<kernel::Case>),
    Operation(Vec<operations::OperationCase>),
}

/// The totals of a run.
#[derive(Default)]
struct Tally {
    cases: usize,
    failed: usize,
    worst: f64,
}

impl Tally {
    fn add(&mut self, outcome: &verify::Outcome) {
        self.cases += 1;
        self.failed += usize::from(!outcome.ok);
        // `max` would ignore a NaN.
        if outcome.fraction > self.worst || outcome.fraction.is_nan() {
            self.worst = outcome.fraction;
        }
    }

    fn status(&self) -> ExitCode {
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl Selection {
    /// Runs the cases on a device and compares them with the reference.
    fn outcomes(&self, device: &Device) -> wgrad::Result<Vec<verify::Outcome>> {
        let reference = Device::reference();
        let mut outcomes = Vec::new();
        match self {
            Self::Kernel(kernel, cases) => {
                for case in cases {
                    outcomes.push(verify_case(device, &reference, kernel, case)?);
                }
            }
            Self::Operation(cases) => {
                for case in cases {
                    outcomes.extend(verify_operation(device, &reference, case)?);
                }
            }
        }
        Ok(outcomes)
    }

    /// The option that selects only this kernel or operation.
    fn option(&self) -> String {
        match self {
            Self::Kernel(kernel, _) => format!("--kernel {}", kernel.name),
            Self::Operation(cases) => format!("--operation {}", cases[0].operation.name()),
        }
    }
}

/// Runs the selected cases. The exit status is 1 if any of them fails.
pub fn run(options: &Options) -> Outcome {
    let mut work = chosen(options).peekable();
    if work.peek().is_none() {
        return Err(nothing(options));
    }
    let device = options.device.open()?;
    if !options.json {
        let (name, reason) = (device.name(), device.reason());
        print(format_args!("device: {name} ({reason})"))?;
        print(format_args!(
            "{:<26} {:<18}  {:>5}  worst error / bound",
            "kernel or operation", "pass", "cases"
        ))?;
    }
    let (mut total, mut kernels, mut operations, mut skipped) = (Tally::default(), 0, 0, 0);
    for work in work {
        let (name, pass) = match &work {
            Selection::Kernel(kernel, _) => (kernel.name, kernel.pass.name()),
            Selection::Operation(cases) => (cases[0].operation.name(), "forward, gradient"),
        };
        let label = format!("{name:<26} {pass:<18}");
        match &work {
            Selection::Kernel(kernel, _) if !is_verified_on(&device, kernel) => {
                skipped += 1;
                if !options.json {
                    let place = device.name();
                    print(format_args!(
                        "{label}      -  no code of its own on {place}: not counted"
                    ))?;
                }
                continue;
            }
            Selection::Kernel(..) => kernels += 1,
            Selection::Operation(_) => operations += 1,
        }
        let outcomes = work.outcomes(&device)?;
        report(options, &label, &outcomes, |outcome| {
            describe(outcome, &device, &work.option())
        })?;
        outcomes.iter().for_each(|outcome| total.add(outcome));
    }
    if !options.json {
        let left_out = match skipped {
            0 => String::new(),
            count => format!(
                "; {} without code of its own there",
                counted(count, "kernel")
            ),
        };
        let verdict = match total.failed {
            0 if total.cases == 0 => "nothing was compared".to_owned(),
            0 => "all within their bounds".to_owned(),
            count => format!("{count} FAILED"),
        };
        print(format_args!(
            "{} of {} and {} on {}: {verdict}{left_out}",
            counted(total.cases, "comparison"),
            counted(kernels, "kernel"),
            counted(operations, "operation"),
            device.name()
        ))?;
    }
    Ok(total.status())
}

/// Prints the outcomes of one kernel or operation.
fn report(
    options: &Options,
    label: &str,
    outcomes: &[verify::Outcome],
    describe: impl Fn(&verify::Outcome) -> String,
) -> Result<(), Failure> {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for outcome in outcomes {
        tally.add(outcome);
        if options.json {
            print_json(outcome)?;
        }
        if !outcome.ok {
            failures.push(describe(outcome));
        }
    }
    if options.json {
        failures.iter().for_each(warn);
        return Ok(());
    }
    let verdict = match tally.failed {
        0 => "ok".to_owned(),
        count => format!("FAILED in {}", counted(count, "case")),
    };
    print(format_args!(
        "{label}  {:>5}  {:<8.4} {verdict}",
        tally.cases, tally.worst
    ))?;
    failures.iter().try_for_each(print)
}

/// The fault, and the command that runs the case again.
fn describe(outcome: &verify::Outcome, device: &Device, filter: &str) -> String {
    let name = match outcome.kernel.as_str() {
        "" => outcome.operation,
        kernel => kernel,
    };
    format!(
        "  FAILED {name} {}, case {}: {}; error {:.3e}, bound {:.3e}\n  again: wgrad verify --device {} {filter} --case {}",
        outcome.pass,
        outcome.case,
        outcome.note.as_deref().unwrap_or("out of its bound"),
        outcome.error,
        outcome.bound,
        quoted(device.name()),
        quoted(&outcome.case),
    )
}

/// The cases that the options select. A kernel makes its cases when its turn comes, because the
/// cases of all kernels fill gigabytes.
fn chosen(options: &Options) -> impl Iterator<Item = Selection> {
    let named = |name: &str| options.case.as_ref().is_none_or(|case| case == name);
    let kernels = table::kernels().filter_map(move |kernel| {
        let is_chosen = |variant: usize| {
            let is_kernel = |name: &String| *name == kernel.name || *name == kernel.label(variant);
            let is_operation = |name: &String| kernel.operation(variant) == name;
            options.kernel.as_ref().is_none_or(is_kernel)
                && options.operation.as_ref().is_none_or(is_operation)
        };
        if !(0..kernel.variants()).any(is_chosen) {
            return None;
        }
        let mut cases = (kernel.cases)();
        cases.retain(|case| is_chosen(case.variant) && named(&case.name));
        (!cases.is_empty()).then_some(Selection::Kernel(kernel, cases))
    });
    let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
    if options.kernel.is_none() {
        for case in operations::cases() {
            let is_operation = |name: &String| case.operation.name() == name;
            if options.operation.as_ref().is_none_or(is_operation) && named(&case.name) {
                let place = Operation::NAMES
                    .iter()
                    .position(|name| *name == case.operation.name());
                by_name.entry(place).or_default().push(case);
            }
        }
    }
    kernels.chain(by_name.into_values().map(Selection::Operation))
}

/// The reason why the options select no case.
fn nothing(options: &Options) -> Failure {
    let kernels = || table::kernels();
    let labels =
        |kernel: &'static Kernel| (0..kernel.variants()).map(|variant| kernel.label(variant));
    let is_kernel = |name: &str| {
        kernels().any(|kernel| kernel.name == name || labels(kernel).any(|label| label == name))
    };
    let operations: Vec<&str> = kernels()
        .flat_map(|kernel| (0..kernel.variants()).map(|variant| kernel.operation(variant)))
        .chain(Operation::NAMES.iter().copied())
        .collect();
    let message = match (&options.kernel, &options.operation, &options.case) {
        (Some(kernel), _, _) if !is_kernel(kernel) => {
            let names: Vec<_> = kernels().map(|kernel| kernel.name).collect();
            format!(
                "there is no kernel {kernel:?}; there are {}",
                names.join(", ")
            )
        }
        (_, Some(operation), _) if !operations.contains(&operation.as_str()) => {
            let names = Operation::NAMES.join(", ");
            format!("there is no operation {operation:?}; there are {names}")
        }
        (Some(name), _, Some(case)) => format!("the kernel {name:?} has no case {case:?}"),
        (_, Some(name), Some(case)) => format!("the operation {name:?} has no case {case:?}"),
        (_, _, case) => format!(
            "nothing has a case {:?}",
            case.as_deref().unwrap_or_default()
        ),
    };
    Failure::Usage("verify", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad::engine::kernels::multiply_add::KERNEL;

    /// The outcomes of a correct kernel, compared with a different twin.
    fn outcomes(twin: fn(kernel::Call<'_, f64>)) -> Vec<verify::Outcome> {
        let kernel = Box::leak(Box::new(Kernel {
            twin,
            ..KERNEL.clone()
        }));
        let cases = (kernel.cases)().into_iter().take(3).collect();
        let device = Device::cpu().unwrap();
        Selection::Kernel(kernel, cases).outcomes(&device).unwrap()
    }

    fn status(outcomes: &[verify::Outcome]) -> ExitCode {
        let mut tally = Tally::default();
        outcomes.iter().for_each(|outcome| tally.add(outcome));
        tally.status()
    }

    #[test]
    fn a_failed_comparison_is_exit_status_1_and_names_the_command_that_repeats_it() {
        assert_eq!(status(&outcomes(KERNEL.twin)), ExitCode::SUCCESS);
        let failed = outcomes(|_| {});
        assert_eq!(status(&failed), ExitCode::FAILURE);
        let text = describe(&failed[1], &Device::cpu().unwrap(), "--kernel multiply_add");
        let again = "wgrad verify --device 'cpu' --kernel multiply_add --case 'n=1 ";
        assert!(
            text.contains("FAILED multiply_add") && text.contains(again),
            "{text}"
        );
    }
}
