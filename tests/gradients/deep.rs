//! The deep path, which adapters take for index lists of networks with a longer head, against the
//! network from tensor operations.

use crate::common::nets::{self, Net, relative_l2};
use crate::{LOSSES, common, compute, gradients, worst_error};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgrad::engine::device::Device;
use wgrad::nnue::{
    Activation, Architecture, Batch, HeadActivation, HiddenLayer, Learner, Loss, Network,
    Parameters, Upstream,
};
use wgrad::optim::{Optimizer, Sgd};

/// The largest relative L2 distance of a gradient from the composed one in f64.
const BOUND: f64 = 1e-5;

/// A random network with up to `layers` hidden layers, and a batch in no order of the buckets.
fn case(seed: u64, [hidden, samples, layers]: [usize; 3]) -> Net {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let turn = seed as usize;
    let pairwise = turn.is_multiple_of(2);
    let inputs = random.random_range(1..=60);
    let step = if pairwise { 64 } else { 32 };
    let hidden = step * random.random_range(1..=hidden / step);
    let layers = (0..turn / 2 % (layers + 1)).map(|_| {
        let activation = match HeadActivation::ALL[random.random_range(0..4)] {
            HeadActivation::Dual if turn % 4 == 1 => HeadActivation::DualSquare,
            other => other,
        };
        HiddenLayer::new(random.random_range(1..=34), activation)
    });
    let layers: Vec<_> = layers.collect();
    let mut architecture = Architecture::new(inputs, hidden)
        .activation(Activation::ALL[turn % 3])
        .clip(0.75)
        .buckets([1, 3, 8][turn / 3 % 3])
        .pairwise(pairwise || layers.is_empty())
        .skip(layers.len() > 1 && random.random_range(0..2) == 0)
        .layers(layers);
    if turn % 4 == 3 {
        architecture.inputs = 3 * inputs;
        architecture.shared = inputs;
    }
    if architecture.pairwise {
        architecture.hidden = hidden.next_multiple_of(64);
    }
    architecture.tied = random.random_range(0..2) == 0;
    let samples = random.random_range(1..=samples);
    let mut net = nets::random(&architecture, samples, 7, seed);
    // The head's sums over many lanes stay near the kinks.
    let specs = architecture.tensors();
    for (spec, values) in specs.iter().zip(net.parameters.values_mut()) {
        if spec.name.to_string().starts_with(['W', 'C']) {
            let width = spec.shape.last().copied().unwrap_or(1) as f32;
            values
                .iter_mut()
                .for_each(|value| *value *= 3.0 / width.sqrt());
        }
    }
    net
}

/// Whether a batch takes the deep path.
fn is_deep(network: &mut Network, batch: &Batch) -> bool {
    let kernels = network.traffic(batch, Loss::MSE).unwrap();
    kernels.is_some_and(|kernels| kernels.contains_key("deep_weights"))
}

fn agrees_with_the_composed_network(
    device: &Device,
    seeds: std::ops::Range<u64>,
    most: [usize; 3],
) {
    let reference = Device::reference();
    let mut worst = 0.0f64;
    for seed in seeds {
        let net = case(seed, most);
        let samples = net.sparse.len();
        let name = format!("{seed}: {} L={samples}", net.parameters.architecture());
        let mut network = Network::new(device, &net.parameters).unwrap();
        assert!(is_deep(&mut network, &net.sparse), "{name}");
        let e: Vec<f32> = (0..samples)
            .map(|sample| (sample % 7) as f32 / 64.0 - 0.03)
            .collect();
        for upstream in [
            Upstream::Loss(LOSSES[seed as usize % 3]),
            Upstream::Given(&e),
        ] {
            let deep = compute(&mut network, &net.sparse, upstream);
            let expected = gradients(&reference, &net.parameters, &net.sparse, upstream);
            let error = worst_error(&expected, &deep);
            assert!(error <= BOUND, "{name}: {error:e}");
            worst = worst.max(error);
            let losses = [&deep, &expected].map(|found| found.loss.unwrap_or(0.0));
            let bound = 1e-6 * losses[1].max(1e-3);
            assert!((losses[0] - losses[1]).abs() <= bound, "{name}: {losses:?}");
        }
        let [deep, composed] = [
            network,
            Network::new(device, &net.parameters).unwrap().composed(),
        ]
        .map(|mut network| {
            let y = network.forward(&net.sparse).unwrap().into_iter();
            y.map(f64::from).collect::<Vec<_>>()
        });
        assert!(relative_l2(&composed, &deep) <= 1e-6, "{name}");
    }
    println!("{}: worst relative L2 error {worst:e}", device.name());
}

