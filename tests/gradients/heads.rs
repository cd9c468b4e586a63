//! Networks with a longer head: the f64 reference against the formulas and finite differences,
//! every executor against the reference, and the paths of a plain network against the composed one.

use crate::common::nets::{self, Net, relative_l2};
use crate::{LOSSES, common, compute, gradients, worst_error};
use wgrad::engine::device::Device;
use wgrad::nnue::ParameterGroups;
use wgrad::nnue::{
    Activation, Architecture, Batch, HeadActivation, HiddenLayer, Inputs, Learner, Loss, Network,
    ParameterName, Parameters, Upstream,
};
use wgrad::optim::{Optimizer, ParameterGroup, Sgd};

/// Heads of every kind on accumulators of every kind. N is a multiple of 4 and K is even.
fn architectures(inputs: usize, hidden: usize) -> Vec<Architecture> {
    use HeadActivation::{CRelu, Dual, DualSquare, Relu, SCRelu};
    let layers: [&[HiddenLayer]; 6] = [
        &[],
        &[HiddenLayer::new(3, CRelu)],
        &[HiddenLayer::new(4, Dual), HiddenLayer::new(3, SCRelu)],
        &[HiddenLayer::new(3, Relu), HiddenLayer::new(5, CRelu)],
        &[
            HiddenLayer::new(1, SCRelu),
            HiddenLayer::new(2, Dual),
            HiddenLayer::new(3, Relu),
        ],
        &[
            HiddenLayer::new(4, DualSquare),
            HiddenLayer::new(2, DualSquare),
        ],
    ];
    let mut all = Vec::new();
    for (index, layers) in layers.iter().enumerate() {
        for pairwise in [false, true] {
            for tied in [false, true] {
                let turn = all.len();
                let mut architecture = Architecture::new(inputs, hidden)
                    .activation(Activation::ALL[turn % 3])
                    .clip(0.75)
                    .buckets([1, 3, 8][turn / 2 % 3])
                    .pairwise(pairwise)
                    .layers(layers.to_vec())
                    .skip(layers.len() >= 2 && turn % 3 != 0)
                    .shared([0, inputs / 4][(turn + index) % 2]);
                architecture.tied = tied;
                all.push(architecture);
            }
        }
    }
    assert!(all.iter().any(|one| one.skip) && all.iter().any(|one| one.shared > 0));
    all
}

/// Y by the formulas: plain loops over f64.
fn outputs(parameters: &Parameters, batch: &Batch) -> Vec<f64> {
    let a = parameters.architecture();
    let Inputs::Sparse(lists) = batch.inputs() else {
        panic!("a sparse batch")
    };
    let get = |name| {
        parameters
            .get(name)
            .map(|values| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>())
    };
    let of = |first, second, perspective: usize| {
        let own = if perspective == 1 && !a.tied {
            second
        } else {
            first
        };
        get(own)
    };
    let mut y = Vec::new();
    for sample in 0..batch.len() {
        let bucket = batch
            .buckets()
            .map_or(0, |buckets| buckets[sample] as usize);
        let mut x = Vec::new();
        for (perspective, lists) in lists.iter().enumerate() {
            let weights = of(ParameterName::A1, ParameterName::A2, perspective).unwrap();
            let shared = of(ParameterName::Shared1, ParameterName::Shared2, perspective);
            let bias = of(ParameterName::B1, ParameterName::B2, perspective).unwrap();
            let h: Vec<f64> = (0..a.hidden)
                .map(|r| {
                    let mut z = bias[r];
                    for &feature in lists.list(sample) {
                        let feature = feature as usize;
                        z += weights[feature * a.hidden + r];
                        if let Some(shared) = &shared {
                            z += shared[feature % a.shared * a.hidden + r];
                        }
                    }
                    a.activation.value(z, f64::from(a.clip))
                })
                .collect();
            if a.pairwise {
                let (low, high) = h.split_at(a.hidden / 2);
                x.extend(low.iter().zip(high).map(|(low, high)| low * high));
            } else {
                x.extend(h);
            }
        }
        let layer = |w: &[f64], c: &[f64], x: &[f64], outputs: usize| -> Vec<f64> {
            let row = |o: usize| &w[(bucket * outputs + o) * x.len()..][..x.len()];
            let sum = |o: usize| row(o).iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            (0..outputs)
                .map(|o| sum(o) + c[bucket * outputs + o])
                .collect()
        };
        let mut first = Vec::new();
        for (index, hidden) in a.layers.iter().enumerate() {
            let w = get(ParameterName::W(index)).unwrap();
            let c = get(ParameterName::Bias(index)).unwrap();
            let z = layer(&w, &c, &x, hidden.width);
            let clipped = z.iter().map(|z| z.clamp(0.0, 1.0));
            x = match hidden.activation {
                HeadActivation::CRelu => clipped.collect(),
                HeadActivation::SCRelu => clipped.map(|h| h * h).collect(),
                HeadActivation::Relu => z.iter().map(|z| z.max(0.0)).collect(),
                HeadActivation::Dual => clipped.clone().chain(clipped.map(|h| h * h)).collect(),
                HeadActivation::DualSquare => {
                    clipped.chain(z.iter().map(|z| (z * z).min(1.0))).collect()
                }
                other => panic!("{other:?}"),
            };
            if index == 0 {
                first = x.clone();
            }
        }
        if a.skip {
            x = [first, x].concat();
        }
        let last = a.layers.len();
        let (w, c) = match last {
            0 => (ParameterName::C, ParameterName::D),
            _ => (ParameterName::W(last), ParameterName::Bias(last)),
        };
        y.extend(layer(&get(w).unwrap(), &get(c).unwrap(), &x, 1));
    }
    y
}

