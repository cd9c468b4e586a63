//! Every tuning that a network has on an adapter, against the reference.

use crate::common::nets;
use crate::{common, compute, gradients, worst_error};
use wgrad::engine::device::Device;
use wgrad::nnue::{
    Activation, Architecture, HeadActivation, HiddenLayer, Loss, Network, Tiles, Tuning, Upstream,
};

/// The largest relative L2 error of a gradient.
const BOUND: f64 = 1e-5;

/// One output layer, several output buckets, a longer head, and dense inputs: together these have
/// every choice.
#[test]
fn every_tuning_has_the_gradients_of_the_reference() {
    let _turn = common::turn();
    let plain = Architecture::new(40, 96);
    let layer = HiddenLayer::new(6, HeadActivation::CRelu);
    let cases = [
        (plain.clone(), false, 2),
        (Architecture::new(40, 2080), false, 1),
        (plain.clone().activation(Activation::SCRelu), false, 2),
        (plain.clone().buckets(3), false, 4),
        // More features than bands have without several features each on a GPU.
        (Architecture::new(9000, 32).buckets(2), false, 4),
        (plain.clone().layers(vec![layer]), false, 2),
        (plain, true, 2),
    ];
    for (seed, (architecture, dense, expected_tunings)) in cases.into_iter().enumerate() {
        let net = nets::random(&architecture, 300, 7, seed as u64);
        let batch = if dense { &net.dense } else { &net.sparse };
        let upstream = Upstream::Loss(Loss::SIGMOID_MSE);
        let expected = gradients(&Device::reference(), &net.parameters, batch, upstream);
        for device in [&*common::VULKAN, &*common::GL] {
            let mut network = Network::new(device, &net.parameters).unwrap();
            let tunings = network.tunings(batch).unwrap();
            assert_eq!(tunings.len(), expected_tunings, "{architecture}");
            assert_eq!(tunings[0], Tuning::default());
            let standard = network.tuning();
            for tuning in tunings {
                network.set_tuning(tuning).unwrap();
                assert_eq!(network.tuning(), tuning.or(standard));
                let found = compute(&mut network, batch, upstream);
                let error = worst_error(&expected, &found);
                assert!(error <= BOUND, "{architecture} with {tuning}: {error:e}");
            }
        }
    }
}

#[test]
fn a_choice_that_a_network_does_not_have_changes_nothing() {
    let _turn = common::turn();
    let net = nets::random(&Architecture::new(5, 64), 3, 2, 1);
    let mut cpu = Network::new(&Device::cpu().unwrap(), &net.parameters).unwrap();
    assert_eq!(cpu.tunings(&net.sparse).unwrap(), [Tuning::default()]);
    assert_eq!(cpu.tuning(), Tuning::default());
    let tiles = Tuning::default().tiles(Some(Tiles::Shared));
    let error = cpu.set_tuning(tiles).unwrap_err().to_string();
    assert!(error.contains("an adapter"), "{error}");

    let mut adapter = Network::new(&common::VULKAN, &net.parameters).unwrap();
    let before = adapter.tuning();
    let many = Tuning::default().recordings(65.try_into().ok());
    for wrong in [tiles.lanes(Some(8)), many] {
        adapter.set_tuning(wrong).unwrap_err();
        assert_eq!(adapter.tuning(), before);
    }
    let layer = HiddenLayer::new(6, HeadActivation::CRelu);
    let net = nets::random(&Architecture::new(5, 64).layers(vec![layer]), 3, 2, 1);
    let mut longer = Network::new(&common::VULKAN, &net.parameters).unwrap();
    let error = longer.set_tuning(Tuning::default().lanes(Some(16)));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("16 with a longer head"), "{error}");
}