#[test]
fn on_vulkan() {
    let _turn = common::turn();
    agrees_with_the_composed_network(&common::VULKAN, 0..36, [192, 400, 3]);
    agrees_with_the_composed_network(&common::VULKAN, 40..46, [64, 60, 8]);
}

#[test]
fn on_gl() {
    let _turn = common::turn();
    agrees_with_the_composed_network(&common::GL, 50..68, [192, 400, 3]);
}

/// The parameters and moments after a few steps, against the composed network in f64.
#[test]
fn updates_agree_with_the_composed_network() {
    let _turn = common::turn();
    for (seed, optimizer) in [
        (4, Optimizer::ADAMW),
        (5, Optimizer::ADAMW),
        (10, Optimizer::from(Sgd::default())),
    ] {
        let net = case(seed, [128, 300, 2]);
        let step = |device: &Device| {
            let loss = Loss::SIGMOID_MSE;
            let mut learner = Learner::new(device, &net.parameters, loss, optimizer).unwrap();
            learner.step(&net.sparse, 1e-3).unwrap().wait().unwrap();
            let mut found = learner.moments().unwrap();
            found.push(learner.parameters().unwrap());
            found
        };
        let deep = step(&common::VULKAN);
        let composed = step(&Device::reference());
        for (index, (deep, composed)) in deep.iter().zip(&composed).enumerate() {
            for ((tensor, deep), (_, composed)) in deep.iter().zip(composed.iter()) {
                let [deep, composed] = [deep, composed]
                    .map(|values| values.iter().copied().map(f64::from).collect::<Vec<_>>());
                let error = relative_l2(&composed, &deep);
                // A gradient that is 0 but for roundings has a sign by chance, and moves a
                // parameter by it.
                let is_last = index + 1 == optimizer.moments().len() + 1;
                let bound = if is_last { 1e-3 } else { BOUND };
                assert!(error <= bound, "{seed}: {} {index}: {error:e}", tensor.name);
            }
        }
    }
}

/// The device's limit has room for fewer samples than the batch has.
#[test]
fn micro_batches_add_up() {
    let _turn = common::turn();
    let layers = ["16:dual", "32:crelu"].map(|text| text.parse().unwrap());
    let architecture = Architecture::new(31, 64)
        .pairwise(true)
        .layers(layers.to_vec())
        .buckets(3);
    let net = nets::random(&architecture, 3000, 9, 1);
    let small = common::VULKAN.clone().with_binding_limit(4 * 128 * 1000);
    let loss = Upstream::Loss(Loss::SIGMOID_MSE);
    let mut network = Network::new(&small, &net.parameters).unwrap();
    assert!(is_deep(&mut network, &net.sparse));
    let found = compute(&mut network, &net.sparse, loss);
    let expected = gradients(&Device::reference(), &net.parameters, &net.sparse, loss);
    let error = worst_error(&expected, &found);
    assert!(error <= BOUND, "{error:e}");
    assert!((expected.loss.unwrap() - found.loss.unwrap()).abs() < 1e-6);
    let whole = Network::new(&common::VULKAN, &net.parameters)
        .unwrap()
        .forward(&net.sparse)
        .unwrap();
    assert_eq!(network.forward(&net.sparse).unwrap(), whole);
    let mut learner = Learner::new(&small, &net.parameters, Loss::MSE, Optimizer::ADAMW).unwrap();
    let mut count = 0;
    learner.recordings(&net.sparse, |_| count += 1).unwrap();
    assert!(count > 1, "{count} micro-batches");
}

#[test]
fn a_run_repeats_its_bits() {
    let _turn = common::turn();
    let net = case(8, [128, 300, 2]);
    let train = |device: &Device| {
        let loss = Loss::SIGMOID_MSE;
        let mut learner = Learner::new(device, &net.parameters, loss, Optimizer::ADAMW).unwrap();
        let losses: Vec<f32> = (0..30)
            .map(|_| learner.step(&net.sparse, 5e-3).unwrap().wait().unwrap())
            .collect();
        (losses, learner.parameters().unwrap())
    };
    for device in [&*common::VULKAN, &*common::GL] {
        let first = train(device);
        assert_eq!(first, train(device));
        assert!(first.0[29] < 0.7 * first.0[0], "{:?}", first.0);
    }
}

