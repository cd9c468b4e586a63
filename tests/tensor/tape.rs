//! The flow of gradients: accumulation, scopes, and when the tape is kept or freed.

use wgrad::engine::device::Device;
use wgrad::nn::Descent;
use wgrad::optim::{Optimizer, Sgd};
use wgrad::tensor::{Tensor, no_gradient};

fn cpu() -> Device {
    Device::cpu().unwrap()
}

fn vector(device: &Device, values: &[f32]) -> Tensor {
    Tensor::new(device, values, &[values.len()]).unwrap()
}

#[test]
fn a_value_used_twice_accumulates() {
    let x = vector(&cpu(), &[1.0, -2.0, 3.0]).parameter();
    // x·x + 3x through one parameter: 2x + 3.
    let y = (&(&x * &x).unwrap() + &(&x * 3.0).unwrap()).unwrap();
    let gradients = y.sum(.., false).unwrap().backward().unwrap();
    assert_eq!(
        gradients.of(&x).unwrap().to_vec().unwrap(),
        [5.0, -1.0, 9.0]
    );
    // The same through an intermediate value.
    let h = x.exp().unwrap();
    let y = h.mul(&h).unwrap().sum(.., false).unwrap();
    let found = y.backward().unwrap().of(&x).unwrap().to_vec().unwrap();
    for (found, x) in found.iter().zip([1.0f32, -2.0, 3.0]) {
        assert!((found - 2.0 * (2.0 * x).exp()).abs() <= 1e-5 * found);
    }
}

#[test]
fn more_than_one_element_takes_an_upstream_gradient() {
    let device = cpu();
    let x = vector(&device, &[1.0, 2.0]).parameter();
    let y = x.mul(&x).unwrap();
    let error = y.backward().unwrap_err().to_string();
    assert!(
        error.contains("backward of [2]") && error.contains("backward_with"),
        "{error}"
    );
    let gradients = y.backward_with(&vector(&device, &[10.0, 0.5])).unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec().unwrap(), [20.0, 2.0]);
    let error = x
        .exp()
        .unwrap()
        .backward_with(&vector(&device, &[1.0; 3]))
        .unwrap_err();
    assert!(
        error.to_string().contains("[2]") && error.to_string().contains("[3]"),
        "{error}"
    );
}

#[test]
fn a_freed_tape_is_refused_and_a_kept_one_is_not() {
    let device = cpu();
    let x = vector(&device, &[2.0]).parameter();
    let y = x.exp().unwrap().sum(.., false).unwrap();
    let one = Tensor::ones(&device, &[]).unwrap();
    for _ in 0..2 {
        let found = y.backward_retaining(&one, &[]).unwrap().of(&x).unwrap();
        assert!((found.item().unwrap() - 2f32.exp()).abs() < 1e-5);
    }
    y.backward().unwrap();
    let error = y.backward().unwrap_err().to_string();
    assert!(
        error.contains("freed") && error.contains("backward"),
        "{error}"
    );
    // The device still works.
    assert_eq!((&x + 1.0).unwrap().item().unwrap(), 3.0);
}

#[test]
fn no_gradient_detach_and_what_does_not_depend() {
    let device = cpu();
    let x = vector(&device, &[2.0, 3.0]).parameter();
    let scoped = no_gradient(|| no_gradient(|| x.exp()).and_then(|y| y.exp())).unwrap();
    assert!(!scoped.requires_gradient());
    assert!(x.exp().unwrap().requires_gradient());
    assert!(scoped.backward().is_err());
    // x · detach(x): only one factor counts.
    let y = x.mul(&x.detach()).unwrap().sum(.., false).unwrap();
    let other = vector(&device, &[7.0]).parameter();
    let gradients = y.backward().unwrap();
    assert_eq!(gradients.of(&x).unwrap().to_vec().unwrap(), [2.0, 3.0]);
    assert!(gradients.get(&other).is_none());
    assert_eq!(gradients.of(&other).unwrap().to_vec().unwrap(), [0.0]);
    assert!(gradients.of(&scoped).is_err());
}

