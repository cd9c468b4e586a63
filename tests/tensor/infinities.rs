//! A logit of −∞ rules its class out, as the mask of illegal moves in a policy head does (sections
//! 2.3 and 3.3).

use crate::common;
use wgrad::engine::device::Device;
use wgrad::nn::{binary_cross_entropy, cross_entropy, cross_entropy_classes};
use wgrad::tensor::{Classes, Tensor};

const INF: f32 = f32::INFINITY;

/// Equal infinities agree; a NaN agrees with nothing.
fn close(device: &Device, what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= 2e-6 * expected.abs().clamp(1.0, 1e3);
        let name = device.name();
        assert!(
            found == expected || near,
            "{name}: {what}[{index}] is {found}, expected {expected}"
        );
    }
}

/// The result of a function of logits, and the gradient of Σ upstream ⊙ result by them.
fn both(
    function: impl Fn(&Tensor) -> wgrad::Result<Tensor>,
    logits: &Tensor,
    upstream: &[f32],
) -> [Vec<f32>; 2] {
    let x = logits.parameter();
    let y = function(&x).unwrap();
    let upstream = Tensor::new(x.device(), upstream, &y.shape()).unwrap();
    let gradients = y.backward_with(&upstream).unwrap();
    [
        y.to_vec().unwrap(),
        gradients.of(&x).unwrap().to_vec().unwrap(),
    ]
}

fn softmax_gives_a_class_at_minus_infinity_no_probability(device: &Device) {
    let check = |what: &str, found: [Vec<f32>; 2], y: &[f32], gradient: &[f32]| {
        close(device, what, &found[0], y);
        close(
            device,
            &format!("the gradient of {what}"),
            &found[1],
            gradient,
        );
    };
    let (e, upstream) = (1f32.exp(), [1.0, 2.0, 3.0]);
    let p = [0.0, 1.0 / (1.0 + e), e / (1.0 + e)];
    let weighted = 2.0 * p[1] + 3.0 * p[2];
    // Along the last axis, and along the first of the transposed tensor.
    for (axis, shape) in [(1, [1, 3]), (0, [3, 1])] {
        let x = Tensor::new(device, &[-INF, 0.0, 1.0], &shape).unwrap();
        let gradient = [0.0, p[1] * (2.0 - weighted), p[2] * (3.0 - weighted)];
        let found = both(|x| x.softmax(axis), &x, &upstream);
        check("softmax", found, &p, &gradient);
        let gradient = [1.0, 2.0 - 6.0 * p[1], 3.0 - 6.0 * p[2]];
        let found = both(|x| x.log_softmax(axis), &x, &upstream);
        check("log_softmax", found, &p.map(f32::ln), &gradient);
    }
    // A NaN is no mask: it shows in every element of its row.
    let x = Tensor::new(device, &[f32::NAN, -INF, 1.0], &[1, 3]).unwrap();
    for y in [x.softmax(1), x.log_softmax(1)] {
        let y = y.unwrap().to_vec().unwrap();
        assert!(y.iter().all(|y| y.is_nan()), "{}: {y:?}", device.name());
    }
    // More masked classes than a workgroup has lanes, the first ones among them.
    let logits: Vec<f32> = (0..200)
        .map(|class| if class < 150 { -INF } else { 0.25 })
        .collect();
    let x = Tensor::new(device, &logits, &[1, 200]).unwrap();
    let expected: Vec<f32> = logits
        .iter()
        .map(|&x| if x == -INF { 0.0 } else { 0.02 })
        .collect();
    close(
        device,
        "softmax",
        &x.softmax(1).unwrap().to_vec().unwrap(),
        &expected,
    );
    let expected: Vec<f32> = expected.into_iter().map(f32::ln).collect();
    close(
        device,
        "log_softmax",
        &x.log_softmax(1).unwrap().to_vec().unwrap(),
        &expected,
    );
}

fn cross_entropy_leaves_masked_classes_out(device: &Device) {
    let rows = [-INF, 0.0, 1.0, 3.0, -INF, -INF];
    let x = Tensor::new(device, &rows, &[2, 3]).unwrap();
    let e = 1f32.exp();
    let p = [1.0 / (1.0 + e), e / (1.0 + e)];

    let classes = Classes::new(device, &[1, 0], 3).unwrap();
    let [loss, gradient] = both(|x| cross_entropy_classes(x, &classes), &x, &[1.0]);
    close(device, "loss", &loss, &[-0.5 * p[0].ln()]);
    let by_first = [0.0, 0.5 * (p[0] - 1.0), 0.5 * p[1]];
    close(
        device,
        "gradient",
        &gradient,
        &[by_first, [0.0; 3]].concat(),
    );

    let targets = [0.0, 0.25, 0.75, 1.0, 0.0, 0.0];
    let targets = Tensor::new(device, &targets, &[2, 3]).unwrap();
    let [loss, gradient] = both(|x| cross_entropy(x, &targets), &x, &[1.0]);
    close(
        device,
        "loss",
        &loss,
        &[-0.5 * (0.25 * p[0].ln() + 0.75 * p[1].ln())],
    );
    let by_first = [0.0, 0.5 * (p[0] - 0.25), 0.5 * (p[1] - 0.75)];
    close(
        device,
        "gradient",
        &gradient,
        &[by_first, [0.0; 3]].concat(),
    );

    // The target's own class at −∞ has probability 0: the loss is infinite, its gradient y − t is
    // not.
    let classes = Classes::new(device, &[0, 0], 3).unwrap();
    let [loss, gradient] = both(|x| cross_entropy_classes(x, &classes), &x, &[1.0]);
    close(device, "loss", &loss, &[INF]);
    let by_first = [-0.5, 0.5 * p[0], 0.5 * p[1]];
    close(
        device,
        "gradient",
        &gradient,
        &[by_first, [0.0; 3]].concat(),
    );
}

fn binary_cross_entropy_of_certain_labels(device: &Device) {
    // −∞ says 0 and ∞ says 1 for certain: no loss where the label agrees, and an infinite one where
    // it does not.
    for (logit, label, expected, gradient) in [
        (-INF, 0.0, 0.0, 0.0),
        (INF, 1.0, 0.0, 0.0),
        (-INF, 1.0, INF, -1.0),
        (INF, 0.0, INF, 1.0),
        (-INF, 0.25, INF, -0.25),
        (INF, 0.25, INF, 0.75),
    ] {
        let x = Tensor::new(device, &[logit], &[1]).unwrap();
        let label = Tensor::new(device, &[label], &[1]).unwrap();
        let found = both(|x| binary_cross_entropy(x, &label), &x, &[1.0]);
        close(device, "loss", &found[0], &[expected]);
        close(device, "gradient", &found[1], &[gradient]);
    }
}

fn infinite_logits_are_legal(device: &Device) {
    softmax_gives_a_class_at_minus_infinity_no_probability(device);
    cross_entropy_leaves_masked_classes_out(device);
    binary_cross_entropy_of_certain_labels(device);
}

#[test]
fn infinite_logits_are_legal_on_the_reference_and_the_cpu() {
    infinite_logits_are_legal(&Device::reference());
    infinite_logits_are_legal(&Device::cpu().unwrap());
}

#[test]
fn infinite_logits_are_legal_on_vulkan_and_gl() {
    let _turn = common::turn();
    infinite_logits_are_legal(&common::VULKAN);
    infinite_logits_are_legal(&common::GL);
}
