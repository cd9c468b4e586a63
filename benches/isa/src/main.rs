//! What GPU compilers make of each kernel, without a GPU.
//!
//! ```text
//! cargo run --release -p isa
//! cargo run --release -p isa -- --kernel forward_sparse --chip gfx1100
//! ```
//!
//! Exit status: 0; 1 if a kernel spills more or a SIMD holds fewer waves than recorded, or for any
//! other failure; 2 for wrong usage or a missing driver. README.md explains the columns.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod assembly;
mod chip;
mod compare;
mod files;
mod kernels;
mod radv;
mod table;
mod traffic;
mod translate;
mod vulkan;

use clap::Parser;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use table::Baseline;

/// Compiles every kernel for AMD chips with Mesa's driver, prints registers, spills, memory, waves
/// and loops, and compares them with the baseline. No GPU is needed.
#[derive(Parser)]
#[command(name = "isa")]
struct Options {
    /// Compile for this chip, once per option: gfx1100, navi21 or vega10 [default: all]
    #[arg(long, value_name = "CHIP")]
    chip: Vec<String>,
    /// Compile only the kernels whose name or variant contains NAME
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Write the table to the baseline, the file benches/isa/radv.tsv
    #[arg(long, conflicts_with_all = ["chip", "kernel"])]
    record: bool,
    /// Write the instructions to DIR/CHIP.KERNEL.s; DIR is created if it is missing
    #[arg(long, value_name = "DIR")]
    asm: Option<PathBuf>,
    /// Write MSL to DIR/KERNEL.metal for nvrtc.py, and do nothing else; DIR is created if it is
    /// missing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["chip", "record", "asm"])]
    msl: Option<PathBuf>,
    /// Write what training steps ask of a device to the file benches/isa/traffic.tsv, and do
    /// nothing else; no step is computed
    #[arg(long, conflicts_with_all = ["chip", "kernel", "record", "asm", "msl"])]
    traffic: bool,
    /// The adapter whose kernels --traffic counts
    #[arg(
        long,
        value_name = "D",
        default_value = "vulkan:llvmpipe",
        requires = "traffic"
    )]
    device: String,
    /// Compile in this process, whose environment chooses the driver and the chip
    #[arg(long, hide = true)]
    child: bool,
}

/// Why the program did not finish.
#[derive(Debug)]
pub enum Failure {
    /// Exit status 1.
    Failed(String),
    /// Something that the caller has to name or to install: exit status 2.
    Unable(String),
}

impl Failure {
    /// The same with the name of a kernel.
    fn of(self, label: &str) -> Self {
        match self {
            Self::Failed(reason) => Self::Failed(format!("{label}: {reason}")),
            Self::Unable(reason) => Self::Unable(format!("{label}: {reason}")),
        }
    }
}

fn main() -> ExitCode {
    let (message, status) = match run(&Options::parse()) {
        Ok(status) => return status,
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Unable(message)) => (message, 2),
    };
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(status)
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let kernel = options.kernel.as_deref();
    if let Some(directory) = &options.msl {
        return write_msl(directory, kernel);
    }
    if options.traffic {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/traffic.tsv"));
        files::write(path, traffic::table(&options.device)?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let chips = radv::chips(&options.chip)?;
    if let Some(directory) = &options.asm {
        files::create_directory(directory)?;
    }
    if options.child {
        let [chip] = chips.as_slice() else {
            return Err(Failure::Unable("--child needs one --chip".to_owned()));
        };
        return Ok(match radv::child(chip, kernel, options.asm.as_deref())? {
            Some(()) => ExitCode::SUCCESS,
            None => ExitCode::from(radv::NO_DEVICE),
        });
    }
    // The names are checked here, so that a wrong one is not an error of each child.
    kernels::forms(kernel)?;
    let measured = radv::measure(&chips, kernel, options.asm.as_deref())?;
    let driver = measured.first().map_or("", |one| &one.driver).to_owned();
    let new = Baseline {
        driver,
        rows: measured.into_iter().flat_map(|one| one.rows).collect(),
    };
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/radv.tsv"));
    if options.record {
        files::write(path, new.text().as_bytes())?;
    }
    let Some(text) = files::read(path)? else {
        let path = path.display();
        return Err(Failure::Failed(format!(
            "no {path}; write it with --record"
        )));
    };
    let baseline = Baseline::parse(&text).map_err(|(line, reason)| {
        Failure::Failed(format!("{} line {line}: {reason}", path.display()))
    })?;
    let names: Vec<_> = chips.iter().map(|chip| chip.name).collect();
    report(&new, &baseline, &names, kernel.is_none())
}

/// Prints the table chip by chip, with what differs from the baseline.
fn report(
    new: &Baseline,
    baseline: &Baseline,
    chips: &[&str],
    is_whole: bool,
) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    let mut failures = Vec::new();
    for chip in chips {
        let mut rows = Vec::new();
        for row in new.rows.iter().filter(|row| row.chip == *chip) {
            let finding = compare::compare(row, baseline, &new.driver);
            if finding.fails {
                failures.push(format!("{chip} {}: {}", row.kernel, finding.text));
            }
            rows.push((row, finding.text));
        }
        text += &format!("{chip}, {}\n{}\n", new.driver, table::show(&rows));
    }
    if is_whole {
        for row in compare::stale(baseline, &new.rows, chips) {
            let (chip, kernel) = (&row.chip, &row.kernel);
            failures.push(format!(
                "{chip} {kernel}: FAILS: in the baseline only; write it anew"
            ));
        }
    }
    if new.driver != baseline.driver {
        text += &format!(
            "The baseline is of {}. Waves, registers and instructions of another driver are not \
             comparable; only spills are.\n",
            baseline.driver
        );
    }
    for failure in &failures {
        text += &format!("{failure}\n");
    }
    text += &format!("{} rows, {} failed\n", new.rows.len(), failures.len());
    let printed = io::stdout().write_all(text.as_bytes());
    printed.map_err(|error| Failure::Failed(format!("could not print: {error}")))?;
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}

/// Writes the MSL of the kernels. The first line of each file says what runs it.
fn write_msl(directory: &Path, kernel: Option<&str>) -> Result<ExitCode, Failure> {
    files::create_directory(directory)?;
    for form in kernels::forms(kernel)? {
        let named = |reason: String| Failure::Failed(format!("{}: {reason}", form.label));
        let shader = translate::Shader::new(&form.wgsl()).map_err(named)?;
        let class = if form.is_for_software() {
            "software"
        } else {
            "gpu"
        };
        let text = format!("// class: {class}\n{}", shader.msl().map_err(named)?);
        let path = directory.join(format!("{}.metal", form.label));
        files::write(&path, text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
