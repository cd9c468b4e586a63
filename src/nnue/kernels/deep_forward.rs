//! Z\[s, pK + r\] = B_p\[r\] + Σ A_p\[i, r\] over the index list of sample s in perspective p
//! (section 1.14): see [`deep`](super::deep).

use super::half::{self, Scale};
use super::libraries::{HALF, STORAGES, WEIGHTS};
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Update, Write};
use crate::engine::libraries::GRID;

crate::interface! {
    /// Sizes, and offsets in the joined buffers.
    pub struct Params {
        /// Samples.
        pub samples: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// The offset of the first perspective's indices in `lists`.
        pub indices_1: u32,
        /// The offset of the second perspective's indices in `lists`.
        pub indices_2: u32,
        /// The offset of B of the second perspective in `head`. B of the first has offset 0.
        pub bias_2: u32,
        /// N.
        pub inputs: u32,
        /// Indices in the lists of both perspectives.
        pub entries: u32,
        /// [`Scale::limit`] of Z in 16 bits.
        pub limit: f32,
        /// [`Scale::top`].
        pub top: f32,
        /// [`Scale::above`].
        pub above: f32,
        /// The offset of A of the second perspective in `half_weights`. That of the first is 0.
        pub second: u32,
    }
    pub struct Buffers {
        /// Index lists and more: the starts of both perspectives come first.
        pub lists: Read<u32>,
        /// A of the first perspective, `[N, K]`.
        pub weights_1: Read<f32>,
        /// A of the second perspective, `[N, K]`.
        pub weights_2: Read<f32>,
        /// The head buffer: B of each accumulator, and the layers.
        pub head: Read<f32>,
        /// Z, `[samples, 2K]`, unless it is stored in 16 bits.
        pub z: Write<f32>,
        /// Z in 16 bits, two lanes in a word.
        pub halves: Update<u32>,
        /// A of each accumulator in 16 bits, `[N, K]`, with tiles of [`TILE`] vectors.
        pub half_weights: Read<u32>,
    }
}

/// Invocations of a workgroup.
const INVOCATIONS: u32 = 64;

/// The most lanes of a workgroup: eight per invocation.
const LANES: u32 = 8 * INVOCATIONS;

/// Vectors of a tile of A in 16 bits: the lanes of a workgroup.
pub const TILE: usize = LANES as usize / 4;

