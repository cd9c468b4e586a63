//! Quantization-aware steps: gradients at Q(w) against those of a network whose parameters are
//! Q(w), updates of w, and the integers of an export.

use super::*;
use wgrad::nnue::export::{
    Entry, Merge, Number, Quantized, Rounding, SaveFormat, Values as Numbers,
};
use wgrad::nnue::{FakeQuantization, HeadActivation, HiddenLayer};
use wgrad::optim::{AdamW, Ranger, Sgd};

/// A format with an entry for each tensor that it does not merge. A and B have 16 bits, the first
/// layer of the head has 8, and later layers have floats.
fn format(architecture: &Architecture, scale: f64, merges: bool) -> SaveFormat {
    let entries = architecture.tensors().into_iter().filter_map(|spec| {
        let name = spec.name.as_str();
        let mut entry = match name {
            "A1f" | "A2f" if merges => return None,
            "C" | "W1" => Entry::new(name, Number::I8, scale / 2.0),
            "d" => Entry::new(name, Number::I32, scale * scale),
            _ if name.starts_with(['W', 'c']) => Entry::new(name, Number::F32, 1.0),
            _ => Entry::new(name, Number::I16, scale),
        };
        if merges && matches!(name, "A1" | "A2") {
            entry.merge.push(Merge::Shared);
        }
        Some(entry)
    });
    let mut format = SaveFormat::default();
    format.tensors = entries.collect();
    format
}

fn fake(format: &SaveFormat, net: &Net) -> FakeQuantization {
    FakeQuantization::new(format, net.parameters.architecture(), None).unwrap()
}

/// The numbers that an export writes, divided by their scales.
fn dequantized(format: &SaveFormat, net: &Net) -> Parameters {
    let quantized = Quantized::new(format, &net.parameters, None).unwrap();
    let specs = quantized.architecture().tensors();
    let values = specs.iter().map(|spec| {
        let tensor = quantized.tensor(spec.name.as_str()).unwrap();
        let scale = tensor.entry.scale as f32;
        match &tensor.values {
            Numbers::Integers(values) => values.iter().map(|&n| n as f32 / scale).collect(),
            Numbers::Floats(values) => values.clone(),
        }
    });
    Parameters::from_values(quantized.architecture().clone(), values.collect()).unwrap()
}

/// Networks for the masked, scattered, deep, layered and composed paths: plain, with output
/// buckets, factorised and with hidden layers.
fn nets(samples: usize) -> Vec<Net> {
    let layers = vec![
        HiddenLayer::new(5, HeadActivation::Dual),
        HiddenLayer::new(3, HeadActivation::CRelu),
    ];
    let architectures = [
        Architecture::new(24, 37).tied(),
        Architecture::new(24, 20)
            .activation(Activation::SCRelu)
            .buckets(3),
        Architecture::new(24, 37).tied().shared(6),
        Architecture::new(24, 33).shared(8).buckets(2),
        Architecture::new(24, 64).tied().layers(layers.clone()),
        Architecture::new(24, 64)
            .pairwise(true)
            .layers(layers.clone())
            .shared(8)
            .buckets(3),
        Architecture::new(24, 33).tied().layers(layers).shared(8),
    ];
    let nets = architectures.iter().enumerate();
    nets.map(|(seed, one)| nets::random(one, samples, 6, seed as u64))
        .collect()
}

/// Compares every tensor that both networks have. Returns the number of tensors.
fn assert_same(
    name: &str,
    own: &Net,
    other: &Parameters,
    [found, expected]: [&Result; 2],
) -> usize {
    assert_eq!(found.y, expected.y, "{name}");
    assert_eq!(found.loss, expected.loss, "{name}");
    let names = |parameters: &Parameters| parameters.architecture().tensors();
    let mut compared = 0;
    for (index, spec) in names(&own.parameters).iter().enumerate() {
        let place = names(other)
            .iter()
            .position(|other| other.name == spec.name);
        if let Some(place) = place {
            let [found, expected] = [&found.gradients[index], &expected.gradients[place]];
            assert!(found == expected, "{name}: {}", spec.name);
            compared += 1;
        }
    }
    compared
}