#[test]
fn reference_outputs_follow_the_formulas() {
    let device = Device::reference();
    for (seed, architecture) in architectures(12, 6).into_iter().enumerate() {
        let net = nets::random(&architecture, 9, 4, seed as u64);
        let expected = outputs(&net.parameters, &net.sparse);
        for batch in [&net.sparse, &net.dense] {
            let found = gradients(&device, &net.parameters, batch, Upstream::Loss(Loss::MSE));
            let error = relative_l2(&expected, &found.y);
            assert!(error < 1e-13, "{architecture:?}: {error:e}");
        }
    }
}

#[test]
fn reference_gradients_of_heads_agree_with_finite_differences() {
    const H: f64 = 1e-6;
    let device = Device::reference();
    let (mut compared, mut at_a_kink) = (0, 0);
    for (seed, architecture) in architectures(8, 4).into_iter().enumerate() {
        let mut net = nets::random(&architecture, 5, 3, seed as u64);
        for values in net.parameters.values_mut() {
            for (i, value) in values.iter_mut().enumerate() {
                *value += 1e-3 * ((i * 7919 + seed) % 101) as f32 / 101.0;
            }
        }
        let loss = LOSSES[seed % 3];
        let mut network = Network::new(&device, &net.parameters).unwrap();
        let exact = compute(&mut network, &net.sparse, Upstream::Loss(loss));
        let middle = exact.loss.unwrap();
        let all = exact.gradients.iter().flatten();
        let scale = all.fold(0.0f64, |most, gradient| most.max(gradient.abs()));
        assert!(scale > 0.0, "{architecture:?}");
        for (index, tensor) in architecture.tensors().iter().enumerate() {
            let values = &net.parameters.values()[index];
            let values: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            for element in (0..tensor.len()).step_by(1 + tensor.len() / 40) {
                let mut moved = |by: f64| {
                    let mut values = values.clone();
                    values[element] += by;
                    network.write(index, values.as_slice()).unwrap();
                    let found = compute(&mut network, &net.sparse, Upstream::Loss(loss));
                    found.loss.unwrap()
                };
                let (above, below) = (moved(H), moved(-H));
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
                    "{architecture:?} {loss:?} {}[{element}]: {gradient} by formula, {difference} by differences",
                    tensor.name
                );
                compared += 1;
            }
            network.write(index, values.as_slice()).unwrap();
        }
    }
    println!("{compared} derivatives compared, {at_a_kink} at a kink left out");
    assert!(
        compared > 1500 && at_a_kink * 20 < compared,
        "{compared} {at_a_kink}"
    );
}

/// [inputs, hidden, samples, width].
const SIZES: [[usize; 4]; 3] = [[4, 2, 1, 1], [12, 34, 33, 5], [64, 128, 300, 17]];

fn heads_agree_with_the_reference(device: &Device) {
    let reference = Device::reference();
    let mut worst = 0.0f64;
    for (seed, [inputs, hidden, samples, width]) in SIZES.into_iter().enumerate() {
        for (index, architecture) in architectures(inputs, hidden).into_iter().enumerate() {
            let Net {
                parameters,
                dense,
                sparse,
            } = nets::random(&architecture, samples, width, seed as u64);
            let batch = if index % 2 == 0 { &sparse } else { &dense };
            let loss = Upstream::Loss(LOSSES[index % 3]);
            let expected = gradients(&reference, &parameters, batch, loss);
            let found = gradients(device, &parameters, batch, loss);
            let error = worst_error(&expected, &found);
            assert!(error <= 1e-5, "{architecture:?} L={samples}: {error:e}");
            worst = worst.max(error);
        }
    }
    println!("{}: worst relative L2 error {worst:e}", device.name());
}

