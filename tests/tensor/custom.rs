//! Operations and kernels of the caller's own.

#[path = "../../examples/08_custom_operation.rs"]
#[allow(dead_code, reason = "the example's `main` is not called")]
mod example;

use crate::common;
use example::Silu;
use wgrad::Result;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::{Call, Kernel, Read, Write};
use wgrad::tensor::{Backward, CustomOperation, Tensor, gradcheck, no_gradient};

mod scale_columns {
    use super::*;

    wgrad::interface! {
        /// y[s, c] = x[s, c]·w[c].
        pub struct Params {
            /// Elements of x and y.
            pub length: u32,
            /// Elements of w.
            pub columns: u32,
        }
        pub struct Buffers {
            /// x, `[length]`.
            pub x: Read<f32>,
            /// w, `[columns]`.
            pub w: Read<f32>,
            /// y, `[length]`.
            pub y: Write<f32>,
        }
    }

    impl wgrad::engine::kernel::Params for Params {
        const KERNEL: &'static Kernel = &KERNEL;
        fn groups(&self) -> u32 {
            self.length.div_ceil(32)
        }
    }

    /// It has the name of a kernel of the library, which is another one.
    static KERNEL: Kernel = Kernel::new(
        "unary",
        "struct Params { length: u32, columns: u32 }
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read> w: array<f32>;
        @group(0) @binding(2) var<storage, read_write> y: array<f32>;
        @group(0) @binding(3) var<uniform> params: Params;
        @compute @workgroup_size(32)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < params.length) {
                y[id.x] = x[id.x] * w[id.x % params.columns];
            }
        }",
        Params::BINDINGS,
        Params::FIELDS,
        |call: Call<'_, f64>| {
            let (p, Slices { x, w, y }) = call.open::<Params>();
            for i in 0..p.length as usize {
                y[i] = x[i] * w[i % p.columns as usize];
            }
        },
    );

    pub fn run(x: &Tensor, w: &Tensor) -> Result<Tensor> {
        let params = Params {
            length: x.elements() as u32,
            columns: w.elements() as u32,
        };
        let [y] = Tensor::run_kernel(params, &[("w", w), ("x", x)], [("y", &x.shape())])?;
        Ok(y)
    }
}

/// y[s, c] = x[s, c]·w[c]: both passes run the same kernel.
struct ScaleColumns;

impl CustomOperation<2> for ScaleColumns {
    fn name(&self) -> &'static str {
        "scale_columns"
    }
    fn forward(&self, [x, w]: [&Tensor; 2]) -> Result<Tensor> {
        scale_columns::run(x, w)
    }
    fn backward(&self, pass: &Backward<'_, 2>) -> Result<[Option<Tensor>; 2]> {
        let ([x, w], g) = (pass.operands()?, pass.upstream());
        let [by_x, by_w] = pass.needed();
        let by_x = by_x.then(|| scale_columns::run(g, w)).transpose()?;
        let by_w = by_w.then(|| g.mul(x)?.sum(0, false)).transpose()?;
        Ok([by_x, by_w])
    }
}

fn close(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.shape(), expected.shape());
    let pairs = found
        .to_vec()
        .unwrap()
        .into_iter()
        .zip(expected.to_vec().unwrap());
    for (index, (found, expected)) in pairs.enumerate() {
        let error = (found - expected).abs();
        assert!(error <= 1e-5, "[{index}] is {found}, expected {expected}");
    }
}

fn agrees_with_the_same_of_tensor_operations(device: &Device) {
    let values: Vec<f32> = (0..70)
        .map(|i| ((i * 37) % 29) as f32 / 8.0 - 1.5)
        .collect();
    let tensor = |count: usize, shape: &[usize]| {
        let tensor = Tensor::new(device, &values[..count], shape).unwrap();
        tensor.parameter()
    };
    // Transposed, so that neither operand is row-major, and used twice.
    let (base, w) = (tensor(70, &[7, 10]), tensor(7, &[7]));
    let of = |scaled: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>,
              silu: &dyn Fn(&Tensor) -> Result<Tensor>| {
        let x = base.t()?;
        let once = silu(&scaled(&x, &w)?)?;
        let y = scaled(&once, &w)?;
        // The upstream gradient is a stretched number.
        let gradients = y.sum(.., false)?.backward()?;
        Ok::<_, wgrad::Error>([y.detach(), gradients.of(&base)?, gradients.of(&w)?])
    };
    let custom = of(&|x, w| Tensor::custom(ScaleColumns, [x, w]), &|x| {
        Tensor::custom(Silu, [x])
    });
    let composed = of(&|x, w| x.mul(w), &|x| x.mul(&x.sigmoid()?));
    for (found, expected) in custom.unwrap().iter().zip(&composed.unwrap()) {
        close(found, expected);
    }

    // The library's kernel of the same name still computes what it did: ln is its first variant,
    // too.
    let e = Tensor::new(device, &[1f32.exp()], &[1]).unwrap();
    close(&e.log().unwrap(), &Tensor::ones(device, &[1]).unwrap());

    // Jacobians go back more than once.
    let x = tensor(3, &[3]);
    let found = Tensor::custom(Silu, [&x]).unwrap().jacobian(&x).unwrap();
    let expected = x.mul(&x.sigmoid().unwrap()).unwrap().jacobian(&x).unwrap();
    close(&found, &expected);

    // A gradient by one operand alone; nothing to do for no elements.
    let y = Tensor::custom(ScaleColumns, [&base.t().unwrap().detach(), &w]).unwrap();
    let gradients = y.sum(.., false).unwrap().backward().unwrap();
    close(&gradients.of(&w).unwrap(), &base.sum(1, false).unwrap());
    let nothing = Tensor::custom(Silu, [&tensor(0, &[0, 3])]).unwrap();
    assert_eq!(&*nothing.shape(), [0, 3]);
    assert!(nothing.to_vec().unwrap().is_empty());
}

