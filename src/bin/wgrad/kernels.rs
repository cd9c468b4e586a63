//! `wgrad kernels`: lists the table, and writes its shaders to files for other WGSL compilers.

use crate::{Failure, Outcome, counted, print, print_json};
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad::Error;
use wgrad::engine::kernel::{Access, Element, Kernel, reflect};
use wgrad::files::atomic::write_atomically;
use wgrad::verify::table;

/// Options of `wgrad kernels`.
#[derive(clap::Args)]
pub struct Options {
    /// Write the WGSL of each kernel to DIR/KERNEL.wgsl or DIR/KERNEL.VARIANT.wgsl; DIR is created
    /// if it is missing
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Print one JSON array, with one object per variant
    #[arg(long)]
    json: bool,
}

/// One variant of one kernel.
#[derive(Serialize)]
struct Form {
    /// The names of the kernel and the variant, as in reports and file names.
    label: String,
    kernel: &'static str,
    variant: String,
    operation: &'static str,
    pass: &'static str,
    workgroup: [u32; 3],
    workgroup_bytes: u32,
    bindings: Vec<Bound>,
    #[serde(skip)]
    wgsl: String,
}

#[derive(Serialize)]
struct Bound {
    name: &'static str,
    element: &'static str,
    access: &'static str,
}

/// Lists the variants, and writes them to files on request.
pub fn run(options: &Options) -> Outcome {
    let mut forms = Vec::new();
    for kernel in table::kernels() {
        for variant in 0..kernel.variants() {
            forms.push(form(kernel, variant)?);
        }
    }
    if let Some(directory) = &options.dump {
        dump(directory, &forms)?;
    }
    if options.json {
        print_json(&forms)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(format_args!(
        "{:<34} {:<30} {:<8}  {:<9}  {:>6}  bindings",
        "kernel", "operation", "pass", "workgroup", "bytes"
    ))?;
    for form in &forms {
        let [x, y, z] = form.workgroup;
        let workgroup = match (y, z) {
            (1, 1) => x.to_string(),
            (_, 1) => format!("{x}x{y}"),
            _ => format!("{x}x{y}x{z}"),
        };
        let names: Vec<_> = form.bindings.iter().map(|binding| binding.name).collect();
        print(format_args!(
            "{:<34} {:<30} {:<8}  {workgroup:<9}  {:>6}  {}",
            form.label,
            form.operation,
            form.pass,
            form.workgroup_bytes,
            names.join(" ")
        ))?;
    }
    print(format_args!(
        "{} in {}; `bytes` are of workgroup memory",
        counted(table::kernels().count(), "kernel"),
        counted(forms.len(), "variant")
    ))?;
    if let Some(directory) = &options.dump {
        let files = counted(forms.len(), "file");
        print(format_args!("{files} written to {}", directory.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn form(kernel: &Kernel, variant: usize) -> Result<Form, Failure> {
    let (label, wgsl) = (kernel.label(variant), kernel.assemble(variant));
    let interface =
        reflect(&wgsl).map_err(|reason| Failure::Message(format!("{label}: {reason}")))?;
    let bindings = kernel.bindings.iter().map(|binding| Bound {
        name: binding.name,
        element: match binding.element {
            Element::Float => "float",
            Element::Word => "word",
        },
        access: match binding.access {
            Access::Read => "read",
            Access::Write => "write",
            Access::Update => "update",
        },
    });
    Ok(Form {
        label,
        kernel: kernel.name,
        variant: kernel.variant_name(variant),
        operation: kernel.operation(variant),
        pass: kernel.pass.name(),
        workgroup: interface.workgroup,
        workgroup_bytes: interface.workgroup_bytes,
        bindings: bindings.collect(),
        wgsl,
    })
}

fn dump(directory: &Path, forms: &[Form]) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
    for form in forms {
        let path = directory.join(format!("{}.wgsl", form.label));
        write_atomically(&path, |out| out.write_all(form.wgsl.as_bytes()))?;
    }
    Ok(())
}
