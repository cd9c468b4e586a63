//! Operands that do not fit are errors that name operation and shapes, and the device still works.

use crate::common;
use wgrad::engine::device::Device;
use wgrad::nn::{BatchNorm1d, Dropout, Layer, Mlp, Mode, cross_entropy, mse};
use wgrad::nn::{Descent, Nonlinearity, clip_by_norm};
use wgrad::optim::Optimizer;
use wgrad::tensor::{Classes, Tensor};
use wgrad::verify::operations::Operation;

fn refused<T: std::fmt::Debug>(result: wgrad::Result<T>, words: &[&str]) {
    let error = result.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let device = Device::cpu().unwrap();
    let ones = |shape: &[usize]| Tensor::ones(&device, shape).unwrap();
    let (a, b) = (ones(&[2, 3]), ones(&[4, 5]));
    refused(&a + &b, &["add", "[2, 3] and [4, 5]"]);
    refused(a.matmul(&b), &["matmul", "[2, 3] and [4, 5]", "3 and 4"]);
    refused(
        ones(&[2, 3, 4]).matmul(&ones(&[3, 4, 5])),
        &["matmul", "leading axes"],
    );
    refused(ones(&[]).matmul(&a), &["matmul", "a scalar"]);
    refused(a.dot(&b), &["dot", "[2, 3] and [4, 5]"]);
    refused(ones(&[3]).matmul(&ones(&[4])), &["matmul"]);
    refused(a.trace(), &["trace", "[2, 3]", "square"]);
    refused(
        a.diagonal().and_then(|d| d.diagonal()),
        &["diagonal", "matrix"],
    );
    refused(a.sum(2, false), &["sum", "[2, 3]", "axis", "found 2"]);
    refused(a.mean([0, 0], false), &["mean", "each axis once"]);
    refused(a.max(-3, false), &["max", "found -3"]);
    refused(a.softmax(5), &["softmax", "found 5"]);
    refused(a.permute(&[0]), &["permute", "each of the 2 axes"]);
    refused(a.transpose(0, 4), &["transpose", "found 4"]);
    refused(a.reshape(&[4]), &["reshape", "[2, 3]", "6 elements", "[4]"]);
    refused(a.slice(1, 2..5), &["slice", "0..3", "2..5"]);
    refused(a.broadcast_to(&[3, 2]), &["broadcast_to", "[3, 2]"]);
    refused(
        Tensor::concat(&[&a, &b], 0),
        &["concat", "[2, 3] and [4, 5]"],
    );
    refused(Tensor::concat(&[], 0), &["concat", "at least 1 tensor"]);
    refused(a.clamp(2.0, 1.0), &["clamp", "2 to 1"]);
    refused(a.assign(&b), &["assign", "[2, 3] and [4, 5]"]);
    refused(a.item(), &["item", "[2, 3]", "found 6"]);
    refused(mse(&a, &b), &["mse", "[2, 3] and [4, 5]", "equal shapes"]);
    refused(cross_entropy(&a, &b), &["cross_entropy", "equal shapes"]);
    refused(Tensor::ones(&device, &[1; 7]), &["at most 6 axes"]);
    refused(
        Tensor::new(&device, &[1.0f32, 2.0], &[3]),
        &["values", "3 for the shape [3]"],
    );
    refused(
        ones(&[1, 1, 1, 1])
            .parameter()
            .jacobian(&ones(&[1, 1, 1]).parameter()),
        &["jacobian", "6 axes"],
    );
    // The device still works.
    assert_eq!(a.sum(.., false).unwrap().item().unwrap(), 6.0);
}

#[test]
fn tensors_of_another_device_are_refused() {
    let (one, other) = (Device::cpu().unwrap(), Device::reference());
    let (a, b) = (
        Tensor::ones(&one, &[2]).unwrap(),
        Tensor::ones(&other, &[2]).unwrap(),
    );
    refused(&a + &b, &["add", "one device", "cpu", "reference"]);
    refused(Tensor::concat(&[&a, &b], 0), &["concat", "one device"]);
    refused(a.assign(&b), &["assign", "one device"]);
    let y = a.parameter().exp().unwrap();
    refused(y.backward_with(&b), &["backward", "reference"]);
    // Two CPU executors are two devices.
    let second = Device::cpu().unwrap();
    refused(&a + &Tensor::ones(&second, &[2]).unwrap(), &["one device"]);
}

#[test]
fn layers_and_losses_refuse_what_they_cannot_take() {
    let device = Device::cpu().unwrap();
    refused(
        Classes::new(&device, &[0, 9, 10], 10),
        &["row 2", "below 10", "found 10"],
    );
    let norm = BatchNorm1d::new(&device, 3).unwrap();
    let one = Tensor::ones(&device, &[1, 3]).unwrap();
    refused(
        norm.forward(&one, Mode::Training),
        &["batch_norm", "at least 2 samples", "found 1"],
    );
    assert!(norm.forward(&one, Mode::Evaluation).is_ok());
    let wide = Tensor::ones(&device, &[4, 5]).unwrap();
    refused(
        norm.forward(&wide, Mode::Training),
        &["batch_norm", "[4, 5]"],
    );
    refused(
        norm.forward(&wide, Mode::Evaluation),
        &["batch_norm", "[4, 5]"],
    );
    let cube = Tensor::ones(&device, &[2, 3, 4]).unwrap();
    refused(
        norm.forward(&cube, Mode::Training),
        &["batch_norm", "[batch, features]"],
    );
    refused(Dropout::new(1.0, 0), &["dropout", "found 1"]);
    refused(
        Mlp::new(&[3], Nonlinearity::Relu)
            .build(&device, 0)
            .map(drop),
        &["sizes", "at least 2"],
    );
    refused(
        Mlp::new(&[3, 0, 2], Nonlinearity::Relu)
            .build(&device, 0)
            .map(drop),
        &["sizes", "above 0"],
    );
    let network = Mlp::new(&[3, 2], Nonlinearity::Relu)
        .build(&device, 0)
        .unwrap();
    refused(
        network.forward(&wide, Mode::Training),
        &["matmul", "[4, 5] and [3, 2]"],
    );
    refused(
        Descent::new(Optimizer::ADAMW, vec![one.clone()]),
        &["parameters"],
    );
    let mut descent = Descent::new(Optimizer::ADAMW, network.parameters()).unwrap();
    let loss = network
        .forward(&one, Mode::Training)
        .unwrap()
        .sum(.., false)
        .unwrap();
    let mut gradients = loss.backward().unwrap();
    refused(
        descent.step(&gradients, f32::NAN),
        &["learning rate", "NaN"],
    );
    refused(
        clip_by_norm(&mut gradients, &network.parameters(), 0.0),
        &["norm", "found 0"],
    );
}

