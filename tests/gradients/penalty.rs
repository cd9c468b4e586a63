//! The L1 penalty on the input of the head: the f64 reference against finite differences, every
//! path of every executor against the reference, and what it does to a training.

use crate::common::nets::{self, Net};
use crate::{LOSSES, common, compute, weighted, worst_error};
use wgrad::engine::device::Device;
use wgrad::nnue::{
    Activation, Architecture, Batch, HeadActivation, HiddenLayer, Inputs, Learner, Loss, Network,
    Parameters, Upstream,
};
use wgrad::optim::Optimizer;

/// About as large as the gradients of the losses.
const L1: f32 = 0.3;

/// Heads with and without a pairwise product, hidden layers, buckets, tied and shared weights. N
/// and K are multiples of 4.
fn architectures(inputs: usize, hidden: usize) -> Vec<Architecture> {
    let two = vec![
        HiddenLayer::new(18, HeadActivation::Dual),
        HiddenLayer::new(3, HeadActivation::CRelu),
    ];
    let one = vec![HiddenLayer::new(5, HeadActivation::SCRelu)];
    let network = || Architecture::new(inputs, hidden).clip(0.75);
    vec![
        network().tied().pairwise(true).layers(two.clone()),
        network().layers(two).skip(true).buckets(3),
        network()
            .tied()
            .layers(one.clone())
            .activation(Activation::SCRelu),
        network()
            .pairwise(true)
            .buckets(2)
            .activation(Activation::Relu),
        network().pairwise(true).layers(one).shared(inputs / 4),
    ]
}

/// The mean input of the first layer of the head, by the formulas: plain loops over f64. `values`
/// are those of the parameters.
fn mean_input(architecture: &Architecture, values: &[Vec<f64>], batch: &Batch) -> f64 {
    let a = architecture;
    let Inputs::Sparse(lists) = batch.inputs() else {
        panic!("a sparse batch")
    };
    let accumulators = if a.tied { 1 } else { 2 };
    let mut sum = 0.0;
    for sample in 0..batch.len() {
        for (perspective, lists) in lists.iter().enumerate() {
            let own = perspective % accumulators;
            let shared = (a.shared > 0).then(|| &values[accumulators + own]);
            let of_bias = if a.shared > 0 { 2 } else { 1 } * accumulators;
            let h: Vec<f64> = (0..a.hidden)
                .map(|r| {
                    let mut z = values[of_bias + own][r];
                    for &feature in lists.list(sample) {
                        let feature = feature as usize;
                        z += values[own][feature * a.hidden + r];
                        z += shared.map_or(0.0, |s| s[feature % a.shared * a.hidden + r]);
                    }
                    a.activation.value(z, f64::from(a.clip))
                })
                .collect();
            let (low, high) = h.split_at(a.hidden / 2);
            sum += match a.pairwise {
                true => low
                    .iter()
                    .zip(high)
                    .map(|(low, high)| low * high)
                    .sum::<f64>(),
                false => h.iter().sum(),
            };
        }
    }
    let inputs = if a.pairwise { a.hidden } else { 2 * a.hidden };
    sum / (inputs * batch.len()) as f64
}

fn wide(parameters: &Parameters) -> Vec<Vec<f64>> {
    let each = parameters.values().iter();
    each.map(|values| values.iter().map(|&value| f64::from(value)).collect())
        .collect()
}

fn network(device: &Device, parameters: &Parameters, l1: f32) -> Network {
    let mut network = Network::new(device, parameters).unwrap();
    network.set_l1(l1).unwrap();
    network
}

