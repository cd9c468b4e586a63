//! Compares the table of kernels on every executor with the reference.

mod common;

use std::sync::mpsc::sync_channel;
use wgrad::engine::device::Device;
use wgrad::engine::kernel::{Case, Kernel};
use wgrad::verify::operations::{self, Operation};
use wgrad::verify::{Expected, is_verified_on, table};

/// Kernels whose grids past 65,535 workgroups take llvmpipe from 1.5 to 40 seconds each.
const SLOW: [&str; 14] = [
    "accumulator_dense",
    "deep_first",
    "deep_input",
    "deep_layers",
    "forward_half",
    "forward_sparse",
    "index_chunks",
    "masked_head",
    "masked_rows",
    "masked_weights",
    "matmul",
    "scatter_deep",
    "scatter_pieces",
    "weights_gradient_dense",
];

/// Whether a case is left to `wgrad verify`, which runs them all.
///
/// Grids past 65,535 workgroups take most of the time. Every kernel numbers its workgroups by one
/// function of WGSL, so such grids of the kernels that are not slow are enough here.
fn is_left_out(kernel: &Kernel, case: &Case) -> bool {
    case.groups > 65_535 && SLOW.contains(&kernel.name) && numbers_its_groups(kernel)
}

fn numbers_its_groups(kernel: &Kernel) -> bool {
    kernel.wgsl.contains("group_index(group, groups)")
}

/// Whether a device takes a case. GL has the same driver as Vulkan, so it takes large grids of one
/// kernel.
fn takes(device: &Device, kernel: &Kernel, case: &Case) -> bool {
    let is_large = case.groups > 65_535 && kernel.name != "copy";
    if is_large && std::ptr::eq(device, &*common::GL) {
        assert!(numbers_its_groups(kernel), "{}", kernel.name);
        return false;
    }
    is_verified_on(device, kernel)
}

/// Runs every case of every kernel and reports all failures at once. The reference computes a case
/// once for all executors, while they run the case before.
#[test]
fn every_executor_agrees_with_the_reference_on_every_case() {
    let cpu = Device::cpu().unwrap();
    let devices = [&cpu, &*common::VULKAN, &*common::GL];
    let (mut cases, mut compared, mut failures) = (0, [0; 3], Vec::new());
    // Only adapters run the deep path, decode records and read A in 16 bits, so these kernels have
    // no CPU implementation.
    let is_of_adapters = |name: &str| {
        let prefixes = ["deep_", "decode_", "index_", "forward_half", "half_weights"];
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut of_adapters = 0;
    let (send, receive) = sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let reference = Device::reference();
            for kernel in table::kernels() {
                let cases = (kernel.cases)().into_iter();
                for case in cases.filter(|case| !is_left_out(kernel, case)) {
                    let expected = Expected::new(&reference, kernel, &case).unwrap();
                    send.send((kernel, case, expected)).unwrap();
                }
            }
        });
        for (kernel, case, expected) in receive {
            cases += 1;
            of_adapters += usize::from(is_of_adapters(kernel.name));
            for (device, compared) in devices.iter().zip(&mut compared) {
                if !takes(device, kernel, &case) {
                    continue;
                }
                *compared += 1;
                let outcome = expected.compare(device, kernel, &case);
                let outcome = outcome.unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
                if !outcome.ok {
                    failures.push(format!("{}: {outcome:?}", device.name()));
                }
            }
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases > 10 * table::kernels().count(), "only {cases} cases");
    let [on_cpu, on_vulkan, on_gl] = compared;
    assert_eq!(on_vulkan, cases);
    assert!(
        on_cpu > 9 * (cases - of_adapters) / 10 && on_gl > 9 * cases / 10,
        "{compared:?} of {cases}"
    );
}

#[test]
fn every_operation_has_cases() {
    let cases = operations::cases();
    for name in Operation::NAMES {
        let is_covered = cases.iter().any(|case| case.operation.name() == *name);
        assert!(is_covered, "{name} has no case");
    }
}
