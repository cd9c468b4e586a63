//! Factorised inputs: the paths with kernels of their own, which read the merged weights, against
//! the composed path, which knows only the two parts.

use crate::common::nets::{self, Net, relative_l2};
use crate::{LOSSES, common, compute, worst_error};
use std::num::NonZeroUsize;
use wgrad::engine::device::Device;
use wgrad::nnue::{
    Architecture, Batch, HeadActivation, HiddenLayer, Learner, Loss, Network, ParameterGroups,
    ParameterName, Parameters, Upstream,
};
use wgrad::optim::{AdamW, Optimizer, ParameterGroup, Sgd};

/// The largest relative L2 distance of gradients, outputs and trained parameters.
const BOUND: f64 = 1e-5;

/// Networks of every activation, tied or not, with 1 or 3 output buckets, and a shared part of a
/// third of the inputs.
fn architectures(inputs: usize, hidden: usize) -> impl Iterator<Item = Architecture> {
    let all = nets::architectures(inputs, hidden).into_iter();
    all.map(move |architecture| architecture.shared(inputs / 3))
}

/// The kernels of a step's gradients; `None` if tensors compute them.
fn kernels(device: &Device, net: &Net, batch: &Batch) -> Option<Vec<&'static str>> {
    let mut network = Network::new(device, &net.parameters).unwrap();
    let traffic = network.traffic(batch, Loss::MSE).unwrap()?;
    Some(traffic.into_keys().collect())
}

/// Compares gradients on lists and matrices with the composed ones, for [N, K, L, F].
fn agrees_with_the_composed_path(device: &Device, [inputs, hidden, samples, width]: [usize; 4]) {
    for (seed, architecture) in architectures(inputs, hidden).enumerate() {
        let net = nets::random(&architecture, samples, width, seed as u64);
        let e: Vec<f32> = (0..samples).map(|s| (s % 7) as f32 / 64.0 - 0.03).collect();
        for (index, batch) in [&net.sparse, &net.dense].into_iter().enumerate() {
            let path = kernels(device, &net, batch).unwrap();
            assert!(path.contains(&"shared_gradient"), "{path:?}");
            let is_layered = path.contains(&"activation_gradient");
            assert_eq!(is_layered, index == 1, "{path:?}");
            for upstream in [Upstream::Loss(LOSSES[seed % 4]), Upstream::Given(&e)] {
                let mut network = Network::new(device, &net.parameters).unwrap();
                let own = compute(&mut network, batch, upstream);
                let y = network.forward(batch).unwrap();
                let composed = compute(&mut network.composed(), batch, upstream);
                let error = worst_error(&composed, &own);
                let name = device.name();
                assert!(error <= BOUND, "{name}: {architecture:?}: {error:e}");
                let y: Vec<f64> = y.into_iter().map(f64::from).collect();
                assert!(relative_l2(&composed.y, &y) <= BOUND, "{architecture:?}");
            }
        }
    }
}

#[test]
fn reference_gradients_agree_with_the_composed_path() {
    agrees_with_the_composed_path(&Device::reference(), [12, 34, 40, 4]);
}

#[test]
fn cpu_gradients_agree_with_the_composed_path() {
    let device = Device::cpu().unwrap();
    agrees_with_the_composed_path(&device, [24, 37, 1100, 6]);
    // So many inputs that few features occur, and SCReLU takes the masked path too.
    agrees_with_the_composed_path(&device, [1500, 130, 300, 5]);
    // One bucket, so that the shared part is a copy.
    agrees_with_the_composed_path(&device, [3, 1, 1, 1]);
}

#[test]
fn vulkan_gradients_agree_with_the_composed_path() {
    let _turn = common::turn();
    agrees_with_the_composed_path(&common::VULKAN, [24, 37, 1100, 6]);
    agrees_with_the_composed_path(&common::VULKAN, [300, 130, 90, 5]);
}

#[test]
fn gl_gradients_agree_with_the_composed_path() {
    let _turn = common::turn();
    agrees_with_the_composed_path(&common::GL, [24, 37, 400, 6]);
}

/// The paths of longer heads read the merged weights too.
#[test]
fn longer_heads_agree_with_the_composed_path() {
    let _turn = common::turn();
    let layers = vec![HiddenLayer::new(16, HeadActivation::Dual)];
    let (cpu, loss) = (Device::cpu().unwrap(), Upstream::Loss(Loss::SIGMOID_MSE));
    for (device, kernel) in [(&cpu, "scatter_deep"), (&*common::VULKAN, "deep_weights")] {
        for (seed, hidden) in [64, 256].into_iter().enumerate() {
            let mut architecture = Architecture::new(24, hidden).shared(8).buckets(3);
            architecture.tied = seed == 0;
            let architecture = architecture.pairwise(true).layers(layers.clone());
            let net = nets::random(&architecture, 700, 6, seed as u64);
            let path = kernels(device, &net, &net.sparse).unwrap();
            assert!(
                path.contains(&kernel) && path.contains(&"shared_gradient"),
                "{path:?}"
            );
            let mut network = Network::new(device, &net.parameters).unwrap();
            let own = compute(&mut network, &net.sparse, loss);
            let composed = compute(&mut network.composed(), &net.sparse, loss);
            let error = worst_error(&composed, &own);
            assert!(error <= BOUND, "{}: K = {hidden}: {error:e}", device.name());
        }
    }
}

