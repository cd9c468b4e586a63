//! Places in the data: where a loader goes on, what was read before, and what follows from the
//! number of a batch.

use crate::support::{START, board, file, load, loader, numbered, raw, settings};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use wgrad::nnue::Needs;
use wgrad::nnue::data::{Chess768, Dataset, LoadedBatch, Loader, LoaderSettings, Place};
use wgrad::optim::schedule::{Shares, Timeline, Unit, Warmup};

#[test]
fn skipping_gives_the_rest_of_the_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    for shuffle in [0, 7, 64, 5000] {
        let base = settings(48, shuffle);
        let whole = load(&paths, &base).unwrap();
        assert_eq!(whole.len(), 21);
        for skip in 0..=21 {
            let rest = load(&paths, &base.clone().start(Place::after(0, skip))).unwrap();
            assert_eq!(rest, whole[skip as usize..]);
        }
        for (at, batch) in whole.iter().enumerate() {
            let next = base.clone().start(*batch.next_place()).epochs(1);
            let rest = load(&paths, &next).unwrap();
            let next_epoch = base.clone().start(Place::after(1, 0));
            match batch.ends_epoch() {
                true => assert_eq!(rest, load(&paths, &next_epoch).unwrap()),
                false => assert_eq!(rest, whole[at + 1..]),
            }
        }
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

#[test]
fn without_a_number_of_epochs_the_data_start_again() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[30, 20, 53]);
    let dataset = Dataset::open(&paths).unwrap();
    let base = settings(48, 20);
    let expected = load(&paths, &base.clone().epochs(7)).unwrap();
    let endless = loader(&dataset, &base.epochs(None)).unwrap();
    let first: Vec<_> = endless.take(21).map(Result::unwrap).collect();
    assert_eq!(first, expected);
}

#[test]
fn an_estimate_of_few_lines_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[301, 200, 502]);
    let dataset = Dataset::open(&paths).unwrap();
    assert_eq!(dataset.positions(), None);
    assert_eq!(dataset.count().unwrap(), 1003);
    let estimate = dataset.estimate().unwrap();
    assert_eq!((estimate.positions, estimate.exact), (1003, true));
}

#[test]
fn a_past_accepts_what_follows_it_and_refuses_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[301, 200, 502]);
    let dataset = || Dataset::open(&paths).unwrap();
    let batches = load(&paths, &settings(10, 64)).unwrap();
    let (in_text, later) = (batches[39].next_place(), batches[99].next_place());
    // Blocks have 64 records: 400 records are in 7 blocks, 448 records, 147 of them lines.
    let past = dataset().past(in_text).unwrap();
    let text = fs::read_to_string(&paths[1]).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let end: usize = lines[..147].iter().map(|line| line.len() + 1).sum();
    assert_eq!(in_text.to.offset, end as u64);
    let json = serde_json::to_string(&past).unwrap();
    let past = serde_json::from_str(&json).unwrap();
    dataset().check_past(&past).unwrap();

    // A line is deleted, and another file is changed, after the past.
    let mut changed = lines.clone();
    changed.remove(147);
    fs::write(&paths[1], changed.join("\n")).unwrap();
    let more = [fs::read(&paths[2]).unwrap(), raw(&board(START, 1)).to_vec()].concat();
    fs::write(&paths[2], more).unwrap();
    dataset().check_past(&past).unwrap();
    // The place goes on in the changed data.
    let rest = load(&paths, &settings(10, 64).start(*in_text)).unwrap();
    let left: usize = rest.iter().map(|batch| batch.len()).sum();
    assert_eq!(left, 1003 - 400);

    let mut changed = lines.clone();
    changed.remove(146);
    fs::write(&paths[1], changed.join("\n")).unwrap();
    let error = dataset().check_past(&past).unwrap_err().to_string();
    assert!(error.contains("part.txt: from byte"), "{error}");
    assert!(error.contains("line 119"), "{error}");
    fs::write(&paths[1], &text).unwrap();
    dataset().check_past(&past).unwrap();

    let mut records = fs::read(&paths[0]).unwrap();
    records[32 * 200 + 24] ^= 1;
    fs::write(&paths[0], &records).unwrap();
    let error = dataset().check_past(&past).unwrap_err().to_string();
    assert!(
        error.contains("part0.bin: from byte 4096, record 128"),
        "{error}"
    );
    fs::write(&paths[0], &records[..32 * 300]).unwrap();
    let error = dataset().check_past(&past).unwrap_err().to_string();
    assert!(error.contains("at least the 9632 bytes"), "{error}");
    let past = dataset().past(later).unwrap();
    let one = Dataset::open(&paths[..1]).unwrap();
    let error = one.check_past(&past).unwrap_err().to_string();
    assert!(error.contains("at least the 3 files"), "{error}");
}

#[test]
fn lambda_follows_its_schedule_from_batch_to_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        &folder,
        "won.txt",
        format!("{START} | 0 | 1-0\n").repeat(10),
    );
    let dataset = Dataset::open(&[path]).unwrap();
    // Targets are λ·1 + (1 − λ)·½. Superbatches have 2 batches, and epochs have 3 of 4, 4 and 2
    // samples.
    let shares = |steps| Shares {
        start: 0.0,
        schedule: "linear:1@5;constant=0.5".parse().unwrap(),
        warmup: Warmup::default(),
        unit: Unit::Period,
        timeline: Timeline {
            steps: 12,
            periods: 6,
            batches: Some(2),
        },
        steps,
    };
    let load = |settings: LoaderSettings| {
        let loader = Loader::new(&dataset, Arc::new(Chess768), &settings, Needs::default());
        let batches = loader.unwrap().map(Result::unwrap);
        let target = |batch: &LoadedBatch| {
            assert!(
                batch
                    .targets()
                    .iter()
                    .all(|&target| target == batch.targets()[0])
            );
            (2.0 * batch.targets()[0] - 1.0, *batch.next_place())
        };
        batches.map(|batch| target(&batch)).collect::<Vec<_>>()
    };
    let settings = settings(4, 0).epochs(Some(4));
    let whole = load(settings.clone().shares(Some(shares(0))));
    let lambdas: Vec<_> = whole.iter().map(|(lambda, _)| *lambda).collect();
    let expected = [
        0.0, 0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0, 0.5, 0.5,
    ];
    assert_eq!(lambdas, expected);
    // A loader that goes on after 5 batches, in the second epoch.
    let rest = settings.start(whole[4].1).epochs(Some(3));
    assert_eq!(load(rest.shares(Some(shares(5)))), whole[5..]);
    // Per epoch: λ moves when the data end.
    let epochs = Shares {
        timeline: Timeline {
            steps: 12,
            periods: 4,
            batches: None,
        },
        schedule: "linear:1".parse().unwrap(),
        ..shares(0)
    };
    let settings = self::settings(4, 0).epochs(Some(4));
    let by_epoch = load(settings.shares(Some(epochs)));
    for (batch, (lambda, _)) in by_epoch.iter().enumerate() {
        let expected = (batch / 3) as f32 / 3.0;
        assert!((lambda - expected).abs() < 1e-6, "{batch}: {lambda}");
    }
}
