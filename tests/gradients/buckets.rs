//! Output buckets: the fused paths for index lists against the layered path in f64, which the same
//! batch as matrices takes.

use crate::common::nets::{self, relative_l2};
use crate::{common, compute, gradients, worst_error};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgrad::engine::device::Device;
use wgrad::nnue::{Activation, Architecture, Batch, Learner, Loss, Network, Tuning, Upstream};
use wgrad::optim::Optimizer;

/// The largest relative L2 distance of a fused gradient from a layered one.
const BOUND: f64 = 1e-5;

/// How buckets are given to samples.
#[derive(Clone, Copy, Debug)]
enum Assignment {
    Random,
    /// In ascending order, so that nothing is reordered.
    Ascending,
    /// All samples in the last bucket.
    Last,
    /// The sample in the middle has a bucket of its own, the first; the others have the last one.
    Alone,
}

const ASSIGNMENTS: [Assignment; 4] = [
    Assignment::Random,
    Assignment::Ascending,
    Assignment::Last,
    Assignment::Alone,
];

impl Assignment {
    fn buckets(self, samples: usize, count: usize, random: &mut ChaCha8Rng) -> Vec<u32> {
        let last = count as u32 - 1;
        let bucket = |sample| match self {
            Self::Random => random.random_range(0..=last),
            Self::Ascending => (sample * count / samples) as u32,
            Self::Alone if sample == samples / 2 => 0,
            Self::Alone | Self::Last => last,
        };
        (0..samples).map(bucket).collect()
    }
}

fn with_buckets(batch: &Batch, buckets: &[u32]) -> Batch {
    let batch = Batch::new(batch.inputs().clone(), batch.targets().to_vec()).unwrap();
    batch.with_buckets(buckets.to_vec()).unwrap()
}

/// A case: its network, and one batch as lists and as matrices.
struct Case {
    name: String,
    net: nets::Net,
}

/// A random network and batch with N, K, L and F from 1 to `most`, 1 to 8 buckets, and the
/// activation and the assignment by turns.
fn case(seed: u64, most: [usize; 4]) -> Case {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let [inputs, hidden, samples, width] = most.map(|most| random.random_range(1..=most));
    let turn = seed as usize;
    let count = 1 + turn % 8;
    let mut architecture = Architecture::new(inputs, hidden);
    architecture.tied = random.random_range(0..2) == 0;
    let activation = Activation::ALL[turn % Activation::ALL.len()];
    let architecture = architecture
        .activation(activation)
        .clip(0.75)
        .buckets(count);
    let assignment = ASSIGNMENTS[turn / 2 % ASSIGNMENTS.len()];
    let mut net = nets::random(&architecture, samples, width, seed);
    let buckets = assignment.buckets(samples, count, &mut random);
    net.sparse = with_buckets(&net.sparse, &buckets);
    net.dense = with_buckets(&net.dense, &buckets);
    Case {
        name: format!("{architecture:?} L={samples} {assignment:?}"),
        net,
    }
}

fn agrees_with_the_layered_path(device: &Device, cases: u64, most: [usize; 4]) {
    let reference = Device::reference();
    for seed in 0..cases {
        let Case { name, net } = case(seed, most);
        let e: Vec<f32> = (0..net.sparse.len())
            .map(|sample| (sample % 7) as f32 / 64.0 - 0.03)
            .collect();
        assert!(is_fused(device, &net), "{}: {name}", device.name());
        for upstream in [Upstream::Loss(Loss::SIGMOID_MSE), Upstream::Given(&e)] {
            let fused = gradients(device, &net.parameters, &net.sparse, upstream);
            let layered = gradients(&reference, &net.parameters, &net.dense, upstream);
            let error = worst_error(&layered, &fused);
            assert!(error <= BOUND, "{}: {name}: {error:e}", device.name());
            let losses = [&fused, &layered].map(|found| found.loss.unwrap_or(0.0));
            assert!(
                (losses[0] - losses[1]).abs() <= 1e-6 * losses[1],
                "{losses:?}"
            );
        }
        let mut network = Network::new(device, &net.parameters).unwrap();
        let [fused, layered] = [&net.sparse, &net.dense].map(|batch| {
            let y = network.forward(batch).unwrap();
            y.into_iter().map(f64::from).collect::<Vec<_>>()
        });
        assert!(relative_l2(&layered, &fused) <= 1e-6, "{name}");
        fused_updates_agree(device, &name, &net);
    }
}

/// Whether a fused path takes the lists of a net and the layered path its matrices.
fn is_fused(device: &Device, net: &nets::Net) -> bool {
    let mut network = Network::new(device, &net.parameters).unwrap();
    let [lists, matrices] = [&net.sparse, &net.dense].map(|batch| {
        let kernels = network.traffic(batch, Loss::MSE).unwrap().unwrap();
        kernels.contains_key("masked_weights") || kernels.contains_key("scatter_pieces")
    });
    lists && !matrices
}

