//! Runs the caller's kernels on tensors.

use super::Tensor;
use super::op::Op;
use crate::engine::kernel::{Access, Element, Kernel, Params, reflect};
use crate::engine::recording::{BufferId, Dispatch};
use crate::error::Result;
use crate::tensor::shape::Shape;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The kernels in which [`misfit`] has found no fault, by their address.
static SOUND: LazyLock<Mutex<HashSet<usize>>> = LazyLock::new(Mutex::default);

impl Tensor {
    /// Runs the first variant of the caller's kernel, and returns the tensors that it wrote, in the
    /// order of `outputs`. Each buffer is named as in the kernel's bindings. Give a tensor for each
    /// buffer that the kernel reads, and a shape for each buffer that it writes.
    ///
    /// Buffers are row-major and hold at least the elements of the shape. The kernel must write
    /// every element of its outputs, because their contents are undefined before. An adapter runs
    /// the kernel's WGSL; the reference device runs its twin in f64, and the CPU executor runs its
    /// CPU implementation, or the twin if it has none. The results have no history. A
    /// [`CustomOperation`](super::CustomOperation) gives them gradients.
    ///
    /// ```
    /// use wgrad::engine::device::Device;
    /// use wgrad::engine::kernel::{Call, Kernel, Read, Write};
    /// use wgrad::tensor::Tensor;
    ///
    /// wgrad::interface! {
    ///     /// y = factor·x.
    ///     pub struct Params {
    ///         /// Elements.
    ///         pub length: u32,
    ///         /// The factor.
    ///         pub factor: f32,
    ///     }
    ///     pub struct Buffers {
    ///         /// x, `[length]`.
    ///         pub x: Read<f32>,
    ///         /// y, `[length]`.
    ///         pub y: Write<f32>,
    ///     }
    /// }
    ///
    /// impl wgrad::engine::kernel::Params for Params {
    ///     const KERNEL: &'static Kernel = &KERNEL;
    ///     fn groups(&self) -> u32 {
    ///         self.length.div_ceil(64)
    ///     }
    /// }
    ///
    /// static KERNEL: Kernel = Kernel::new(
    ///     "scale",
    ///     "struct Params { length: u32, factor: f32 }
    ///     @group(0) @binding(0) var<storage, read> x: array<f32>;
    ///     @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    ///     @group(0) @binding(2) var<uniform> params: Params;
    ///     @compute @workgroup_size(64)
    ///     fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    ///         if (id.x < params.length) {
    ///             y[id.x] = params.factor * x[id.x];
    ///         }
    ///     }",
    ///     Params::BINDINGS,
    ///     Params::FIELDS,
    ///     twin,
    /// );
    ///
    /// fn twin(call: Call<'_, f64>) {
    ///     let (p, buffers) = call.open::<Params>();
    ///     for i in 0..p.length as usize {
    ///         buffers.y[i] = f64::from(p.factor) * buffers.x[i];
    ///     }
    /// }
    ///
    /// fn main() -> wgrad::Result<()> {
    ///     let x = Tensor::new(&Device::cpu()?, &[1.0, -2.0], &[2])?;
    ///     let params = Params { length: 2, factor: 3.0 };
    ///     let [y] = Tensor::run_kernel(params, &[("x", &x)], [("y", &[2])])?;
    ///     assert_eq!(y.to_vec()?, [3.0, -6.0]);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Names that differ from the names of the bindings; bindings that hold words or are updated in
    /// place; no input, or inputs on different devices; WGSL that does not compile, that declares
    /// other bindings or parameters than the kernel, or that needs more than WebGPU's default
    /// limits; a grid without workgroups although the outputs have elements.
    ///
    /// # Panics
    /// If the kernel has no variant, or its first variant sets an override that the WGSL does not
    /// declare.
    pub fn run_kernel<P: Params, const N: usize>(
        params: P,
        inputs: &[(&str, &Self)],
        outputs: [(&str, &[usize]); N],
    ) -> Result<[Self; N]> {
        let kernel = P::KERNEL;
        let tensors: Vec<&Self> = inputs.iter().map(|(_, tensor)| *tensor).collect();
        let op = Op::new(kernel.name, tensors)?;
        op.check_sound(kernel, size_of::<P>())?;
        let names = [
            inputs.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            outputs.iter().map(|(name, _)| *name).collect(),
        ];
        op.check_names(kernel, names)?;

        let mut buffers = Vec::new();
        for (name, tensor) in inputs {
            buffers.push((*name, tensor.dense()?));
        }
        for (name, shape) in outputs {
            let shape = Shape::new(shape).map_err(|error| op.explain(error))?;
            if params.groups() == 0 && shape.elements() > 0 {
                return Err(op.fail(format!("a workgroup for `{name}` {shape:?}"), "none"));
            }
            buffers.push((name, op.output(shape)?));
        }
        let bound: Vec<BufferId> = kernel
            .bindings
            .iter()
            .filter_map(|binding| buffers.iter().find(|(name, _)| *name == binding.name))
            .map(|(_, tensor)| tensor.storage.id())
            .collect();
        op.device().record(|recording| {
            recording.push(Dispatch {
                kernel,
                variant: 0,
                params: bytemuck::bytes_of(&params).to_vec(),
                groups: params.groups(),
                buffers: bound,
            });
        })?;
        let written = &buffers[inputs.len()..];
        Ok(std::array::from_fn(|index| written[index].1.clone()))
    }
}

