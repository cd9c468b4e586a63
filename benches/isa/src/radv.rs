//! Mesa's AMD driver without a GPU: with `RADV_FORCE_FAMILY` set it offers a device of that family
//! that compiles and runs nothing.
//!
//! The driver reads its environment when it is loaded, so each chip has a process of its own.

use crate::Failure;
use crate::chip::{CHIPS, Chip, Usage};
use crate::kernels::{Form, forms};
use crate::table::Row;
use crate::translate::Shader;
use crate::vulkan::{Device, Report};
use crate::{assembly, files};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io, thread};

/// The exit status of a child whose driver has no device.
pub const NO_DEVICE: u8 = 3;

/// Where Vulkan loaders look for drivers.
const FOLDERS: [&str; 3] = [
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/usr/share/vulkan/icd.d",
];

/// What one chip makes of the kernels.
#[derive(Default)]
pub struct Measured {
    /// The driver's name and version.
    pub driver: String,
    /// A row per kernel, in the order of the table.
    pub rows: Vec<Row>,
}

/// A line of a child's output.
#[derive(Serialize, Deserialize)]
enum Message {
    Driver(String),
    Row(Row),
}

/// The rows of several chips, measured at the same time.
pub fn measure(
    chips: &[&Chip],
    kernel: Option<&str>,
    asm: Option<&Path>,
) -> Result<Vec<Measured>, Failure> {
    let driver = driver_file()?;
    let driver = driver.as_path();
    let measured: Vec<_> = thread::scope(|scope| {
        let start = |&chip| scope.spawn(move || of_chip(chip, driver, kernel, asm));
        let threads: Vec<_> = chips.iter().map(start).collect();
        let threads = threads.into_iter();
        threads.map(thread::ScopedJoinHandle::join).collect()
    });
    let finished = measured
        .into_iter()
        .map(|one| one.unwrap_or_else(|_| Err(Failure::Failed("a thread panicked".to_owned()))));
    finished.collect()
}

/// The file that names RADV to the loader: the one that the caller's environment names, or the
/// system's.
fn driver_file() -> Result<PathBuf, Failure> {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
    if let Some(path) = named.into_iter().find_map(env::var_os) {
        return Ok(path.into());
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        found.extend(entries.flatten().map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("radeon_icd") && name.ends_with(".json")
        }));
    }
    found.sort();
    found.into_iter().next().ok_or_else(|| {
        Failure::Unable(format!(
            "no AMD driver: expected radeon_icd*.json in {}, found none; on Debian: \
             apt-get install mesa-vulkan-drivers libvulkan1",
            FOLDERS.join(" or ")
        ))
    })
}

/// Runs a child for the first of the chip's names that the driver knows.
fn of_chip(
    chip: &Chip,
    driver: &Path,
    kernel: Option<&str>,
    asm: Option<&Path>,
) -> Result<Measured, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure::Failed(format!("this program has no path: {error}")))?;
    for family in chip.families {
        let mut command = Command::new(&program);
        command.args(["--chip", chip.name, "--child"]);
        command.args(kernel.iter().flat_map(|name| ["--kernel", name]));
        if let Some(directory) = asm {
            command.arg("--asm").arg(directory);
        }
        // A cached pipeline may lack its statistics, and the cache would be written.
        command
            .env("RADV_FORCE_FAMILY", family)
            .env("VK_DRIVER_FILES", driver)
            .env("VK_ICD_FILENAMES", driver)
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .stdin(Stdio::null());
        let output = command
            .output()
            .map_err(|error| Failure::Failed(format!("could not start a process: {error}")))?;
        let status = output.status;
        let said = String::from_utf8_lossy(&output.stderr);
        // Mesa says so and aborts.
        let is_unknown = said.contains("Unknown family");
        if is_unknown || status.code() == Some(i32::from(NO_DEVICE)) {
            continue;
        }
        let mut measured = Measured::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            match serde_json::from_str(line) {
                Ok(Message::Driver(name)) => measured.driver = name,
                Ok(Message::Row(row)) => measured.rows.push(row),
                Err(error) => {
                    let name = chip.name;
                    return Err(Failure::Failed(format!("{name}: {error} in `{line}`")));
                }
            }
        }
        if status.success() {
            return Ok(measured);
        }
        let said = said.trim().trim_start_matches("error: ");
        if status.code() == Some(2) {
            return Err(Failure::Unable(said.to_owned()));
        }
        let last = measured.rows.last().map_or("the start", |row| &row.kernel);
        return Err(Failure::Failed(format!(
            "{}: {status} after {last}: {said}",
            chip.name
        )));
    }
    Err(Failure::Unable(format!(
        "{}: expected a RADV that knows {}, found none in {}; on Debian: \
         apt-get install mesa-vulkan-drivers libvulkan1",
        chip.name,
        chip.families.join(" or "),
        driver.display()
    )))
}