/// The scale is a power of 2, so that every product and quotient is exact.
fn gradients_are_those_at_the_numbers_of_the_format(device: &Device) {
    let loss = Upstream::Loss(Loss::SIGMOID_MSE);
    for net in nets(300) {
        for (merges, rounding) in [(true, Rounding::Nearest), (false, Rounding::Truncate)] {
            let architecture = net.parameters.architecture();
            let format = format(architecture, 16.0, merges).rounding(rounding);
            let numbers = dequantized(&format, &net);
            assert_ne!(numbers, net.parameters);
            for batch in [&net.sparse, &net.dense] {
                let expected = gradients(device, &numbers, batch, loss);
                let mut network = Network::new(device, &net.parameters).unwrap();
                let plain = compute(&mut network, batch, loss);
                network.set_quantization(Some(fake(&format, &net))).unwrap();
                let found = compute(&mut network, batch, loss);
                let name = format!("{}: {architecture:?}", device.name());
                let both = [&found, &expected];
                let compared = assert_same(&name, &net, &numbers, both);
                assert_eq!(compared, numbers.values().len());
                assert_ne!(found.y, plain.y, "{name}");
                if merges && architecture.is_factorised() {
                    assert_shared_sums(&name, &net, &found);
                }
                // The parameters stay, and so do the bits without the setting.
                assert_eq!(network.parameters().unwrap(), net.parameters);
                network.set_quantization(None).unwrap();
                let again = compute(&mut network, batch, loss);
                assert_same(&name, &net, &net.parameters, [&again, &plain]);
            }
        }
    }
}