#[test]
fn reference_gradients_with_a_penalty_agree_with_finite_differences() {
    const H: f64 = 1e-6;
    let (mut compared, mut at_a_kink) = (0, 0);
    for (seed, architecture) in architectures(8, 4).into_iter().enumerate() {
        let mut net = nets::random(&architecture, 5, 3, seed as u64);
        // Off the grid, on which many z are at a kink.
        for values in net.parameters.values_mut() {
            for (i, value) in values.iter_mut().enumerate() {
                *value += 1e-3 * ((i * 7919 + seed) % 101) as f32 / 101.0;
            }
        }
        // Weights of samples count in the loss alone.
        let batch = weighted(&net.sparse);
        let loss = Upstream::Loss(LOSSES[seed % 3]);
        let mut network = network(&Device::reference(), &net.parameters, L1);
        let exact = compute(&mut network, &batch, loss);
        let all = exact.gradients.iter().flatten();
        let scale = all.fold(0.0f64, |most, gradient| most.max(gradient.abs()));
        let mut values = wide(&net.parameters);
        let objective = |network: &mut Network, values: &[Vec<f64>]| {
            let loss = compute(network, &batch, loss).loss.unwrap();
            loss + f64::from(L1) * mean_input(&architecture, values, &batch)
        };
        let middle = objective(&mut network, &values);
        for (index, tensor) in architecture.tensors().iter().enumerate() {
            for element in (0..tensor.len()).step_by(1 + tensor.len() / 40) {
                let own = values[index][element];
                let mut moved = |by: f64| {
                    values[index][element] = own + by;
                    network.write(index, values[index].as_slice()).unwrap();
                    objective(&mut network, &values)
                };
                let (above, below) = (moved(H), moved(-H));
                moved(0.0);
                // At a kink the slopes of both sides differ.
                let bend = (above - middle) / H - (middle - below) / H;
                if bend.abs() > 1e-3 * scale {
                    at_a_kink += 1;
                    continue;
                }
                let difference = (above - below) / (2.0 * H);
                let gradient = exact.gradients[index][element];
                let bound = 1e-5 * gradient.abs().max(1e-2 * scale);
                assert!(
                    (difference - gradient).abs() <= bound,
                    "{architecture} {}[{element}]: {gradient} by formula, {difference} found",
                    tensor.name
                );
                compared += 1;
            }
        }
    }
    println!("{compared} derivatives compared, {at_a_kink} at a kink left out");
    assert!(
        compared > 500 && at_a_kink * 20 < compared,
        "{compared} {at_a_kink}"
    );
}

/// The composed path, and the scattered path on the CPU or the deep path on adapters, for a loss
/// and for a given e.
fn agrees_with_the_reference(device: &Device, kernel: &str) {
    let reference = Device::reference();
    let mut worst = 0.0f64;
    for (hidden, fast) in [(20, false), (192, true)] {
        for (seed, architecture) in architectures(24, hidden).into_iter().enumerate() {
            let net = nets::random(&architecture, 300, 6, seed as u64);
            let name = format!("{}: {architecture}", device.name());
            let mut own = network(device, &net.parameters, L1);
            let kernels = own.traffic(&net.sparse, Loss::MSE).unwrap();
            let is_fast = kernels.is_some_and(|kernels| kernels.contains_key(kernel));
            assert_eq!(is_fast, fast, "{name}");
            let mut expected = network(&reference, &net.parameters, L1);
            let mut without = network(&reference, &net.parameters, 0.0);
            let e: Vec<f32> = (0..300).map(|s| (s % 7) as f32 / 2048.0 - 0.001).collect();
            for upstream in [Upstream::Loss(LOSSES[seed % 3]), Upstream::Given(&e)] {
                for batch in [&net.sparse, &net.dense] {
                    let found = compute(&mut own, batch, upstream);
                    let expected = compute(&mut expected, batch, upstream);
                    let error = worst_error(&expected, &found);
                    assert!(error <= 1e-5, "{name}: {error:e}");
                    worst = worst.max(error);
                    let without = compute(&mut without, batch, upstream);
                    // A penalty that is left out would show.
                    assert!(worst_error(&expected, &without) > 1e-4, "{name}");
                    assert_eq!(expected.loss, without.loss, "the loss has no penalty");
                }
            }
        }
    }
    println!("{}: worst relative L2 error {worst:e}", device.name());
}

#[test]
fn penalties_on_the_cpu_agree_with_the_reference() {
    agrees_with_the_reference(&Device::cpu().unwrap(), "scatter_deep");
}

#[test]
fn penalties_on_adapters_agree_with_the_reference() {
    let _turn = common::turn();
    agrees_with_the_reference(&common::VULKAN, "deep_input");
    agrees_with_the_reference(&common::GL, "deep_input");
}

