//! `wgrad verify`: compares the cases of every kernel and operation on a device with the f64
//! reference.

mod report;

use crate::options::DeviceOption;
use crate::{Failure, Outcome, counted, print, print_json, quoted, warn};
use report::Report;
use std::collections::BTreeMap;
use std::path::PathBuf;
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
    /// Also write everything to one file of Markdown, for a bug report: versions, device, driver,
    /// limits, and every comparison. It holds no path, host name or user name. The file is
    /// replaced
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
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

/// What a run has compared.
#[derive(Default)]
struct Totals {
    all: Tally,
    kernels: usize,
    operations: usize,
    skipped: usize,
}

impl Totals {
    /// One sentence. `place` is where the comparisons ran.
    fn sentence(&self, place: &str) -> String {
        let left_out = match self.skipped {
            0 => String::new(),
            count => format!(
                "; {} without code of its own there",
                counted(count, "kernel")
            ),
        };
        let verdict = match self.all.failed {
            0 if self.all.cases == 0 => "nothing was compared".to_owned(),
            0 => "all within their bounds".to_owned(),
            count => format!("{count} FAILED"),
        };
        format!(
            "{} of {} and {} on {place}: {verdict}{left_out}",
            counted(self.all.cases, "comparison"),
            counted(self.kernels, "kernel"),
            counted(self.operations, "operation"),
        )
    }
}

impl Selection {
    /// Runs the cases on a device and adds their comparisons with the reference to `outcomes`, up to
    /// a failure of the device.
    fn compare(&self, device: &Device, outcomes: &mut Vec<verify::Outcome>) -> wgrad::Result<()> {
        let reference = Device::reference();
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
        Ok(())
    }

    /// The case that follows so many outcomes.
    fn case(&self, outcomes: usize) -> &str {
        match self {
            Self::Kernel(_, cases) => &cases[outcomes].name,
            // Each has a forward and a gradient pass.
            Self::Operation(cases) => &cases[outcomes / 2].name,
        }
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
    run_all(options, work)
}

/// Runs `work` and writes the report, however the run ends.
fn run_all(options: &Options, work: impl Iterator<Item = Selection>) -> Outcome {
    let mut report = options
        .report
        .as_deref()
        .map(|path| Report::new(path, options));
    let mut totals = Totals::default();
    let ended = compare(options, work, &mut totals, report.as_mut());
    if let Some(report) = report {
        let written = match &ended {
            Ok(device) => report.write(totals.sentence(device.name())),
            Err(failure) => {
                let (why, before) = (reason(failure), totals.sentence("the device before that"));
                report.write(format_args!("DID NOT FINISH: {why}. {before}"))
            }
        };
        match written {
            Ok(()) if options.json => {}
            Ok(()) => print(report.place())?,
            // The failure of the device says more.
            Err(_) if ended.is_err() => {}
            Err(failure) => return Err(failure),
        }
    }
    ended?;
    Ok(totals.all.status())
}

fn reason(failure: &Failure) -> String {
    match failure {
        Failure::Error(error) => error.to_string(),
        Failure::Message(message) | Failure::Usage(_, message) => message.clone(),
        Failure::Closed => "nobody reads the output".to_owned(),
    }
}

/// Opens the device and compares `work`. With a report, the file says at every moment what was
/// compared, because a driver can end the process.
fn compare(
    options: &Options,
    work: impl Iterator<Item = Selection>,
    totals: &mut Totals,
    mut report: Option<&mut Report<'_>>,
) -> Result<Device, Failure> {
    let device = options.device.open()?;
    if let Some(report) = &mut report {
        report.set_device(&device)?;
    }
    if !options.json {
        let (name, reason) = (device.name(), device.reason());
        print(format_args!("device: {name} ({reason})"))?;
        print(format_args!(
            "{:<26} {:<18}  {:>5}  worst error / bound",
            "kernel or operation", "pass", "cases"
        ))?;
    }
    for work in work {
        let (name, pass) = match &work {
            Selection::Kernel(kernel, _) => (kernel.name, kernel.pass.name()),
            Selection::Operation(cases) => (cases[0].operation.name(), "forward, gradient"),
        };
        let label = format!("{name:<26} {pass:<18}");
        match &work {
            Selection::Kernel(kernel, _) if !is_verified_on(&device, kernel) => {
                totals.skipped += 1;
                if let Some(report) = &mut report {
                    report.skip(name);
                }
                if !options.json {
                    let place = device.name();
                    print(format_args!(
                        "{label}      -  no code of its own on {place}: not counted"
                    ))?;
                }
                continue;
            }
            _ => {}
        }
        if let Some(report) = &mut report {
            let before = totals.sentence(device.name());
            report.write(format_args!(
                "DID NOT FINISH: it ended during {name}. {before}"
            ))?;
        }
        let mut outcomes = Vec::new();
        let compared = work.compare(&device, &mut outcomes);
        match work {
            Selection::Kernel(..) => totals.kernels += 1,
            Selection::Operation(_) => totals.operations += 1,
        }
        outcomes.iter().for_each(|outcome| totals.all.add(outcome));
        let failed = outcomes.iter().filter(|outcome| !outcome.ok);
        let failures: Vec<_> = failed
            .map(|outcome| describe(outcome, &device, &work.option()))
            .collect();
        if let Some(report) = &mut report {
            report.add(&outcomes, &failures);
            if compared.is_err() {
                let case = work.case(outcomes.len());
                report.add(
                    &[],
                    &[format!("  the device failed in {name}, case {case}")],
                );
            }
        }
        compared?;
        show(options, &label, &outcomes, &failures)?;
    }
    if !options.json {
        print(totals.sentence(device.name()))?;
    }
    Ok(device)
}

/// Prints the outcomes of one kernel or operation.
fn show(
    options: &Options,
    label: &str,
    outcomes: &[verify::Outcome],
    failures: &[String],
) -> Result<(), Failure> {
    if options.json {
        outcomes.iter().try_for_each(print_json)?;
        failures.iter().for_each(warn);
        return Ok(());
    }
    let mut tally = Tally::default();
    outcomes.iter().for_each(|outcome| tally.add(outcome));
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
mod tests;
