//! `wgrad kernels`: lists the table, and writes its shaders to files for other WGSL compilers.

mod cases;

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
    /// Write the cases of `wgrad verify` of each kernel to DIR/KERNEL.cases or
    /// DIR/KERNEL.VARIANT.cases, with the results of the f64 reference and their bounds, for other
    /// implementations of WGSL. All of them take gigabytes
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only this kernel, by its name
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
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
    let kernels = chosen(options)?;
    for kernel in &kernels {
        for variant in 0..kernel.variants() {
            forms.push(form(kernel, variant)?);
        }
    }
    if let Some(directory) = &options.dump {
        dump(directory, &forms)?;
    }
    let written = options.cases.as_deref();
    let written = written
        .map(|directory| cases::write(directory, &kernels))
        .transpose()?;
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
        counted(kernels.len(), "kernel"),
        counted(forms.len(), "variant")
    ))?;
    if let Some(directory) = &options.dump {
        let files = counted(forms.len(), "file");
        print(format_args!("{files} written to {}", directory.display()))?;
    }
    if let Some((directory, written)) = options.cases.as_ref().zip(written) {
        let (files, written) = (counted(forms.len(), "file"), counted(written, "case"));
        print(format_args!(
            "{files} with {written} written to {}",
            directory.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The kernels that the options select.
fn chosen(options: &Options) -> Result<Vec<&'static Kernel>, Failure> {
    let Some(name) = &options.kernel else {
        return Ok(table::kernels().collect());
    };
    let unknown = || Failure::Usage("kernels", format!("there is no kernel {name:?}"));
    Ok(vec![table::find(name).ok_or_else(unknown)?])
}

fn form(kernel: &Kernel, variant: usize) -> Result<Form, Failure> {
    let (label, wgsl) = (kernel.label(variant), kernel.assemble(variant));
    let interface =
        reflect(&wgsl).map_err(|reason| Failure::Message(format!("{label}: {reason}")))?;
    Ok(Form {
        label,
        kernel: kernel.name,
        variant: kernel.variant_name(variant),
        operation: kernel.operation(variant),
        pass: kernel.pass.name(),
        workgroup: interface.workgroup,
        workgroup_bytes: interface.workgroup_bytes,
        bindings: bindings(kernel).collect(),
        wgsl,
    })
}

fn bindings(kernel: &Kernel) -> impl Iterator<Item = Bound> {
    kernel.bindings.iter().map(|binding| Bound {
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
