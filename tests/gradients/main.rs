//! The network's gradients: the f64 reference against finite differences and identities, and every
//! executor against the reference.

mod buckets;
#[path = "../common/mod.rs"]
mod common;
mod deep;
mod factorised;
mod groups;
mod half;
mod heads;
mod limits;
mod lookahead;
mod losses;
mod penalty;
mod quantized;
mod tunings;

use common::nets::{self, Net, relative_l2};
use wgrad::engine::device::{Device, Values};
use wgrad::nnue::{
    Activation, Architecture, Batch, Inputs, Learner, Link, Loss, Network, ParameterName,
    Parameters, SparseInputs, Upstream,
};
use wgrad::optim::Optimizer;

const LOSSES: [Loss; 4] = [
    Loss::MSE,
    Loss::SIGMOID_MSE,
    Loss::new(Link::Sigmoid, 2.5),
    Loss::new(Link::Identity, 1.0),
];

/// [`LOSSES`], and those that are no plain powers.
fn losses() -> Vec<Loss> {
    let others = [
        Loss::CROSS_ENTROPY,
        Loss::WIN_RATE.power(2.5).asymmetry(0.2),
        Loss::SIGMOID_MSE.asymmetry(-0.3),
    ];
    LOSSES.into_iter().chain(others).collect()
}

/// The same batch with weights from ½ on.
fn weighted(batch: &Batch) -> Batch {
    let weights = (0..batch.len()).map(|s| 0.5 + (s * 37 % 11) as f32 / 8.0);
    batch.clone().with_weights(weights.collect()).unwrap()
}

/// Y, the loss if there is one, and the gradients, all in f64.
struct Result {
    y: Vec<f64>,
    loss: Option<f64>,
    gradients: Vec<Vec<f64>>,
}

fn compute(network: &mut Network, batch: &Batch, upstream: Upstream<'_>) -> Result {
    let found = network.gradient_values(batch, upstream).unwrap();
    Result {
        y: found.y.into_iter().flat_map(Values::into_f64).collect(),
        loss: found.loss.map(|loss| loss.into_f64()[0]),
        gradients: found.parameters.into_iter().map(Values::into_f64).collect(),
    }
}

fn gradients(
    device: &Device,
    parameters: &Parameters,
    batch: &Batch,
    upstream: Upstream<'_>,
) -> Result {
    compute(
        &mut Network::new(device, parameters).unwrap(),
        batch,
        upstream,
    )
}

/// The largest relative L2 error over Y and over all gradients that are not zero.
fn worst_error(expected: &Result, found: &Result) -> f64 {
    let pairs = expected.gradients.iter().zip(&found.gradients);
    let errors = pairs.map(|(expected, found)| relative_l2(expected, found));
    errors
        .chain([relative_l2(&expected.y, &found.y)])
        .fold(0.0, |worst, error| {
            if worst.is_nan() || error <= worst {
                worst
            } else {
                error
            }
        })
}

