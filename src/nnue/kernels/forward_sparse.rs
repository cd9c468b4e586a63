//! The forward pass of the masked path on index lists: see [`forward`].

mod cpu;

use super::forward::{self, Forward, Outputs, Variant, case};
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Traffic, Update, Write};

crate::interface! {
    /// Sizes, and offsets in the joined buffers.
    pub struct Params {
        /// Those of the pass.
        pub pass: Forward,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub lists: Read<u32>,
        /// A of the first perspective, `[N, K]`.
        pub weights_1: Read<f32>,
        /// A of the second perspective, `[N, K]`.
        pub weights_2: Read<f32>,
        /// The head buffer: B of each accumulator, C and d.
        pub small: Read<f32>,
        /// Y, then e, then the losses, `[3L]`; Y alone, `[L]`, without a loss.
        pub results: Update<f32>,
        /// The mask words of each sample, by plane.
        pub bits: Update<u32>,
        /// The slope of each lane, `[samples, 2K]`.
        pub slopes: Write<f32>,
        /// Z of each lane inside the mask in 16 bits instead of the slope.
        pub short_slopes: Update<u32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.pass.groups()
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "forward_sparse",
    operation: Some("network"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/forward_sparse.wgsl"),
    libraries: forward::LIBRARIES,
    axes: forward::AXES,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(cpu::body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let variant = Variant::new(&KERNEL, call.variant);
    let (Params { pass }, b) = call.open();
    let weights = [b.weights_1, b.weights_2];
    let hidden = pass.hidden as usize;
    let weight = |side: usize, feature, lane| weights[side][feature * hidden + lane];
    let to = Outputs {
        results: b.results,
        bits: b.bits,
        slopes: b.slopes,
        short_slopes: b.short_slopes,
    };
    forward::compute(&pass, variant, b.lists, weight, b.small, to);
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let Params { pass } = bytemuck::pod_read_unaligned(params);
    forward::traffic(Variant::new(&KERNEL, variant), &pass, 4)
}

fn cases() -> Vec<Case> {
    case::cases(&KERNEL, case)
}

fn case(variant: Variant, seed: usize, shape: [usize; 6]) -> Case {
    let parts = case::parts(variant, seed, shape);
    let [weights_1, weights_2] = parts.weights.map(Slot::Floats);
    Case::new(
        parts.name,
        variant.index(&KERNEL),
        Params { pass: parts.params },
        Slots {
            lists: parts.lists,
            weights_1,
            weights_2,
            small: parts.small,
            results: parts.results,
            bits: parts.bits,
            slopes: parts.slopes,
            short_slopes: parts.short_slopes,
        },
    )
}
