//! The step of an optimizer for A = A′ + A″, from the gradient of A: see section 1.15.
//!
//! A feature f has its own column f of A′ and the column f mod M of A″, so the M·K elements of A″ are
//! added to each of the N ÷ M king buckets of A′. With the gradient g of A,
//!
//! ```text
//! A″[i] moves by Σ_b g[b, i]    A′[b, i] moves by g[b, i]    A[b, i] = A′[b, i] + A″[i]
//! ```
//!
//! A and both parts are written in one pass through memory. The sum is in ascending order of b, 64 terms
//! at a time.

use crate::engine::cpu;
use crate::engine::kernel::inputs::Inputs;
use crate::engine::kernel::{Bound, Call, Case, Kernel, Pass, Read, Slot, Traffic, Update};
use crate::engine::libraries::GRID;
use crate::nnue::kernels::libraries::SHARED_SUM;
use crate::nnue::kernels::shared_gradient;
use crate::optim::kernels::update;
use crate::optim::sinks::{Element, Group, OPTIMIZERS, SINK, Step, for_sink};
use rayon::prelude::*;

crate::interface! {
    /// One step of an optimizer.
    pub struct Params {
        /// The numbers of the group of A′.
        pub own_group: [f32; 4],
        /// The numbers of the group of A″.
        pub shared_group: [f32; 4],
        /// The elements of A″, M·K.
        pub length: u32,
        /// N ÷ M.
        pub buckets: u32,
        /// The numbers of the step.
        pub step: Step,
    }
    pub struct Buffers {
        /// The gradient of A, `[buckets, M, K]`.
        pub gradient: Read<f32>,
        /// A′, `[buckets, M, K]`.
        pub values: Update<f32>,
        /// The first moment of A′, `[buckets, M, K]`.
        pub first: Update<f32>,
        /// The second moment of A′; any other buffer for an optimizer without one.
        pub second: Update<f32>,
        /// A″, `[M, K]`.
        pub shared_values: Update<f32>,
        /// The first moment of A″, `[M, K]`.
        pub shared_first: Update<f32>,
        /// The second moment of A″; any other buffer for an optimizer without one.
        pub shared_second: Update<f32>,
        /// A, `[buckets, M, K]`.
        pub merged: Update<f32>,
    }
}

impl crate::engine::kernel::Params for Params {
    const KERNEL: &'static Kernel = &KERNEL;
    fn groups(&self) -> u32 {
        self.length.div_ceil(64)
    }
}

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "shared_update",
    operation: Some("accumulator"),
    pass: Pass::Update,
    wgsl: include_str!("../../../shaders/nnue/shared_update.wgsl"),
    libraries: &[GRID, SINK, SHARED_SUM],
    axes: &[OPTIMIZERS],
    bindings: Params::BINDINGS,
    fields: Params::FIELDS,
    twin,
    cpu: Some(body),
    traffic: Some(traffic),
    cases,
};

fn twin(call: Call<'_, f64>) {
    let sink = update::sink_of(call.variant);
    for_sink!(sink, reference(call));
}

fn reference<const SINK: usize>(call: Call<'_, f64>) {
    let (p, b) = call.open::<Params>();
    let (length, mut unused) = (p.length as usize, 0.0);
    for i in 0..length {
        let places = (0..p.buckets as usize).map(|bucket| bucket * length + i);
        let sum = places.clone().map(|at| b.gradient[at]).sum();
        let shared = Element {
            value: &mut b.shared_values[i],
            first: &mut b.shared_first[i],
            second: b.shared_second.get_mut(i).unwrap_or(&mut unused),
        };
        p.step.put::<SINK, f64>(&p.shared_group, sum, shared);
        for at in places {
            let own = Element {
                value: &mut b.values[at],
                first: &mut b.first[at],
                second: b.second.get_mut(at).unwrap_or(&mut unused),
            };
            p.step.put::<SINK, f64>(&p.own_group, b.gradient[at], own);
            b.merged[at] = b.values[at] + b.shared_values[i];
        }
    }
}

/// The variant of an optimizer's sink.
pub use update::variant_of;

/// The elements of A″ that one task updates.
const TASK: usize = 4096;

