//! The plain loops of `examples/00_reference.rs` against the library, which shares no line with
//! them.

#[path = "../examples/00_reference.rs"]
#[allow(dead_code, reason = "the example's `main` is not called")]
mod reference;

use reference::{K, N, RATE, SIZES, T, Tensors};
use wgrad::engine::device::{Device, Values};
use wgrad::nnue::{
    Architecture, Batch, Inputs, Learner, Loss, Network, Parameters, SparseInputs, Upstream,
};
use wgrad::optim::Optimizer;

/// The example's parameters, which are multiples of 1/64, in the library's form.
fn parameters(values: &Tensors) -> Parameters {
    let values = values.each_ref().map(|tensor| {
        let narrowed = tensor.iter().map(|&value| value as f32);
        narrowed.collect::<Vec<f32>>()
    });
    Parameters::from_values(Architecture::new(N, K), values.to_vec()).unwrap()
}

fn batch() -> Batch {
    let positions = reference::positions();
    let lists = [0, 1].map(|p| {
        let lists = positions.iter().map(|position| &position.lists[p]);
        let padded = lists.flat_map(|list| {
            let indices = list.iter().map(|&index| index as i32);
            indices.chain([-1; 3]).take(3)
        });
        SparseInputs::new(N, 3, padded.collect()).unwrap()
    });
    let targets = positions.iter().map(|position| position.target as f32);
    Batch::new(Inputs::Sparse(lists), targets.collect()).unwrap()
}

/// Relative to the largest of the tensor: a gradient may be 0.
fn agree(what: &str, expected: &[f64], found: &[f64], bound: f64) {
    assert_eq!(expected.len(), found.len(), "{what}");
    let largest = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    assert!(largest > 0.0, "{what} is 0 throughout");
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= bound * largest,
            "{what}[{index}] is {found}, expected {expected}"
        );
    }
}

fn the_library_takes_the_same_steps(device: &Device, bound: f64) {
    let (mut values, positions) = (reference::start(), reference::positions());
    let (loss, gradients) = reference::gradients(&values, &positions);
    let mut network = Network::new(device, &parameters(&values)).unwrap();
    let upstream = Upstream::Loss(Loss::SIGMOID_MSE);
    let found = network.gradient_values(&batch(), upstream).unwrap();

    let outputs: Vec<f64> = found.y.into_iter().flat_map(Values::into_f64).collect();
    let expected: Vec<f64> = positions
        .iter()
        .map(|position| reference::forward(&values, position).1)
        .collect();
    agree("Y", &expected, &outputs, bound);
    agree("loss", &[loss], &found.loss.unwrap().into_f64(), bound);
    for (tensor, found) in found.parameters.into_iter().enumerate() {
        let what = format!("gradient {tensor}");
        agree(&what, &gradients[tensor], &found.into_f64(), bound);
    }

    let adamw = Optimizer::ADAMW;
    let mut learner = Learner::new(device, &parameters(&values), Loss::SIGMOID_MSE, adamw).unwrap();
    let mut moments = [0, 1].map(|_| SIZES.map(|size| vec![0.0; size]));
    for step in 1..=5 {
        let (loss, gradients) = reference::gradients(&values, &positions);
        reference::adamw(&mut values, &mut moments, &gradients, step);
        let found = learner.step(&batch(), RATE as f32).unwrap().wait().unwrap();
        agree("loss", &[loss], &[found.into()], bound);
        for (tensor, found) in learner.parameters().unwrap().values().iter().enumerate() {
            let found: Vec<f64> = found.iter().map(|&value| value.into()).collect();
            let what = format!("parameter {tensor} after step {step}");
            agree(&what, &values[tensor], &found, bound);
        }
    }
}

#[test]
fn the_reference_and_the_cpu_take_the_steps_of_the_plain_loops() {
    // The library holds AdamW's numbers, and what it reads back, in f32.
    the_library_takes_the_same_steps(&Device::reference(), 2e-7);
    the_library_takes_the_same_steps(&Device::cpu().unwrap(), 2e-6);
}

#[test]
fn the_positions_meet_every_case_of_the_mask() {
    let start = reference::start();
    let positions = reference::positions();
    let z: Vec<f64> = positions
        .iter()
        .flat_map(|position| reference::forward(&start, position).0)
        .collect();
    let count = |case: &dyn Fn(f64) -> bool| z.iter().filter(|&&z| case(z)).count();
    let [below, inside, above] = [
        count(&|z| z < 0.0),
        count(&|z| (0.0..=T).contains(&z)),
        count(&|z| z > T),
    ];
    assert!(
        below >= 5 && inside >= 5 && above >= 1,
        "{below} {inside} {above}"
    );
}