/// The child: compiles every kernel and prints a message per line. `None` if the driver has no device.
pub fn child(chip: &Chip, kernel: Option<&str>, asm: Option<&Path>) -> Result<Option<()>, Failure> {
    let Some(device) = Device::open()? else {
        return Ok(None);
    };
    say(&Message::Driver(device.driver.clone()))?;
    for form in forms(kernel)? {
        let named = |reason: String| Failure::Failed(format!("{}: {reason}", form.label));
        let shader = Shader::new(&form.wgsl()).map_err(named)?;
        let spirv = shader.spirv().map_err(named)?;
        let report = device.compile(&spirv, &shader.entry, form.buffers());
        let report = report.map_err(|failure| failure.of(&form.label))?;
        if let Some(directory) = asm {
            let name = format!("{}.{}.s", chip.name, form.label);
            files::write(&directory.join(name), report.assembly.as_bytes())?;
        }
        say(&Message::Row(row(chip, &form, &shader, &report)?))?;
    }
    Ok(Some(()))
}

fn say(message: &Message) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("could not print: {error}"));
    let line = serde_json::to_string(message).map_err(|error| failed(error.into()))?;
    writeln!(io::stdout(), "{line}").map_err(failed)
}

/// The driver's report as a row of the table.
fn row(chip: &Chip, form: &Form, shader: &Shader, report: &Report) -> Result<Row, Failure> {
    let number = |name: &str| {
        let found = report.statistics.get(name).copied();
        found
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| {
                let names: Vec<_> = report.statistics.keys().map(String::as_str).collect();
                Failure::Failed(format!(
                    "{}: expected the statistic `{name}`, found {}",
                    form.label,
                    names.join(", ")
                ))
            })
    };
    let usage = Usage {
        invocations: shader.invocations,
        wave: report.subgroup,
        vgprs: number("VGPRs")?,
        sgprs: number("SGPRs")?,
        lds: number("LDS size")?,
    };
    let occupancy = chip.occupancy(&usage);
    Ok(Row {
        chip: chip.name.to_owned(),
        kernel: form.label.clone(),
        is_for_software: form.is_for_software(),
        invocations: usage.invocations,
        wave: usage.wave,
        vgprs: usage.vgprs,
        sgprs: usage.sgprs,
        spilled_vgprs: number("Spilled VGPRs")?,
        spilled_sgprs: number("Spilled SGPRs")?,
        scratch: number("Scratch size")?,
        lds: usage.lds,
        instructions: number("Instructions")?,
        waves: occupancy.waves,
        most: occupancy.most,
        limit: occupancy.limit.to_owned(),
        loops: assembly::loops(&report.assembly),
    })
}

/// The chips of these names, or all.
pub fn chips(names: &[String]) -> Result<Vec<&'static Chip>, Failure> {
    if names.is_empty() {
        return Ok(CHIPS.iter().collect());
    }
    let find = |name: &String| {
        CHIPS.iter().find(|chip| chip.name == name).ok_or_else(|| {
            let known = CHIPS.map(|chip| chip.name).join(", ");
            Failure::Unable(format!("--chip: expected one of {known}, found {name}"))
        })
    };
    names.iter().map(find).collect()
}
