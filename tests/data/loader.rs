//! The loader: its order, its batches and its threads.

use crate::support::{
    features, file, lists, load, loader, numbered, order, sample_lines, settings, shipped,
};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use wgrad::nnue::data::{
    Chess768, Dataset, FeatureSet, Loader, Perspective, Place, Position, Target,
};
use wgrad::nnue::{Architecture, Needs, Network, Parameters, SparseInputs, Transpose};
use wgrad::{Device, Error};

#[test]
fn an_epoch_brings_each_position_once_in_an_order_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[301, 200, 502]);
    let all: Vec<i16> = (0..1003).collect();
    for shuffle in [1, 64, 250, 5000] {
        let base = settings(90, shuffle);
        let first = order(&paths, &base);
        let mut sorted = first.clone();
        sorted.sort();
        assert_eq!(sorted, all);
        assert_eq!(order(&paths, &base), first);
        if shuffle > 1 {
            assert_ne!(order(&paths, &base.clone().seed(8)), first);
            assert_ne!(order(&paths, &base.start(Place::after(1, 0))), first);
            // Each block is shuffled in its own way.
            let block = |at: usize| {
                first[at * shuffle..]
                    .iter()
                    .take(64)
                    .map(move |n| *n as usize - at * shuffle)
            };
            assert!(shuffle == 5000 || !block(0).eq(block(1)));
        }
    }
    assert_eq!(order(&paths, &settings(90, 0)), all);
}

#[test]
fn the_last_batch_is_partial() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[50, 40, 13]);
    let sizes = |batch_size| -> Vec<_> {
        let batches = load(&paths, &settings(batch_size, 30)).unwrap();
        let last = batches.len() - 1;
        for (at, batch) in batches.iter().enumerate() {
            assert_eq!(batch.ends_epoch(), at == last);
        }
        assert_eq!(*batches[last].next_place(), Place::after(1, 0));
        batches.iter().map(|batch| batch.len()).collect()
    };
    assert_eq!(sizes(40), [40, 40, 23]);
    assert_eq!(sizes(103), [103]);
    assert_eq!(sizes(1000), [103]);
    assert_eq!(sizes(1), [1; 103]);
}

#[test]
fn threads_have_no_influence() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    let with = |threads| load(&paths, &settings(17, 100).threads(threads)).unwrap();
    let one = with(1);
    assert_eq!(with(2), one);
    assert_eq!(with(5), one);
}

#[test]
fn data_that_are_exchanged_for_others_of_the_same_length_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[40, 50]);
    let two_epochs = settings(30, 30).epochs(2);
    // In one call, because the reader may open the file meanwhile.
    let longer = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let mut file = fs::File::options().append(true).open(path).unwrap();
        file.write_all(&bytes[..32]).unwrap();
    };
    let other = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let (first, rest) = bytes.split_at_mut(32);
        first.swap_with_slice(&mut rest[..32]);
        let new = folder.path().join("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, path).unwrap();
    };
    // The reader opens a file again in each epoch, and reads at most two blocks ahead.
    let dataset = Dataset::open(&paths).unwrap();
    let mut batches = loader(&dataset, &two_epochs).unwrap();
    batches.next().unwrap().unwrap();
    longer(&paths[0]);
    assert_eq!(batches.filter(|batch| batch.is_ok()).count(), 5);
    // More epochs than the reader can have read before the exchange.
    let many_epochs = settings(30, 30).epochs(200);
    let dataset = Dataset::open(&paths).unwrap();
    let mut batches = loader(&dataset, &many_epochs).unwrap();
    batches.next().unwrap().unwrap();
    other(&paths[0]);
    let error = batches.find_map(Result::err).unwrap().to_string();
    let expected = format!(
        "{}: file: expected the file as it was at the start, \
         found another one, or one that has changed since",
        paths[0].display()
    );
    assert_eq!(error, expected);
    assert_eq!(
        dataset.past(&Place::after(1, 0)).unwrap_err().to_string(),
        expected
    );
}

#[test]
fn without_threads_and_without_files_the_batches_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = numbered(&folder, &[1003]);
    let dataset = Dataset::in_memory("positions", fs::read(&path[0]).unwrap()).unwrap();
    assert_eq!(dataset.positions(), Some(1003));
    let on_disk = Dataset::open(&path).unwrap();
    assert_eq!(
        dataset.fingerprint().unwrap(),
        on_disk.fingerprint().unwrap()
    );
    for (batch_size, shuffle, skip) in [(48, 0, 5), (48, 7, 21), (90, 64, 0), (17, 5000, 3)] {
        let base = settings(batch_size, shuffle)
            .epochs(3)
            .start(Place::after(0, skip));
        let expected = load(&path, &base).unwrap();
        let found = loader(&dataset, &base.clone().threads(0)).unwrap();
        let found: Vec<_> = found.map(|batch| batch.unwrap()).collect();
        assert!(found == expected, "{batch_size} of {shuffle}");
        assert!(
            loader(&dataset, &base.threads(0).epochs(0))
                .unwrap()
                .next()
                .is_none()
        );
    }
    let error = Dataset::in_memory("positions", vec![0; 33]).unwrap_err();
    assert!(error.to_string().starts_with("positions: "), "{error}");
}

