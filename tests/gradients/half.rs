//! Passes that read A or store slopes in 16 bits, against those in 32.

use crate::common::nets::{self, Net};
use crate::{LOSSES, common, compute, worst_error};
use wgrad::engine::device::Device;
use wgrad::nnue::{Activation, Architecture, HeadActivation, HiddenLayer, Learner, Loss, Upstream};
use wgrad::optim::Optimizer;

/// The largest relative L2 error of a gradient from slopes in 16 bits. A slope is off by at most
/// 2⁻¹⁶ of the largest one.
const SLOPES_BOUND: f64 = 4e-5;

/// A network with one layer, or every third time with a pairwise product and a hidden layer.
fn net(seed: u64, activation: Activation) -> Net {
    let turn = seed as usize;
    let mut architecture = Architecture::new([7, 40, 96][turn % 3], [64, 160, 640][turn / 2 % 3])
        .activation(activation)
        .clip([1.0, 0.75][turn % 2])
        .buckets([1, 3][turn / 3 % 2]);
    architecture.tied = (turn / 2).is_multiple_of(2);
    if turn % 3 == 2 {
        let layers = vec![HiddenLayer::new(9, HeadActivation::CRelu)];
        architecture = architecture.pairwise(true).layers(layers);
        architecture.hidden = architecture.hidden.next_multiple_of(64);
    }
    nets::random(&architecture, 40 + 500 * (turn % 4), 7, seed)
}

/// Replaces every number of A.
fn change_weights(net: &mut Net, new: impl Fn(usize, f32) -> f32) {
    let specs = net.parameters.architecture().tensors();
    for (spec, values) in specs.iter().zip(net.parameters.values_mut()) {
        if spec.name.to_string().starts_with('A') {
            let each = values.iter_mut().enumerate();
            each.for_each(|(i, value)| *value = new(i, *value));
        }
    }
}

fn learner(net: &Net) -> Learner {
    let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
    Learner::new(&common::VULKAN, &net.parameters, loss, optimizer).unwrap()
}

/// The 16-bit float next to a number, halfway to the even one.
fn rounded(value: f32) -> f32 {
    let bits = value.to_bits();
    let value = f32::from_bits((bits + 0xfff + (bits >> 13 & 1)) & !0x1fff);
    // Smaller numbers have fewer bits.
    if value.abs() < f32::exp2(-14.0) {
        0.0
    } else {
        value
    }
}

#[test]
fn weights_in_16_bits_are_the_rounded_weights() {
    let _turn = common::turn();
    for seed in 0..18 {
        let mut net = net(seed, Activation::ALL[seed as usize / 2 % 3]);
        // 16 bits hold few of these.
        change_weights(&mut net, |i, weight| {
            let weight = weight * (0.8 + 0.0021 * (i % 97) as f32);
            if weight.abs() < f32::exp2(-14.0) {
                0.0
            } else {
                weight
            }
        });
        let name = format!("{seed}: {}", net.parameters.architecture());
        let loss = Upstream::Loss(LOSSES[seed as usize % 2]);
        let mut half = learner(&net);
        half.set_half_weights(true).unwrap();
        let found = half.network_mut().gradients(&net.sparse, loss).unwrap();
        let plain = |net: &Net| {
            let mut learner = learner(net);
            learner.network_mut().gradients(&net.sparse, loss).unwrap()
        };
        assert_ne!(found.y, plain(&net).y, "{name}: nothing was rounded");
        change_weights(&mut net, |_, weight| rounded(weight));
        let expected = plain(&net);
        assert_eq!(found.y, expected.y, "{name}");
        assert_eq!(found.loss, expected.loss, "{name}");
        // The masked path computes the gradient of C from A in 32 bits.
        let specs = net.parameters.architecture().tensors();
        let pairs = found
            .parameters
            .values()
            .iter()
            .zip(expected.parameters.values());
        for (spec, (found, expected)) in specs.iter().zip(pairs) {
            match spec.name.to_string().as_str() {
                "C" => {
                    let error = nets::relative_l2(&wide(expected), &wide(found));
                    assert!(error <= 1e-3, "{name}: {error:e}");
                }
                tensor => assert_eq!(found, expected, "{name}: {tensor}"),
            }
        }
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn short_slopes_are_near_those_in_32_bits() {
    let _turn = common::turn();
    let (mut worst, mut least) = (0.0f64, f64::INFINITY);
    // Every third network has no slopes.
    for seed in (0..18).filter(|seed| seed % 3 != 2) {
        let mut net = net(seed, Activation::SCRelu);
        change_weights(&mut net, |i, weight| {
            weight * (0.8 + 0.0021 * (i % 97) as f32)
        });
        let (mut single, mut half) = (learner(&net), learner(&net));
        half.set_half(true).unwrap();
        let loss = Upstream::Loss(LOSSES[seed as usize % 2]);
        let [expected, found] = [&mut single, &mut half]
            .map(|learner| compute(learner.network_mut(), &net.sparse, loss));
        assert_eq!(found.y, expected.y);
        let error = worst_error(&expected, &found);
        // Here, because `max` passes over NaN.
        assert!(error <= SLOPES_BOUND, "{seed}: {error:e}");
        (worst, least) = (worst.max(error), least.min(error));
    }
    println!("relative L2 errors from {least:e} to {worst:e}");
    assert!(least > 5e-7, "slopes were not stored in 16 bits: {least:e}");
}

#[test]
fn both_learn_as_well_and_repeat_their_bits() {
    let _turn = common::turn();
    let architecture = Architecture::new(48, 64).activation(Activation::SCRelu);
    let net = nets::random(&architecture, 1500, 9, 2);
    let train = |half: bool, half_weights: bool| {
        let mut learner = learner(&net);
        learner.set_half(half).unwrap();
        learner.set_half_weights(half_weights).unwrap();
        let losses = (0..60).map(|_| learner.step(&net.sparse, 1e-3).unwrap().wait().unwrap());
        (losses.collect::<Vec<f32>>(), learner.parameters().unwrap())
    };
    let single = train(false, false).0;
    assert!(single[59] < 0.75 * single[0], "{single:?}");
    for (half, half_weights) in [(true, false), (false, true), (true, true)] {
        let [first, second] = [(); 2].map(|()| train(half, half_weights));
        assert_eq!(first, second);
        assert_ne!(first.0, single, "nothing was in 16 bits");
        for (step, (half, single)) in first.0.iter().zip(&single).enumerate() {
            let difference = (half - single).abs() / single;
            assert!(difference <= 2e-3, "step {step}: {half} and {single}");
        }
    }
}

#[test]
fn weights_in_16_bits_are_refused_where_no_kernel_reads_them() {
    let _turn = common::turn();
    let cpu = Device::cpu().unwrap();
    for (device, architecture) in [
        (&cpu, Architecture::new(20, 64)),
        (&*common::VULKAN, Architecture::new(20, 96).pairwise(true)),
    ] {
        let net = nets::random(&architecture, 10, 5, 1);
        let (loss, optimizer) = (Loss::MSE, Optimizer::ADAMW);
        let mut learner = Learner::new(device, &net.parameters, loss, optimizer).unwrap();
        learner.set_half_weights(false).unwrap();
        let error = learner.set_half_weights(true).unwrap_err().to_string();
        assert!(
            error.contains("half weights") && error.contains(device.name()),
            "{error}"
        );
    }
}