/// The moments after a step of AdamW are the gradients and their squares, and every parameter moves
/// by η where they are not 0.
fn fused_updates_agree(device: &Device, name: &str, net: &nets::Net) {
    let step = |device: &Device, batch: &Batch| {
        let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
        let mut learner = Learner::new(device, &net.parameters, loss, optimizer).unwrap();
        learner.step(batch, 1e-3).unwrap().wait().unwrap();
        let mut found = learner.moments().unwrap();
        found.push(learner.parameters().unwrap());
        found
    };
    let fused = step(device, &net.sparse);
    let layered = step(&Device::reference(), &net.dense);
    for (index, (fused, layered)) in fused.iter().zip(&layered).enumerate() {
        for ((tensor, fused), (_, layered)) in fused.iter().zip(layered.iter()) {
            let [fused, layered] = [fused, layered].map(|values| {
                let values = values.iter().copied().map(f64::from);
                values.collect::<Vec<_>>()
            });
            let error = relative_l2(&layered, &fused);
            // A gradient that is 0 but for roundings has a sign by chance, and moves a parameter by
            // it.
            let bound = if index == 2 { 1e-3 } else { BOUND };
            let is_small = layered.iter().all(|value| value.abs() < 1e-9);
            assert!(
                error <= bound || is_small,
                "{}: {name}: {} {index}: {error:e}",
                device.name(),
                tensor.name
            );
        }
    }
}

#[test]
fn on_the_reference() {
    agrees_with_the_layered_path(&Device::reference(), 24, [20, 40, 60, 5]);
}

#[test]
fn on_the_cpu() {
    let cpu = Device::cpu().unwrap();
    agrees_with_the_layered_path(&cpu, 96, [60, 150, 900, 9]);
    // More samples than a chunk and than a piece.
    agrees_with_the_layered_path(&cpu, 12, [40, 70, 9000, 6]);
}

#[test]
fn on_vulkan() {
    let _turn = common::turn();
    agrees_with_the_layered_path(&common::VULKAN, 48, [60, 150, 900, 9]);
    agrees_with_the_layered_path(&common::VULKAN, 6, [40, 70, 5000, 6]);
}

#[test]
fn on_gl() {
    let _turn = common::turn();
    agrees_with_the_layered_path(&common::GL, 24, [60, 150, 900, 9]);
}

/// The fused gradients of a random net of these N, L and F, with a limit of the device's bindings
/// or without.
fn agrees_in_parts(device: &Device, [inputs, samples, width]: [usize; 3], limit: Option<u64>) {
    for activation in Activation::ALL {
        let architecture = Architecture::new(inputs, 300)
            .activation(activation)
            .clip(0.75)
            .buckets(5);
        let net = nets::random(&architecture, samples, width, 17);
        let loss = Upstream::Loss(Loss::SIGMOID_MSE);
        let layered = gradients(device, &net.parameters, &net.dense, loss);
        let small = limit.map(|limit| device.clone().with_binding_limit(limit));
        let device = small.as_ref().unwrap_or(device);
        assert!(is_fused(device, &net), "{}: {activation:?}", device.name());
        let fused = gradients(device, &net.parameters, &net.sparse, loss);
        let error = worst_error(&layered, &fused);
        assert!(
            error <= BOUND,
            "{}: {activation:?}: {error:e}",
            device.name()
        );
    }
}

/// So few samples for so many inputs take the masked path on the CPU also with SCReLU, whose strips
/// have 1,024 samples.
#[test]
fn in_strips() {
    agrees_in_parts(&Device::cpu().unwrap(), [3000, 2500, 3], None);
}

/// The limit has room for the sums, but not for the lists, the bits or the slopes of all samples.
#[test]
fn in_slices() {
    let _turn = common::turn();
    for device in [&Device::cpu().unwrap(), &*common::VULKAN] {
        agrees_in_parts(device, [31, 9000, 12], Some(4 * 180_000));
    }
}

/// The lanes of an invocation of the forward kernel change the order of the sum that is Y.
#[test]
fn with_16_lanes_per_invocation() {
    let _turn = common::turn();
    let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
    let mut others = 0;
    for (seed, hidden) in [(1, 32), (2, 160), (3, 256), (4, 2048)] {
        let architecture = Architecture::new(40, hidden)
            .activation(Activation::ALL[seed as usize % 3])
            .buckets(seed as usize);
        let mut net = nets::random(&architecture, 700, 9, seed);
        // Z stays exact, so that every mask is the reference's, but not the sum that is Y.
        let specs = net.parameters.architecture().tensors();
        let output = specs.iter().position(|spec| spec.name.to_string() == "C");
        let values = net.parameters.values_mut().swap_remove(output.unwrap());
        let each = values.iter_mut().enumerate();
        each.for_each(|(i, value)| *value *= 0.8 + 0.0021 * (i % 97) as f32);
        let upstream = Upstream::Loss(loss);
        let expected = gradients(&Device::reference(), &net.parameters, &net.sparse, upstream);
        let [wide, narrow] = [32, 16].map(|lanes| {
            let mut learner = Learner::new(&common::VULKAN, &net.parameters, loss, optimizer);
            let learner = learner.as_mut().unwrap();
            learner
                .set_tuning(Tuning::default().lanes(Some(lanes)))
                .unwrap();
            let found = compute(learner.network_mut(), &net.sparse, upstream);
            let error = worst_error(&expected, &found);
            assert!(error <= BOUND, "K = {hidden}, {lanes} lanes: {error:e}");
            found.y
        });
        others += usize::from(wide != narrow);
    }
    assert!(others > 0, "both variants have the same sums");
    let net = nets::random(&Architecture::new(5, 2080), 3, 2, 1);
    let mut learner = Learner::new(&common::VULKAN, &net.parameters, loss, optimizer).unwrap();
    for lanes in [16, 8] {
        let error = learner.set_tuning(Tuning::default().lanes(Some(lanes)));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("{lanes} with K = 2080")), "{error}");
    }
}