#[test]
fn without_threads_an_error_follows_the_batches_before() {
    let mut records = fs::read(shipped("chess_validation.bin")).unwrap();
    records[32 * 500 + 26] = 3;
    let dataset = Dataset::in_memory("broken", records).unwrap();
    let mut loader = loader(&dataset, &settings(60, 0).threads(0)).unwrap();
    assert!(loader.by_ref().take(8).all(|batch| batch.is_ok()));
    let error = loader.next().unwrap().err().unwrap().to_string();
    assert!(error.starts_with("broken: record 500 "), "{error}");
    assert!(loader.next().is_none());
}

/// A network of [`Chess768`] that computes on this number of the host's threads.
fn on_threads(count: usize) -> Network {
    network(&Device::cpu_with_threads(count.try_into().unwrap()).unwrap())
}

fn network(device: &Device) -> Network {
    let parameters = Parameters::zeros(Architecture::new(768, 32)).unwrap();
    Network::new(device, &parameters).unwrap()
}

#[test]
fn batches_made_between_steps_are_those_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    let dataset = Dataset::open(&paths).unwrap();
    let features = Arc::new(Chess768);
    for (batch_size, shuffle, skip) in [(48, 0, 5), (48, 7, 21), (90, 64, 0), (17, 5000, 3)] {
        let base = settings(batch_size, shuffle)
            .epochs(3)
            .start(Place::after(0, skip));
        let expected = load(&paths, &base).unwrap();
        for count in [1, 2, 5] {
            let network = on_threads(count);
            let loader = Loader::new(&dataset, features.clone(), &base, network.needs());
            let mut loader = loader.unwrap();
            for expected in &expected {
                assert_eq!(loader.next().unwrap().unwrap(), *expected);
            }
            assert!(loader.next().is_none());
        }
    }
}

#[test]
fn between_steps_an_error_follows_the_batches_before_and_a_panic_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = fs::read(shipped("chess_validation.bin")).unwrap();
    records[32 * 500 + 26] = 3;
    let dataset = Dataset::open(&[file(&folder, "broken.bin", records)]).unwrap();
    let base = settings(60, 0);
    let network = on_threads(3);
    let loader = Loader::new(&dataset, Arc::new(Chess768), &base, network.needs());
    let mut batches = loader.unwrap();
    assert!(batches.by_ref().take(8).all(|batch| batch.is_ok()));
    let error = batches.next().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("record 500") && error.contains("result"),
        "{error}"
    );
    assert!(batches.next().is_none());

    let dataset = Dataset::open(&numbered(&folder, &[1000])).unwrap();
    let network = on_threads(2);
    let base = settings(10, 0);
    let loader = Loader::new(&dataset, Arc::new(Panics), &base, network.needs());
    let mut loader = loader.unwrap();
    assert!(loader.by_ref().take(10).all(|batch| batch.is_ok()));
    expect_panic(loader, "wgrad-cpu-");
}

#[test]
fn epochs_in_one_go_are_those_one_by_one_also_in_used_memory() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    let dataset = Dataset::open(&paths).unwrap();
    for skip in [0, 5, 21] {
        let base = settings(48, 200).epochs(3).start(Place::after(3, skip));
        let mut expected = Vec::new();
        for epoch in 3..6 {
            let skip = if epoch == 3 { skip } else { 0 };
            let alone = base.clone().start(Place::after(epoch, skip)).epochs(1);
            expected.extend(load(&paths, &alone).unwrap());
        }
        assert_eq!(load(&paths, &base).unwrap(), expected);
        let mut loader = loader(&dataset, &base).unwrap();
        for expected in expected {
            assert_eq!(loader.next().unwrap().unwrap(), expected);
        }
        assert!(loader.next().is_none());
    }
    let none = settings(48, 0).epochs(0);
    assert_eq!(load(&paths, &none).unwrap(), []);
}

/// [`Chess768`] without its names for the other perspective.
struct Unnamed;

impl FeatureSet for Unnamed {
    type Position = Position;
    fn inputs(&self) -> usize {
        Chess768.inputs()
    }
    fn max_indices(&self) -> usize {
        Chess768.max_indices()
    }
    fn write(&self, position: &Position, perspective: Perspective, list: &mut [u32]) -> usize {
        Chess768.write(position, perspective, list)
    }
}

#[test]
fn a_set_that_writes_both_perspectives_loads_the_same() {
    let dataset = Dataset::open(&[shipped("chess_validation.bin")]).unwrap();
    let base = settings(3000, 5000);
    let named = loader(&dataset, &base).unwrap();
    let unnamed: Arc<dyn FeatureSet<Position = Position>> = Arc::new(Unnamed);
    let unnamed = Loader::new(&dataset, unnamed, &base, Needs::default()).unwrap();
    for (named, unnamed) in named.zip(unnamed) {
        assert_eq!(named.unwrap(), unnamed.unwrap());
    }
}

