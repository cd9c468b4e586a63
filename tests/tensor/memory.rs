//! Loops of operations do not grow: buffers come from a pool, and few batches are in flight.

use crate::common;
use wgrad::engine::device::Device;
use wgrad::tensor::Tensor;

/// The resident memory of this process in KiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// x ← x·c + c − c, again and again; its result for 1 is known.
fn operations(device: &Device, count: usize) {
    let mut x = Tensor::ones(device, &[16]).unwrap();
    let c = Tensor::full(device, 1.0, &[16]).unwrap();
    for turn in 0..count {
        x = match turn % 3 {
            0 => x.mul(&c),
            1 => x.add(&c),
            _ => x.sub(&c),
        }
        .unwrap();
    }
    let expected = if count % 3 == 2 { 2.0 } else { 1.0 };
    assert_eq!(x.to_vec().unwrap(), [expected; 16]);
}

fn does_not_grow(device: &Device, count: usize) {
    operations(device, 1000);
    let (before, objects) = (resident(), device.objects().buffers);
    operations(device, count);
    let after = resident();
    assert!(
        after <= 1.1 * before,
        "{}: {before} KiB, then {after} KiB",
        device.name()
    );
    assert!(device.objects().buffers <= objects + 8);
}

#[test]
fn loops_of_operations_do_not_grow() {
    let _turn = common::turn();
    does_not_grow(&Device::cpu().unwrap(), 1_000_000);
    does_not_grow(&common::VULKAN, 50_000);
}

#[test]
fn a_long_tape_is_dropped_without_a_deep_stack() {
    let _turn = common::turn();
    let device = Device::cpu().unwrap();
    let x = Tensor::ones(&device, &[1]).unwrap().parameter();
    let mut y = x.clone();
    for _ in 0..200_000 {
        y = y.neg().unwrap();
    }
    let gradient = y.backward().unwrap().of(&x).unwrap();
    assert_eq!(gradient.item().unwrap(), 1.0);
    let mut y = x.clone();
    for _ in 0..200_000 {
        y = y.neg().unwrap();
    }
    drop(y);
    assert_eq!(x.item().unwrap(), 1.0);
}
