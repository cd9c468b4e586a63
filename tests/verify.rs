//! Compares the table of kernels on every executor with the reference.

#![cfg(not(feature = "sabotage"))]

mod common;

use wgrad::engine::device::Device;
use wgrad::verify::table;
use wgrad::verify::verify;

/// Runs every case of every kernel and reports all failures at once.
fn verify_all(device: &Device) {
    let (mut cases, mut failures) = (0, Vec::new());
    for kernel in table::kernels() {
        let mut worst: f64 = 0.0;
        let outcome = verify(device, kernel, |outcome| {
            cases += 1;
            worst = worst.max(outcome.fraction);
            if !outcome.ok {
                failures.push(format!(
                    "{} {}: error {:e}, bound {:e}: {}",
                    outcome.kernel,
                    outcome.case,
                    outcome.error,
                    outcome.bound,
                    outcome.note.unwrap_or_default()
                ));
            }
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
        println!("{:26} worst error {worst:.3} of its bound", kernel.name);
    }
    assert!(
        failures.is_empty(),
        "{}:\n{}",
        device.name(),
        failures.join("\n")
    );
    assert!(cases > table::kernels().count(), "only {cases} cases ran");
}

#[test]
fn cpu_agrees_with_the_reference() {
    verify_all(&Device::cpu().unwrap());
}

#[test]
fn vulkan_agrees_with_the_reference() {
    let _turn = common::turn();
    verify_all(&common::VULKAN);
}

#[test]
fn gl_agrees_with_the_reference() {
    let _turn = common::turn();
    verify_all(&common::GL);
}
