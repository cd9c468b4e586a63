//! Batches that are cut into micro-batches, and sizes that are refused.

use crate::common::{self, nets, nets::relative_l2};
use crate::{gradients, worst_error};
use wgrad::engine::device::Device;
use wgrad::nnue::{Architecture, Batch, Inputs, Loss, Network, Parameters, SparseInputs, Upstream};

#[test]
fn a_batch_cut_over_samples_gives_the_gradients_of_the_whole() {
    let _turn = common::turn();
    for device in [
        Device::reference(),
        Device::cpu().unwrap(),
        common::VULKAN.clone(),
    ] {
        for architecture in nets::architectures(23, 5) {
            let net = nets::random(&architecture, 300, 6, 11);
            for batch in [&net.sparse, &net.dense] {
                let whole = gradients(
                    &device,
                    &net.parameters,
                    batch,
                    Upstream::Loss(Loss::SIGMOID_MSE),
                );
                // The limit leaves room for every parameter, and for the rows of sums or the
                // gradients of a shard, for 25 samples of 2K floats, or for 114 samples of lists.
                let small = device
                    .clone()
                    .with_binding_limit(4 * (32 * 2 * (23 + 2) + 4));
                let cut = gradients(
                    &small,
                    &net.parameters,
                    batch,
                    Upstream::Loss(Loss::SIGMOID_MSE),
                );
                let error = worst_error(&whole, &cut);
                assert!(error < 2e-6, "{}: {error:e}", device.name());
                let losses = [whole.loss.unwrap(), cut.loss.unwrap()];
                assert!(
                    (losses[0] - losses[1]).abs() < 1e-6 * losses[0],
                    "{losses:?}"
                );
                let mut network = Network::new(&small, &net.parameters).unwrap();
                let output = network.forward(batch).unwrap();
                let found: Vec<f64> = output.into_iter().map(f64::from).collect();
                assert!(relative_l2(&whole.y, &found) < 1e-6);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let device = Device::cpu().unwrap().with_binding_limit(4000);
    let wide = Parameters::zeros(Architecture::new(10, 101)).unwrap();
    let error = Network::new(&device, &wide).unwrap_err().to_string();
    assert!(
        error.contains("A1")
            && error.contains("4000")
            && error.contains("largest K that fits is 96"),
        "{error}"
    );

    let net = nets::random(&Architecture::new(5, 3).buckets(2), 4, 2, 1);
    let mut network = Network::new(&Device::cpu().unwrap(), &net.parameters).unwrap();
    let lists = |features| SparseInputs::new(features, 1, vec![0]).unwrap();
    let batch = |features| {
        Batch::new(
            Inputs::Sparse([lists(features), lists(features)]),
            vec![0.5],
        )
        .unwrap()
    };
    for (batch, words) in [
        (batch(6), "expected 5 inputs (N), found 6"),
        (
            batch(5),
            "expected a bucket below 2 for each sample, found none",
        ),
        (
            batch(5).with_buckets(vec![2]).unwrap(),
            "expected at most 1, found 2",
        ),
    ] {
        let error = network.forward(&batch).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = network
        .gradients(&net.sparse, Upstream::Given(&[1.0]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected 4 values, one per sample, found 1"),
        "{error}"
    );
    let loss = Loss::MSE.power(0.5);
    assert!(
        network
            .gradients(&net.sparse, Upstream::Loss(loss))
            .is_err()
    );
    for architecture in [
        Architecture::new(0, 1),
        Architecture::new(1, 0),
        Architecture::new(1, 1).clip(0.0),
        Architecture::new(1, 1).clip(f32::NAN),
    ] {
        assert!(
            Parameters::zeros(architecture.clone()).is_err(),
            "{architecture:?}"
        );
    }
}
