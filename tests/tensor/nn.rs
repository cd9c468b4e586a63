//! Layers, descent and files.

use crate::common;
use approx::assert_relative_eq;
use wgrad::engine::device::Device;
use wgrad::files::safetensors::TensorFile;
use wgrad::nn::{self, BatchNorm1d, Dropout, Initial, Layer, Linear, Mlp, Mode, Nonlinearity};
use wgrad::tensor::Tensor;

#[test]
fn an_mlp_has_pytorchs_names_and_shapes() {
    let device = Device::cpu().unwrap();
    let network = Mlp::new(&[6, 5, 4], Nonlinearity::Relu)
        .batch_norm()
        .dropout(0.2)
        .build(&device, 1);
    let network = network.unwrap();
    let tensors = network.tensors();
    let names: Vec<&str> = tensors.iter().map(|named| named.name.as_str()).collect();
    // Linear, BatchNorm1d, ReLU, Dropout, Linear.
    assert_eq!(
        names,
        [
            "0.weight",
            "0.bias",
            "1.weight",
            "1.bias",
            "1.running_mean",
            "1.running_var",
            "4.weight",
            "4.bias"
        ]
    );
    assert_eq!(network.parameters().len(), 6);
}

#[test]
fn files_bring_a_network_back_and_hold_matrices_transposed() {
    let device = Device::cpu().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.safetensors");
    let build = |seed| {
        let network = Mlp::new(&[3, 4, 2], Nonlinearity::Tanh).batch_norm();
        network.build(&device, seed).unwrap()
    };
    let (one, other) = (build(1), build(2));
    let x = Tensor::new(&device, &[0.5f32, -1.0, 2.0, 1.0, 0.0, -0.5], &[2, 3]).unwrap();
    // The running values of a training step are saved too.
    one.forward(&x, Mode::Training).unwrap();
    nn::write(&one, &path).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let stored = file.floats("0.weight", &[4, 3]).unwrap();
    let weight = one.tensors()[0].tensor.t().unwrap().to_vec().unwrap();
    assert_eq!(stored, weight);
    nn::read(&other, &path).unwrap();
    let of = |network: &dyn Layer| {
        network
            .forward(&x, Mode::Evaluation)
            .unwrap()
            .to_vec()
            .unwrap()
    };
    assert_eq!(of(&one), of(&other));

    // The file of another architecture changes nothing.
    let wide = Mlp::new(&[3, 5, 2], Nonlinearity::Tanh)
        .batch_norm()
        .build(&device, 3)
        .unwrap();
    let before = of(&wide);
    let error = nn::read(&wide, &path).unwrap_err().to_string();
    assert!(
        error.contains("0.weight") && error.contains("[5, 3]"),
        "{error}"
    );
    assert_eq!(of(&wide), before);
}

#[test]
fn batch_norm_follows_its_batches_and_uses_that_in_evaluation() {
    let device = Device::cpu().unwrap();
    let norm = BatchNorm1d::new(&device, 1).unwrap();
    let x = Tensor::new(&device, &[1.0f32, 3.0], &[2, 1]).unwrap();
    let y = norm.forward(&x, Mode::Training).unwrap().to_vec().unwrap();
    // μ = 2, v = 1.
    assert_relative_eq!(y[1], 1.0 / (1.0f32 + 1e-5).sqrt(), max_relative = 1e-6);
    let [mean, variance] = norm.running().map(|running| running.item().unwrap());
    assert_relative_eq!(mean, 0.2, max_relative = 1e-6);
    assert_relative_eq!(variance, 0.9 + 0.1, max_relative = 1e-6);
    let y = norm
        .forward(&x, Mode::Evaluation)
        .unwrap()
        .to_vec()
        .unwrap();
    assert_relative_eq!(y[0], 0.8 / (1.0f32 + 1e-5).sqrt(), max_relative = 1e-6);
    // Without γ and β nothing is trained.
    let plain = BatchNorm1d::new(&device, 4).unwrap().without_affine();
    assert!(plain.parameters().is_empty());
}

