//! Values at the edges of functions (section 4): the results of IEEE 754 on the CPU and the
//! reference, and the results that GPUs guarantee.

use crate::common;
use wgrad::engine::device::Device;
use wgrad::nn::{binary_cross_entropy, cross_entropy};
use wgrad::tensor::Tensor;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn same(expected: &[f32], found: &[f32], what: &str) {
    assert_eq!(expected.len(), found.len());
    for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
        let same = expected == found || (expected.is_nan() && found.is_nan());
        assert!(same, "{what}[{place}]: {found}, expected {expected}");
    }
}

/// x, y, x^y, ∂x, ∂y.
const POWERS: [[f32; 5]; 14] = [
    [0.0, 2.0, 0.0, 0.0, 0.0],
    [0.0, 1.0, 0.0, 1.0, 0.0],
    [0.0, 0.0, 1.0, 0.0, 0.0],
    [0.0, 0.5, 0.0, INF, 0.0],
    [0.0, -1.0, INF, -INF, -INF],
    [3.0, 0.0, 1.0, 0.0, 1.098_612_3],
    [-3.0, 0.0, 1.0, 0.0, NAN],
    [-2.0, 3.0, -8.0, 12.0, NAN],
    [-2.0, 2.0, 4.0, -4.0, NAN],
    [-2.0, -1.0, -0.5, -0.25, NAN],
    [-2.0, 0.5, NAN, NAN, NAN],
    [1.0, 5.0, 1.0, 5.0, 0.0],
    [2.0, 2.0, 4.0, 4.0, 2.772_588_7],
    [-1.0, 16_777_216.0, 1.0, -16_777_216.0, NAN],
];

fn powers_are_right(device: &Device, close: f32) {
    let column = |index: usize| POWERS.map(|row| row[index]);
    let tensor = |index| {
        Tensor::new(device, &column(index), &[POWERS.len()])
            .unwrap()
            .parameter()
    };
    let (x, y) = (tensor(0), tensor(1));
    let result = x.pow(&y).unwrap();
    let gradients = result.sum(.., false).unwrap().backward().unwrap();
    let found = [
        result.to_vec().unwrap(),
        gradients.of(&x).unwrap().to_vec().unwrap(),
        gradients.of(&y).unwrap().to_vec().unwrap(),
    ];
    for (place, (found, what)) in found.iter().zip(["x^y", "∂x", "∂y"]).enumerate() {
        let expected = column(place + 2);
        for (row, (expected, found)) in expected.iter().zip(found).enumerate() {
            let within = (found - expected).abs() <= close * expected.abs();
            let same = expected == found || (expected.is_nan() && found.is_nan());
            assert!(
                same || within,
                "{}: {what} of {:?} is {found}",
                device.name(),
                POWERS[row]
            );
        }
    }
}

#[test]
fn powers_at_their_edges() {
    for device in [Device::reference(), Device::cpu().unwrap()] {
        powers_are_right(&device, 1e-6);
    }
}

#[test]
fn powers_at_their_edges_on_vulkan_and_gl() {
    let _turn = common::turn();
    // The size of the last row, 1^16777216, is exp2 of a product with log2 1.
    powers_are_right(&common::VULKAN, 1e-5);
    powers_are_right(&common::GL, 1e-5);
}

#[test]
fn nan_and_infinity_propagate_on_the_cpu() {
    for device in [Device::reference(), Device::cpu().unwrap()] {
        let x = [NAN, INF, -INF, 0.0, -1.0];
        let x = Tensor::new(&device, &x, &[5]).unwrap();
        let of = |tensor: wgrad::Result<Tensor>| tensor.unwrap().to_vec().unwrap();
        same(&[NAN, INF, NAN, -INF, NAN], &of(x.log()), "log");
        same(&[NAN, INF, 0.0, 1.0, 0.367_879_44], &of(x.exp()), "exp");
        same(&[NAN, INF, 0.0, 0.0, 0.0], &of(x.relu()), "relu");
        same(&[NAN, INF, NAN, 0.0, NAN], &of(x.sqrt()), "sqrt");
        same(
            &[NAN, 1.0, 0.0, 0.5, 0.268_941_43],
            &of(x.sigmoid()),
            "sigmoid",
        );
        same(&[NAN, 1.0, -1.0, 0.0, -0.761_594_2], &of(x.tanh()), "tanh");
        same(
            &[NAN, 2.0, -0.5, 0.0, -0.5],
            &of(x.clamp(-0.5, 2.0)),
            "clamp",
        );
        same(&[NAN, INF, INF, 0.0, 1.0], &of(x.abs()), "abs");
        same(&[NAN], &of(x.sum(0, true)), "sum");
        same(&[NAN], &of(x.max(0, true)), "max");
        let rest = x.slice(0, 1..5).unwrap();
        same(&[INF], &of(rest.max(0, true)), "max");
        same(&[NAN], &of(rest.mean(0, true)), "mean");
        same(&[NAN; 5], &of(x.softmax(0)), "softmax");
    }
}