#[test]
fn reference_gradients_agree_with_finite_differences() {
    const H: f64 = 1e-5;
    let device = Device::reference();
    let (mut compared, mut near_a_kink) = (0, 0);
    for (seed, architecture) in nets::architectures(7, 4).into_iter().enumerate() {
        let mut net = nets::random(&architecture, 6, 3, seed as u64);
        // Values off the dyadic grid, on which points would lie on the kinks.
        for values in net.parameters.values_mut() {
            for (i, value) in values.iter_mut().enumerate() {
                *value += 1e-3 * ((i * 7919 + seed) % 101) as f32 / 101.0;
            }
        }
        let mut network = Network::new(&device, &net.parameters).unwrap();
        let z = nets::preactivations(&net.parameters, &net.sparse);
        for (number, loss) in losses().into_iter().enumerate() {
            let batch = match number < LOSSES.len() {
                true => net.sparse.clone(),
                false => weighted(&net.sparse),
            };
            let exact = compute(&mut network, &batch, Upstream::Loss(loss));
            let scale = exact
                .gradients
                .iter()
                .flatten()
                .fold(0.0f64, |a, g| a.max(g.abs()));
            for (index, tensor) in architecture.tensors().iter().enumerate() {
                let values: Vec<f64> = net.parameters.values()[index]
                    .iter()
                    .map(|&v| f64::from(v))
                    .collect();
                for element in 0..tensor.len() {
                    // A weight or bias moves only the Z of its own lane, by H at most.
                    let row = element % architecture.hidden;
                    let inner = !matches!(tensor.name, ParameterName::C | ParameterName::D);
                    let width = 2 * architecture.hidden;
                    let kinked = inner
                        && z.iter().enumerate().any(|(at, z)| {
                            let near = |kink: f64| (z - kink).abs() < 2.0 * H;
                            at % width % architecture.hidden == row && (near(0.0) || near(0.75))
                        });
                    if kinked {
                        near_a_kink += 1;
                        continue;
                    }
                    let mut moved = |by: f64| {
                        let mut values = values.clone();
                        values[element] += by;
                        network.write(index, values.as_slice()).unwrap();
                        compute(&mut network, &batch, Upstream::Loss(loss))
                            .loss
                            .unwrap()
                    };
                    let difference = (moved(H) - moved(-H)) / (2.0 * H);
                    let gradient = exact.gradients[index][element];
                    let error = (difference - gradient).abs();
                    // Relative to the gradient, with a floor for gradients that are tiny beside the
                    // others.
                    let bound = 1e-6 * gradient.abs().max(1e-2 * scale);
                    assert!(
                        error <= bound,
                        "{architecture:?} {loss:?} {}[{element}]: {gradient} by formula, {difference} by differences",
                        tensor.name
                    );
                    compared += 1;
                }
                network.write(index, values.as_slice()).unwrap();
            }
        }
    }
    println!("{compared} derivatives compared, {near_a_kink} near a kink left out");
    assert!(
        compared > 3000 && near_a_kink * 10 < compared,
        "{compared} {near_a_kink}"
    );
}

/// [inputs, hidden, samples, width]: sizes around the tiles of the kernels, and several shards of
/// samples.
const SIZES: [[usize; 4]; 7] = [
    [1, 1, 1, 1],
    [9, 31, 33, 4],
    [64, 33, 1, 9],
    [97, 64, 130, 11],
    [40, 129, 17, 5],
    [768, 65, 40, 32],
    [11, 20, 4100, 3],
];

fn agrees_with_the_reference(device: &Device) {
    let reference = Device::reference();
    let (mut worst, mut cases) = (0.0f64, 0);
    for (seed, [inputs, hidden, samples, width]) in SIZES.into_iter().enumerate() {
        for architecture in nets::architectures(inputs, hidden) {
            let Net {
                parameters,
                dense,
                sparse,
            } = nets::random(&architecture, samples, width, seed as u64);
            let loss = LOSSES[cases % 3];
            for batch in [&dense, &sparse] {
                let expected = gradients(&reference, &parameters, batch, Upstream::Loss(loss));
                let found = gradients(device, &parameters, batch, Upstream::Loss(loss));
                // d and C sum numbers of both signs; `verify` compares their errors with the
                // magnitudes.
                let error = worst_error(&expected, &found);
                assert!(
                    error <= 1e-5,
                    "{architecture:?} L={samples}: relative L2 error {error:e}"
                );
                worst = worst.max(error);
                let (expected, found) = (expected.loss.unwrap(), found.loss.unwrap());
                // P and Y have an error of about 4ε, and P − t may cancel: |x|^q moves by
                // q·|x|^(q−1)·4ε.
                let q = f64::from(loss.power);
                let cancelled = 4.0 * f64::from(f32::EPSILON) * q * expected.powf((q - 1.0) / q);
                let bound = 1e-6 * expected + cancelled;
                assert!(
                    (expected - found).abs() <= bound,
                    "loss {found}, expected {expected}"
                );
                cases += 1;
            }
        }
    }
    println!(
        "{}: {cases} cases, worst relative L2 error {worst:e}",
        device.name()
    );
}

#[test]
fn cpu_gradients_agree_with_the_reference() {
    agrees_with_the_reference(&Device::cpu().unwrap());
}

#[test]
fn vulkan_gradients_agree_with_the_reference() {
    let _turn = common::turn();
    agrees_with_the_reference(&common::VULKAN);
}

#[test]
fn gl_gradients_agree_with_the_reference() {
    let _turn = common::turn();
    agrees_with_the_reference(&common::GL);
}

