//! Identities that gradients of formulas obey, and the two-perspective network made of tensors.

use crate::common;
use crate::common::nets::{self, relative_l2};
use wgrad::engine::device::Device;
use wgrad::nn::mse;
use wgrad::nnue::{Activation, Architecture, Inputs, Loss, Network, ParameterName, Upstream};
use wgrad::tensor::Tensor;

/// Values of a small generator: multiples of 1/16 from −2 to 2, different for each seed.
fn values(count: usize, seed: u64) -> Vec<f64> {
    let step = |i: u64| ((i + 1) * (seed + 3) * 7919) % 65;
    (0..count as u64)
        .map(|i| step(i) as f64 / 16.0 - 2.0)
        .collect()
}

fn tensor(device: &Device, shape: &[usize], seed: u64) -> Tensor {
    let values = values(shape.iter().product(), seed);
    Tensor::new(device, &values, shape).unwrap().parameter()
}

fn close(expected: &Tensor, found: &Tensor) {
    assert_eq!(expected.shape(), found.shape());
    let (expected, found) = (expected.to_f64_vec().unwrap(), found.to_f64_vec().unwrap());
    assert!(expected.iter().any(|&value| value != 0.0));
    let error = relative_l2(&expected, &found);
    assert!(error <= 1e-13, "{error:e}: {expected:?}, {found:?}");
}

#[test]
fn the_four_identities_hold() {
    let device = Device::reference();
    let (x, c) = (tensor(&device, &[5], 1), tensor(&device, &[4], 2));
    let (a, b) = (tensor(&device, &[5, 4], 3), tensor(&device, &[4, 5], 4));

    // ∂(xᵀx)/∂x = 2x.
    let gradients = x.dot(&x).unwrap().backward().unwrap();
    close(&(&x * 2.0).unwrap(), &gradients.of(&x).unwrap());

    // ∂tr(AB)/∂A = Bᵀ.
    let trace = a.matmul(&b).unwrap().trace().unwrap();
    let gradients = trace.backward().unwrap();
    close(&b.t().unwrap(), &gradients.of(&a).unwrap());
    close(&a.t().unwrap(), &gradients.of(&b).unwrap());

    // ∂(xᵀAc)/∂x = Ac and ∂(xᵀAc)/∂A = xcᵀ.
    let form = x.dot(&a.matmul(&c).unwrap()).unwrap();
    let gradients = form.backward().unwrap();
    close(&a.matmul(&c).unwrap(), &gradients.of(&x).unwrap());
    let outer = x.unsqueeze(1).unwrap().matmul(&c.unsqueeze(0).unwrap());
    close(&outer.unwrap(), &gradients.of(&a).unwrap());

    // tr(ABC) = tr(CAB).
    let square = tensor(&device, &[5, 5], 5);
    let product = |factors: [&Tensor; 3]| {
        let first = factors[0].matmul(factors[1]).unwrap();
        first.matmul(factors[2]).unwrap().trace().unwrap()
    };
    close(&product([&a, &b, &square]), &product([&square, &a, &b]));
}

/// The network of section 1, made of matmul, add, clamp, concat, matmul and a mean squared error.
/// Returns the loss and the gradients in the order of the architecture's tensors.
fn from_tensors(device: &Device, net: &nets::Net) -> (f64, Vec<Vec<f64>>) {
    use ParameterName::{A1, A2, B1, B2, C, D};
    let architecture = net.parameters.architecture();
    let Inputs::Dense { values, .. } = net.dense.inputs() else {
        panic!("a dense batch")
    };
    let (samples, hidden) = (net.dense.len(), architecture.hidden);
    let specs = architecture.tensors();
    let place = |name| specs.iter().position(|spec| spec.name == name);
    let shape_of = |name| match name {
        A1 | A2 => vec![architecture.inputs, hidden],
        B1 | B2 => vec![hidden],
        C => vec![2 * hidden, 1],
        _ => vec![1],
    };
    let parameters: Vec<Tensor> = specs
        .iter()
        .zip(net.parameters.values())
        .map(|(spec, values)| {
            Tensor::new(device, values, &shape_of(spec.name))
                .unwrap()
                .parameter()
        })
        .collect();
    let named = |first, second| {
        let place = place(first).or_else(|| place(second)).unwrap();
        parameters[place].clone()
    };
    let accumulators: Vec<Tensor> = (0..2)
        .map(|perspective| {
            let x = &values[perspective];
            let x = Tensor::new(device, x, &[samples, architecture.inputs]).unwrap();
            let [weights, bias] =
                [[A1, A2], [B1, B2]].map(|names| named(names[perspective], names[0]));
            x.matmul(&weights).unwrap().add(&bias).unwrap()
        })
        .collect();
    let z = Tensor::concat(&accumulators.iter().collect::<Vec<_>>(), 1).unwrap();
    let h = z.clamp(0.0, architecture.clip).unwrap();
    let h = match architecture.activation {
        Activation::SCRelu => h.mul(&h).unwrap(),
        _ => h,
    };
    let y = h.matmul(&named(C, C)).unwrap().add(&named(D, D)).unwrap();
    let targets = Tensor::new(device, net.dense.targets(), &[samples, 1]).unwrap();
    let loss = mse(&y, &targets).unwrap();
    let gradients = loss.backward().unwrap();
    let gradients = parameters
        .iter()
        .map(|parameter| gradients.of(parameter).unwrap().to_f64_vec().unwrap());
    (loss.to_f64_vec().unwrap()[0], gradients.collect())
}