/// The gradient of a shared part is the sum of those of the own parts.
fn assert_shared_sums(name: &str, net: &Net, found: &Result) {
    let architecture = net.parameters.architecture();
    let accumulators = if architecture.tied { 1 } else { 2 };
    for accumulator in 0..accumulators {
        let shared = &found.gradients[accumulators + accumulator];
        let mut sums = vec![0.0; shared.len()];
        for own in found.gradients[accumulator].chunks(shared.len()) {
            sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
        assert!(relative_l2(&sums, shared) < 1e-6, "{name}");
    }
}

#[test]
fn reference_gradients_are_those_at_the_numbers_of_a_format() {
    gradients_are_those_at_the_numbers_of_the_format(&Device::reference());
}

#[test]
fn cpu_gradients_are_those_at_the_numbers_of_a_format() {
    gradients_are_those_at_the_numbers_of_the_format(&Device::cpu().unwrap());
}

#[test]
fn vulkan_gradients_are_those_at_the_numbers_of_a_format() {
    let _turn = common::turn();
    gradients_are_those_at_the_numbers_of_the_format(&common::VULKAN);
}

#[test]
fn gl_gradients_are_those_at_the_numbers_of_a_format() {
    let _turn = common::turn();
    gradients_are_those_at_the_numbers_of_the_format(&common::GL);
}

/// With the scales of engines, whose quotients are rounded: the loss of a step is that of the
/// network that an export of the same parameters has.
#[test]
fn a_step_sees_the_integers_of_an_export() {
    let device = Device::cpu().unwrap();
    for mut net in nets(500) {
        for values in net.parameters.values_mut() {
            for (i, value) in values.iter_mut().enumerate() {
                *value += 1e-3 * ((i * 7919) % 101) as f32 / 101.0;
            }
        }
        let format = format(net.parameters.architecture(), 255.0, true);
        let numbers = dequantized(&format, &net);
        let loss = Loss::SIGMOID_MSE;
        let mut network = Network::new(&device, &numbers).unwrap();
        let expected = network.backward(&net.sparse, loss).unwrap().wait().unwrap();
        let optimizer = Optimizer::ADAMW;
        let mut learner = Learner::new(&device, &net.parameters, loss, optimizer).unwrap();
        learner.set_quantization(Some(fake(&format, &net))).unwrap();
        let found = learner.step(&net.sparse, 1e-3).unwrap().wait().unwrap();
        assert_eq!(found, expected, "{}", net.parameters.architecture());
        assert_ne!(learner.parameters().unwrap(), net.parameters);
    }
}

/// w ← w − η·g(Q(w)): the gradient goes straight through to w. In micro-batches too.
fn updates_change_the_parameters(device: &Device) {
    let (loss, rate) = (Loss::SIGMOID_MSE, 0.5);
    let mut cut = 0;
    for net in nets(2000) {
        let format = format(net.parameters.architecture(), 16.0, true);
        let mut network = Network::new(device, &net.parameters).unwrap();
        network.set_quantization(Some(fake(&format, &net))).unwrap();
        let gradients = compute(&mut network, &net.sparse, Upstream::Loss(loss)).gradients;
        let optimizer = Sgd { momentum: 0.0 }.into();
        let limit = 4 * (64 * 2 * (24 + 24 + 16) + 4);
        for device in [device, &device.clone().with_binding_limit(limit)] {
            let mut learner = Learner::new(device, &net.parameters, loss, optimizer).unwrap();
            learner.set_quantization(Some(fake(&format, &net))).unwrap();
            let mut parts = 0;
            learner.recordings(&net.sparse, |_| parts += 1).unwrap();
            cut += usize::from(parts > 1);
            learner.step(&net.sparse, rate).unwrap().wait().unwrap();
            let found = learner.parameters().unwrap();
            let values = found.values().iter().zip(net.parameters.values());
            for ((found, before), gradient) in values.zip(&gradients) {
                let pairs = before.iter().zip(gradient);
                let expected: Vec<f64> = pairs
                    .map(|(&before, gradient)| f64::from(before) - f64::from(rate) * gradient)
                    .collect();
                let found: Vec<f64> = found.iter().map(|&value| f64::from(value)).collect();
                let error = relative_l2(&expected, &found);
                let name = net.parameters.architecture();
                assert!(error < 1e-6, "{}: {name}: {error:e}", device.name());
            }
        }
    }
    assert!(cut >= nets(2000).len(), "{cut} steps in micro-batches");
}

/// Numbers that are hardly rounded train as floats do, with every optimizer: what the update
/// changes is what the next step quantizes.
fn fine_numbers_train_as_floats(device: &Device) {
    let optimizers: [Optimizer; 3] = [
        Sgd { momentum: 0.9 }.into(),
        AdamW {
            // Larger than the rounding of a gradient that is 0, whose sign would move a parameter.
            epsilon: 1e-3,
            ..AdamW::default()
        }
        .into(),
        Ranger {
            epsilon: 1e-3,
            period: 2,
            ..Ranger::default()
        }
        .into(),
    ];
    for net in nets(200) {
        let mut format = format(net.parameters.architecture(), 65_536.0, true);
        for entry in &mut format.tensors {
            if entry.kind != Number::F32 {
                (entry.kind, entry.scale) = (Number::I32, f64::from(1 << 22));
            }
        }
        for optimizer in optimizers {
            let [expected, found] = [false, true].map(|quantized| {
                let loss = Loss::SIGMOID_MSE;
                let mut learner = Learner::new(device, &net.parameters, loss, optimizer).unwrap();
                let quantization = quantized.then(|| fake(&format, &net));
                learner.set_quantization(quantization).unwrap();
                for _ in 0..5 {
                    learner.step(&net.sparse, 0.01).unwrap().wait().unwrap();
                }
                let y = learner.network_mut().forward(&net.sparse).unwrap();
                let parameters = learner.parameters().unwrap();
                let values = parameters.values().iter().flatten().chain(&y);
                values.map(|&value| f64::from(value)).collect::<Vec<_>>()
            });
            let error = relative_l2(&expected, &found);
            let name = net.parameters.architecture();
            assert!(
                error < 1e-5,
                "{}: {name}, {optimizer}: {error:e}",
                device.name()
            );
            let start: Vec<f64> = net
                .parameters
                .values()
                .iter()
                .flatten()
                .map(|&v| v.into())
                .collect();
            assert!(relative_l2(&start, &found[..start.len()]) > 1e-4, "{name}");
        }
    }
}

#[test]
fn updates_on_the_host_change_the_parameters() {
    for device in [Device::reference(), Device::cpu().unwrap()] {
        updates_change_the_parameters(&device);
        fine_numbers_train_as_floats(&device);
    }
}

#[test]
fn updates_on_adapters_change_the_parameters() {
    let _turn = common::turn();
    for device in [&*common::VULKAN, &*common::GL] {
        updates_change_the_parameters(device);
        fine_numbers_train_as_floats(device);
    }
}

/// The copy of A in 16 bits is one of the numbers.
#[test]
fn sixteen_bits_start_from_the_numbers() {
    let _turn = common::turn();
    let net = nets::random(&Architecture::new(24, 64).tied(), 300, 6, 1);
    let format = format(net.parameters.architecture(), 255.0, true);
    let steps = [
        (dequantized(&format, &net), false),
        (net.parameters.clone(), true),
    ];
    let losses = steps.map(|(parameters, quantized)| {
        let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
        let mut learner = Learner::new(&common::VULKAN, &parameters, loss, optimizer).unwrap();
        learner.set_half_weights(true).unwrap();
        let quantization = quantized.then(|| fake(&format, &net));
        learner.set_quantization(quantization).unwrap();
        learner.step(&net.sparse, 1e-3).unwrap().wait().unwrap()
    });
    assert!(
        (losses[0] - losses[1]).abs() <= 1e-6 * losses[0],
        "{losses:?}"
    );
}

#[test]
fn quantizations_that_mean_nothing_are_refused() {
    let [one, other] = [37, 38].map(|hidden| Architecture::new(24, hidden).tied());
    let net = nets::random(&one, 4, 3, 1);
    let quantization = fake(&format(&one, 16.0, true), &net);
    let device = Device::cpu().unwrap();
    let mut network = Network::new(&device, &Parameters::zeros(other.clone()).unwrap()).unwrap();
    let error = network.set_quantization(Some(quantization)).unwrap_err();
    assert!(
        error.to_string().contains("quantization: expected"),
        "{error}"
    );
    let mut floats = format(&one, 16.0, true);
    for entry in &mut floats.tensors {
        entry.kind = Number::F32;
    }
    let error = FakeQuantization::new(&floats, &one, None).unwrap_err();
    assert!(
        error.to_string().contains("a tensor of integers"),
        "{error}"
    );
    floats.tensors.pop();
    let error = FakeQuantization::new(&floats, &one, None).unwrap_err();
    assert!(error.to_string().contains("none for d"), "{error}");
}