type Loss = fn(&Tensor, &Tensor) -> wgrad::Result<Tensor>;
const LOSSES: [(&str, Loss); 2] = [("cross", cross_entropy), ("binary", binary_cross_entropy)];

fn losses_are_finite(device: &Device) {
    let tensor = |values: &[f32]| Tensor::new(device, values, &[1, 2]).unwrap().parameter();
    let extremes: [[f32; 2]; 6] = [
        [1.5e38, -1.5e38],
        [3e38, -3e38],
        [-3e38, -3.4e38],
        [1e30, 0.0],
        [0.0, 0.0],
        [-1e4, 1e4],
    ];
    for logits in extremes {
        for targets in [[1.0, 0.0], [0.0, 1.0], [0.5, 0.25]] {
            for (name, loss) in LOSSES {
                // A mean of two such terms is a number, but their sum is not.
                if name == "binary" && logits[0].abs() > 1.7e38 {
                    continue;
                }
                let x = tensor(&logits);
                let loss = loss(&x, &tensor(&targets).detach()).unwrap();
                let gradient = loss.backward().unwrap().of(&x).unwrap().to_vec().unwrap();
                let found = (loss.item().unwrap(), gradient);
                let finite = found.0.is_finite() && found.1.iter().all(|g| g.abs() <= 1.0);
                assert!(
                    finite,
                    "{}: {logits:?} {targets:?}: {found:?}",
                    device.name()
                );
            }
        }
    }
}

#[test]
fn fused_losses_are_finite_for_any_finite_logits() {
    losses_are_finite(&Device::cpu().unwrap());
    let _turn = common::turn();
    losses_are_finite(&common::VULKAN);
    losses_are_finite(&common::GL);
}

#[test]
fn a_maximum_splits_its_gradient_among_the_tied() {
    for device in [Device::reference(), Device::cpu().unwrap()] {
        let x = Tensor::new(&device, &[2.0f32, 1.0, 2.0], &[3])
            .unwrap()
            .parameter();
        let gradients = x.max(.., false).unwrap().backward().unwrap();
        assert_eq!(gradients.of(&x).unwrap().to_vec().unwrap(), [0.5, 0.0, 0.5]);
    }
}

#[test]
fn tensors_of_no_elements_are_legal() {
    for device in [Device::reference(), Device::cpu().unwrap()] {
        let nothing = Tensor::zeros(&device, &[0, 3]).unwrap().parameter();
        assert!(nothing.exp().unwrap().to_vec().unwrap().is_empty());
        let sums = nothing.sum(0, false).unwrap();
        assert_eq!(sums.to_vec().unwrap(), [0.0; 3]);
        assert!(nothing.sum(1, false).unwrap().to_vec().unwrap().is_empty());
        let gradients = sums.sum(.., false).unwrap().backward().unwrap();
        assert_eq!(&*gradients.of(&nothing).unwrap().shape(), &[0, 3]);
        let product = nothing.t().unwrap().matmul(&nothing).unwrap();
        assert_eq!(product.to_vec().unwrap(), [0.0; 9]);
        for error in [nothing.mean(0, false), nothing.max(.., false)] {
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("[0, 3]") && error.contains("at least 1 element"),
                "{error}"
            );
        }
        assert!(nothing.max(1, false).unwrap().to_vec().unwrap().is_empty());
        let joined = Tensor::concat(&[&nothing, &Tensor::ones(&device, &[2, 3]).unwrap()], 0);
        assert_eq!(joined.unwrap().to_vec().unwrap(), [1.0; 6]);
    }
}

#[test]
fn the_same_operations_give_the_same_bits_with_any_number_of_threads() {
    let numbers: Vec<f32> = (0..300 * 301)
        .map(|i| ((i * 7919) % 1009) as f32 / 500.0 - 1.0)
        .collect();
    let results: Vec<Vec<u32>> = [1, 2, 3]
        .into_iter()
        .map(|threads| {
            let device = Device::cpu_with_threads(threads.try_into().unwrap()).unwrap();
            let x = Tensor::new(&device, &numbers, &[300, 301])
                .unwrap()
                .parameter();
            let product = x.matmul(&x.t().unwrap()).unwrap().tanh().unwrap();
            let softmax = product.softmax(-1).unwrap();
            let loss = softmax
                .mul(&product)
                .unwrap()
                .mean(0, false)
                .unwrap()
                .sum(.., false)
                .unwrap();
            let gradient = loss.backward().unwrap().of(&x).unwrap();
            let values = [gradient.to_vec().unwrap(), loss.to_vec().unwrap()].concat();
            values.into_iter().map(f32::to_bits).collect()
        })
        .collect();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}