#[test]
fn gradients_of_tensors_between_are_given_where_wanted() {
    let device = cpu();
    let x = vector(&device, &[1.0, 2.0]).parameter();
    let h = (&x * 3.0).unwrap();
    let y = h.mul(&h).unwrap().sum(.., false).unwrap();
    let one = Tensor::ones(&device, &[]).unwrap();
    let gradients = y.backward_retaining(&one, &[&h]).unwrap();
    assert_eq!(gradients.of(&h).unwrap().to_vec().unwrap(), [6.0, 12.0]);
    assert_eq!(gradients.of(&x).unwrap().to_vec().unwrap(), [18.0, 36.0]);
}

#[test]
fn elements_overwritten_since_are_noticed() {
    let device = cpu();
    let x = vector(&device, &[1.0, 2.0]).parameter();
    let y = x.mul(&x).unwrap().sum(.., false).unwrap();
    x.assign(&vector(&device, &[5.0, 6.0])).unwrap();
    let error = y.backward().unwrap_err().to_string();
    assert!(
        error.contains("mul") && error.contains("overwritten"),
        "{error}"
    );
    assert_eq!(x.to_vec().unwrap(), [5.0, 6.0]);
}

#[test]
fn assigning_a_view_of_itself_reads_before_it_writes() {
    let device = cpu();
    let values: Vec<f32> = (0..9).map(|i| i as f32).collect();
    let x = Tensor::new(&device, &values, &[3, 3]).unwrap();
    x.assign(&x.t().unwrap()).unwrap();
    assert_eq!(
        x.to_vec().unwrap(),
        [0.0, 3.0, 6.0, 1.0, 4.0, 7.0, 2.0, 5.0, 8.0]
    );
}

#[test]
fn assigning_a_row_of_itself_fills_every_row_and_a_stretched_tensor_takes_none() {
    let device = cpu();
    let x = Tensor::new(&device, &[1.0f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
    x.assign(&x.slice(0, 0..1).unwrap()).unwrap();
    assert_eq!(x.to_vec().unwrap(), [1.0, 2.0, 1.0, 2.0]);
    let error = Tensor::zeros(&device, &[3])
        .unwrap()
        .assign(&vector(&device, &[1.0, 2.0, 3.0]));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("a stretched tensor")
    );
}

#[test]
fn a_parameter_may_be_its_own_gradient() {
    let device = cpu();
    let x = vector(&device, &[4.0, 8.0]).parameter();
    // ∂(½xᵀx)/∂x = x, given as the upstream gradient, which lies in the parameter's own buffer.
    let gradients = x
        .add(&vector(&device, &[1.0, 1.0]))
        .unwrap()
        .backward_with(&x)
        .unwrap();
    let mut descent = Descent::new(Optimizer::Sgd(Sgd { momentum: 0.0 }), vec![x.clone()]).unwrap();
    descent.step(&gradients, 0.25).unwrap();
    assert_eq!(x.to_vec().unwrap(), [3.0, 6.0]);
}

#[test]
fn views_share_elements_and_copies_do_not() {
    let device = cpu();
    let x = Tensor::new(&device, &[1.0f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
    let (turned, copy) = (x.t().unwrap(), (&x + 0.0).unwrap());
    x.slice(0, 0..1)
        .unwrap()
        .assign(&Tensor::full(&device, 9.0, &[1, 2]).unwrap())
        .unwrap();
    assert_eq!(turned.to_vec().unwrap(), [9.0, 3.0, 9.0, 4.0]);
    assert_eq!(copy.to_vec().unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn values_come_back_async_as_well() {
    let device = cpu();
    let x = vector(&device, &[1.0, 4.0]);
    assert_eq!(
        pollster::block_on(x.sqrt().unwrap().read()).unwrap(),
        [1.0, 2.0]
    );
}