/// Layers and losses whose operands have fixed shapes, with shapes that fit.
fn operations_of_fixed_shapes() -> Vec<(Operation, Vec<Vec<usize>>)> {
    let (epsilon, classes) = (1e-5, vec![2, 0, 1, 2, 0]);
    let [x, each] = [vec![5, 3], vec![3]];
    let running = [&x, &each, &each, &each, &each].map(Clone::clone);
    vec![
        (Operation::Linear, vec![x.clone(), vec![3, 4], vec![4]]),
        (
            Operation::BatchNorm { epsilon },
            vec![x.clone(), each.clone(), each.clone()],
        ),
        (Operation::BatchNormEvaluation { epsilon }, running.to_vec()),
        (Operation::Mse, vec![x.clone(), x.clone()]),
        (Operation::CrossEntropy, vec![x.clone(), x.clone()]),
        (Operation::CrossEntropyClasses { classes }, vec![x.clone()]),
        (Operation::BinaryCrossEntropy, vec![x.clone(), x.clone()]),
        (
            Operation::Factorization,
            vec![vec![5, 4], vec![5, 2], vec![2, 4]],
        ),
    ]
}

/// Shapes that NumPy's rule would stretch to this one, or it to them.
fn that_would_stretch(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut shapes: Vec<Vec<usize>> = (0..shape.len())
        .map(|axis| {
            let mut sizes = shape.to_vec();
            sizes[axis] = 1;
            sizes
        })
        .collect();
    shapes.extend((1..=shape.len()).map(|first| shape[first..].to_vec()));
    shapes.extend([[&[1], shape].concat(), [&[2], shape].concat()]);
    shapes
}

/// Whether a shape is another number of samples, where a layer takes any.
fn takes_as_samples(operation: &Operation, shape: &[usize]) -> bool {
    match operation {
        Operation::Linear => shape.last() == Some(&3),
        Operation::BatchNormEvaluation { .. } => shape == [1, 3],
        _ => false,
    }
}

#[test]
fn layers_and_losses_stretch_no_operand() {
    let device = Device::cpu().unwrap();
    let mut tried = 0;
    for (operation, shapes) in operations_of_fixed_shapes() {
        let apply = |shapes: &[Vec<usize>]| {
            let operands: wgrad::Result<Vec<Tensor>> = shapes
                .iter()
                .map(|shape| Tensor::full(&device, 0.5, shape))
                .collect();
            operation.apply(&operands?)
        };
        apply(&shapes).unwrap();
        for operand in 0..shapes.len() {
            for other in that_would_stretch(&shapes[operand]) {
                let mut shapes = shapes.clone();
                shapes[operand] = other.clone();
                if operand == 0 && takes_as_samples(&operation, &other) {
                    apply(&shapes).unwrap();
                    continue;
                }
                let name = operation.name();
                let error = match apply(&shapes) {
                    Ok(result) => panic!("{name} of {shapes:?} gives {:?}", result.shape()),
                    Err(error) => error.to_string(),
                };
                // Class indices that the logits have no room for are named themselves.
                let named = match operation {
                    Operation::CrossEntropyClasses { .. } => "expected".to_owned(),
                    _ => format!("{:?}", shapes[operand]),
                };
                assert!(error.contains(&named), "{name} of {shapes:?}: {error}");
                tried += 1;
            }
        }
    }
    assert!(tried > 80, "{tried}");
}

fn too_large_is_refused(device: &Device) {
    let small = device.clone().with_binding_limit(1 << 16);
    let a = Tensor::ones(&small, &[128, 128]).unwrap();
    let row = Tensor::ones(&small, &[256, 1]).unwrap();
    refused(
        &row + &Tensor::ones(&small, &[1, 256]).unwrap(),
        &["add", "[256, 1] and [1, 256]", "65536"],
    );
    refused(
        Tensor::new(&small, &vec![0.0f32; 1 << 15], &[1 << 15]),
        &["131072", "65536"],
    );
    // Operands that fit still work.
    assert_eq!(
        a.matmul(&a)
            .unwrap()
            .max(.., false)
            .unwrap()
            .item()
            .unwrap(),
        128.0
    );
}

#[test]
fn tensors_past_the_binding_limit_are_refused() {
    too_large_is_refused(&Device::cpu().unwrap());
    let _turn = common::turn();
    too_large_is_refused(&common::VULKAN);
    too_large_is_refused(&common::GL);
}