#[test]
fn cpu_gradients_of_heads_agree_with_the_reference() {
    heads_agree_with_the_reference(&Device::cpu().unwrap());
}

#[test]
fn vulkan_gradients_of_heads_agree_with_the_reference() {
    let _turn = common::turn();
    heads_agree_with_the_reference(&common::VULKAN);
}

#[test]
fn gl_gradients_of_heads_agree_with_the_reference() {
    let _turn = common::turn();
    heads_agree_with_the_reference(&common::GL);
}

#[test]
fn the_paths_of_a_plain_network_agree_with_the_composed_one() {
    let device = Device::cpu().unwrap();
    for (seed, architecture) in nets::architectures(23, 37).into_iter().enumerate() {
        let net = nets::random(&architecture, 1100, 6, seed as u64);
        for batch in [&net.sparse, &net.dense] {
            let loss = Upstream::Loss(LOSSES[seed % 3]);
            let own = gradients(&device, &net.parameters, batch, loss);
            let network = Network::new(&device, &net.parameters).unwrap();
            let composed = compute(&mut network.composed(), batch, loss);
            let error = worst_error(&composed, &own);
            assert!(error <= 1e-5, "{architecture:?}: {error:e}");
        }
    }
}

/// Networks that the scattered path takes, with lanes in tiles of every width.
fn scattered_architectures() -> Vec<Architecture> {
    let layer = HiddenLayer::new;
    let two = vec![
        layer(16, HeadActivation::Dual),
        layer(5, HeadActivation::CRelu),
    ];
    let one = vec![layer(7, HeadActivation::SCRelu)];
    let squares = vec![
        layer(9, HeadActivation::DualSquare),
        layer(4, HeadActivation::DualSquare),
    ];
    let network = |hidden| Architecture::new(23, hidden).clip(0.75);
    vec![
        network(64).tied().pairwise(true).layers(two.clone()),
        network(192)
            .pairwise(true)
            .layers(two.clone())
            .skip(true)
            .buckets(8),
        network(96)
            .layers(one.clone())
            .activation(Activation::SCRelu)
            .buckets(3),
        network(160).tied().layers(one).activation(Activation::Relu),
        network(128).tied().pairwise(true).buckets(2),
        network(64)
            .pairwise(true)
            .layers(squares.clone())
            .skip(true)
            .buckets(3),
        network(96).tied().layers(squares),
    ]
}

#[test]
fn the_scattered_path_of_a_head_agrees_with_the_composed_one() {
    let device = Device::cpu().unwrap();
    // More samples than a shard has.
    for (seed, architecture) in scattered_architectures().into_iter().enumerate() {
        let net = nets::random(&architecture, 2100, 6, seed as u64);
        let loss = LOSSES[seed % 3];
        let mut own = Network::new(&device, &net.parameters).unwrap();
        let kernels = own.traffic(&net.sparse, loss).unwrap().unwrap();
        assert!(kernels.contains_key("scatter_deep"), "{architecture}");
        let composed = Network::new(&device, &net.parameters).unwrap();
        let mut composed = composed.composed();
        let given: Vec<f32> = net.sparse.targets().iter().map(|t| t - 0.5).collect();
        for upstream in [Upstream::Loss(loss), Upstream::Given(&given)] {
            let found = compute(&mut own, &net.sparse, upstream);
            let expected = compute(&mut composed, &net.sparse, upstream);
            let error = worst_error(&expected, &found);
            assert!(error <= 1e-5, "{architecture}: {error:e}");
            let losses = [&expected, &found].map(|found| found.loss.unwrap_or(0.0));
            assert!((losses[0] - losses[1]).abs() <= 1e-6 * losses[0]);
        }
    }
}

#[test]
fn the_scattered_path_of_a_head_gives_the_same_bits_with_any_number_of_threads() {
    for (seed, architecture) in scattered_architectures().into_iter().enumerate() {
        let net = nets::random(&architecture, 4500, 6, seed as u64);
        let train = |threads: usize| {
            let threads = std::num::NonZeroUsize::new(threads).unwrap();
            let device = Device::cpu_with_threads(threads).unwrap();
            let loss = Loss::SIGMOID_MSE;
            let mut learner =
                Learner::new(&device, &net.parameters, loss, Optimizer::ADAMW).unwrap();
            for _ in 0..3 {
                let loss = learner.step(&net.sparse, 5e-3).unwrap().wait().unwrap();
                assert!(loss.is_finite(), "{architecture}");
            }
            learner.parameters().unwrap()
        };
        let one = train(1);
        assert!(one != net.parameters, "{architecture}");
        assert!(train(2) == one && train(3) == one, "{architecture}");
    }
}

