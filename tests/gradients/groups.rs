//! Every tensor may have a learning rate, a decay and a range of its own, on every path.

use super::*;
use wgrad::nnue::{HeadActivation, HiddenLayer, ParameterGroups};
use wgrad::optim::{AdamW, ParameterGroup, Ranger, Sgd};

/// The masked, scattered, deep and composed paths, factorised and not, tied and not.
fn nets() -> Vec<Net> {
    let dual = HiddenLayer::new(3, HeadActivation::Dual);
    let crelu = HiddenLayer::new(5, HeadActivation::CRelu);
    let plain = Architecture::new(24, 37);
    let architectures = [
        plain.clone(),
        plain.clone().activation(Activation::SCRelu).buckets(3),
        plain.clone().tied().shared(6),
        Architecture::new(24, 64)
            .layers(vec![dual, crelu])
            .buckets(2),
        Architecture::new(24, 64).tied().pairwise(true).shared(6),
        Architecture::new(24, 33).layers(vec![crelu]),
    ];
    let nets = architectures.iter().enumerate();
    nets.map(|(seed, one)| nets::random(one, 300, 6, 70 + seed as u64))
        .collect()
}

/// The numbers of a tensor, all different: the fifth tensors rest, and the others have a range if
/// there is one.
fn group(index: usize, ranged: bool) -> ParameterGroup {
    ParameterGroup {
        rate_factor: if index % 5 == 1 {
            0.0
        } else {
            0.5 + index as f32 / 8.0
        },
        weight_decay: ranged.then_some(index as f32 / 16.0),
        range: ranged.then_some((-0.3 - index as f32 / 32.0, 0.3)),
    }
}

fn groups(architecture: &Architecture, ranged: bool) -> ParameterGroups {
    let tensors = architecture.tensors().into_iter().enumerate();
    tensors.fold(ParameterGroups::new(), |groups, (index, tensor)| {
        groups.with(tensor.name.as_str(), group(index, ranged))
    })
}

fn trained(device: &Device, net: &Net, batch: &Batch, optimizer: Optimizer) -> Parameters {
    let mut learner = Learner::new(device, &net.parameters, Loss::SIGMOID_MSE, optimizer).unwrap();
    let ranged = !matches!(optimizer, Optimizer::Sgd(_));
    let groups = groups(net.parameters.architecture(), ranged);
    learner.set_groups(&groups).unwrap();
    for _ in 0..6 {
        learner.step(batch, 0.01).unwrap().wait().unwrap();
    }
    learner.parameters().unwrap()
}

fn trains(device: &Device) {
    // ε is larger than the rounding of a gradient that is 0, whose sign would move a parameter.
    let adamw = AdamW {
        epsilon: 1e-3,
        ..AdamW::default()
    };
    let ranger = Ranger {
        epsilon: 1e-3,
        period: 2,
        ..Ranger::default()
    };
    for net in nets() {
        for optimizer in [adamw.into(), ranger.into(), Sgd::default().into()] {
            for batch in [&net.sparse, &net.dense] {
                let expected = trained(&Device::reference(), &net, batch, optimizer);
                let found = trained(device, &net, batch, optimizer);
                let pairs = net.parameters.iter().zip(expected.iter().zip(found.iter()));
                for (index, ((tensor, start), ((_, expected), (_, found)))) in pairs.enumerate() {
                    let what = format!("{}: {optimizer}: {}", device.name(), tensor.name);
                    let doubles = [expected, found]
                        .map(|values| values.iter().copied().map(f64::from).collect::<Vec<_>>());
                    let error = relative_l2(&doubles[0], &doubles[1]);
                    assert!(error <= 1e-4, "{what}: {error:e}");
                    if matches!(optimizer, Optimizer::Sgd(_)) {
                        let rests = group(index, false).rate_factor == 0.0;
                        assert_eq!(found == start, rests, "{what}");
                    }
                    let range = group(index, matches!(optimizer, Optimizer::AdamW(_))).range;
                    if let Some((low, high)) = range {
                        let within = found.iter().all(|value| (low..=high).contains(value));
                        assert!(within, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_executor_follows_the_reference() {
    trains(&Device::cpu().unwrap());
    let _turn = common::turn();
    trains(&common::VULKAN);
    trains(&common::GL);
}
