//! Each kernel alone, as a training step runs it: bytes per second through memory.
//!
//! ```text
//! cargo bench -p benches --bench kernels -- cpu/sparse/masked_rows
//! WGRAD_BENCH_DEVICE=vulkan:llvmpipe cargo bench -p benches --bench kernels
//! ```

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wgrad::engine::device::{Class, Device};
use wgrad::engine::recording::{Command, Dispatch, Recording};
use wgrad::nnue::{Architecture, Learner, Loss, Parameters};
use wgrad::optim::{Optimizer, Sgd};
use wgrad::verify::verify_case;

/// The number of dispatches in one recording.
const DISPATCHES: u64 = 64;
const INPUTS: usize = 768;
const HIDDEN: usize = 256;
const INDICES: usize = 32;

/// A step that runs some of the kernels.
struct Form {
    name: &'static str,
    dense: bool,
    buckets: usize,
    optimizer: Optimizer,
}

/// Together they run all but the kernels for lists that are too large for the masked path. Buckets
/// and AdamW have variants of their own.
const FORMS: [Form; 4] = [
    Form {
        name: "sparse",
        dense: false,
        buckets: 1,
        optimizer: Optimizer::ADAMW,
    },
    Form {
        name: "sparse, sgd",
        dense: false,
        buckets: 1,
        optimizer: Optimizer::Sgd(Sgd { momentum: 0.9 }),
    },
    Form {
        name: "sparse, 8 buckets",
        dense: false,
        buckets: 8,
        optimizer: Optimizer::Sgd(Sgd { momentum: 0.9 }),
    },
    Form {
        name: "dense",
        dense: true,
        buckets: 1,
        optimizer: Optimizer::ADAMW,
    },
];

/// A learner that has done a step, so that its buffers hold real values, and the dispatches of the
/// step.
fn prepared(device: &Device, form: &Form) -> (Learner, Vec<Dispatch>) {
    let architecture = Architecture::new(INPUTS, HIDDEN).buckets(form.buckets);
    let samples = match (device.class(), form.dense) {
        (Class::Software, _) => 512,
        (_, true) => 2048,
        (_, false) => 16384,
    };
    let buckets = (0..samples).map(|sample| (sample % form.buckets) as u32);
    let batch = support::batch(form.dense, INPUTS, samples, INDICES);
    let batch = batch.with_buckets(buckets.collect()).unwrap();
    let parameters = Parameters::initial(architecture, 1).unwrap();
    let mut learner = Learner::new(device, &parameters, Loss::SIGMOID_MSE, form.optimizer).unwrap();
    learner.step(&batch, 1e-3).unwrap().wait().unwrap();
    let mut dispatches = Vec::new();
    let see = |recording: &Recording<'_>| {
        let commands = recording.commands().iter();
        dispatches.extend(commands.filter_map(|command| match command {
            Command::Dispatch(dispatch) if dispatch.groups > 0 => Some(dispatch.clone()),
            _ => None,
        }));
    };
    learner.recordings(&batch, see).unwrap();
    (learner, dispatches)
}

/// The time of this many runs of a dispatch, until the device is done.
fn run(device: &Device, dispatch: &Dispatch, count: u64) -> Duration {
    let play = |count: u64| {
        let mut recording = Recording::new();
        (0..count).for_each(|_| recording.push(dispatch.clone()));
        recording.read(dispatch.buffers[dispatch.buffers.len() - 1], 1);
        device.play(&recording).unwrap().wait().unwrap();
    };
    let start = Instant::now();
    for done in (0..count).step_by(DISPATCHES as usize) {
        play(DISPATCHES.min(count - done));
    }
    start.elapsed()
}

/// Compares the kernel's cases with the reference, except for the largest ones.
fn check(device: &Device, dispatch: &Dispatch) {
    let (kernel, reference) = (dispatch.kernel, Device::reference());
    let cases = (kernel.cases)().into_iter();
    let cases = cases.filter(|case| case.variant == dispatch.variant && case.groups < 65_536);
    for case in cases {
        let outcome = verify_case(device, &reference, kernel, &case).unwrap();
        assert!(outcome.ok, "{outcome:?}");
    }
}

fn kernels(criterion: &mut Criterion) {
    for device in support::devices() {
        for form in &FORMS {
            let mut group = criterion.benchmark_group(format!("{}/{}", device.name(), form.name));
            support::moderate(&mut group);
            let (_learner, dispatches) = prepared(&device, form);
            // The largest run of each kernel.
            let mut largest = BTreeMap::new();
            for dispatch in dispatches {
                let (kernel, variant) = (dispatch.kernel, dispatch.variant);
                let bytes = kernel
                    .traffic
                    .map_or(0, |traffic| traffic(variant, &dispatch.params).bytes());
                let entry = largest.entry(kernel.label(variant));
                let place = entry.or_insert_with(|| (bytes, dispatch.clone()));
                if bytes > place.0 {
                    *place = (bytes, dispatch);
                }
            }
            for (label, (bytes, dispatch)) in &largest {
                let mut checked = false;
                group.throughput(Throughput::Bytes(*bytes));
                group.bench_function(label, |bencher| {
                    // Created only if the filter selects it, and before it is timed.
                    if !checked {
                        check(&device, dispatch);
                        checked = true;
                    }
                    bencher.iter_custom(|count| run(&device, dispatch, count));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