#[test]
fn a_sparse_batch_and_the_dense_batch_it_stands_for_agree() {
    let device = Device::reference();
    let samples = [19, 2100];
    let cases = samples.map(|samples| {
        nets::architectures(23, 5)
            .into_iter()
            .map(move |a| (a, samples))
    });
    for (architecture, samples) in cases.into_iter().flatten() {
        let net = nets::random(&architecture, samples, 6, 3);
        let sparse = gradients(
            &device,
            &net.parameters,
            &net.sparse,
            Upstream::Loss(Loss::SIGMOID_MSE),
        );
        let dense = gradients(
            &device,
            &net.parameters,
            &net.dense,
            Upstream::Loss(Loss::SIGMOID_MSE),
        );
        assert!(worst_error(&sparse, &dense) < 1e-14);
    }
}

#[test]
fn the_tied_gradient_is_the_sum_of_the_untied() {
    let device = Device::reference();
    let tied = Architecture::new(23, 5).tied();
    let net = nets::random(&tied, 19, 6, 5);
    let values = net.parameters.values();
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| values[index].clone());
    let untied = Architecture::new(23, 5);
    let copies = vec![a.clone(), a, b.clone(), b, c, d];
    let copies = Parameters::from_values(untied, copies).unwrap();
    let one = gradients(
        &device,
        &net.parameters,
        &net.sparse,
        Upstream::Loss(Loss::MSE),
    );
    let two = gradients(&device, &copies, &net.sparse, Upstream::Loss(Loss::MSE));
    assert_eq!(one.y, two.y);
    for (tied, [first, second]) in [(0, [0, 1]), (1, [2, 3])] {
        let sum: Vec<f64> = two.gradients[first]
            .iter()
            .zip(&two.gradients[second])
            .map(|(x, y)| x + y)
            .collect();
        assert!(relative_l2(&sum, &one.gradients[tied]) < 1e-14);
        assert!(one.gradients[tied].iter().any(|&gradient| gradient != 0.0));
    }
}

#[test]
fn a_given_e_replaces_the_loss_and_a_unit_e_gives_the_derivatives_of_one_output() {
    let devices = [Device::reference(), Device::cpu().unwrap()];
    let activations = [Activation::CRelu, Activation::SCRelu];
    for (device, activation) in devices.iter().flat_map(|d| activations.map(|a| (d, a))) {
        let architecture = Architecture::new(23, 5).activation(activation);
        let net = nets::random(&architecture, 19, 6, 7);
        let mut network = Network::new(device, &net.parameters).unwrap();
        let loss = compute(&mut network, &net.sparse, Upstream::Loss(Loss::MSE));
        let outputs = loss.y.iter().zip(net.sparse.targets());
        let e: Vec<f32> = outputs
            .map(|(y, t)| (2.0 / 19.0 * (y - f64::from(*t))) as f32)
            .collect();
        let given = compute(&mut network, &net.sparse, Upstream::Given(&e));
        assert!(given.loss.is_none());
        assert!(worst_error(&loss, &given) < 1e-6);

        // ∂Y[s]/∂C = H[:, s], ∂Y[s]/∂d = 1.
        let mut unit = vec![0.0; 19];
        unit[4] = 1.0;
        let one = compute(&mut network, &net.sparse, Upstream::Given(&unit));
        let z = nets::preactivations(&net.parameters, &net.sparse);
        let h: Vec<f64> = z[4 * 10..5 * 10]
            .iter()
            .map(|&z| activation.value(z, 1.0))
            .collect();
        assert_eq!(one.gradients[4], h);
        assert_eq!(one.gradients[5], [1.0]);
        // With C a unit vector, ∂H[u, s]/∂B is the slope, which is M[u, s] for CReLU. Here C = 1
        // covers every u at once.
        network.write(4, [1.0f32; 10].as_slice()).unwrap();
        let masks = compute(&mut network, &net.sparse, Upstream::Given(&unit));
        let mask: Vec<f64> = z[4 * 10..5 * 10]
            .iter()
            .map(|&z| activation.slope(z, 1.0))
            .collect();
        assert_eq!(
            [masks.gradients[2].as_slice(), &masks.gradients[3]].concat(),
            mask
        );
    }
}

