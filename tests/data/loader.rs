//! The loader: its order, its batches, its threads, and the fingerprint of a dataset.

use crate::support::{
    START, board, features, file, lists, load, raw, sample_lines, settings, shipped,
};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use wgrad::nnue::data::{
    Chess768, Dataset, FeatureSet, Loader, LoaderSettings, Perspective, Position, SparseInputs,
    Target,
};

/// A dataset of several files and formats whose scores number its positions: 0, 1, 2, …
fn numbered(folder: &TempDir, counts: &[usize]) -> Vec<PathBuf> {
    let mut number = 0..;
    let mut next = || board(START, number.next().unwrap());
    let write = |(part, &count)| {
        if part == 1 {
            let line = |_| format!("{START} | {} | 0.5\n", next().score);
            return file(folder, "part.txt", (0..count).map(line).collect::<String>());
        }
        let records: Vec<_> = (0..count).flat_map(|_| raw(&next())).collect();
        file(folder, &format!("part{part}.bin"), records)
    };
    counts.iter().enumerate().map(write).collect()
}

fn order(paths: &[PathBuf], settings: &LoaderSettings) -> Vec<i16> {
    let batches = load(paths, settings).unwrap();
    batches.into_iter().flat_map(|batch| batch.scores).collect()
}

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
            assert_ne!(
                order(
                    &paths,
                    &LoaderSettings {
                        seed: 8,
                        ..base.clone()
                    }
                ),
                first
            );
            assert_ne!(order(&paths, &LoaderSettings { epoch: 1, ..base }), first);
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
        assert_eq!(
            Dataset::open(&paths).unwrap().batches(batch_size),
            batches.len() as u64
        );
        batches.iter().map(|loaded| loaded.batch.len()).collect()
    };
    assert_eq!(sizes(40), [40, 40, 23]);
    assert_eq!(sizes(103), [103]);
    assert_eq!(sizes(1000), [103]);
    assert_eq!(sizes(1), [1; 103]);
}

#[test]
fn workers_have_no_influence() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    let with = |workers| {
        load(
            &paths,
            &LoaderSettings {
                workers,
                ..settings(17, 100)
            },
        )
        .unwrap()
    };
    let one = with(1);
    assert_eq!(with(2), one);
    assert_eq!(with(5), one);
}

fn threads(count: usize) -> Arc<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    Arc::new(pool.unwrap())
}

#[test]
fn batches_made_in_turns_are_those_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    let dataset = Dataset::open(&paths).unwrap();
    let features = Arc::new(Chess768);
    for (batch_size, shuffle, skip) in [(48, 0, 5), (48, 7, 21), (90, 64, 0), (17, 5000, 3)] {
        let base = LoaderSettings {
            epochs: 3,
            skip,
            ..settings(batch_size, shuffle)
        };
        let expected = load(&paths, &base).unwrap();
        for count in [1, 2, 5] {
            let loader = Loader::in_turns(&dataset, features.clone(), &base, threads(count));
            let mut loader = loader.unwrap();
            for expected in &expected {
                let loaded = loader.next().unwrap().unwrap();
                assert_eq!(loaded, *expected);
                loader.recycle(loaded);
            }
            assert!(loader.next().is_none());
        }
    }
}

#[test]
fn in_turns_an_error_comes_after_the_batches_before_and_a_panic_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = fs::read(shipped("chess_validation.bin")).unwrap();
    records[32 * 500 + 26] = 3;
    let dataset = Dataset::open(&[file(&folder, "broken.bin", records)]).unwrap();
    let base = settings(60, 0);
    let loader = Loader::in_turns(&dataset, Arc::new(Chess768), &base, threads(3));
    let mut batches = loader.unwrap();
    assert!(batches.by_ref().take(8).all(|batch| batch.is_ok()));
    let error = batches.next().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("record 500") && error.contains("result"),
        "{error}"
    );
    assert!(batches.next().is_none());

    let dataset = Dataset::open(&numbered(&folder, &[1000])).unwrap();
    let loader = Loader::in_turns(&dataset, Arc::new(Panics), &settings(10, 0), threads(2));
    let mut loader = loader.unwrap();
    assert!(loader.by_ref().take(10).all(|batch| batch.is_ok()));
    expect_panic(loader);
}

#[test]
fn skipping_gives_the_rest_of_the_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    for shuffle in [0, 7, 64, 5000] {
        let base = settings(48, shuffle);
        let whole = load(&paths, &base).unwrap();
        assert_eq!(whole.len(), 21);
        for skip in 0..=21 {
            let rest = load(
                &paths,
                &LoaderSettings {
                    skip,
                    ..base.clone()
                },
            )
            .unwrap();
            assert_eq!(rest, whole[skip as usize..]);
        }
    }
}

#[test]
fn epochs_in_one_go_are_those_one_by_one_also_in_used_memory() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    let dataset = Dataset::open(&paths).unwrap();
    for skip in [0, 5, 21] {
        let base = LoaderSettings {
            epoch: 3,
            epochs: 3,
            skip,
            ..settings(48, 200)
        };
        let mut expected = Vec::new();
        for epoch in 3..6 {
            let skip = if epoch == 3 { skip } else { 0 };
            let alone = LoaderSettings {
                epoch,
                epochs: 1,
                skip,
                ..base.clone()
            };
            expected.extend(load(&paths, &alone).unwrap());
        }
        assert_eq!(load(&paths, &base).unwrap(), expected);
        let mut loader = Loader::new(&dataset, Arc::new(Chess768), &base).unwrap();
        for expected in expected {
            let loaded = loader.next().unwrap().unwrap();
            assert_eq!(loaded, expected);
            loader.recycle(loaded);
        }
        assert!(loader.next().is_none());
    }
    let none = LoaderSettings {
        epochs: 0,
        ..settings(48, 0)
    };
    assert_eq!(load(&paths, &none).unwrap(), []);
}

