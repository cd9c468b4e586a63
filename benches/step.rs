//! Training steps with AdamW, including the transposed index of the lists: positions per second
//! over K, L, N and the form of the inputs.
//!
//! ```text
//! cargo bench -p benches --bench step -- "cpu/sparse N=768"
//! WGRAD_BENCH_DEVICE=vulkan:llvmpipe cargo bench -p benches --bench step -- "K=32 L=1024"
//! ```

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wgrad::engine::device::Device;
use wgrad::nnue::{
    Architecture, Batch, Inputs, Learner, Loss, Parameters, SparseInputs, Transpose, gradient_error,
};
use wgrad::optim::Optimizer;

/// F.
const INDICES: usize = 32;
/// The largest relative L2 error of a gradient that a timed step may have.
const TOLERANCE: f64 = 1e-5;

/// The form of a step's inputs.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Sparse,
    /// Lists and two output buckets by turns, so that each step orders its batch first.
    Buckets,
    Dense,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Sparse => "sparse",
            Form::Buckets => "buckets",
            Form::Dense => "dense",
        }
    }
}

/// The form, N, K and L; one of K and L varies at a time.
const SHAPES: &[(Form, usize, usize, usize)] = &[
    (Form::Sparse, 768, 32, 16384),
    (Form::Sparse, 768, 128, 16384),
    (Form::Sparse, 768, 512, 16384),
    (Form::Sparse, 768, 2048, 16384),
    (Form::Sparse, 768, 256, 1024),
    (Form::Sparse, 768, 256, 4096),
    (Form::Sparse, 768, 256, 16384),
    (Form::Sparse, 768, 256, 65536),
    (Form::Buckets, 768, 256, 4096),
    (Form::Sparse, 45_056, 32, 1024),
    (Form::Sparse, 45_056, 32, 16384),
    (Form::Sparse, 45_056, 256, 16384),
    (Form::Dense, 768, 32, 1024),
    (Form::Dense, 768, 256, 1024),
    (Form::Dense, 768, 32, 16384),
    (Form::Dense, 45_056, 32, 1024),
];

/// The batch of the next step, in the memory of the one before. Lists get a new transposed index if
/// the step reads it, as from a loader; dense inputs need none.
fn renewed(spare: Batch, batch: &Batch, transpose: Transpose) -> Batch {
    let Inputs::Sparse([first, second]) = batch.inputs() else {
        return spare;
    };
    let (Inputs::Sparse([own, other]), targets, _) = spare.into_parts() else {
        panic!("a batch of lists is followed by another");
    };
    let again = |spare: SparseInputs, lists: &SparseInputs| {
        let (starts, indices) = (lists.starts(), lists.indices());
        spare
            .refill(lists.inputs(), starts, indices, transpose)
            .unwrap()
    };
    let inputs = rayon::join(|| again(own, first), || again(other, second));
    let renewed = Batch::new(Inputs::Sparse(inputs.into()), targets).unwrap();
    match batch.buckets() {
        Some(buckets) => renewed.with_buckets(buckets.to_vec()).unwrap(),
        None => renewed,
    }
}

/// The time of this many steps, until the last loss arrives.
fn run(device: &Device, learner: &mut Learner, batch: &Batch, count: u64) -> Duration {
    let (mut pending, mut spare) = (VecDeque::new(), batch.clone());
    let transpose = match batch.inputs() {
        Inputs::Sparse(lists) => {
            let entries = lists.iter().map(|lists| lists.indices().len()).sum();
            learner.needs().transpose(batch.len(), entries)
        }
        Inputs::Dense { .. } => Transpose::OnDemand,
    };
    let in_flight = device.steps_in_flight();
    let start = Instant::now();
    for _ in 0..count {
        spare = renewed(spare, batch, transpose);
        pending.push_back(learner.step(&spare, 1e-3).unwrap());
        if pending.len() > in_flight {
            assert!(pending.pop_front().unwrap().wait().unwrap().is_finite());
        }
    }
    for loss in pending {
        assert!(loss.wait().unwrap().is_finite());
    }
    start.elapsed()
}

/// A learner whose gradients are correct.
fn learner(device: &Device, architecture: Architecture, form: Form) -> Learner {
    let dense = form == Form::Dense;
    let few = if dense { 8 } else { 100 };
    let inputs = support::batch(dense, architecture.inputs, few, INDICES)
        .inputs()
        .clone();
    let (tensor, error) = gradient_error(device, &architecture, inputs).unwrap();
    assert!(error <= TOLERANCE, "{}: {tensor}: {error:e}", device.name());
    let parameters = Parameters::initial(architecture, 1).unwrap();
    Learner::new(device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW).unwrap()
}

fn steps(criterion: &mut Criterion) {
    for device in support::devices() {
        let mut group = criterion.benchmark_group(device.name());
        support::moderate(&mut group);
        for &(form, inputs, hidden, samples) in SHAPES {
            let label = format!("{} N={inputs} K={hidden} L={samples}", form.name());
            // Created only if the filter selects it.
            let mut made = None;
            group.throughput(Throughput::Elements(samples as u64));
            group.bench_function(&label, |bencher| {
                let (learner, batch) = made.get_or_insert_with(|| {
                    let batch = support::batch(form == Form::Dense, inputs, samples, INDICES);
                    let places = 0..samples as u32;
                    match form {
                        Form::Buckets => {
                            let architecture = Architecture::new(inputs, hidden).buckets(2);
                            let buckets = places.map(|place| place % 2).collect();
                            (
                                learner(&device, architecture, form),
                                batch.with_buckets(buckets).unwrap(),
                            )
                        }
                        _ => (
                            learner(&device, Architecture::new(inputs, hidden), form),
                            batch,
                        ),
                    }
                });
                bencher.iter_custom(|count| run(&device, learner, batch, count));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
