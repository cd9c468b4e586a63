//! Code that the benches of kernels and steps share.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, SamplingMode};
use std::time::Duration;
use wgrad::engine::device::{AdapterReport, Device, adapters};
use wgrad::nnue::Batch;

/// The devices that `WGRAD_BENCH_DEVICE` names, in the form that `wgrad --device` takes, separated
/// by `;`; else the CPU executor and every GPU. A software adapter is taken only by name.
pub fn devices() -> Vec<Device> {
    let requests = match std::env::var("WGRAD_BENCH_DEVICE") {
        Ok(names) if !names.is_empty() => names.split(';').map(str::to_owned).collect(),
        _ => {
            let mut gpus = adapters().unwrap();
            gpus.retain(|report| report.is_gpu() && report.unfit.is_none());
            let gpus = gpus.iter().map(AdapterReport::label);
            std::iter::once("cpu".to_owned())
                .chain(gpus)
                .collect::<Vec<_>>()
        }
    };
    let open = |request: &String| Device::open(Some(request)).unwrap();
    requests.iter().map(open).collect()
}

/// A few samples and little time for each, because there are many benchmarks.
pub fn moderate(group: &mut BenchmarkGroup<'_, WallTime>) {
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
}

/// A random batch, as index lists or as X of ones and zeros.
pub fn batch(dense: bool, features: usize, samples: usize, indices: usize) -> Batch {
    let batch = Batch::random(1, features, samples, indices).unwrap();
    match dense {
        true => Batch::new(batch.inputs().to_dense(), batch.targets().to_vec()).unwrap(),
        false => batch,
    }
}
