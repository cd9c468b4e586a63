//! The forward pass of the masked path on index lists, with A in 16 bits: see
//! [`forward`] and [`half_weights`](super::half_weights).

use super::forward::{self, Forward, Outputs, Variant, case};
use super::half;
use crate::engine::kernel::{Call, Case, Kernel, Pass, Read, Slot, Traffic, Update, Write};

crate::interface! {
    /// Sizes, and offsets in the joined buffers.
    pub struct Params {
        /// Those of the pass.
        pub pass: Forward,
        /// The offset of A of the second perspective in `weights`. That of the first is 0.
        pub second: u32,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub lists: Read<u32>,
        /// A of each accumulator in 16 bits, `[N, K]`.
        pub weights: Read<u32>,
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
    name: "forward_half",
    operation: Some("network"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/forward_half.wgsl"),
    libraries: forward::LIBRARIES,
    axes: forward::AXES,
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let variant = Variant::new(&KERNEL, call.variant);
    let (Params { pass, second }, b) = call.open();
    let (hidden, tile) = (pass.hidden as usize, 2 * pass.interleave as usize);
    let weight = |side: usize, feature, lane| {
        let of_side = &b.weights[side * second as usize..];
        half::get(of_side, feature * hidden + half::place(hidden, lane, tile))
    };
    let to = Outputs {
        results: b.results,
        bits: b.bits,
        slopes: b.slopes,
        short_slopes: b.short_slopes,
    };
    forward::compute(&pass, variant, b.lists, weight, b.small, to);
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let Params { pass, .. } = bytemuck::pod_read_unaligned(params);
    forward::traffic(Variant::new(&KERNEL, variant), &pass, 2)
}

fn cases() -> Vec<Case> {
    case::cases(&KERNEL, case)
}

fn case(variant: Variant, seed: usize, shape: [usize; 6]) -> Case {
    let parts = case::parts(variant, seed, shape);
    // Sixteenths are exact in 16 bits.
    let (hidden, tile) = (shape[1], 2 * parts.params.interleave as usize);
    let mut weights = Vec::new();
    for each in parts.weights {
        weights.extend(half::packed(&each, hidden, tile));
    }
    let params = Params {
        pass: parts.params,
        second: weights.len() as u32 / 2,
    };
    Case::new(
        parts.name,
        variant.index(&KERNEL),
        params,
        Slots {
            lists: parts.lists,
            weights: Slot::Words(weights),
            small: parts.small,
            results: parts.results,
            bits: parts.bits,
            slopes: parts.slopes,
            short_slopes: parts.short_slopes,
        },
    )
}
