//! The gradients of every operation, layer and loss: against finite differences, and on every
//! executor against the reference.

use crate::common;
use std::collections::BTreeSet;
use wgrad::engine::device::Device;
use wgrad::tensor::{Tensor, gradcheck};
use wgrad::verify::operations::{Operation, OperationCase, cases};
use wgrad::verify::verify_operation;

/// With more operand elements than this, differences take too long and find nothing new.
const FEW: usize = 400;

#[test]
fn every_operation_has_cases_of_unique_names() {
    let cases = cases();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.operation.name()).collect();
    let all: BTreeSet<&str> = Operation::NAMES.iter().copied().collect();
    assert_eq!(names, all);
    let unique: BTreeSet<_> = cases
        .iter()
        .map(|case| (case.operation.name(), &case.name))
        .collect();
    assert_eq!(unique.len(), cases.len());
}

#[test]
fn gradients_of_every_operation_agree_with_finite_differences() {
    let reference = Device::reference();
    let (mut compared, mut kinks, mut checked) = (0, 0, BTreeSet::new());
    for case in cases() {
        let elements: usize = case.inputs.iter().map(|input| input.values.len()).sum();
        if elements > FEW {
            continue;
        }
        let bases = case
            .inputs
            .iter()
            .map(|input| Tensor::new(&reference, &input.values, &input.shape).unwrap());
        let apply = |tensors: &[Tensor]| {
            let pairs = case.inputs.iter().zip(tensors);
            let operands = pairs.map(|(input, tensor)| input.operand(tensor));
            case.operation
                .apply(&operands.collect::<wgrad::Result<Vec<_>>>()?)
        };
        let check = gradcheck(apply, &bases.collect::<Vec<_>>()).unwrap();
        let OperationCase {
            operation, name, ..
        } = &case;
        assert!(
            check.worst <= 1e-6,
            "{} {name}: relative error {:e}",
            operation.name(),
            check.worst
        );
        compared += check.compared;
        kinks += check.kinks;
        if check.compared > 0 {
            checked.insert(operation.name());
        }
    }
    println!("{compared} derivatives compared, {kinks} near a kink left out");
    assert_eq!(checked, Operation::NAMES.iter().copied().collect());
    assert!(kinks * 10 < compared, "{kinks} of {compared}");
}

fn agrees_with_the_reference(device: &Device) {
    let reference = Device::reference();
    let mut failures = Vec::new();
    for case in cases() {
        for outcome in verify_operation(device, &reference, &case).unwrap() {
            if !outcome.ok {
                failures.push(format!(
                    "{} {} {}: {}; error {:e}, bound {:e}",
                    outcome.operation,
                    outcome.case,
                    outcome.pass,
                    outcome.note.unwrap_or_default(),
                    outcome.error,
                    outcome.bound
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_cpu_agrees_with_the_reference() {
    agrees_with_the_reference(&Device::cpu().unwrap());
}

#[test]
fn vulkan_agrees_with_the_reference() {
    let _turn = common::turn();
    agrees_with_the_reference(&common::VULKAN);
}

#[test]
fn gl_agrees_with_the_reference() {
    let _turn = common::turn();
    agrees_with_the_reference(&common::GL);
}