#[test]
fn micro_batches_of_a_head_add_up() {
    let device = Device::cpu().unwrap();
    let small = Device::cpu().unwrap().with_binding_limit(4 * 4 * 130);
    let layers = vec![HiddenLayer::new(3, HeadActivation::Dual)];
    let architecture = Architecture::new(8, 6)
        .pairwise(true)
        .layers(layers)
        .buckets(2);
    let net = nets::random(&architecture, 300, 4, 1);
    let loss = Upstream::Loss(Loss::SIGMOID_MSE);
    let whole = gradients(&device, &net.parameters, &net.sparse, loss);
    let mut network = Network::new(&small, &net.parameters).unwrap();
    let parts = network.gradient_values(&net.sparse, loss).unwrap();
    assert!(parts.y.len() > 1, "{}", parts.y.len());
    let cut = gradients(&small, &net.parameters, &net.sparse, loss);
    assert!(worst_error(&whole, &cut) <= 1e-5);
    assert!((whole.loss.unwrap() - cut.loss.unwrap()).abs() < 1e-6);
}

#[test]
fn a_head_learns_and_repeats_its_bits() {
    let layers = vec![
        HiddenLayer::new(8, HeadActivation::Dual),
        HiddenLayer::new(4, HeadActivation::CRelu),
    ];
    let architecture = Architecture::new(16, 8)
        .tied()
        .pairwise(true)
        .layers(layers)
        .buckets(2)
        .shared(4);
    let net = nets::random(&architecture, 64, 5, 3);
    let initial = Parameters::initial(architecture, 1).unwrap();
    let train = |device: &Device| {
        let loss = Loss::SIGMOID_MSE;
        let mut learner = Learner::new(device, &initial, loss, Optimizer::ADAMW).unwrap();
        let mut losses = Vec::new();
        for _ in 0..300 {
            losses.push(learner.step(&net.sparse, 5e-3).unwrap().wait().unwrap());
        }
        (losses, learner.parameters().unwrap())
    };
    let one = std::num::NonZeroUsize::new(1).unwrap();
    let (losses, parameters) = train(&Device::cpu().unwrap());
    assert!(
        losses[299] < 0.3 * losses[0],
        "{} {}",
        losses[0],
        losses[299]
    );
    assert_eq!(train(&Device::cpu_with_threads(one).unwrap()).1, parameters);
    let _turn = common::turn();
    let [first, second] = [(); 2].map(|()| train(&common::VULKAN).1);
    assert_eq!(first, second);
}

#[test]
fn groups_of_a_head_have_rates_of_their_own() {
    let layers = vec![HiddenLayer::new(3, HeadActivation::Dual)];
    let architecture = Architecture::new(8, 4).layers(layers).buckets(2).shared(4);
    let net = nets::random(&architecture, 40, 4, 1);
    let device = Device::cpu().unwrap();
    let learner = |optimizer| Learner::new(&device, &net.parameters, Loss::SIGMOID_MSE, optimizer);
    let rests = ParameterGroup {
        rate_factor: 0.0,
        ..ParameterGroup::default()
    };
    let groups = ParameterGroups::new().with("A*", rests).with("W", rests);
    let mut trained = learner(Optimizer::ADAMW).unwrap();
    trained.set_groups(&groups).unwrap();
    for _ in 0..3 {
        assert!(
            trained
                .step(&net.sparse, 0.01)
                .unwrap()
                .wait()
                .unwrap()
                .is_finite()
        );
    }
    let after = trained.parameters().unwrap();
    for (spec, values) in net.parameters.iter() {
        let stays = spec.name.is_weights() || matches!(spec.name, ParameterName::W(_));
        let stayed = after.get(spec.name).unwrap() == values;
        assert_eq!(stayed, stays, "{}", spec.name);
    }

    let decays = ParameterGroup {
        weight_decay: Some(0.1),
        ..ParameterGroup::default()
    };
    let groups = groups.with("B1", decays);
    let sgd = Optimizer::from(Sgd::default());
    let error = learner(sgd)
        .unwrap()
        .set_groups(&groups)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("sgd") && error.contains("no weight decay"),
        "{error}"
    );
}