/// What the kernels do not compute takes the composed path.
#[test]
fn other_networks_stay_composed() {
    let _turn = common::turn();
    let layers = |width| vec![HiddenLayer::new(width, HeadActivation::CRelu)];
    for (architecture, expected) in [
        (Architecture::new(20, 64).pairwise(true), true),
        (Architecture::new(20, 96).pairwise(true), false),
        (Architecture::new(20, 96).layers(layers(8)), true),
        (Architecture::new(20, 34).layers(layers(8)), false),
        (Architecture::new(20, 32).layers(layers(424)), true),
        (Architecture::new(20, 32).layers(layers(425)), false),
        (Architecture::new(20, 32).layers(layers(8)).shared(5), true),
    ] {
        let net = nets::random(&architecture, 40, 5, 1);
        let mut network = Network::new(&common::VULKAN, &net.parameters).unwrap();
        let found = [&net.sparse, &net.dense].map(|batch| is_deep(&mut network, batch));
        assert_eq!(found, [expected, false], "{architecture}");
        let mut host = Network::new(&Device::reference(), &net.parameters).unwrap();
        assert!(!is_deep(&mut host, &net.sparse));
    }
}

/// In 16 bits, Z and ∂Loss/∂Z have 11 significant bits, and a hidden layer's z near a kink may be
/// on its other side.
const HALF_BOUND: f64 = 1e-3;

fn half(net: &Net) -> Learner {
    let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
    let mut learner = Learner::new(&common::VULKAN, &net.parameters, loss, optimizer).unwrap();
    learner.set_half(true).unwrap();
    learner
}

#[test]
fn sixteen_bits_are_near_the_reference() {
    let _turn = common::turn();
    let reference = Device::reference();
    let (mut worst, mut least) = (0.0f64, f64::INFINITY);
    for seed in 0..24 {
        let net = case(seed, [192, 400, 2]);
        let name = format!(
            "{seed}: {} L={}",
            net.parameters.architecture(),
            net.sparse.len()
        );
        let mut learner = half(&net);
        let loss = Upstream::Loss(LOSSES[seed as usize % 2]);
        let found = compute(learner.network_mut(), &net.sparse, loss);
        let expected = gradients(&reference, &net.parameters, &net.sparse, loss);
        let error = worst_error(&expected, &found);
        assert!(error <= HALF_BOUND, "{name}: {error:e}");
        (worst, least) = (worst.max(error), least.min(error));
        // The outputs alone keep 32 bits.
        let mut single = Network::new(&common::VULKAN, &net.parameters).unwrap();
        let y = learner.network_mut().forward(&net.sparse).unwrap();
        assert_eq!(y, single.forward(&net.sparse).unwrap(), "{name}");
    }
    println!("relative L2 errors from {least:e} to {worst:e}");
    assert!(worst > 1e-5, "nothing was stored in 16 bits: {worst:e}");
}

#[test]
fn sixteen_bits_learn_as_well_and_repeat_their_bits() {
    let _turn = common::turn();
    let layers = ["16:dual", "32:crelu"].map(|text| text.parse().unwrap());
    let architecture = Architecture::new(48, 64)
        .tied()
        .pairwise(true)
        .layers(layers.to_vec())
        .buckets(3);
    let net = nets::random(&architecture, 1500, 9, 2);
    let initial = Parameters::initial(architecture, 1).unwrap();
    let train = |is_half: bool| {
        let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
        let mut learner = Learner::new(&common::VULKAN, &initial, loss, optimizer).unwrap();
        learner.set_half(is_half).unwrap();
        let losses = (0..60).map(|_| learner.step(&net.sparse, 1e-3).unwrap().wait().unwrap());
        (losses.collect::<Vec<f32>>(), learner.parameters().unwrap())
    };
    let (single, first, second) = (train(false).0, train(true), train(true));
    assert_eq!(first, second);
    let mut worst = 0.0f32;
    for (step, (half, single)) in first.0.iter().zip(&single).enumerate() {
        let difference = (half - single).abs() / single;
        assert!(difference <= 2e-3, "step {step}: {half} and {single}");
        worst = worst.max(difference);
    }
    println!("losses differ by up to {worst:e} of themselves");
    assert!(single[59] < 0.75 * single[0], "{single:?}");
}

#[test]
fn sixteen_bits_are_refused_where_they_mean_nothing() {
    let _turn = common::turn();
    let pairwise = Architecture::new(20, 64).pairwise(true);
    let cpu = Device::cpu().unwrap();
    for (device, architecture) in [
        (&cpu, pairwise.clone()),
        (&*common::VULKAN, Architecture::new(20, 64)),
        (&*common::VULKAN, Architecture::new(20, 96).pairwise(true)),
    ] {
        let parameters = Parameters::initial(architecture, 1).unwrap();
        let (loss, optimizer) = (Loss::MSE, Optimizer::ADAMW);
        let mut learner = Learner::new(device, &parameters, loss, optimizer).unwrap();
        learner.set_half(false).unwrap();
        let error = learner.set_half(true).unwrap_err().to_string();
        assert!(
            error.contains("half") && error.contains(device.name()),
            "{error}"
        );
    }
}
