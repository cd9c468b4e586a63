//! ∂Loss/∂A = Σ of the rows of each feature's chunks, into a sink (section 1.14): see
//! [`deep`](super::deep).

use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::optim::kernels::update;
use crate::optim::sinks::{Element, SINK, SINKS, Sink, Step, for_sink};

crate::interface! {
    /// The weights of one accumulator.
    pub struct Params {
        /// The numbers of A's group for an optimizer's step.
        pub group: [f32; 4],
        /// N.
        pub inputs: u32,
        /// K, a multiple of 32.
        pub hidden: u32,
        /// The first perspective that has this A, 0 or 1.
        pub perspective: u32,
        /// The number of perspectives that have it: 1, or 2 in a tied network.
        pub count: u32,
        /// The number of the first perspective's rows. The second's follow them.
        pub rows_2: u32,
        /// The offset of the features' first chunks in `index`, `[N + 1]` per perspective.
        pub first_chunks: u32,
        /// Chunks of the perspectives that have this A.
        pub chunks: u32,
        /// The numbers of an optimizer's step.
        pub step: Step,
    }
    pub struct Buffers {
        /// Index lists, targets and transposed index of a batch.
        pub index: Read<u32>,
        /// The rows of sums, `[chunks, K]`.
        pub rows: Read<f32>,
        /// A, `[N, K]`.
        pub values: Update<f32>,
        /// The gradient of A, or its first moment, `[N, K]`.
        pub first: Update<f32>,
        /// The second moment of A, `[N, K]`; any other buffer for a sink without one.
        pub second: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.inputs * (self.hidden / 4)).div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "deep_weights",
    operation: Some("head"),
    pass: Pass::Gradient,
    wgsl: include_str!("../../../shaders/nnue/deep_weights.wgsl"),
    libraries: &[GRID, SINK],
    axes: &[SINKS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: None,
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let sink = Sink::ALL[call.variant];
    for_sink!(sink, reference(call));
}

fn reference<const SINK: usize>(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let (inputs, hidden) = (p.inputs as usize, p.hidden as usize);
    let mut unused = 0.0;
    for f in 0..inputs {
        for r in 0..hidden {
            let mut gradient = 0.0;
            for perspective in p.perspective..p.perspective + p.count {
                let first = p.first_chunks + perspective * (p.inputs + 1);
                let chunks = &b.index[first as usize + f..];
                for chunk in chunks[0]..chunks[1] {
                    let row = (perspective * p.rows_2 + chunk) as usize;
                    gradient += b.rows[row * hidden + r];
                }
            }
            let at = f * hidden + r;
            let to = Element {
                value: &mut b.values[at],
                first: &mut b.first[at],
                second: b.second.get_mut(at).unwrap_or(&mut unused),
            };
            p.step.put::<SINK, f64>(&p.group, gradient, to);
        }
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let sink = Sink::ALL[variant];
    let [inputs, hidden, count, chunks] = [p.inputs, p.hidden, p.count, p.chunks].map(u64::from);
    // An optimizer reads the parameters too.
    let reads = sink.reads() + u64::from(sink.moves());
    Traffic {
        read: 4 * (count * (inputs + 1) + (chunks + reads * inputs) * hidden),
        written: 4 * sink.buffers() * inputs * hidden,
        operations: (chunks + sink.operations() * inputs) * hidden,
        ..Traffic::default()
    }
}

fn cases() -> Vec<Case> {
    // [N, K, chunks of a feature at most, perspective, count]: 1, vectors of less, exactly and more
    // than a workgroup, primes, and past 65,535 workgroups; the first and a late step, with and
    // without a range.
    let shapes = [
        [1, 32, 1, 0, 1],
        [7, 32, 3, 1, 1],
        [8, 32, 2, 0, 2],
        [9, 160, 4, 0, 2],
        [97, 320, 2, 1, 1],
        [3, 4096, 5, 0, 2],
        [524_289, 32, 1, 0, 1],
    ];
    let all = SINKS.len();
    let numbers = (0..all).flat_map(|variant| {
        let each = shapes.into_iter().enumerate();
        each.map(move |(seed, shape)| (variant, seed, shape))
    });
    numbers
        // The largest shape runs with one variant only.
        .filter(|(variant, _, shape)| *variant == Sink::AdamW as usize || shape[0] < 1000)
        .map(|(variant, seed, shape)| case(variant, seed, shape))
        .collect()
}

fn case(variant: usize, seed: usize, shape: [usize; 5]) -> Case {
    let [features, hidden, most, perspective, count] = shape;
    let mut inputs = Inputs::new(2100 + seed as u64);
    // Something else precedes the first chunks.
    let mut index = vec![u32::MAX; seed];
    let mut totals = [0; 2];
    for total in &mut totals {
        for own in inputs.words(features, most as u32 + 1) {
            index.push(*total);
            *total += own;
        }
        index.push(*total);
    }
    let t = if seed.is_multiple_of(2) { 1 } else { 1000 };
    let [a, b, c, d, ..] = update::case_groups(!seed.is_multiple_of(3));
    let params = Params {
        group: [a, b, c, d],
        inputs: features as u32,
        hidden: hidden as u32,
        perspective: perspective as u32,
        count: count as u32,
        rows_2: totals[0],
        first_chunks: seed as u32,
        chunks: totals[perspective..perspective + count].iter().sum(),
        step: update::case_step(t),
    };
    let moves = Sink::ALL[variant].moves();
    let all = features * hidden;
    let rows = (totals[0] + totals[1]) as usize * hidden;
    let moment = Bound::Ulps {
        ulps: 4.0,
        absolute: 4.0 * f64::from(f32::EPSILON),
    };
    let sum = Bound::Sum {
        terms: count * most + 1,
        c: 1.0,
    };
    let mut first = inputs.floats(all, -1.0, 1.0);
    let mut second = inputs.floats(all, 0.01, 1.0);
    if moves && t == 1 {
        first.fill(0.0);
        second.fill(0.0);
    }
    let slots = Slots {
        index: Slot::Words(index),
        // For an optimizer the gradient must be exact, so its terms add up exactly.
        rows: Slot::Floats(match moves {
            true => inputs.sixteenths(rows),
            false => inputs.floats(rows, -1.0, 1.0),
        }),
        values: Slot::Update {
            values: inputs.floats(all, -1.0, 1.0),
            // |m̂|/√v̂ is at most 10 here, times η.
            bound: match moves {
                true => Bound::Ulps {
                    ulps: 4.0,
                    absolute: (16.0 * 0.02 + 1.0) * f64::from(f32::EPSILON),
                },
                false => Bound::Exact,
            },
        },
        first: Slot::Update {
            values: first,
            bound: if moves { moment.clone() } else { sum },
        },
        second: Slot::Update {
            values: second,
            bound: moment,
        },
    };
    let name = format!("N={features} K={hidden} chunks={most} p={perspective} count={count} t={t}");
    Case::new(name, variant, params, slots)
}