/// The parameters after a few steps with groups of their own, and the losses.
fn trained(
    device: &Device,
    net: &Net,
    optimizer: Optimizer,
    composed: bool,
) -> (Parameters, Vec<f32>) {
    let loss = Loss::SIGMOID_MSE;
    let mut learner = Learner::new(device, &net.parameters, loss, optimizer).unwrap();
    if composed {
        learner.network_mut().compose();
    }
    let mut group = ParameterGroup {
        rate_factor: 0.5,
        ..ParameterGroup::default()
    };
    if let Optimizer::AdamW(_) = optimizer {
        group.weight_decay = Some(0.1);
        group.range = Some((-0.3, 0.3));
    }
    let groups = ParameterGroups::new().with("A*", group);
    learner.set_groups(&groups).unwrap();
    let losses = (0..6).map(|step| match step % 3 {
        2 => {
            let y = learner.network_mut().forward(&net.sparse).unwrap();
            let scale = 1.0 / y.len() as f32;
            let e: Vec<f32> = y.iter().map(|y| scale * (y - 0.5)).collect();
            learner.step_with(&net.sparse, &e, 0.01).unwrap();
            y.iter().map(|y| y * y).sum()
        }
        _ => learner.step(&net.sparse, 0.01).unwrap().wait().unwrap(),
    });
    let losses = losses.collect();
    (learner.parameters().unwrap(), losses)
}

fn trains_as_the_composed_path(device: &Device) {
    let range = AdamW {
        weight_range: Some((-2.0, 2.0)),
        // Larger than the rounding of a gradient that is 0, whose sign would move a parameter.
        epsilon: 1e-4,
        ..AdamW::default()
    };
    for (seed, architecture) in architectures(24, 37).enumerate() {
        let net = nets::random(&architecture, 300, 6, seed as u64);
        for optimizer in [range.into(), Sgd::default().into()] {
            let [own, composed] =
                [false, true].map(|composed| trained(device, &net, optimizer, composed));
            for (loss, expected) in own.1.iter().zip(&composed.1) {
                let error = (loss - expected).abs();
                assert!(
                    error <= 1e-4 * expected.abs(),
                    "{:?} {:?}",
                    own.1,
                    composed.1
                );
            }
            for ((tensor, own), (_, composed)) in own.0.iter().zip(composed.0.iter()) {
                let [own, composed] = [own, composed].map(|values| {
                    let values = values.iter().map(|&value| f64::from(value));
                    values.collect::<Vec<_>>()
                });
                let error = relative_l2(&composed, &own);
                let name = device.name();
                assert!(
                    error <= 1e-4,
                    "{name}: {architecture:?} {optimizer}: {}: {error:e}",
                    tensor.name
                );
                let is_ranged =
                    tensor.name.is_weights() && matches!(optimizer, Optimizer::AdamW(_));
                let reach = own.iter().fold(0.0f64, |most, value| most.max(value.abs()));
                assert!(!is_ranged || reach <= f64::from(0.3f32), "{reach}");
            }
        }
    }
}

#[test]
fn cpu_training_agrees_with_the_composed_path() {
    trains_as_the_composed_path(&Device::cpu().unwrap());
}

#[test]
fn vulkan_training_agrees_with_the_composed_path() {
    let _turn = common::turn();
    trains_as_the_composed_path(&common::VULKAN);
}

#[test]
fn gl_training_agrees_with_the_composed_path() {
    let _turn = common::turn();
    trains_as_the_composed_path(&common::GL);
}

#[test]
fn training_repeats_its_bits() {
    let threads = |count| Device::cpu_with_threads(NonZeroUsize::new(count).unwrap()).unwrap();
    for (seed, architecture) in architectures(24, 70).enumerate() {
        let net = nets::random(&architecture, 5000, 6, seed as u64);
        let [one, two, three] =
            [1, 2, 3].map(|count| trained(&threads(count), &net, Optimizer::ADAMW, false));
        assert_eq!(one, two, "{architecture:?}");
        assert_eq!(one, three, "{architecture:?}");
    }
    let _turn = common::turn();
    for (seed, architecture) in architectures(24, 70).enumerate() {
        let net = nets::random(&architecture, 300, 6, seed as u64);
        for device in [&*common::VULKAN, &*common::GL] {
            let [first, second] = [(); 2].map(|()| trained(device, &net, Optimizer::ADAMW, false));
            assert_eq!(first, second, "{}: {architecture:?}", device.name());
        }
    }
}