impl Op<'_> {
    /// Checks a kernel once, because a kernel that an adapter refuses would stop the device for
    /// good.
    fn check_sound(&self, kernel: &'static Kernel, params: usize) -> Result<()> {
        let address = std::ptr::from_ref(kernel).addr();
        let mut sound = SOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if sound.contains(&address) {
            return Ok(());
        }
        if let Some((expected, found)) = misfit(kernel, params) {
            return Err(self.fail(expected, found));
        }
        sound.insert(address);
        Ok(())
    }

    /// Checks that the first names are the bindings that the kernel reads, and the second names the
    /// bindings that it writes.
    fn check_names(&self, kernel: &Kernel, found: [Vec<&str>; 2]) -> Result<()> {
        let sorted = |mut names: Vec<_>| {
            names.sort_unstable();
            names
        };
        let expected = [Access::Read, Access::Write].map(|access| {
            let bindings = kernel.bindings.iter();
            let named = bindings.filter(|binding| binding.access == access);
            sorted(named.map(|binding| binding.name).collect())
        });
        let found = found.map(sorted);
        if found == expected {
            return Ok(());
        }
        let words = |[inputs, outputs]: [Vec<&str>; 2]| {
            let [inputs, outputs] = [inputs, outputs].map(|names| names.join(", "));
            format!("inputs ({inputs}) and outputs ({outputs})")
        };
        Err(self.fail(words(expected), words(found)))
    }
}

/// The fault that keeps a kernel from running on tensors: the expected and the found value.
fn misfit(kernel: &Kernel, params: usize) -> Option<(String, String)> {
    for binding in kernel.bindings {
        if binding.element != Element::Float || binding.access == Access::Update {
            let expected = "bindings of floats that are read or written".to_owned();
            return Some((expected, format!("`{}`: {binding:?}", binding.name)));
        }
    }
    if kernel.params_size() != params {
        let expected = format!("parameters of {params} bytes, with every field listed");
        return Some((expected, format!("{} bytes", kernel.params_size())));
    }
    let interface = match reflect(&kernel.assemble(0)) {
        Ok(interface) => interface,
        Err(reason) => return Some(("WGSL that compiles".to_owned(), reason)),
    };
    let (expected, found) = (kernel.signature(), interface.signature);
    if expected != found {
        return Some((
            format!("WGSL that declares {expected:?}"),
            format!("{found:?}"),
        ));
    }
    // WebGPU's default limits, and the distance between the parameters of two dispatches.
    let invocations: u32 = interface.workgroup.iter().product();
    let sizes = [
        ("storage buffers", kernel.bindings.len(), 8),
        ("invocations per workgroup", invocations as usize, 256),
        (
            "bytes of workgroup memory",
            interface.workgroup_bytes as usize,
            16_384,
        ),
        ("bytes of parameters", params, 256),
    ];
    let over = sizes.into_iter().find(|(_, size, limit)| size > limit);
    over.map(|(what, size, limit)| (format!("at most {limit} {what}"), size.to_string()))
}
