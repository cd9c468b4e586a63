//! The cases of a variant as one file, which another implementation of WGSL can play.
//!
//! The file begins with a line of JSON: `kernel`, its label, and `wgsl`. Each case follows as a line
//! of JSON and the data that the line describes, without gaps:
//!
//! - `case` is its name and `groups` the number of its workgroups: x = min(`groups`, 65,535) and
//!   y = ⌈`groups` ÷ x⌉ in a dispatch.
//! - `buffers` are in the order of their bindings, with `name` and `access` (`read`, `write` or
//!   `update`). The uniform comes last.
//! - `before` of a buffer is its contents before the dispatch. `results` of a buffer that the kernel
//!   writes are its first elements after the dispatch, as the f64 reference computes them. `bounds`
//!   are the largest errors of these results; without them, results must be equal. Each of the
//!   three is a `type` (`u8`, `u32`, `f32` or `f64`) and a `len`, and the data are in this order.
//!
//! An infinite result must be equal, and NaN is right only where NaN is expected. The elements after
//! the results must stay NaN or the same word.

use super::{Bound as Binding, bindings};
use bytemuck::cast_slice;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::Path;
use wgrad::Error;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::{Bound, Case, Kernel, Slot};
use wgrad::files::atomic::try_write_atomically;
use wgrad::verify::{Contents, Expected, contents};

#[derive(Serialize)]
struct Head<'a> {
    case: &'a str,
    groups: u32,
    buffers: Vec<Buffer>,
}

#[derive(Serialize)]
struct Buffer {
    name: &'static str,
    access: &'static str,
    before: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounds: Option<Part>,
}

/// Elements of one type, whose bytes follow the line of JSON.
#[derive(Serialize)]
struct Part {
    #[serde(rename = "type")]
    element: &'static str,
    len: usize,
    #[serde(skip)]
    bytes: Vec<u8>,
}

impl Part {
    fn new<T: bytemuck::NoUninit>(element: &'static str, values: &[T]) -> Self {
        Self {
            element,
            len: values.len(),
            bytes: cast_slice(values).to_vec(),
        }
    }
}

/// Writes a file for each variant of the kernels. Returns the number of cases.
pub fn write(directory: &Path, kernels: &[&'static Kernel]) -> Result<usize, Error> {
    fs::create_dir_all(directory).map_err(Error::io(directory, "create"))?;
    let reference = Device::reference();
    let mut written = 0;
    for kernel in kernels {
        let cases = (kernel.cases)();
        for variant in 0..kernel.variants() {
            let path = directory.join(format!("{}.cases", kernel.label(variant)));
            try_write_atomically(&path, |out| {
                let mut write =
                    |bytes: &[u8]| out.write_all(bytes).map_err(Error::io(&path, "write"));
                let variant_head = serde_json::json!({
                    "kernel": kernel.label(variant),
                    "wgsl": kernel.assemble(variant),
                });
                write(format!("{variant_head}\n").as_bytes())?;
                for case in cases.iter().filter(|case| case.variant == variant) {
                    let head = head(&reference, kernel, case)?;
                    let line = serde_json::to_string(&head);
                    let line = line.map_err(|error| Error::io(&path, "write")(error.into()))?;
                    write(format!("{line}\n").as_bytes())?;
                    for buffer in head.buffers {
                        let parts = [Some(buffer.before), buffer.results, buffer.bounds];
                        for part in parts.into_iter().flatten() {
                            write(&part.bytes)?;
                        }
                    }
                    written += 1;
                }
                Ok(())
            })?;
        }
    }
    Ok(written)
}

fn head<'a>(
    reference: &Device,
    kernel: &'static Kernel,
    case: &'a Case,
) -> Result<Head<'a>, Error> {
    let expected = Expected::new(reference, kernel, case)?;
    let slots = case
        .slots
        .iter()
        .zip(expected.outputs())
        .zip(bindings(kernel));
    let mut buffers: Vec<_> = slots
        .map(|((slot, allowed), Binding { name, access, .. })| {
            let before = match contents(slot, false) {
                Contents::Floats(values) => Part::new("f32", &values),
                Contents::Words(words) => Part::new("u32", &words),
            };
            let (results, bounds) = match (slot, allowed) {
                (_, None) => (None, None),
                (Slot::UpdateWords(_), Some(allowed)) => {
                    let words = allowed.values.iter().map(|&value| value as u32);
                    (Some(Part::new("u32", &words.collect::<Vec<_>>())), None)
                }
                (
                    Slot::Output {
                        bound: Bound::Exact,
                        ..
                    }
                    | Slot::Update {
                        bound: Bound::Exact,
                        ..
                    },
                    Some(allowed),
                ) => {
                    let floats = allowed.values.iter().map(|&value| value as f32);
                    (Some(Part::new("f32", &floats.collect::<Vec<_>>())), None)
                }
                (_, Some(allowed)) => (
                    Some(Part::new("f64", &allowed.values)),
                    Some(Part::new("f64", &allowed.bounds)),
                ),
            };
            Buffer {
                name,
                access,
                before,
                results,
                bounds,
            }
        })
        .collect();
    let mut params = case.params.clone();
    params.resize(kernel.params_size().next_multiple_of(16), 0);
    buffers.push(Buffer {
        name: "params",
        access: "uniform",
        before: Part::new("u8", &params),
        results: None,
        bounds: None,
    });
    Ok(Head {
        case: &case.name,
        groups: case.groups,
        buffers,
    })
}
