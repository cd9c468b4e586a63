//! `wgrad adapters`: lists the devices of this machine.

use crate::{Outcome, print, print_json};
use std::process::ExitCode;
use wgrad::engine::device::{AdapterReport, adapters};

/// Options of `wgrad adapters`.
#[derive(clap::Args)]
pub struct Options {
    /// Print one JSON array, with one object per device
    #[arg(long)]
    json: bool,
}

/// Lists the CPU executor and every adapter.
pub fn run(options: &Options) -> Outcome {
    let reports = adapters()?;
    if options.json {
        print_json(&reports)?;
        return Ok(ExitCode::SUCCESS);
    }
    for report in &reports {
        let mark = if report.auto { "*" } else { " " };
        print(format_args!("{mark} {}", report.label()))?;
        for line in details(report) {
            print(format_args!("      {line}"))?;
        }
    }
    print("* is what `auto` takes. Any other is taken by `--device` with a part of its name.")?;
    Ok(ExitCode::SUCCESS)
}

/// Lines about a device: its type and driver and, of an adapter, its limits and features.
pub fn details(report: &AdapterReport) -> Vec<String> {
    let mut lines = vec![format!("{}; {}", report.kind, report.driver)];
    if report.kind != "executor" {
        lines.push(format!(
            "one binding up to {}, a buffer up to {}; {} storage buffers, {} invocations and {} of workgroup memory",
            bytes(report.max_binding_bytes),
            bytes(report.max_buffer_bytes),
            report.max_storage_buffers,
            report.max_invocations,
            bytes(report.max_workgroup_bytes.into()),
        ));
        let features = match report.features.as_slice() {
            [] => "none".to_owned(),
            features => features.join(", "),
        };
        lines.push(format!("optional features: {features}"));
    }
    if let Some(reason) = &report.unfit {
        lines.push(format!("cannot be used: {reason}"));
    }
    lines
}

/// A number of bytes, in the largest unit that keeps the number readable.
fn bytes(count: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| count >= *size) else {
        return format!("{count} bytes");
    };
    let value = count as f64 / size as f64;
    // A whole number has no decimal, any other number has one. 4 GiB minus a few bytes is "4 GiB".
    match format!("{value:.1}") {
        text if text.ends_with(".0") => format!("{value:.0} {unit}"),
        text => format!("{text} {unit}"),
    }
}
