//! What `Tensor::run_kernel` refuses, before it reaches a device: the device goes on.

use crate::common;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::{Call, Kernel, Read, Update, Write};
use wgrad::tensor::Tensor;

/// Doubles the elements of x, one per workgroup.
const DOUBLE: &str = "struct Params { length: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) id: vec3<u32>) { y[id.x] = 2.0 * x[id.x]; }";

const MANY_INVOCATIONS: &str = "struct Params { length: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(512)
fn main(@builtin(workgroup_id) id: vec3<u32>) { y[id.x] = 2.0 * x[id.x]; }";

/// A module with parameters and their kernel, for each text and buffers: one to read, one to write.
macro_rules! kernels {
    ($($name:ident: $wgsl:expr, [$x:ident: $x_role:ty, $y:ident: $y_role:ty], $fields:expr;)*) => {
        $(mod $name {
            use super::*;

            wgrad::interface! {
                /// One number.
                pub struct Params {
                    /// Elements.
                    pub length: u32,
                }
                pub struct Buffers {
                    /// Operand.
                    pub $x: $x_role,
                    /// Result.
                    pub $y: $y_role,
                }
            }

            fn twin(call: Call<'_, f64>) {
                let (params, buffers) = call.open::<Params>();
                for i in 0..params.length as usize {
                    buffers.$y[i] = 2.0 * f64::from(buffers.$x[i] as f32);
                }
            }

            impl wgrad::engine::kernel::Params for Params {
                const KERNEL: &'static Kernel = &KERNEL;
                fn groups(&self) -> u32 {
                    self.length
                }
            }

            static KERNEL: Kernel =
                Kernel::new(stringify!($name), $wgsl, Params::BINDINGS, $fields, twin);
        })*
    };
}

kernels! {
    double: DOUBLE, [x: Read<f32>, y: Write<f32>], Params::FIELDS;
    no_wgsl: "fn main( {", [x: Read<f32>, y: Write<f32>], Params::FIELDS;
    other_names: DOUBLE, [x: Read<f32>, z: Write<f32>], Params::FIELDS;
    of_words: DOUBLE, [x: Read<u32>, y: Write<f32>], Params::FIELDS;
    in_place: DOUBLE, [x: Read<f32>, y: Update<f32>], Params::FIELDS;
    many_invocations: MANY_INVOCATIONS, [x: Read<f32>, y: Write<f32>], Params::FIELDS;
    unlisted: DOUBLE, [x: Read<f32>, y: Write<f32>], &[];
}

fn refused<T: std::fmt::Debug>(result: wgrad::Result<T>, words: &[&str]) {
    let error = result.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
}

fn what_cannot_run_is_refused(device: &Device) {
    let x = Tensor::new(device, &[1.0, -2.0], &[2]).unwrap();
    let (length, shape) = (2, [("y", &[2][..])]);
    macro_rules! refused {
        ($name:ident: $($word:expr),*) => {
            let found = Tensor::run_kernel($name::Params { length }, &[("x", &x)], shape);
            refused(found, &[stringify!($name), $($word),*]);
        };
    }
    refused!(no_wgsl: "of [2]", "WGSL that compiles", "expected identifier");
    refused!(other_names: "WGSL that declares", "\"z\"", "\"y\"");
    refused!(of_words: "bindings of floats", "`x`", "Word");
    refused!(in_place: "read or written", "`y`", "Update");
    refused!(many_invocations: "at most 256 invocations", "512");
    let found = Tensor::run_kernel(unlisted::Params { length }, &[("x", &x)], shape);
    refused(found, &["unlisted", "parameters of 4 bytes", "0 bytes"]);

    let params = double::Params { length };
    let run = |inputs: &[(&str, &Tensor)]| Tensor::run_kernel(params, inputs, shape);
    refused(run(&[]), &["double", "at least 1 tensor"]);
    refused(
        run(&[("a", &x)]),
        &["double", "inputs (x) and outputs (y)", "inputs (a)"],
    );
    refused(run(&[("x", &x), ("x", &x)]), &["inputs (x, x)"]);
    refused(
        Tensor::run_kernel(params, &[("x", &x)], []),
        &["inputs (x) and outputs ()"],
    );
    let other = Tensor::zeros(&Device::reference(), &[2]).unwrap();
    refused(run(&[("x", &x), ("a", &other)]), &["double", "one device"]);
    refused(
        Tensor::run_kernel(params, &[("x", &x)], [("y", &[1; 7])]),
        &["double", "6 axes"],
    );
    refused(
        Tensor::run_kernel(double::Params { length: 0 }, &[("x", &x)], shape),
        &["double", "a workgroup for `y` [2]"],
    );

    let [y] = run(&[("x", &x)]).unwrap();
    assert_eq!(y.to_vec().unwrap(), [2.0, -4.0]);
}

#[test]
fn kernels_that_cannot_run_are_refused() {
    what_cannot_run_is_refused(&Device::cpu().unwrap());
}

#[test]
fn kernels_that_cannot_run_are_refused_on_vulkan_and_gl() {
    let _turn = common::turn();
    what_cannot_run_is_refused(&common::VULKAN);
    what_cannot_run_is_refused(&common::GL);
}