/// The variant that stores Z in 16 bits or not and that reads A in 16 bits or not.
pub fn variant_for(half: bool, half_weights: bool) -> usize {
    KERNEL.variant([usize::from(half), usize::from(half_weights)])
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        match self.hidden.div_ceil(LANES) {
            1 => (2 * self.samples).div_ceil(INVOCATIONS / (self.hidden / 8)),
            tiles => 2 * self.samples * tiles,
        }
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "deep_forward",
    operation: Some("head"),
    pass: Pass::Forward,
    wgsl: include_str!("../../../shaders/nnue/deep_forward.wgsl"),
    libraries: &[GRID, HALF],
    axes: &[STORAGES, WEIGHTS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let [is_half, has_half_weights] = KERNEL.choices(call.variant).map(|choice| choice == 1);
    let (p, b) = call.open::<Params>();
    let scale = Scale {
        limit: p.limit,
        top: p.top,
        above: p.above,
    };
    let (samples, hidden) = (p.samples as usize, p.hidden as usize);
    for (perspective, weights) in [b.weights_1, b.weights_2].into_iter().enumerate() {
        let starts = &b.lists[perspective * (samples + 1)..];
        let indices = &b.lists[[p.indices_1, p.indices_2][perspective] as usize..];
        let bias = [0, p.bias_2][perspective] as usize;
        for s in 0..samples {
            let list = &indices[starts[s] as usize..starts[s + 1] as usize];
            for r in 0..hidden {
                let rows = list.iter().map(|&i| match has_half_weights {
                    false => weights[i as usize * hidden + r],
                    true => {
                        let copy = &b.half_weights[perspective * p.second as usize..];
                        half::get(copy, i as usize * hidden + half::place(hidden, r, TILE))
                    }
                });
                let to = (2 * s + perspective) * hidden + r;
                let z = b.head[bias + r] + rows.sum::<f64>();
                match is_half {
                    false => b.z[to] = z,
                    true => half::put(b.halves, to, scale.ratio(z)),
                }
            }
        }
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let [samples, hidden, inputs, entries] =
        [p.samples, p.hidden, p.inputs, p.entries].map(u64::from);
    // The parameters say by the place of the second B whether the network is tied.
    let accumulators = if p.bias_2 == 0 { 1 } else { 2 };
    let distinct = entries.min(accumulators * inputs);
    let [half, half_weights] = KERNEL.choices(variant);
    let bytes = if half_weights == 1 { 2 } else { 4 };
    Traffic {
        read: 4 * (2 * (samples + 1) + entries + accumulators * hidden),
        written: if half == 1 { 2 } else { 4 } * 2 * samples * hidden,
        gathered_issued: bytes * entries * hidden,
        gathered_distinct: bytes * distinct * hidden,
        operations: entries * hidden,
    }
}

fn cases() -> Vec<Case> {
    // [samples, K, F, N, tied]: 0, 1, teams − 1, teams, teams + 1, primes, long lists, teams that
    // do not fill a workgroup, the largest K, and past 65,535 workgroups.
    let shapes = [
        [0, 32, 2, 5, 0],
        [1, 32, 1, 1, 1],
        [3, 256, 7, 40, 0],
        [4, 128, 32, 768, 1],
        [5, 256, 32, 768, 0],
        [1031, 160, 5, 45, 0],
        [67, 96, 3, 11, 1],
        [5, 4096, 3, 11, 0],
        [7, 544, 3, 11, 0],
        [32_771, 288, 1, 3, 1],
    ];
    let case =
        |variant: usize, (seed, [samples, hidden, width, features, tied]): (usize, [usize; 5])| {
            let mut inputs = Inputs::new(1900 + seed as u64);
            // With these limits the 16-bit values are exact too.
            let scale = Scale::new([Some(1.0), None, Some(0.5)][seed % 3]);
            let sides = [(); 2].map(|()| inputs.sparse(samples, width, features));
            let starts = sides.iter().flat_map(|lists| lists.starts());
            let indices = sides.iter().flat_map(|lists| lists.indices());
            let lists: Vec<u32> = starts.chain(indices).copied().collect();
            let count = sides
                .iter()
                .map(|lists| lists.indices().len())
                .sum::<usize>();
            let params = Params {
                samples: samples as u32,
                hidden: hidden as u32,
                indices_1: 2 * (samples as u32 + 1),
                indices_2: (2 * (samples + 1) + sides[0].indices().len()) as u32,
                bias_2: ((1 - tied) * hidden) as u32,
                inputs: features as u32,
                entries: count as u32,
                limit: scale.limit,
                top: scale.top,
                above: scale.above,
                second: ((1 - tied) * features * hidden / 2) as u32,
            };
            let [half, half_weights] = KERNEL.choices(variant);
            let one = inputs.sixteenths(features * hidden);
            let two = match tied {
                1 => one.clone(),
                _ => inputs.sixteenths(features * hidden),
            };
            // Sixteenths are exact in 16 bits.
            let copies = match half_weights {
                1 => [&one, &two]
                    .map(|rows| half::packed(rows, hidden, TILE))
                    .concat(),
                _ => Vec::new(),
            };
            let slots = Slots {
                lists: Slot::Words(lists),
                weights_1: Slot::Floats(one),
                weights_2: Slot::Floats(two),
                head: Slot::Floats(inputs.sixteenths((2 - tied) * hidden)),
                // Sixteenths add up exactly.
                z: Slot::Output {
                    len: (1 - half) * samples * 2 * hidden,
                    bound: Bound::Exact,
                },
                halves: Slot::UpdateWords(vec![7; half * samples * hidden]),
                half_weights: Slot::Words(copies),
            };
            let name = format!("L={samples} K={hidden} F={width} N={features} tied={tied}");
            Case::new(name, variant, params, slots)
        };
    let variants = 0..KERNEL.variants();
    variants
        .flat_map(|variant| {
            let each = shapes.into_iter().enumerate();
            each.map(move |one| case(variant, one))
        })
        .collect()
}