#[test]
fn a_loaded_batch_is_what_its_positions_say() {
    let lines = sample_lines();
    let target = Target::new(0.3, 300.0);
    let base = settings(512, 0).target(target);
    let batches = load(&[shipped("chess_sample.txt")], &base).unwrap();
    let mut lines = lines.iter();
    for loaded in &batches {
        let [own, other] = lists(loaded);
        for sample in 0..loaded.len() {
            let position: Position = lines.next().unwrap().parse().unwrap();
            let list = |inputs: &SparseInputs| {
                let mut list = inputs.list(sample).to_vec();
                list.sort();
                list
            };
            assert_eq!([list(own), list(other)], features(&position));
            assert_eq!(loaded.targets()[sample], target.of(&position));
            assert_eq!(loaded.scores()[sample], position.score());
            assert_eq!(loaded.results()[sample], position.result());
        }
    }
    assert!(lines.next().is_none());
}

#[test]
fn a_loader_dropped_half_way_ends_its_threads() {
    let dataset = Dataset::open(&[shipped("chess_train.bin")]).unwrap();
    for taken in [0, 1, 5] {
        let held: Arc<dyn FeatureSet<Position = Position>> = Arc::new(Chess768);
        let base = settings(256, 10_000).threads(3);
        let mut loader = Loader::new(&dataset, held.clone(), &base, Needs::default()).unwrap();
        assert_eq!(loader.by_ref().take(taken).count(), taken);
        drop(loader);
        assert_eq!(Arc::strong_count(&held), 1, "a worker still lives");
    }
}

/// A feature set that panics at a certain score.
struct Panics;

impl FeatureSet for Panics {
    type Position = Position;
    fn inputs(&self) -> usize {
        1
    }
    fn max_indices(&self) -> usize {
        1
    }
    fn write(&self, position: &Position, _: Perspective, list: &mut [u32]) -> usize {
        assert_ne!(position.score(), 100, "as the test wants");
        list[0] = 0;
        1
    }
}

/// Asserts that the next batch is the panic of [`Panics`] in a thread with this name, and that no
/// batch follows.
fn expect_panic(mut loader: Loader, name: &str) {
    match loader.next() {
        Some(Err(Error::Panic {
            thread, message, ..
        })) => {
            assert!(thread.starts_with(name), "{thread}");
            assert!(message.contains("as the test wants"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(loader.next().is_none());
}

/// A feature set of two features with constant lists.
struct Always {
    list: [u32; 2],
    is_distinct: bool,
}

impl FeatureSet for Always {
    type Position = Position;
    fn inputs(&self) -> usize {
        2
    }
    fn max_indices(&self) -> usize {
        2
    }
    fn write(&self, _: &Position, _: Perspective, list: &mut [u32]) -> usize {
        list.copy_from_slice(&self.list);
        2
    }
    fn is_distinct(&self) -> bool {
        self.is_distinct
    }
}

#[test]
fn lists_are_checked_for_what_their_set_does_not_promise() {
    let dataset = Dataset::open(&[shipped("chess_validation.bin")]).unwrap();
    let base = settings(100, 0);
    let reference = network(&Device::reference());
    let needs = [reference.needs(), Needs::default()];
    let cases = needs
        .into_iter()
        .flat_map(|needs| [(needs, true), (needs, false)]);
    for (needs, is_distinct) in cases {
        let transposed = needs.transpose(100, 400) == Transpose::Now;
        let load = |list| {
            let set = Always { list, is_distinct };
            let mut loader = Loader::new(&dataset, Arc::new(set), &base, needs).unwrap();
            loader.next().unwrap().map_err(|error| error.to_string())
        };
        assert!(load([1, 0]).is_ok());
        let error = load([0, 2]).unwrap_err();
        assert!(error.contains("sample 0") && error.contains('2'), "{error}");
        // Only a feature set that promises distinct features, without a sort to check it, is
        // trusted.
        let twice = load([1, 1]);
        assert_eq!(twice.is_ok(), is_distinct && !transposed);
        if let Err(error) = twice {
            assert!(error.contains("1 twice"), "{error}");
        }
    }
}

#[test]
fn a_panic_in_a_worker_reaches_the_consumer_after_the_batches_before() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Dataset::open(&numbered(&folder, &[1000])).unwrap();
    for threads in [1, 4] {
        let base = settings(10, 0).threads(threads);
        let loader = Loader::new(&dataset, Arc::new(Panics), &base, Needs::default());
        let mut loader = loader.unwrap();
        assert!(loader.by_ref().take(10).all(|batch| batch.is_ok()));
        expect_panic(loader, "wgrad worker");
    }
}