/// Gradients add up over micro-batches, and the update follows the last one.
#[test]
fn micro_batches_add_up() {
    let _turn = common::turn();
    for device in [&Device::cpu().unwrap(), &*common::VULKAN] {
        for architecture in architectures(30, 300) {
            let net = nets::random(&architecture, 3000, 12, 17);
            let small = device.clone().with_binding_limit(4 * 60_000);
            let upstream = Upstream::Loss(Loss::SIGMOID_MSE);
            let [mut whole, mut cut] =
                [device, &small].map(|device| Network::new(device, &net.parameters).unwrap());
            let parts = cut.gradient_values(&net.sparse, upstream).unwrap().y.len();
            assert!(architecture.buckets > 1 || parts > 1, "{architecture:?}");
            let whole = compute(&mut whole, &net.sparse, upstream);
            let error = worst_error(&whole, &compute(&mut cut, &net.sparse, upstream));
            assert!(error <= BOUND, "{architecture:?}: {error:e}");
            let optimizer = Sgd::default().into();
            let [whole, cut] =
                [device, &small].map(|device| trained(device, &net, optimizer, false));
            for (whole, cut) in whole.0.values().iter().zip(cut.0.values()) {
                let [whole, cut] = [whole, cut].map(|values| {
                    let values = values.iter().map(|&value| f64::from(value));
                    values.collect::<Vec<_>>()
                });
                assert!(relative_l2(&whole, &cut) <= BOUND, "{architecture:?}");
            }
        }
    }
}

/// Whatever changes the parameters changes the merged weights: creation, an update, a resumed
/// training, and a write of one tensor.
#[test]
fn merged_weights_follow_the_parameters() {
    let architecture = Architecture::new(24, 37).tied().shared(6);
    let net = nets::random(&architecture, 200, 6, 5);
    for device in [&Device::cpu().unwrap(), &*common::VULKAN] {
        let _turn = common::turn();
        let forward = |parameters: &Parameters| {
            let mut fresh = Network::new(device, parameters).unwrap();
            fresh.forward(&net.sparse).unwrap()
        };
        for optimizer in [Optimizer::ADAMW, Sgd::default().into()] {
            let loss = Loss::SIGMOID_MSE;
            let mut learner = Learner::new(device, &net.parameters, loss, optimizer).unwrap();
            // Dense and sparse batches take different paths, and each leaves the same state.
            for batch in [&net.sparse, &net.dense, &net.sparse] {
                learner.step(batch, 0.01).unwrap().wait().unwrap();
                let parameters = learner.parameters().unwrap();
                let y = learner.network_mut().forward(&net.sparse).unwrap();
                assert_eq!(y, forward(&parameters));
            }
            let (parameters, moments) = (learner.parameters().unwrap(), learner.moments().unwrap());
            let mut resumed =
                Learner::resume(device, &parameters, loss, optimizer, &moments, 3).unwrap();
            for learner in [&mut learner, &mut resumed] {
                learner.step(&net.sparse, 0.01).unwrap().wait().unwrap();
            }
            assert_eq!(learner.parameters().unwrap(), resumed.parameters().unwrap());
        }
        let mut network = Network::new(device, &net.parameters).unwrap();
        let mut changed = net.parameters.clone();
        for (index, tensor) in architecture.tensors().iter().enumerate() {
            if !matches!(tensor.name, ParameterName::A1 | ParameterName::Shared1) {
                continue;
            }
            let before = network.forward(&net.sparse).unwrap();
            let values = changed.values_mut().swap_remove(index);
            values.iter_mut().for_each(|value| *value += 0.25);
            network.write(index, &*values).unwrap();
            let y = network.forward(&net.sparse).unwrap();
            assert_eq!(y, forward(&changed), "{}", tensor.name);
            assert_ne!(y, before, "{}", tensor.name);
        }
    }
}

/// A shared part at rest stays as it is, and so does an own part.
#[test]
fn a_rate_of_0_moves_neither_part() {
    let architecture = Architecture::new(12, 8).shared(4);
    let net = nets::random(&architecture, 50, 4, 3);
    let device = Device::cpu().unwrap();
    let loss = Loss::SIGMOID_MSE;
    let mut learner = Learner::new(&device, &net.parameters, loss, Optimizer::ADAMW).unwrap();
    let rests = ParameterGroup {
        rate_factor: 0.0,
        ..ParameterGroup::default()
    };
    let groups = ParameterGroups::new().with("A", rests).with("Af", rests);
    learner.set_groups(&groups).unwrap();
    learner.step(&net.sparse, 0.1).unwrap().wait().unwrap();
    let after = learner.parameters().unwrap();
    for (tensor, values) in net.parameters.iter() {
        let stayed = after.get(tensor.name).unwrap() == values;
        assert_eq!(stayed, tensor.name.is_weights(), "{}", tensor.name);
    }
}
