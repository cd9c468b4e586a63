//! `wgrad verify`: the case table on a device, held against the f64 reference.

use crate::options::DeviceOption;
use crate::{Failure, Outcome, counted, print, print_json, quoted, warn};
use std::process::ExitCode;
use wgrad::device::Device;
use wgrad::kernel::{Case, Kernel};
use wgrad::kernels::TABLE;
use wgrad::verify::{self, is_verified_on, verify_case};

/// Options of `wgrad verify`.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    device: DeviceOption,
    /// Only this kernel, by its name, or one variant of it, as in `output.relu`
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Only the cases of this name
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Print one JSON object a case instead: kernel, operation, pass, case, error, bound, fraction, ok, note
    #[arg(long)]
    json: bool,
}

/// What is run of a kernel.
struct Work {
    kernel: &'static Kernel,
    cases: Vec<Case>,
}

/// Runs the chosen cases; exit status 1 if any fails.
pub fn run(options: &Options) -> Outcome {
    let work = chosen(options)?;
    let device = options.device.open()?;
    let reference = Device::reference();
    if !options.json {
        print(format_args!(
            "device: {} ({})",
            device.name(),
            device.reason()
        ))?;
        print(format_args!(
            "{:<26} {:<8}  {:>5}  worst error / bound",
            "kernel", "pass", "cases"
        ))?;
    }
    let (mut kernels, mut cases, mut failed, mut skipped) = (0, 0, 0, 0);
    for Work {
        kernel,
        cases: of_kernel,
    } in work
    {
        let name = format!("{:<26} {:<8}", kernel.name, kernel.pass.name());
        if !is_verified_on(&device, kernel) {
            skipped += 1;
            if !options.json {
                print(format_args!(
                    "{name}      -  no code of its own on {}: not counted",
                    device.name()
                ))?;
            }
            continue;
        }
        let (mut worst, mut failures) = (0.0f64, Vec::new());
        for case in &of_kernel {
            let outcome = verify_case(&device, &reference, kernel, case)?;
            // `max` would drop a NaN.
            worst = if outcome.fraction > worst || outcome.fraction.is_nan() {
                outcome.fraction
            } else {
                worst
            };
            if options.json {
                print_json(&outcome)?;
            }
            if !outcome.ok {
                failures.push(describe(&outcome, &device, kernel));
            }
        }
        kernels += 1;
        cases += of_kernel.len();
        failed += failures.len();
        if options.json {
            failures.iter().for_each(warn);
            continue;
        }
        let verdict = match failures.len() {
            0 => "ok".to_owned(),
            count => format!("FAILED in {}", counted(count, "case")),
        };
        print(format_args!(
            "{name}  {:>5}  {worst:<8.4} {verdict}",
            of_kernel.len()
        ))?;
        failures.iter().try_for_each(print)?;
    }
    if !options.json {
        let left_out = match skipped {
            0 => String::new(),
            count => format!(
                "; {} without code of its own there",
                counted(count, "kernel")
            ),
        };
        let verdict = match failed {
            0 if cases == 0 => "nothing was compared".to_owned(),
            0 => "all within their bounds".to_owned(),
            count => format!("{count} FAILED"),
        };
        print(format_args!(
            "{} of {} on {}: {verdict}{left_out}",
            counted(cases, "case"),
            counted(kernels, "kernel"),
            device.name()
        ))?;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What went wrong, and the command that runs it again.
fn describe(outcome: &verify::Outcome, device: &Device, kernel: &Kernel) -> String {
    format!(
        "  FAILED {}, case {}: {}; error {:.3e}, bound {:.3e}\n  again: wgrad verify --device {} --kernel {} --case {}",
        outcome.kernel,
        outcome.case,
        outcome.note.as_deref().unwrap_or("out of its bound"),
        outcome.error,
        outcome.bound,
        quoted(device.name()),
        kernel.name,
        quoted(&outcome.case),
    )
}

/// The cases that the options leave; none at all is wrong usage, not a success.
fn chosen(options: &Options) -> Result<Vec<Work>, Failure> {
    let wrong = |message| Failure::Usage("verify", message);
    let mut work = Vec::new();
    for &kernel in TABLE {
        let by_label = match &options.kernel {
            Some(name) if *name == kernel.name => None,
            Some(name) => Some(name),
            None => None,
        };
        let mut cases = (kernel.cases)();
        cases.retain(|case| {
            by_label.is_none_or(|label| kernel.label(case.variant) == *label)
                && options.case.as_ref().is_none_or(|name| case.name == *name)
        });
        if !cases.is_empty() {
            work.push(Work { kernel, cases });
        }
    }
    if !work.is_empty() {
        return Ok(work);
    }
    let known = |name: &String| {
        let labels = |kernel: &&Kernel| {
            (0..kernel.variants.len()).any(|variant| kernel.label(variant) == *name)
        };
        TABLE
            .iter()
            .any(|kernel| kernel.name == *name || labels(kernel))
    };
    Err(match (&options.kernel, &options.case) {
        (Some(kernel), Some(case)) if known(kernel) => {
            wrong(format!("the kernel {kernel:?} has no case {case:?}"))
        }
        (Some(kernel), _) => {
            let names: Vec<_> = TABLE.iter().map(|kernel| kernel.name).collect();
            wrong(format!(
                "there is no kernel {kernel:?}; there are {}",
                names.join(", ")
            ))
        }
        (None, case) => wrong(format!("no kernel has a case {case:?}")),
    })
}