fn network_agrees(device: &Device, bound: f64) {
    // The batch size is a power of 2, so that 1/L is an f32 and the reference agrees to its last
    // digits.
    for (seed, [inputs, hidden, samples]) in [[12, 5, 8], [97, 33, 64]].into_iter().enumerate() {
        for activation in [Activation::CRelu, Activation::SCRelu] {
            for tied in [false, true] {
                let architecture = Architecture::new(inputs, hidden).activation(activation);
                let mut architecture = architecture.clip(0.75);
                architecture.tied = tied;
                let net = nets::random(&architecture, samples, 5, seed as u64);
                let (loss, gradients) = from_tensors(device, &net);
                let mut fused = Network::new(device, &net.parameters).unwrap();
                let fused = fused
                    .gradient_values(&net.sparse, Upstream::Loss(Loss::MSE))
                    .unwrap();
                let expected = fused.loss.unwrap().into_f64()[0];
                assert!(
                    (loss - expected).abs() <= bound * expected,
                    "{loss} {expected}"
                );
                assert_eq!(fused.parameters.len(), gradients.len());
                for (fused, gradient) in fused.parameters.into_iter().zip(&gradients) {
                    let error = relative_l2(&fused.into_f64(), gradient);
                    assert!(error <= bound, "{architecture:?}: {error:e}");
                }
            }
        }
    }
}

#[test]
fn the_network_from_tensors_is_the_fused_step() {
    network_agrees(&Device::reference(), 1e-12);
    network_agrees(&Device::cpu().unwrap(), 5e-6);
}

#[test]
fn the_network_from_tensors_is_the_fused_step_on_vulkan_and_gl() {
    let _turn = common::turn();
    network_agrees(&common::VULKAN, 5e-6);
    network_agrees(&common::GL, 5e-6);
}