/// [`Chess768`] without its names for the other perspective.
struct Unnamed;

impl FeatureSet for Unnamed {
    fn features(&self) -> usize {
        Chess768.features()
    }
    fn width(&self) -> usize {
        Chess768.width()
    }
    fn write(&self, position: &Position, perspective: Perspective, list: &mut [u32]) -> usize {
        Chess768.write(position, perspective, list)
    }
}

#[test]
fn a_set_that_writes_both_perspectives_loads_the_same() {
    let dataset = Dataset::open(&[shipped("chess_validation.bin")]).unwrap();
    let base = settings(3000, 5000);
    let named = Loader::new(&dataset, Arc::new(Chess768), &base).unwrap();
    let unnamed: Arc<dyn FeatureSet> = Arc::new(Unnamed);
    let unnamed = Loader::new(&dataset, unnamed, &base).unwrap();
    for (named, unnamed) in named.zip(unnamed) {
        assert_eq!(named.unwrap(), unnamed.unwrap());
    }
}

#[test]
fn a_loaded_batch_is_what_its_positions_say() {
    let lines = sample_lines();
    let target = Target {
        lambda: 0.3,
        scale: 300.0,
    };
    let base = LoaderSettings {
        target,
        ..settings(512, 0)
    };
    let batches = load(&[shipped("chess_sample.txt")], &base).unwrap();
    let mut lines = lines.iter();
    for loaded in &batches {
        let [own, other] = lists(loaded);
        for sample in 0..loaded.batch.len() {
            let position: Position = lines.next().unwrap().parse().unwrap();
            let list = |inputs: &SparseInputs| {
                let mut list = inputs.list(sample).to_vec();
                list.sort();
                list
            };
            assert_eq!([list(own), list(other)], features(&position));
            assert_eq!(loaded.batch.targets()[sample], target.of(&position));
            assert_eq!(loaded.scores[sample], position.score());
            assert_eq!(loaded.results[sample], position.result());
        }
    }
    assert!(lines.next().is_none());
}

#[test]
fn a_loader_dropped_half_way_ends_its_threads() {
    let dataset = Dataset::open(&[shipped("chess_train.bin")]).unwrap();
    for taken in [0, 1, 5] {
        let held: Arc<dyn FeatureSet> = Arc::new(Chess768);
        let base = LoaderSettings {
            workers: 3,
            ..settings(256, 10_000)
        };
        let mut loader = Loader::new(&dataset, held.clone(), &base).unwrap();
        assert_eq!(loader.by_ref().take(taken).count(), taken);
        drop(loader);
        assert_eq!(Arc::strong_count(&held), 1, "a worker still lives");
    }
}

/// A feature set that panics at a certain score.
struct Panics;

impl FeatureSet for Panics {
    fn features(&self) -> usize {
        1
    }
    fn width(&self) -> usize {
        1
    }
    fn write(&self, position: &Position, _: Perspective, list: &mut [u32]) -> usize {
        assert_ne!(position.score(), 100, "as the test wants");
        list[0] = 0;
        1
    }
}

/// Asserts that the next batch is the panic of [`Panics`], and that no batch follows.
fn expect_panic(mut loader: Loader) {
    let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| loader.next()));
    let panic = next.expect_err("the panic goes on");
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("as the test wants"), "{message}");
    assert!(loader.next().is_none());
}

/// A feature set of two features with constant lists.
struct Always {
    list: [u32; 2],
    is_distinct: bool,
}

impl FeatureSet for Always {
    fn features(&self) -> usize {
        2
    }
    fn width(&self) -> usize {
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
    for (transposed, is_distinct) in [(true, true), (true, false), (false, true), (false, false)] {
        let base = LoaderSettings {
            transposed,
            ..settings(100, 0)
        };
        let load = |list| {
            let set = Always { list, is_distinct };
            let mut loader = Loader::new(&dataset, Arc::new(set), &base).unwrap();
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
    for workers in [1, 4] {
        let base = LoaderSettings {
            workers,
            ..settings(10, 0)
        };
        let mut loader = Loader::new(&dataset, Arc::new(Panics), &base).unwrap();
        assert!(loader.by_ref().take(10).all(|batch| batch.is_ok()));
        expect_panic(loader);
    }
}

#[test]
fn the_fingerprint_follows_content_and_not_names() {
    let folder = tempfile::tempdir().unwrap();
    let print = |paths: &[PathBuf]| Dataset::open(paths).unwrap().fingerprint().unwrap();
    let paths = numbered(&folder, &[301, 200, 502]);
    let first = print(&paths);
    assert!(first.starts_with("1003-"), "{first}");
    assert_eq!(print(&paths), first);
    assert_ne!(
        print(&[paths[1].clone(), paths[0].clone(), paths[2].clone()]),
        first
    );
    let renamed = folder.path().join("renamed");
    fs::copy(&paths[0], &renamed).unwrap();
    assert_eq!(print(&[renamed, paths[1].clone(), paths[2].clone()]), first);
    let mut changed = fs::read(&paths[2]).unwrap();
    changed[24] ^= 1;
    fs::write(&paths[2], changed).unwrap();
    assert_ne!(print(&paths), first);
}