#[test]
fn custom_operations_agree_with_tensor_operations() {
    agrees_with_the_same_of_tensor_operations(&Device::reference());
    agrees_with_the_same_of_tensor_operations(&Device::cpu().unwrap());
}

#[test]
fn custom_operations_agree_with_tensor_operations_on_vulkan_and_gl() {
    let _turn = common::turn();
    agrees_with_the_same_of_tensor_operations(&common::VULKAN);
    agrees_with_the_same_of_tensor_operations(&common::GL);
}

#[test]
fn custom_gradients_agree_with_finite_differences() {
    let device = Device::reference();
    let x = Tensor::new(&device, &[0.5, -1.25, 2.0, 0.75, -0.5, 1.0], &[3, 2]).unwrap();
    let w = Tensor::new(&device, &[1.5, -0.75], &[2]).unwrap();
    let function = |inputs: &[Tensor]| {
        let scaled = Tensor::custom(ScaleColumns, [&inputs[0], &inputs[1]])?;
        Tensor::custom(Silu, [&scaled])
    };
    let check = gradcheck(function, &[x, w]).unwrap();
    assert!(check.compared == 8 && check.worst <= 1e-6, "{check:?}");
}

/// A custom operation of one operand, from two functions.
struct Made<F, B>(F, B);

impl<F, B> CustomOperation<1> for Made<F, B>
where
    F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    B: Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        "made"
    }
    fn forward(&self, [x]: [&Tensor; 1]) -> Result<Tensor> {
        (self.0)(x)
    }
    fn backward(&self, pass: &Backward<'_, 1>) -> Result<[Option<Tensor>; 1]> {
        pass.operands()?;
        Ok([(self.1)(pass.upstream())?])
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) {
    let error = result.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
}

#[test]
fn the_tape_of_a_custom_operation_keeps_its_promises() {
    let device = Device::cpu().unwrap();
    let x = Tensor::new(&device, &[1.0, 2.0], &[2]).unwrap().parameter();
    let pass = |g: &Tensor| Ok(Some(g.clone()));

    // No history without a tape, without a parameter, or inside the forward pass.
    let off = no_gradient(|| Tensor::custom(Silu, [&x])).unwrap();
    assert!(!off.requires_gradient());
    assert!(
        !Tensor::custom(Silu, [&x.detach()])
            .unwrap()
            .requires_gradient()
    );
    let plain = |x: &Tensor| {
        assert!(!x.requires_gradient());
        x.exp()
    };
    assert!(
        Tensor::custom(Made(plain, pass), [&x])
            .unwrap()
            .requires_gradient()
    );

    // `None` is no gradient, also where the result is the operand itself.
    let stopped = Made(|x: &Tensor| Ok(x.clone()), |_: &Tensor| Ok(None));
    let y = Tensor::custom(stopped, [&x]).unwrap();
    let gradients = y.sum(.., false).unwrap().backward().unwrap();
    assert!(gradients.get(&x).is_none());

    // What the backward pass reads must be what the forward pass saw.
    let y = Tensor::custom(Made(Tensor::exp, pass), [&x]).unwrap();
    x.assign(&Tensor::zeros(&device, &[2]).unwrap()).unwrap();
    refused(
        y.sum(.., false).unwrap().backward(),
        &["made", "overwritten in place"],
    );

    let wide = |g: &Tensor| Ok(Some(g.unsqueeze(0)?));
    let y = Tensor::custom(Made(Tensor::exp, wide), [&x]).unwrap();
    refused(
        y.sum(.., false).unwrap().backward(),
        &["made", "a gradient [2] by operand 0", "found [1, 2]"],
    );
    let elsewhere = |_: &Tensor| Ok(Some(Tensor::zeros(&Device::reference(), &[2])?));
    let y = Tensor::custom(Made(Tensor::exp, elsewhere), [&x]).unwrap();
    refused(
        y.sum(.., false).unwrap().backward(),
        &["made", "cpu", "reference"],
    );
    let elsewhere = |_: &Tensor| Tensor::zeros(&Device::reference(), &[2]);
    refused(
        Tensor::custom(Made(elsewhere, pass), [&x]),
        &["made", "a result on cpu", "reference"],
    );
}