/// Formulas that texts often get wrong, by numbers: the tape's gradient, which finite differences
/// confirm in `gradients.rs`, is the right one and not the other.
#[test]
fn slips_are_refuted_by_numbers() {
    let device = Device::reference();
    let matrix = |values: &[f64], shape: &[usize]| Tensor::new(&device, values, shape).unwrap();
    let of = |tensor: &Tensor| tensor.to_f64_vec().unwrap();

    // J = ‖X − AS‖²: ∂J/∂S = −2Aᵀ(X − AS). The wrong one, −2(X − AS)Aᵀ, does not even have the
    // shape of S, unless all matrices are square.
    let x = matrix(&[1.0, 2.0, 3.0, 4.0], &[2, 2]);
    let a = matrix(&[1.0, 1.0, 0.0, 2.0], &[2, 2]);
    let s = matrix(&[1.0, 0.0, 2.0, 1.0], &[2, 2]).parameter();
    let left = x.sub(&a.matmul(&s).unwrap()).unwrap();
    let loss = left.mul(&left).unwrap().sum(.., false).unwrap();
    let gradient = of(&loss.backward().unwrap().of(&s).unwrap());
    let left = left.detach();
    let right = of(&a
        .t()
        .unwrap()
        .matmul(&left)
        .unwrap()
        .affine(-2.0, 0.0)
        .unwrap());
    let wrong = of(&left
        .matmul(&a.t().unwrap())
        .unwrap()
        .affine(-2.0, 0.0)
        .unwrap());
    assert_eq!(gradient, right);
    assert_eq!(right, [4.0, -2.0, 8.0, -10.0]);
    assert_eq!(wrong, [2.0, -4.0, -2.0, -8.0]);

    // The mean over an axis of [2, 3] divides by the size of that axis, 2 or 3, and not by the
    // other one.
    let m = matrix(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).parameter();
    for (axis, each) in [(0, 1.0 / 2.0), (1, 1.0 / 3.0)] {
        let mean = m.mean(axis, false).unwrap().sum(.., false).unwrap();
        let gradient = of(&mean.backward().unwrap().of(&m).unwrap());
        // The divisor is an f32.
        assert!(
            gradient.iter().all(|g| (g - each).abs() < 1e-7),
            "{gradient:?}"
        );
    }

    // The gradient of a sum is a tensor of ones, not their sum.
    let gradient = m
        .sum(.., false)
        .unwrap()
        .backward()
        .unwrap()
        .of(&m)
        .unwrap();
    assert_eq!(
        (of(&gradient), &*gradient.shape()),
        (vec![1.0; 6], &[2, 3][..])
    );

    // Softmax's gradient is y ⊙ (g − Σ(g ⊙ y)): the diagonal of its Jacobian counts once, not in each term of the sum.
    let logits = matrix(&[1.0, 2.0, 3.0].map(f64::ln), &[3]).parameter();
    let upstream = matrix(&[1.0, 2.0, 4.0], &[3]);
    let gradients = logits.softmax(0).unwrap().backward_with(&upstream).unwrap();
    let gradient = of(&gradients.of(&logits).unwrap());
    for (found, right) in gradient
        .iter()
        .zip([-11.0 / 36.0, -10.0 / 36.0, 21.0 / 36.0])
    {
        assert!((found - right).abs() < 1e-7, "{gradient:?}");
    }

    // MSE's derivative is (2/D)(y − t), for D = 4 half of the difference.
    let y = matrix(&[3.0, 5.0, 2.0, 1.0], &[4]).parameter();
    let loss = mse(&y, &matrix(&[1.0; 4], &[4])).unwrap();
    let gradient = of(&loss.backward().unwrap().of(&y).unwrap());
    assert_eq!(gradient, [1.0, 2.0, 0.5, 0.0]);

    // δ of the layer before is ξ·Wᵀ for W [in, out]; ∂u/∂W collapses to zᵀξ.
    let w = matrix(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).parameter();
    let z = matrix(&[1.0, -1.0], &[1, 2]).parameter();
    let xi = matrix(&[1.0, 0.0, 2.0], &[1, 3]);
    let gradients = z.matmul(&w).unwrap().backward_with(&xi).unwrap();
    assert_eq!(of(&gradients.of(&z).unwrap()), [7.0, 16.0]);
    assert_eq!(
        of(&gradients.of(&w).unwrap()),
        [1.0, 0.0, 2.0, -1.0, 0.0, -2.0]
    );
}

#[test]
fn jacobians_have_the_shape_out_then_in() {
    let device = Device::reference();
    let shapes: [&[usize]; 3] = [&[], &[3], &[2, 3]];
    for output in shapes {
        for input in shapes {
            let x = tensor(&device, input, 7);
            // Every element of the result depends on every element of x.
            let total = x.mul(&x).unwrap().sum(.., false).unwrap();
            let weights = tensor(&device, output, 8).detach();
            let y = weights.mul(&total).unwrap();
            let jacobian = y.jacobian(&x).unwrap();
            assert_eq!(jacobian.shape().to_vec(), [output, input].concat());
            let (weights, x) = (weights.to_f64_vec().unwrap(), x.to_f64_vec().unwrap());
            let expected = weights
                .iter()
                .flat_map(|w| x.iter().map(move |x| 2.0 * w * x));
            assert_eq!(jacobian.to_f64_vec().unwrap(), expected.collect::<Vec<_>>());
        }
    }
    // u = z·W: ∂u_k/∂W_ij = δ_kj·z_i, of rank 3; and F = A·S by S with both flattened by rows is A ⊗ I.
    let (z, w) = (tensor(&device, &[4], 9), tensor(&device, &[4, 3], 10));
    let third = z.matmul(&w).unwrap().jacobian(&w).unwrap();
    assert_eq!(&*third.shape(), &[3, 4, 3]);
    let (third, z) = (third.to_f64_vec().unwrap(), z.to_f64_vec().unwrap());
    for (k, i, j) in (0..36).map(|place| (place / 12, place / 3 % 4, place % 3)) {
        let expected = if k == j { z[i] } else { 0.0 };
        assert_eq!(third[k * 12 + i * 3 + j], expected);
    }
    let (a, s) = (tensor(&device, &[2, 3], 11), tensor(&device, &[3, 2], 12));
    let jacobian = a.matmul(&s).unwrap().jacobian(&s).unwrap();
    let kronecker = jacobian.reshape(&[4, 6]).unwrap().to_f64_vec().unwrap();
    let a = a.to_f64_vec().unwrap();
    for (row, column) in (0..24).map(|place| (place / 6, place % 6)) {
        let expected = if row % 2 == column % 2 {
            a[row / 2 * 3 + column / 2]
        } else {
            0.0
        };
        assert_eq!(kronecker[row * 6 + column], expected);
    }
}