/// Consecutive elements of A″, and those of A′ and A that belong to them.
struct Task<'a> {
    /// A″ and its moments. A second moment that the optimizer does not have is empty.
    shared: [&'a mut [f32]; 3],
    /// The gradient of A in each bucket.
    gradients: Vec<&'a [f32]>,
    /// A′ and its moments in each bucket.
    own: Vec<[&'a mut [f32]; 3]>,
    /// A in each bucket.
    merged: Vec<&'a mut [f32]>,
}

/// The tasks of a matrix and its moments. A second moment that is shorter than the matrix, because
/// the optimizer has none, has only empty tasks.
fn parts<R>(matrices: [&mut [R]; 3], length: usize) -> impl Iterator<Item = [&mut [R]; 3]> {
    let [values, first, second] = matrices;
    let mut second = second
        .get_mut(..length)
        .unwrap_or_default()
        .chunks_mut(TASK);
    let pairs = values[..length].chunks_mut(TASK);
    let pairs = pairs.zip(first[..length].chunks_mut(TASK));
    pairs.map(move |(values, first)| [values, first, second.next().unwrap_or_default()])
}

fn body(call: Call<'_, f32>) {
    let sink = update::sink_of(call.variant);
    let (p, b) = call.open::<Params>();
    let (length, buckets) = (p.length as usize, p.buckets as usize);
    if length == 0 {
        return;
    }
    let shared = parts([b.shared_values, b.shared_first, b.shared_second], length);
    let mut tasks: Vec<_> = shared
        .map(|shared| Task {
            shared,
            gradients: Vec::with_capacity(buckets),
            own: Vec::with_capacity(buckets),
            merged: Vec::with_capacity(buckets),
        })
        .collect();
    let whole = buckets * length;
    let second = b.second.get_mut(..whole).unwrap_or_default();
    let mut second = second.chunks_mut(length);
    let matrices = b.values[..whole].chunks_mut(length);
    let matrices = matrices.zip(b.first[..whole].chunks_mut(length));
    let merged = b.merged[..whole].chunks_mut(length);
    let gradients = b.gradient[..whole].chunks(length);
    for (((values, first), merged), gradients) in matrices.zip(merged).zip(gradients) {
        let own = parts([values, first, second.next().unwrap_or_default()], length);
        let merged = merged.chunks_mut(TASK);
        let of_bucket = own.zip(merged).zip(gradients.chunks(TASK));
        for (task, ((own, merged), gradients)) in tasks.iter_mut().zip(of_bucket) {
            task.own.push(own);
            task.merged.push(merged);
            task.gradients.push(gradients);
        }
    }
    let tasks = tasks.into_par_iter().with_max_len(1);
    tasks.for_each(|task| for_sink!(sink, run(task, &p)));
}

/// The loops are vectorized one by one, because the compiler must know that no two slices of a loop
/// overlap.
fn run<const SINK: usize>(task: Task<'_>, p: &Params) {
    let put = |group: &Group, gradient: &[f32], to: [&mut [f32]; 3]| {
        cpu::vectorized(|| p.step.put_all::<SINK, f32>(group, gradient, to));
    };
    let [shared, first, second] = task.shared;
    let mut sums = [0.0; TASK];
    let sums = &mut sums[..shared.len()];
    shared_gradient::sum(sums, task.gradients.iter().copied());
    put(&p.shared_group, sums, [&mut *shared, first, second]);
    let buckets = task.own.into_iter().zip(task.merged).zip(task.gradients);
    for (([values, first, second], merged), gradient) in buckets {
        put(&p.own_group, gradient, [&mut *values, first, second]);
        cpu::vectorized(|| {
            for ((merged, own), shared) in merged.iter_mut().zip(values).zip(&*shared) {
                *merged = *own + *shared;
            }
        });
    }
}

fn traffic(variant: usize, params: &[u8]) -> Traffic {
    let p: Params = bytemuck::pod_read_unaligned(params);
    let sink = update::sink_of(variant);
    let (buffers, buckets) = (sink.buffers(), u64::from(p.buckets));
    Traffic::elementwise(
        p.length,
        buckets * (1 + buffers) + buffers,
        buckets * (buffers + 1) + buffers,
        buckets * (sink.operations() + 2) + sink.operations(),
    )
}

fn cases() -> Vec<Case> {
    // [M·K, buckets]: none, 1, a task − 1, a task, a task + 1, a prime, many buckets, and more than
    // 65,535 workgroups; the first and a late step, with and without a range.
    let shapes = [
        [0, 3],
        [1, 1],
        [1023, 4],
        [1024, 2],
        [1025, 10],
        [31, 130],
        [997, 13],
        [4_194_400, 1],
    ];
    let shapes = shapes.into_iter().enumerate();
    let of_variant = |variant| {
        shapes
            .clone()
            .map(move |(seed, shape)| (variant, seed, shape))
    };
    (0..KERNEL.variants())
        .flat_map(of_variant)
        .map(|(variant, seed, shape)| case(variant, seed, shape))
        .collect()
}

fn case(variant: usize, seed: usize, [length, buckets]: [usize; 2]) -> Case {
    let mut inputs = Inputs::new(2000 + seed as u64);
    let (t, ranged) = (
        if seed.is_multiple_of(2) { 1 } else { 1000 },
        !seed.is_multiple_of(3),
    );
    let [own_group, shared_group, _]: [Group; 3] = bytemuck::cast(update::case_groups(ranged));
    let params = Params {
        own_group,
        shared_group,
        length: length as u32,
        buckets: buckets as u32,
        step: update::case_step(t),
    };
    let epsilon = f64::from(f32::EPSILON);
    // As in `update`. Sixteenths add up exactly, so the gradient of A″ has no error, but it may be as
    // large as √buckets or more.
    let moment = Bound::Ulps {
        ulps: 4.0,
        absolute: 4.0 * epsilon,
    };
    let value = Bound::Ulps {
        ulps: 4.0,
        absolute: (16.0 * 0.02 + 1.0) * epsilon,
    };
    // The errors of both parts, whose sum may cancel, and a rounding.
    let merged = Bound::Ulps {
        ulps: 1.0,
        absolute: 2.0 * (4.0 * 1.1 + 16.0 * 0.02 + 1.0) * epsilon,
    };
    let update = |values: Vec<f32>, bound: &Bound| Slot::Update {
        values,
        bound: bound.clone(),
    };
    let mut moments = |count, low| -> Vec<f32> {
        match t {
            1 => vec![0.0; count],
            _ => inputs.floats(count, low, 1.0),
        }
    };
    let whole = length * buckets;
    let [first, shared_first] = [whole, length].map(|count| moments(count, -1.0));
    let [second, shared_second] = [whole, length].map(|count| moments(count, 0.01));
    let slots = Slots {
        gradient: Slot::Floats(inputs.sixteenths(whole)),
        values: update(inputs.floats(whole, -1.0, 1.0), &value),
        first: update(first, &moment),
        second: update(second, &moment),
        shared_values: update(inputs.floats(length, -1.0, 1.0), &value),
        shared_first: update(shared_first, &moment),
        shared_second: update(shared_second, &moment),
        merged: update(vec![0.25; whole], &merged),
    };
    let name = format!("M·K={length} buckets={buckets} t={t} ranged={ranged}");
    Case::new(name, variant, params, slots)
}