/// Each micro-batch has the penalty of its samples.
#[test]
fn micro_batches_with_a_penalty_add_up() {
    let _turn = common::turn();
    for (device, limit) in [
        (Device::cpu().unwrap(), 16_000),
        (common::VULKAN.clone(), 200_000),
    ] {
        let architecture = architectures(24, 64).remove(0);
        let net = nets::random(&architecture, 900, 6, 1);
        let loss = Upstream::Loss(Loss::SIGMOID_MSE);
        let small = device.clone().with_binding_limit(limit);
        let [whole, cut] = [device, small].map(|device| network(&device, &net.parameters, L1));
        let [mut whole, mut cut] = [whole, cut];
        let parts = cut.gradient_values(&net.sparse, loss).unwrap().y.len();
        assert!(parts > 1, "{parts} micro-batches");
        let [expected, found] = [&mut whole, &mut cut].map(|one| compute(one, &net.sparse, loss));
        let error = worst_error(&expected, &found);
        assert!(error <= 1e-5, "{error:e}");
    }
}

/// In 16 bits ∂Loss/∂Z also fits its scale if the penalty is much larger than δ.
#[test]
fn a_large_penalty_survives_16_bits() {
    let _turn = common::turn();
    for architecture in architectures(24, 192) {
        let net = nets::random(&architecture, 300, 6, 3);
        // δ is down to 2⁻⁴⁰, and 0 for some samples.
        let e: Vec<f32> = (0..300)
            .map(|s| (s % 3) as f32 * f32::exp2(-40.0))
            .collect();
        let upstream = Upstream::Given(&e);
        let mut learner = Learner::new(
            &common::VULKAN,
            &net.parameters,
            Loss::MSE,
            Optimizer::ADAMW,
        )
        .unwrap();
        learner.set_half(true).unwrap();
        learner.set_l1(1.0).unwrap();
        let found = compute(learner.network_mut(), &net.sparse, upstream);
        let mut reference = network(&Device::reference(), &net.parameters, 1.0);
        let expected = compute(&mut reference, &net.sparse, upstream);
        for (tensor, (expected, found)) in architecture
            .tensors()
            .iter()
            .zip(expected.gradients.iter().zip(&found.gradients))
            .filter(|(tensor, _)| tensor.name.to_string().starts_with(['A', 'B']))
        {
            let error = nets::relative_l2(expected, found);
            assert!(error <= 1e-3, "{architecture} {}: {error:e}", tensor.name);
        }
    }
}

/// The mean input of the head falls with a penalty, on every path.
#[test]
fn training_with_a_penalty_lowers_the_mean_activation() {
    let _turn = common::turn();
    for (device, hidden) in [
        (Device::cpu().unwrap(), 20),
        (Device::cpu().unwrap(), 64),
        (common::VULKAN.clone(), 64),
    ] {
        for mut architecture in architectures(24, hidden).into_iter().take(2) {
            architecture.clip = 1.0;
            let Net { sparse, .. } = nets::random(&architecture, 400, 6, 5);
            let initial = Parameters::initial(architecture.clone(), 1).unwrap();
            let train = |l1: f32| {
                let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
                let mut learner = Learner::new(&device, &initial, loss, optimizer).unwrap();
                learner.set_l1(l1).unwrap();
                for _ in 0..60 {
                    learner.step(&sparse, 2e-3).unwrap().wait().unwrap();
                }
                let parameters = learner.parameters().unwrap();
                mean_input(&architecture, &wide(&parameters), &sparse)
            };
            let before = mean_input(&architecture, &wide(&initial), &sparse);
            let (without, with) = (train(0.0), train(0.5));
            println!(
                "{}: {before}, {without} without, {with} with",
                device.name()
            );
            assert!(
                with < 0.5 * without && with < 0.5 * before,
                "{} {architecture}: {before}, {without}, {with}",
                device.name()
            );
        }
    }
}

#[test]
fn no_penalty_changes_no_bit() {
    let device = Device::cpu().unwrap();
    for architecture in architectures(24, 64) {
        let net = nets::random(&architecture, 300, 6, 7);
        let loss = Upstream::Loss(Loss::SIGMOID_MSE);
        let mut own = Network::new(&device, &net.parameters).unwrap();
        let expected = own.gradients(&net.sparse, loss).unwrap();
        own.set_l1(L1).unwrap();
        assert_ne!(own.gradients(&net.sparse, loss).unwrap(), expected);
        own.set_l1(0.0).unwrap();
        assert_eq!(own.gradients(&net.sparse, loss).unwrap(), expected);
    }
}
