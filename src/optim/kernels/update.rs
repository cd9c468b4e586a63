//! The step of an optimizer for a buffer of parameters, from their gradient (section 5).

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::optim::sinks::{Group, OPTIMIZERS, SINK, Sink, Step, for_sink};
use rayon::prelude::*;
use std::ops::Range;

crate::interface! {
    /// One step of an optimizer.
    pub struct Params {
        /// The [`Group`] of the elements below `end_1`, of the elements below `end_2`, and of the
        /// others.
        pub groups: [f32; 12],
        /// The first element.
        pub start: u32,
        /// The end of the first group, at least `start`.
        pub end_1: u32,
        /// The end of the second group, at least `end_1`.
        pub end_2: u32,
        /// The end of the third group, at least `end_2`.
        pub end: u32,
        /// The numbers of the step.
        pub step: Step,
    }
    pub struct Buffers {
        /// g, at least `[end]`.
        pub gradient: Read<f32>,
        /// θ, like g.
        pub values: Update<f32>,
        /// The first moment, like g.
        pub first: Update<f32>,
        /// The second moment, like g; any other buffer for an optimizer without one.
        pub second: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        (self.end - self.start).div_ceil(64)
    }
}

impl Params {
    /// The ranges of the groups, with the numbers of each group.
    fn ranges(&self) -> [(Range<usize>, Group); 3] {
        let ends = [self.start, self.end_1, self.end_2, self.end].map(|end| end as usize);
        let [start, end_1, end_2, end] = ends.map(|at| at.min(ends[3]));
        let [first, second, third]: [Group; 3] = bytemuck::cast(self.groups);
        [
            (start..end_1, first),
            (end_1..end_2, second),
            (end_2..end, third),
        ]
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "update",
    operation: None,
    pass: Pass::Update,
    wgsl: include_str!("../../../shaders/optim/update.wgsl"),
    libraries: &[GRID, SINK],
    axes: &[OPTIMIZERS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

/// The variant of an optimizer's sink.
pub fn variant_of(sink: Sink) -> usize {
    sink as usize - Sink::Sgd as usize
}

/// The sink of a variant.
pub(crate) fn sink_of(variant: usize) -> Sink {
    Sink::ALL[variant + Sink::Sgd as usize]
}

/// The parts of `values`, `first` and `second` in a range. If an optimizer has no second moment,
/// the buffer in its place may be shorter, and its part is then empty.
fn parts<R>(buffers: [&mut [R]; 3], range: Range<usize>) -> [&mut [R]; 3] {
    let [values, first, second] = buffers;
    [
        &mut values[range.clone()],
        &mut first[range.clone()],
        second.get_mut(range).unwrap_or_default(),
    ]
}

fn twin(call: Call<'_, f64>) {
    let sink = sink_of(call.variant);
    let (p, buffers) = call.open::<Params>();
    let Slices {
        gradient,
        values,
        first,
        second,
    } = buffers;
    for (range, group) in p.ranges() {
        let gradient = &gradient[range.clone()];
        let to = parts([&mut *values, &mut *first, &mut *second], range);
        fn run<const SINK: usize>(step: &Step, group: &Group, g: &[f64], to: [&mut [f64]; 3]) {
            step.put_all::<SINK, f64>(group, g, to);
        }
        for_sink!(sink, run(&p.step, &group, gradient, to));
    }
}

/// The elements that one task updates.
const TASK: usize = 8192;

fn body(call: Call<'_, f32>) {
    let sink = sink_of(call.variant);
    let (p, buffers) = call.open::<Params>();
    let Slices {
        gradient,
        values,
        first,
        second,
    } = buffers;
    for (range, group) in p.ranges() {
        let gradient = &gradient[range.clone()];
        let to = parts([&mut *values, &mut *first, &mut *second], range);
        for_sink!(sink, tasks(&p.step, &group, gradient, to));
    }
}

/// Updates the elements of a range, on threads and in vectors.
fn tasks<const SINK: usize>(
    step: &Step,
    group: &Group,
    gradient: &[f32],
    [values, first, second]: [&mut [f32]; 3],
) {
    let work = |gradient: &[f32], to: [&mut [f32]; 3]| {
        cpu::vectorized(|| step.put_all::<SINK, f32>(group, gradient, to));
    };
    let gradient = gradient.par_chunks(TASK);
    let parts = gradient
        .zip(values.par_chunks_mut(TASK))
        .zip(first.par_chunks_mut(TASK));
    if Sink::ALL[SINK].buffers() < 3 {
        parts.for_each(|((gradient, values), first)| work(gradient, [values, first, &mut []]));
    } else {
        parts
            .zip(second.par_chunks_mut(TASK))
            .for_each(|(((gradient, values), first), second)| {
                work(gradient, [values, first, second]);
            });
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let sink = sink_of(variant);
    let buffers = sink.buffers();
    Traffic::elementwise(p.end - p.start, 1 + buffers, buffers, sink.operations())
}

/// The groups of a case: with and without a range, and with other rates and decays.
pub(crate) fn case_groups(ranged: bool) -> [f32; 12] {
    let (low, high) = if ranged {
        (-0.5, 0.5)
    } else {
        crate::optim::sinks::NO_RANGE
    };
    bytemuck::cast::<[Group; 3], _>([
        [0.002, 1.0 - 0.002 * 0.01, low, high],
        [0.001, 1.0, -0.25, 0.75],
        [0.003, 1.0 - 0.003 * 0.02, low, high],
    ])
}

/// The seed of the case whose divisor is 1, as that of RAdam in its first steps.
const UNRECTIFIED: usize = 7;

/// The numbers of step `t` of a case.
pub(crate) fn case_step(t: i32) -> Step {
    Step {
        beta1: 0.9,
        beta2: 0.999,
        correction1: 1.0 / (1.0 - 0.9f32.powi(t)),
        correction2: 1.0 / (1.0 - 0.999f32.powi(t)),
        epsilon: 1e-8,
    }
}

fn cases() -> Vec<Case> {
    let case = |(variant, (seed, length)): (usize, (usize, usize))| {
        let mut inputs = Inputs::new(1100 + seed as u64);
        let t = if seed % 2 == 0 { 1 } else { 1000 };
        let is_plain = seed == UNRECTIFIED;
        // Other groups may come first.
        let start = if seed % 2 == 1 { length / 5 } else { 0 };
        let params = Params {
            groups: case_groups(seed % 3 != 0),
            start: start as u32,
            end_1: (length / 2) as u32,
            end_2: (length - length / 4) as u32,
            end: length as u32,
            step: match is_plain {
                true => Step {
                    correction2: 0.0,
                    epsilon: 1.0,
                    ..case_step(t)
                },
                false => case_step(t),
            },
        };
        let mut gradient = inputs.floats(length, -1.0, 1.0);
        for gradient in gradient.iter_mut().step_by(7) {
            *gradient = 0.0;
        }
        let mut first = inputs.floats(length, -1.0, 1.0);
        let mut second = inputs.floats(length, 0.01, 1.0);
        if t == 1 {
            first.fill(0.0);
            second.fill(0.0);
        }
        // Moments: two products and a sum of numbers below 2. θ: the change of AdamW is at most
        // about 10·η here, known to 8 ulps with WGSL's division (2.5) and square root, and added to
        // numbers below 1 with two roundings.
        let moment = Bound::Ulps {
            ulps: 2.0,
            absolute: 2.0 * f64::from(f32::EPSILON),
        };
        let value = Bound::Ulps {
            ulps: 2.0,
            absolute: (8.0 * 0.03 + 1.0) * f64::from(f32::EPSILON),
        };
        let update = |values: Vec<f32>, bound: &Bound| Slot::Update {
            values,
            bound: bound.clone(),
        };
        let slots = Slots {
            gradient: Slot::Floats(gradient),
            values: update(inputs.floats(length, -1.0, 1.0), &value),
            first: update(first, &moment),
            second: update(second, &moment),
        };
        let divisor = if is_plain { " without a divisor" } else { "" };
        let name = format!(
            "n={length} start={start} t={t} ranged={}{divisor}",
            seed % 3 != 0
        );
        Case::new(name, variant, params, slots)
    };
    // Sizes 0, 1, tile − 1, tile, tile + 1, a prime, and more than 65,535 workgroups; the first and
    // a late step, with and without a range; and RAdam before it rectifies.
    let lengths = [0usize, 1, 63, 64, 65, 997, 4_194_400, 331];
    (0..KERNEL.variants())
        .flat_map(|variant| {
            lengths
                .into_iter()
                .enumerate()
                .map(move |one| (variant, one))
        })
        .map(case)
        .collect()
}
