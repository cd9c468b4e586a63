//! Training steps with AdamW, the transposed index of the lists included: positions a second over K, L, N and the form of the inputs.
//!
//! ```text
//! cargo bench --bench step -- "cpu/sparse N=768"
//! WGRAD_BENCH_DEVICE=vulkan:llvmpipe cargo bench --bench step -- "K=32 L=1024"
//! ```

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wgrad::batch::{Batch, Inputs, SparseInputs};
use wgrad::device::Device;
use wgrad::optim::Optimizer;
use wgrad::perspective::{Architecture, Learner, Loss, Parameters, gradient_error};

/// Losses on their way, as in the trainer.
const IN_FLIGHT: usize = 4;
/// F.
const INDICES: usize = 32;
/// The largest relative L2 error of a gradient that is timed.
const TOLERANCE: f64 = 1e-5;

/// Form, N, K and L, one of K and L varied at a time.
const SHAPES: &[(bool, usize, usize, usize)] = &[
    (false, 768, 32, 16384),
    (false, 768, 128, 16384),
    (false, 768, 512, 16384),
    (false, 768, 2048, 16384),
    (false, 768, 256, 1024),
    (false, 768, 256, 4096),
    (false, 768, 256, 16384),
    (false, 768, 256, 65536),
    (false, 45_056, 32, 1024),
    (false, 45_056, 32, 16384),
    (false, 45_056, 256, 16384),
    (true, 768, 32, 1024),
    (true, 768, 256, 1024),
    (true, 768, 32, 16384),
    (true, 45_056, 32, 1024),
];

/// The batch of the next step in the memory of the one before, with a new transposed index, as from a loader; dense inputs
/// need none.
fn renewed(spare: Batch, batch: &Batch) -> Batch {
    let Inputs::Sparse([first, second]) = batch.inputs() else {
        return spare;
    };
    let (Inputs::Sparse([own, other]), targets) = spare.into_parts() else {
        panic!("a batch of lists is followed by another");
    };
    let again = |spare: SparseInputs, lists: &SparseInputs| {
        let (starts, indices) = (lists.starts(), lists.indices());
        spare
            .refill("lists", lists.features(), starts, indices)
            .unwrap()
    };
    let inputs = rayon::join(|| again(own, first), || again(other, second));
    Batch::new(Inputs::Sparse(inputs.into()), targets).unwrap()
}

/// The time of so many steps, until the last loss is there.
fn run(learner: &mut Learner, batch: &Batch, count: u64) -> Duration {
    let (mut pending, mut spare) = (VecDeque::new(), batch.clone());
    let start = Instant::now();
    for _ in 0..count {
        spare = renewed(spare, batch);
        pending.push_back(learner.step(&spare, 1e-3).unwrap());
        if pending.len() > IN_FLIGHT {
            assert!(pending.pop_front().unwrap().wait().unwrap().is_finite());
        }
    }
    for loss in pending {
        assert!(loss.wait().unwrap().is_finite());
    }
    start.elapsed()
}

/// A learner whose gradients are right.
fn learner(device: &Device, architecture: Architecture, dense: bool) -> Learner {
    let few = if dense { 8 } else { 100 };
    let inputs = support::batch(dense, architecture.inputs, few, INDICES)
        .inputs()
        .clone();
    let (tensor, error) = gradient_error(device, architecture, inputs).unwrap();
    assert!(error <= TOLERANCE, "{}: {tensor}: {error:e}", device.name());
    let parameters = Parameters::initial(architecture, 1).unwrap();
    Learner::new(device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW).unwrap()
}

fn steps(criterion: &mut Criterion) {
    for device in support::devices() {
        let mut group = criterion.benchmark_group(device.name());
        support::moderate(&mut group);
        for &(dense, inputs, hidden, samples) in SHAPES {
            let form = if dense { "dense" } else { "sparse" };
            let label = format!("{form} N={inputs} K={hidden} L={samples}");
            // Made only of what the filter leaves.
            let mut made = None;
            group.throughput(Throughput::Elements(samples as u64));
            group.bench_function(&label, |bencher| {
                let (learner, batch) = made.get_or_insert_with(|| {
                    let learner = learner(&device, Architecture::new(inputs, hidden), dense);
                    (learner, support::batch(dense, inputs, samples, INDICES))
                });
                bencher.iter_custom(|count| run(learner, batch, count));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
