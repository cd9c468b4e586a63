//! The parts of a measurement: random batches, the check of gradients, the count of traffic.

use wgrad::engine::device::Device;
use wgrad::engine::kernel::Traffic;
use wgrad::nnue::{
    Activation, Architecture, Batch, Learner, Loss, Network, Parameters, gradient_error,
};
use wgrad::optim::Optimizer;

#[test]
fn gradients_of_the_cpu_are_those_of_the_reference() {
    let cpu = Device::cpu().unwrap();
    for activation in Activation::ALL {
        for tied in [false, true] {
            let mut architecture = Architecture::new(97, 45).activation(activation);
            architecture.tied = tied;
            let sparse = Batch::random(1, 97, 100, 12).unwrap().inputs().clone();
            for inputs in [sparse.to_dense(), sparse] {
                let (name, error) = gradient_error(&cpu, &architecture, inputs).unwrap();
                assert!(
                    error <= 1e-5,
                    "{activation:?}, tied {tied}: {name}: {error}"
                );
                let is_something = error > 0.0;
                assert!(is_something, "f32 rounds: an error of 0 compared nothing");
            }
        }
    }
}

#[test]
fn a_step_counts_its_traffic_by_kernel() {
    let (inputs, hidden, samples) = (50, 64, 20);
    let architecture = Architecture::new(inputs, hidden);
    let batch = Batch::random(2, inputs, samples, 5).unwrap();
    let dense = Batch::new(batch.inputs().to_dense(), batch.targets().to_vec()).unwrap();
    let parameters = Parameters::initial(architecture.clone(), 1).unwrap();
    let device = Device::cpu().unwrap();
    let mut network = Network::new(&device, &parameters).unwrap();
    let backward = network.traffic(&dense, Loss::MSE).unwrap().unwrap();
    // For both perspectives: a product of [L, N] and [N, K], and one of [N, L] and [L, K].
    let products = 2 * 2 * (samples * inputs * hidden) as u64;
    assert_eq!(backward["accumulator_dense"].operations, products);
    assert_eq!(backward["weights_gradient_dense"].operations, products);
    let z = 2 * 4 * (samples * hidden) as u64;
    assert_eq!(backward["accumulator_dense"].written, z);

    let mut learner = Learner::new(&device, &parameters, Loss::MSE, Optimizer::ADAMW).unwrap();
    let step = learner.traffic(&dense).unwrap().unwrap();
    let elements: usize = architecture
        .tensors()
        .iter()
        .map(|tensor| tensor.len())
        .sum();
    assert_eq!(step["update"].written, 3 * 4 * elements as u64);
    let total = |traffic: &std::collections::BTreeMap<_, Traffic>| {
        traffic.values().copied().sum::<Traffic>()
    };
    assert_eq!(total(&step), total(&backward) + step["update"]);
    assert_eq!(learner.steps(), 0);

    // A batch in micro-batches does the same arithmetic, apart from adding their gradients.
    let small = device.with_binding_limit(4 * (inputs * hidden) as u64);
    let mut network = Network::new(&small, &parameters).unwrap();
    let many = Batch::random(2, inputs, 400, 5).unwrap();
    let many = Batch::new(many.inputs().to_dense(), many.targets().to_vec()).unwrap();
    let sliced = network.traffic(&many, Loss::MSE).unwrap().unwrap();
    assert_eq!(sliced["accumulator_dense"].operations, 20 * products);
    assert!(sliced["weights_gradient_dense"].operations > 20 * products);

    let sparse = learner.traffic(&batch).unwrap().unwrap();
    let gathered = total(&sparse);
    assert!(gathered.gathered_issued >= 2 * 4 * (samples * 5 * hidden) as u64);
    assert!(gathered.gathered_distinct <= gathered.gathered_issued);
}