#[test]
fn dropout_drops_its_share_and_the_same_on_every_device() {
    let _turn = common::turn();
    let of = |device: &Device| {
        let dropout = Dropout::new(0.25, 3).unwrap();
        let x = Tensor::ones(device, &[100, 100]).unwrap();
        assert_eq!(
            dropout
                .forward(&x, Mode::Evaluation)
                .unwrap()
                .to_vec()
                .unwrap(),
            [1.0; 10_000]
        );
        let first = dropout
            .forward(&x, Mode::Training)
            .unwrap()
            .to_vec()
            .unwrap();
        assert_ne!(
            first,
            dropout
                .forward(&x, Mode::Training)
                .unwrap()
                .to_vec()
                .unwrap()
        );
        first
    };
    let y = of(&Device::cpu().unwrap());
    assert!(y.iter().all(|&y| y == 0.0 || y == 1.0 / 0.75));
    let dropped = y.iter().filter(|&&y| y == 0.0).count();
    // Five standard deviations of 10,000 choices.
    assert!(dropped.abs_diff(2500) < 217, "{dropped}");
    assert_eq!(y, of(&common::VULKAN));
}

#[test]
fn initial_values_have_their_variance() {
    let device = Device::cpu().unwrap();
    let (inputs, outputs) = (300, 200);
    let expected = [
        (Initial::XavierUniform, 2.0 / 500.0),
        (Initial::XavierNormal, 2.0 / 500.0),
        (Initial::KaimingUniform, 2.0 / 300.0),
        (Initial::KaimingNormal, 2.0 / 300.0),
        (Initial::FanIn, 1.0 / 900.0),
    ];
    for (initial, expected) in expected {
        let layer = Linear::with(&device, [inputs, outputs], initial, 5).unwrap();
        let values = layer.weight().to_vec().unwrap();
        let count = values.len() as f32;
        let variance = values.iter().map(|value| value * value).sum::<f32>() / count;
        // 60,000 squares: five standard deviations are below 3%.
        assert_relative_eq!(variance, expected, max_relative = 0.03);
        let again = Linear::with(&device, [inputs, outputs], initial, 5).unwrap();
        assert_eq!(values, again.weight().to_vec().unwrap());
    }
}

#[test]
fn clipping_scales_all_gradients_by_one_norm() {
    let device = Device::cpu().unwrap();
    let vector = |values: &[f32]| Tensor::new(&device, values, &[values.len()]).unwrap();
    let (x, y) = (vector(&[1.0, 1.0]).parameter(), vector(&[1.0]).parameter());
    let upstream = [vector(&[3.0, 0.0]), vector(&[4.0])];
    for (most, factor) in [(1.0, 0.2), (10.0, 1.0)] {
        let weighted = x
            .dot(&upstream[0])
            .unwrap()
            .add(&y.dot(&upstream[1]).unwrap())
            .unwrap();
        let mut gradients = weighted.backward().unwrap();
        let parameters = [x.clone(), y.clone()];
        let norm = nn::clip_by_norm(&mut gradients, &parameters, most).unwrap();
        assert_relative_eq!(norm.item().unwrap(), 5.0, max_relative = 1e-6);
        let found = gradients.of(&x).unwrap().to_vec().unwrap();
        assert_relative_eq!(found[0], 3.0 * factor, max_relative = 1e-6);
        let found = gradients.of(&y).unwrap().item().unwrap();
        assert_relative_eq!(found, 4.0 * factor, max_relative = 1e-6);
    }
    // A norm of 0 stays 0.
    let mut gradients = (&x * 0.0)
        .unwrap()
        .sum(.., false)
        .unwrap()
        .backward()
        .unwrap();
    nn::clip_by_norm(&mut gradients, std::slice::from_ref(&x), 1.0).unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec().unwrap(), [0.0, 0.0]);
}
