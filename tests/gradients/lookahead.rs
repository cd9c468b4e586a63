//! RAdam and Ranger on every path of the network: against the reference in f64, the slow weights
//! against their definition, and a resumed training against the whole one.

use super::*;
use wgrad::nnue::{HeadActivation, HiddenLayer};
use wgrad::optim::{AdamW, RAdam, Ranger, SlowStart};

/// Synchronizes after steps 2, 4 and 6.
fn ranger(slow_start: SlowStart) -> Ranger {
    Ranger {
        // Larger than the rounding of a gradient that is 0, whose sign would move a parameter.
        epsilon: 1e-3,
        alpha: 0.25,
        period: 2,
        slow_start,
        ..Ranger::default()
    }
}

/// The masked, scattered, deep and composed paths, factorised and not.
fn nets() -> Vec<Net> {
    let layer = HiddenLayer::new(5, HeadActivation::CRelu);
    let plain = Architecture::new(24, 37).tied();
    let architectures = [
        plain.clone(),
        plain.clone().activation(Activation::SCRelu).buckets(3),
        plain.clone().shared(6),
        Architecture::new(24, 64).layers(vec![layer]),
        Architecture::new(24, 33).tied().layers(vec![layer]),
    ];
    let nets = architectures.iter().enumerate();
    nets.map(|(seed, one)| nets::random(one, 300, 6, seed as u64))
        .collect()
}

fn learner(device: &Device, net: &Net, optimizer: Optimizer) -> Learner {
    Learner::new(device, &net.parameters, Loss::SIGMOID_MSE, optimizer).unwrap()
}

fn steps(learner: &mut Learner, net: &Net, count: usize) {
    for _ in 0..count {
        learner.step(&net.sparse, 0.01).unwrap().wait().unwrap();
    }
}

fn flat(parameters: &Parameters) -> Vec<f64> {
    let values = parameters.values().iter().flatten();
    values.map(|&value| f64::from(value)).collect()
}

fn trains(device: &Device) {
    let optimizers: [Optimizer; 4] = [
        RAdam {
            beta2: 0.9,
            epsilon: 1e-3,
            ..RAdam::default()
        }
        .into(),
        AdamW {
            epsilon: 1e-3,
            bias_correction: false,
            ..AdamW::default()
        }
        .into(),
        ranger(SlowStart::Weights).into(),
        ranger(SlowStart::Zero).into(),
    ];
    for net in nets() {
        for optimizer in optimizers {
            let [expected, found] = [&Device::reference(), device].map(|device| {
                let mut learner = learner(device, &net, optimizer);
                steps(&mut learner, &net, 12);
                flat(&learner.parameters().unwrap())
            });
            let error = relative_l2(&expected, &found);
            let name = device.name();
            assert!(error <= 1e-4, "{name}: {optimizer}: {error:e}");
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

/// Between synchronizations a step is RAdam's, and a synchronization moves θ and the slow weights
/// to the same place between them.
fn synchronizes(device: &Device) {
    for net in nets() {
        for start in [SlowStart::Weights, SlowStart::Zero] {
            let with = ranger(start);
            let mut learner = learner(device, &net, with.into());
            steps(&mut learner, &net, 1);
            let slow = |learner: &Learner| learner.moments().unwrap().pop().unwrap();
            let before = slow(&learner);
            let expected = match start {
                SlowStart::Weights => net.parameters.clone(),
                SlowStart::Zero => {
                    Parameters::zeros(net.parameters.architecture().clone()).unwrap()
                }
            };
            assert_eq!(before, expected);
            // The second step of RAdam from the same state, without a synchronization.
            let radam = RAdam {
                epsilon: with.epsilon,
                ..RAdam::default()
            };
            let moments = learner.moments().unwrap();
            let (parameters, loss) = (learner.parameters().unwrap(), Loss::SIGMOID_MSE);
            let mut fast =
                Learner::resume(device, &parameters, loss, radam.into(), &moments[..2], 1).unwrap();
            steps(&mut fast, &net, 1);
            steps(&mut learner, &net, 1);
            let found = learner.parameters().unwrap();
            assert_eq!(found, slow(&learner));
            let [fast, before, found] = [&fast.parameters().unwrap(), &before, &found].map(flat);
            let pairs = fast.iter().zip(&before);
            let expected = pairs.map(|(fast, slow)| slow + 0.25 * (fast - slow));
            let error = relative_l2(&expected.collect::<Vec<_>>(), &found);
            assert!(error <= 1e-6, "{error:e}");
        }
    }
}

#[test]
fn slow_weights_follow_their_definition() {
    synchronizes(&Device::cpu().unwrap());
    let _turn = common::turn();
    synchronizes(&common::VULKAN);
}

/// The count of steps is a part of the state: a resumed training synchronizes when the whole one
/// does.
#[test]
fn a_resumed_training_has_the_bits_of_the_whole_one() {
    let _turn = common::turn();
    for device in [&Device::cpu().unwrap(), &*common::VULKAN] {
        for net in nets() {
            let optimizer = ranger(SlowStart::Weights).into();
            let mut whole = learner(device, &net, optimizer);
            steps(&mut whole, &net, 3);
            let state = (whole.parameters().unwrap(), whole.moments().unwrap());
            let loss = Loss::SIGMOID_MSE;
            let mut resumed =
                Learner::resume(device, &state.0, loss, optimizer, &state.1, 3).unwrap();
            for learner in [&mut whole, &mut resumed] {
                steps(learner, &net, 4);
            }
            assert_eq!(whole.parameters().unwrap(), resumed.parameters().unwrap());
            assert_eq!(whole.moments().unwrap(), resumed.moments().unwrap());
        }
    }
}
