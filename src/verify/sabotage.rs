//! The kernel `sum` with a twin that is wrong on purpose: with the feature `sabotage`, `wgrad verify` has to report it.

use crate::engine::kernel::{Call, Kernel};
use crate::nnue::kernels::sum;

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "sabotage",
    operation: Some("sabotage"),
    pass: sum::KERNEL.pass,
    wgsl: sum::KERNEL.wgsl,
    libraries: sum::KERNEL.libraries,
    axes: sum::KERNEL.axes,
    bindings: sum::KERNEL.bindings,
    fields: sum::KERNEL.fields,
    twin: |call: Call<'_, f64>| {
        let (params, buffers) = call.open::<sum::Params>();
        for sum in &mut buffers.sums[params.first as usize..][..params.buckets as usize] {
            *sum = 1e9;
        }
    },
    cpu: sum::KERNEL.cpu,
    traffic: None,
    cases: sum::KERNEL.cases,
};