#[test]
fn the_mask_is_one_at_both_ends() {
    let architecture = Architecture::new(1, 1).clip(0.5);
    for (z, activation, expected) in [
        (0.0, Activation::CRelu, 1.0),
        (0.5, Activation::CRelu, 1.0),
        (-f32::MIN_POSITIVE, Activation::CRelu, 0.0),
        (0.500_000_06, Activation::CRelu, 0.0),
        (0.5, Activation::SCRelu, 1.0),
        (0.0, Activation::Relu, 1.0),
        (7.0, Activation::Relu, 1.0),
        (-0.25, Activation::Relu, 0.0),
    ] {
        let architecture = architecture.clone().activation(activation);
        let values = vec![
            vec![0.0],
            vec![0.0],
            vec![z],
            vec![-1.0],
            vec![1.0, 1.0],
            vec![0.0],
        ];
        let parameters = Parameters::from_values(architecture, values).unwrap();
        let lists = || SparseInputs::new(1, 1, vec![-1]).unwrap();
        let batch = Batch::new(Inputs::Sparse([lists(), lists()]), vec![0.0]).unwrap();
        let _turn = common::turn();
        for device in [
            Device::reference(),
            Device::cpu().unwrap(),
            common::VULKAN.clone(),
            common::GL.clone(),
        ] {
            let found = gradients(&device, &parameters, &batch, Upstream::Given(&[1.0]));
            assert_eq!(
                found.gradients[2],
                [expected],
                "{activation:?} at {z} on {}",
                device.name()
            );
        }
    }
}

#[test]
fn a_step_of_adamw_moves_every_parameter_by_its_gradient() {
    let _turn = common::turn();
    let rate = 0.01f32;
    for device in [
        Device::reference(),
        Device::cpu().unwrap(),
        common::VULKAN.clone(),
    ] {
        for architecture in nets::architectures(23, 37) {
            let net = nets::random(&architecture, 50, 6, 13);
            for batch in [&net.sparse, &net.dense] {
                let loss = Loss::SIGMOID_MSE;
                let mut network = Network::new(&device, &net.parameters).unwrap();
                let gradients = network.gradients(batch, Upstream::Loss(loss)).unwrap();
                let optimizer = Optimizer::ADAMW;
                let mut learner = Learner::new(&device, &net.parameters, loss, optimizer).unwrap();
                let found = learner.step(batch, rate).unwrap().wait().unwrap();
                let expected = gradients.loss.unwrap();
                assert!((found - expected).abs() <= 1e-6 * expected, "{found}");
                let moved = learner.parameters().unwrap();
                for (((tensor, before), (_, gradient)), (_, after)) in net
                    .parameters
                    .iter()
                    .zip(gradients.parameters.iter())
                    .zip(moved.iter())
                {
                    for i in 0..tensor.len() {
                        // In the first step m̂ = g and v̂ = g².
                        let (value, g) = (f64::from(before[i]), f64::from(gradient[i]));
                        let change = g / (g.abs() + 1e-8);
                        let expected = value * (1.0 - 0.01 * 0.01) - 0.01 * change;
                        // Where g is as small as ε, the rounding of ε shows.
                        let allowed = 1e-6 + 0.01 * 1e-9 / (g.abs() + 1e-8);
                        let error = (f64::from(after[i]) - expected).abs();
                        assert!(
                            error <= allowed,
                            "{}: {}[{i}] is {}, expected {expected}, g = {g}",
                            device.name(),
                            tensor.name,
                            after[i]
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_are_the_same_bits_with_any_number_of_threads() {
    for architecture in nets::architectures(23, 160) {
        let net = nets::random(&architecture, 4500, 6, 13);
        let found = [1, 2, 5].map(|threads| {
            let device = Device::cpu_with_threads(threads.try_into().unwrap()).unwrap();
            let loss = Upstream::Loss(Loss::SIGMOID_MSE);
            let result = gradients(&device, &net.parameters, &net.sparse, loss);
            let values = result.gradients.iter().flatten().chain(&result.y);
            values.map(|value| value.to_bits()).collect::<Vec<_>>()
        });
        assert!(
            found[0] == found[1] && found[0] == found[2],
            "{architecture:?}"
        );
    }
}
