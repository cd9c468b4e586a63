//! A run of `wgrad verify` as one file of Markdown, which a user attaches to a bug report. It holds
//! no path, host name or user name.

use super::Options;
use crate::adapters::details;
use crate::{Failure, counted, quoted};
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;
use wgrad::Error;
use wgrad::engine::device::{Device, adapters};
use wgrad::files::atomic::write_atomically;
use wgrad::verify::{Outcome, table};

/// The report of the comparisons so far.
pub struct Report<'a> {
    path: &'a Path,
    /// Whether it replaces a file.
    replaces: bool,
    begun: Instant,
    /// Rows of a property and its value.
    facts: Vec<(&'static str, String)>,
    rows: String,
    failures: Vec<String>,
    skipped: Vec<&'static str>,
}

impl<'a> Report<'a> {
    /// A report without a device.
    pub fn new(path: &'a Path, options: &Options) -> Self {
        let (mut variants, mut shaders) = (0, crc32fast::Hasher::new());
        for kernel in table::kernels() {
            variants += kernel.variants();
            (0..kernel.variants()).for_each(|at| shaders.update(kernel.assemble(at).as_bytes()));
        }
        let kernels = format!(
            "{} in {}, CRC-32 of their WGSL {:08x}",
            counted(table::kernels().count(), "kernel"),
            counted(variants, "variant"),
            shaders.finalize()
        );
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        let given = [
            ("device", &options.device.device),
            ("kernel", &options.kernel),
            ("operation", &options.operation),
            ("case", &options.case),
        ];
        let mut command = "wgrad verify".to_owned();
        for (name, value) in given {
            if let Some(value) = value {
                command += &format!(" --{name} {}", quoted(value));
            }
        }
        Self {
            path,
            replaces: path.exists(),
            begun: Instant::now(),
            facts: vec![
                ("wgrad", env!("CARGO_PKG_VERSION").to_owned()),
                ("kernels", kernels),
                ("system", system),
                ("command", format!("`{command}`")),
            ],
            rows: String::new(),
            failures: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Adds the device that runs the comparisons.
    pub fn set_device(&mut self, device: &Device) -> Result<(), Error> {
        self.facts.push(("device", device.name().to_owned()));
        if let Some(adapter) = device.adapter() {
            let vendor = format!("{:#06x}", adapter.vendor);
            self.facts.push(("PCI number of its vendor", vendor));
        }
        let reports = adapters()?;
        let own = reports
            .iter()
            .find(|report| report.label() == device.name());
        if let Some(own) = own {
            self.facts.push(("adapter", details(own).join("; ")));
        }
        let halves = match device.has_halves() {
            true => "packed in words",
            false => "none",
        };
        self.facts.push(("floats of 16 bits", halves.to_owned()));
        self.facts.push(("choice", device.reason().to_owned()));
        Ok(())
    }

    /// Adds a kernel that the device has no code of its own for.
    pub fn skip(&mut self, kernel: &'static str) {
        self.skipped.push(kernel);
    }

    /// Adds comparisons and the descriptions of those that failed.
    pub fn add(&mut self, outcomes: &[Outcome], failures: &[String]) {
        for outcome in outcomes {
            let name = match outcome.kernel.as_str() {
                "" => outcome.operation,
                kernel => kernel,
            };
            let passed = if outcome.ok { "passed" } else { "FAILED" };
            // Writing to a string cannot fail.
            let _ = writeln!(
                self.rows,
                "| {name} | {} | {} | {:.3e} | {:.3e} | {:.4} | {:.1} | {passed} |",
                outcome.pass,
                escaped(&outcome.case),
                outcome.error,
                outcome.bound,
                outcome.fraction,
                outcome.seconds * 1e3,
            );
        }
        self.failures.extend_from_slice(failures);
    }

    /// Where the report is, and whether it replaced a file.
    pub fn place(&self) -> String {
        let verb = if self.replaces { "replaced" } else { "written" };
        format!("report {verb}: {}", self.path.display())
    }

    /// Replaces the file. `result` is one sentence.
    pub fn write(&self, result: impl Display) -> Result<(), Failure> {
        let seconds = format!("{:.1} s", self.begun.elapsed().as_secs_f64());
        let mut text = format!(
            "# wgrad verify: {}\n\n| | |\n| --- | --- |\n",
            escaped(result)
        );
        let facts = self.facts.iter().map(|(name, value)| (*name, value));
        for (name, value) in facts.chain([("time", &seconds)]) {
            let _ = writeln!(text, "| {name} | {} |", escaped(value));
        }
        let _ = writeln!(text, "\n## Failures\n");
        match self.failures.as_slice() {
            [] => text.push_str("None.\n"),
            failures => {
                let _ = writeln!(text, "```text\n{}\n```", failures.join("\n"));
            }
        }
        if !self.skipped.is_empty() {
            let names = self.skipped.join(", ");
            let _ = writeln!(
                text,
                "\n## Not compared\n\nThe device has no code of its own for {names}."
            );
        }
        text.push_str(
            "\n## Comparisons\n\n\
             `ms` is the time on the device, with uploads, reads and, at its first use, compilation.\n\n\
             | kernel or operation | pass | case | error | bound | error ÷ bound | ms | |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        text.push_str(&self.rows);
        // FXC names the place of a fault by the directory of the process.
        let here = std::env::current_dir()
            .ok()
            .filter(|here| here.parent().is_some());
        if let Some(here) = here.as_deref().and_then(Path::to_str) {
            text = text.replace(here, ".");
        }
        write_atomically(self.path, |out| out.write_all(text.as_bytes()))?;
        Ok(())
    }
}

/// A text in a cell of a table.
fn escaped(text: impl Display) -> String {
    text.to_string().replace('|', "\\|").replace('\n', " ")
}
