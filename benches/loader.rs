//! The loader without a network: positions per second from a file to batches, and of the transposed
//! index alone.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use wgrad::Device;
use wgrad::nnue::data::{Chess768, Dataset, FeatureSet, Loader, LoaderSettings};
use wgrad::nnue::{Architecture, Inputs, Needs, Network, Parameters, SparseInputs};

/// The shipped positions five times over: 1,000,000.
fn dataset() -> Dataset {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/data/chess_train.bin"
    );
    Dataset::open(&vec![path.into(); 5]).unwrap()
}

/// One epoch with one thread.
fn loader(criterion: &mut Criterion) {
    let dataset = dataset();
    // The reference has no threads of its own, and its gradients read the transposed index.
    let parameters = Parameters::zeros(Architecture::new(Chess768.inputs(), 32)).unwrap();
    let network = Network::new(&Device::reference(), &parameters).unwrap();
    let mut group = criterion.benchmark_group("loader");
    group.sample_size(20);
    group.throughput(Throughput::Elements(dataset.count().unwrap()));
    for (name, shuffle) in [("in file order", 0), ("shuffled", 1 << 20)] {
        let settings = LoaderSettings::default().shuffle_buffer(shuffle).threads(1);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let features = Arc::new(Chess768);
                for batch in Loader::new(&dataset, features, &settings, network.needs()).unwrap() {
                    black_box(batch.unwrap());
                }
            });
        });
    }
    group.finish();
}

/// The index of one perspective of a batch.
fn index(criterion: &mut Criterion) {
    let settings = LoaderSettings::default();
    let needs = Needs::default();
    let mut loader = Loader::new(&dataset(), Arc::new(Chess768), &settings, needs).unwrap();
    let batch = loader.next().unwrap().unwrap();
    let Inputs::Sparse([own, _]) = batch.inputs() else {
        panic!("the loader makes sparse batches");
    };
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(own.len() as u64));
    group.bench_function("from_lists", |bencher| {
        bencher.iter_batched(
            || (own.starts().to_vec(), own.indices().to_vec()),
            |(starts, indices)| {
                SparseInputs::from_lists(Chess768.inputs(), starts, indices).unwrap()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, loader, index);
criterion_main!(benches);
