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

/// Runs the selected cases. The exit status is 1 if any of them fails.
pub fn run(options: &Options) -> Outcome {
    let work = chosen(options)?;
    let device = options.device.open()?;
    let reference = Device::reference();
    if !options.json {
        let (name, reason) = (device.name(), device.reason());
        print(format_args!("device: {name} ({reason})"))?;
        print(format_args!(
            "{:<26} {:<18}  {:>5}  worst error / bound",
            "kernel or operation", "pass", "cases"
        ))?;
    }
    let (mut total, mut kernels, mut operations, mut skipped) = (Tally::default(), 0, 0, 0);
    for work in &work {
        let (name, pass) = match work {
            Selection::Kernel(kernel, _) => (kernel.name, kernel.pass.name()),
            Selection::Operation(cases) => (cases[0].operation.name(), "forward, gradient"),
        };
        let label = format!("{name:<26} {pass:<18}");
        let mut outcomes = Vec::new();
        match work {
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
            Selection::Kernel(kernel, cases) => {
                kernels += 1;
                for case in cases {
                    outcomes.push(verify_case(&device, &reference, kernel, case)?);
                }
            }
            Selection::Operation(cases) => {
                operations += 1;
                for case in cases {
                    outcomes.extend(verify_operation(&device, &reference, case)?);
                }
            }
        }
        let tally = report(options, &label, &outcomes, |outcome| {
            let option = match work {
                Selection::Kernel(..) => "--kernel",
                Selection::Operation(_) => "--operation",
            };
            describe(outcome, &device, &format!("{option} {name}"))
        })?;
        total.cases += tally.cases;
        total.failed += tally.failed;
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
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the outcomes of one kernel or operation.
fn report(
    options: &Options,
    label: &str,
    outcomes: &[verify::Outcome],
    describe: impl Fn(&verify::Outcome) -> String,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for outcome in outcomes {
        tally.cases += 1;
        // `max` would drop a NaN.
        if outcome.fraction > tally.worst || outcome.fraction.is_nan() {
            tally.worst = outcome.fraction;
        }
        if options.json {
            print_json(outcome)?;
        }
        if !outcome.ok {
            failures.push(describe(outcome));
        }
    }
    tally.failed = failures.len();
    if options.json {
        failures.iter().for_each(warn);
        return Ok(tally);
    }
    let verdict = match tally.failed {
        0 => "ok".to_owned(),
        count => format!("FAILED in {}", counted(count, "case")),
    };
    print(format_args!(
        "{label}  {:>5}  {:<8.4} {verdict}",
        tally.cases, tally.worst
    ))?;
    failures.iter().try_for_each(print)?;
    Ok(tally)
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

/// The cases that the options select. An empty selection is wrong usage, not a success.
fn chosen(options: &Options) -> Result<Vec<Selection>, Failure> {
    let named = |name: &str| options.case.as_ref().is_none_or(|case| case == name);
    let mut work = Vec::new();
    for kernel in table::kernels() {
        let mut cases = (kernel.cases)();
        cases.retain(|case| {
            let is_kernel =
                |name: &String| *name == kernel.name || *name == kernel.label(case.variant);
            let is_operation = |name: &String| kernel.operation(case.variant) == name;
            options.kernel.as_ref().is_none_or(is_kernel)
                && options.operation.as_ref().is_none_or(is_operation)
                && named(&case.name)
        });
        if !cases.is_empty() {
            work.push(Selection::Kernel(kernel, cases));
        }
    }
    if options.kernel.is_none() {
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for case in operations::cases() {
            let is_operation = |name: &String| case.operation.name() == name;
            if options.operation.as_ref().is_none_or(is_operation) && named(&case.name) {
                let place = Operation::NAMES
                    .iter()
                    .position(|name| *name == case.operation.name());
                by_name.entry(place).or_default().push(case);
            }
        }
        work.extend(by_name.into_values().map(Selection::Operation));
    }
    if work.is_empty() {
        Err(nothing(options))
    } else {
        Ok(work)
    }
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
