//! A custom operation with its own kernel: SiLU, y = x·σ(x), its gradient, and a network that uses
//! it.
//!
//! ```text
//! cargo run --release --example 08_custom_operation
//! ```
//!
//! Output, on any device:
//!
//! ```text
//! silu(x)   = [-0.2384, -0.1888, 0.0000, 0.7311]
//! ∂silu/∂x  = [-0.0908, 0.2600, 0.5000, 0.9277]
//! 4 derivatives compared, all right: true
//! exclusive or is learned: true
//! ```

use wgrad::engine::kernel::{Call, Kernel, Read, Write};
use wgrad::engine::libraries::GRID;
use wgrad::nn::{Descent, Layer, Linear, Mode, mse};
use wgrad::tensor::libraries::FUNCTIONS;
use wgrad::tensor::{Backward, CustomOperation, gradcheck};
use wgrad::{Device, Optimizer, Result, Tensor};

// The parameters of the kernel: the same fields in Rust and in WGSL.
wgrad::interface! {
    /// The parameters of the kernel.
    pub struct Params {
        /// The number of elements of x and y.
        pub length: u32,
    }
    pub struct Buffers {
        /// The operand, `[length]`.
        pub x: Read<f32>,
        /// The result, `[length]`.
        pub y: Write<f32>,
    }
}

impl wgrad::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    /// Workgroups of 64 invocations, one per element.
    fn groups(&self) -> u32 {
        self.length.div_ceil(64)
    }
}

// The libraries bring `group_index` and `sigmoid`.
static KERNEL: Kernel = Kernel {
    libraries: &[GRID, FUNCTIONS],
    ..Kernel::new("silu", WGSL, Params::BINDINGS, Params::FIELDS, twin)
};

const WGSL: &str = "
struct Params {
    length: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = group_index(group, groups) * 64u + invocation;
    if (i < params.length) {
        y[i] = x[i] * sigmoid(x[i]);
    }
}
";

/// The same in f64, which the CPU and the reference device run.
fn twin(call: Call<'_, f64>) {
    let (params, Slices { x, y }) = call.open::<Params>();
    for i in 0..params.length as usize {
        y[i] = x[i] / (1.0 + (-x[i]).exp());
    }
}

/// y = x·σ(x).
pub struct Silu;

impl CustomOperation<1> for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn forward(&self, [x]: [&Tensor; 1]) -> Result<Tensor> {
        let params = Params {
            length: x.elements() as u32,
        };
        let [y] = Tensor::run_kernel(params, &[("x", x)], [("y", &x.shape())])?;
        Ok(y)
    }

    /// g·(σ + x·σ·(1 − σ)) = g·(y + σ·(1 − y)), of tensor operations.
    fn backward(&self, pass: &Backward<'_, 1>) -> Result<[Option<Tensor>; 1]> {
        let ([x], y) = (pass.operands()?, pass.result()?);
        let slope = y.add(&x.sigmoid()?.mul(&y.affine(-1.0, 1.0)?)?)?;
        Ok([Some(pass.upstream().mul(&slope)?)])
    }
}

fn main() -> Result<()> {
    let device = Device::auto()?;
    let x = Tensor::new(&device, &[-2.0, -0.5, 0.0, 1.0], &[4])?.parameter();
    let y = Tensor::custom(Silu, [&x])?;
    println!("silu(x)   = {:.4?}", y.to_vec()?);
    println!(
        "∂silu/∂x  = {:.4?}",
        y.sum(.., false)?.backward()?.of(&x)?.to_vec()?
    );

    // Against finite differences, in f64 by the kernel's twin.
    let check = gradcheck(|inputs| Tensor::custom(Silu, [&inputs[0]]), &[x])?;
    let right = check.worst <= 1e-6;
    println!(
        "{} derivatives compared, all right: {right}",
        check.compared
    );

    // Exclusive or, learned by two layers with SiLU between them.
    let layers = [
        Linear::new(&device, 2, 8, 1)?,
        Linear::new(&device, 8, 1, 2)?,
    ];
    let parameters = layers.iter().flat_map(Linear::parameters).collect();
    let mut descent = Descent::new(Optimizer::ADAMW, parameters)?;
    let inputs = Tensor::new(&device, &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], &[4, 2])?;
    let targets = Tensor::new(&device, &[0.0, 1.0, 1.0, 0.0], &[4, 1])?;
    let mut loss = Tensor::scalar(&device, 0.0)?;
    for _ in 0..300 {
        let hidden = layers[0].forward(&inputs, Mode::Training)?;
        let hidden = Tensor::custom(Silu, [&hidden])?;
        loss = mse(&layers[1].forward(&hidden, Mode::Training)?, &targets)?;
        descent.step(&loss.backward()?, 0.02)?;
    }
    println!("exclusive or is learned: {}", loss.item()? < 1e-3);
    Ok(())
}
