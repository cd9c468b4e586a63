//! Every loss, with and without weights, on every path against the reference.

use super::*;
use std::sync::Arc;
use wgrad::nnue::data::{Chess768, Dataset, Judge, Judgement, Loader, LoaderSettings};
use wgrad::nnue::{HeadActivation, HiddenLayer, Needs};

/// The masked, scattered, deep and composed paths.
fn architectures() -> Vec<Architecture> {
    let layer = HiddenLayer::new(5, HeadActivation::CRelu);
    let plain = Architecture::new(24, 37);
    vec![
        plain.clone(),
        plain.clone().activation(Activation::SCRelu).buckets(3),
        plain.clone().tied().shared(6),
        Architecture::new(24, 64).layers(vec![layer]).buckets(2),
        Architecture::new(24, 33).layers(vec![layer]),
    ]
}

fn agrees(device: &Device) {
    for (seed, architecture) in architectures().into_iter().enumerate() {
        let net = nets::random(&architecture, 300, 6, 40 + seed as u64);
        for batch in [
            &net.sparse,
            &net.dense,
            &weighted(&net.sparse),
            &weighted(&net.dense),
        ] {
            for loss in losses().into_iter().filter(|loss| loss.power > 1.0) {
                let upstream = Upstream::Loss(loss);
                let expected = gradients(&Device::reference(), &net.parameters, batch, upstream);
                let found = gradients(device, &net.parameters, batch, upstream);
                let error = worst_error(&expected, &found);
                let what = format!("{}: {architecture:?} {loss:?}", device.name());
                assert!(error <= 2e-5, "{what}: {error:e}");
                let (expected, found) = (expected.loss.unwrap(), found.loss.unwrap());
                assert!(
                    (expected - found).abs() <= 3e-6 * expected,
                    "{what}: {found}, {expected}"
                );
            }
        }
    }
}

#[test]
fn on_the_cpu() {
    agrees(&Device::cpu().unwrap());
}

#[test]
fn on_adapters() {
    let _turn = common::turn();
    agrees(&common::VULKAN);
    agrees(&common::GL);
}

/// A weight of 2 counts a sample twice, and a weight of 0 leaves it out; micro-batches add up.
#[test]
fn weights_count_samples() {
    let _turn = common::turn();
    for device in [&Device::cpu().unwrap(), &*common::VULKAN] {
        for architecture in architectures() {
            let net = nets::random(&architecture, 300, 6, 9);
            let upstream = Upstream::Loss(Loss::SIGMOID_MSE);
            let of = |device: &Device, weights: &[f32]| {
                let batch = net.sparse.clone().with_weights(weights.to_vec()).unwrap();
                gradients(device, &net.parameters, &batch, upstream)
            };
            let whole = gradients(device, &net.parameters, &net.sparse, upstream);
            let ones = of(device, &[1.0; 300]);
            assert_eq!(
                whole.gradients,
                ones.gradients,
                "{}: {architecture:?}",
                device.name()
            );
            assert_eq!(whole.loss, ones.loss);
            let mut weights = [0.0; 300];
            weights[..150].fill(2.0);
            let first = of(device, &weights);
            weights.reverse();
            let last = of(device, &weights);
            let sums = first.gradients.iter().zip(&last.gradients);
            for ((first, last), whole) in sums.zip(&whole.gradients) {
                let mean = first.iter().zip(last).map(|(a, b)| 0.5 * (a + b));
                let error = relative_l2(whole, &mean.collect::<Vec<_>>());
                assert!(
                    error <= 1e-5,
                    "{}: {architecture:?}: {error:e}",
                    device.name()
                );
            }
        }
    }
}

#[test]
fn wrong_weights_are_refused() {
    let net = nets::random(&Architecture::new(5, 3), 4, 2, 1);
    for (weights, words) in [
        (vec![1.0; 3], "weights: expected 4, one per sample, found 3"),
        (vec![1.0, 1.0, -1.0, 1.0], "weight of sample 2"),
        (vec![1.0, f32::NAN, 1.0, 1.0], "weight of sample 1"),
    ] {
        let error = net
            .sparse
            .clone()
            .with_weights(weights)
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// A judge decides weights and λ, for batches of lists and of records, whose gradients have the
/// same bits.
#[test]
fn a_judge_decides_weight_and_lambda() {
    let _turn = common::turn();
    let data = Dataset::open(&["examples/data/chess_sample.txt".into()]).unwrap();
    let architecture = Architecture::new(768, 32).tied();
    let parameters = Parameters::initial(architecture, 1).unwrap();
    let mut network = Network::new(&common::VULKAN, &parameters).unwrap();
    let weight = |result: f32| if result == 0.5 { 1.0 } else { 0.25 };
    let judge = Judge::new(move |position, target| Judgement {
        weight: weight(position.result()),
        lambda: if position.score() > 0 {
            1.0
        } else {
            target.lambda
        },
    });
    let settings = LoaderSettings::default().batch_size(500);
    let first = |needs: Needs<'_>, settings: &LoaderSettings| {
        let loader = Loader::new(&data, Arc::new(Chess768), settings, needs);
        loader.unwrap().next().unwrap().unwrap()
    };
    let plain = first(Needs::default(), &settings);
    assert_eq!(plain.weights(), None);
    let judged = settings.clone().judge(Some(judge));
    let lists = first(Needs::default(), &judged);
    let records = first(network.needs().with_records(true), &judged);
    assert!(records.has_records() && !lists.has_records());
    assert_eq!(
        (records.targets(), records.weights()),
        (lists.targets(), lists.weights())
    );
    for (s, weighed) in lists.weights().unwrap().iter().enumerate() {
        assert_eq!(*weighed, weight(lists.results()[s]));
        let target = if lists.scores()[s] > 0 {
            lists.results()[s]
        } else {
            plain.targets()[s]
        };
        assert_eq!(lists.targets()[s], target);
    }
    let upstream = Upstream::Loss(Loss::SIGMOID_MSE);
    let [of_records, of_lists, of_plain] =
        [&records, &lists, &plain].map(|batch| compute(&mut network, batch, upstream));
    assert_eq!(of_records.loss, of_lists.loss);
    assert_eq!(of_records.gradients, of_lists.gradients);
    assert_ne!(of_records.loss, of_plain.loss);
    let wrong = Judge::new(|_, _| Judgement {
        weight: 1.0,
        lambda: 1.5,
    });
    let settings = settings.judge(Some(wrong));
    let mut loader = Loader::new(&data, Arc::new(Chess768), &settings, Needs::default()).unwrap();
    let error = loader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("lambda"), "{error}");
}
