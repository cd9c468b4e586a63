//! Positions whose scores are no evaluations are left out.

use crate::support::{START, board, file, raw, settings};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use wgrad::nnue::Needs;
use wgrad::nnue::data::{Chess768, Dataset, Loader, LoaderSettings, Place};

/// The scores of each batch, and where the batches after it begin.
fn load(dataset: &Dataset, settings: &LoaderSettings) -> wgrad::Result<Vec<(Vec<i16>, Place)>> {
    let loader = Loader::new(dataset, Arc::new(Chess768), settings, Needs::default())?;
    loader
        .map(|batch| batch.map(|batch| (batch.scores().to_vec(), *batch.next_place())))
        .collect()
}

/// Two files of records and one of text with these scores, a third in each.
fn files(folder: &TempDir, name: &str, scores: &[i16]) -> Vec<PathBuf> {
    let third = scores.len() / 3;
    let records = |scores: &[i16]| {
        let records = scores.iter().flat_map(|&score| raw(&board(START, score)));
        records.collect::<Vec<_>>()
    };
    let lines: String = scores[third..2 * third]
        .iter()
        .map(|score| format!("{START} | {score} | 0.5\n"))
        .collect();
    vec![
        file(folder, &format!("{name}1.bin"), records(&scores[..third])),
        file(folder, &format!("{name}2.txt"), lines),
        file(
            folder,
            &format!("{name}3.bin"),
            records(&scores[2 * third..]),
        ),
    ]
}

#[test]
fn what_is_left_out_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // Single ones, runs of several blocks, and the beginning and the end of each file.
    let mut scores: Vec<i16> = (0..900).collect();
    let large = [
        0..3,
        10..11,
        40..190,
        298..303,
        420..421,
        595..605,
        890..900,
    ];
    for index in large.iter().cloned().flatten() {
        scores[index] = if index % 2 == 0 { 32002 } else { -20000 };
    }
    let kept: Vec<i16> = scores
        .iter()
        .copied()
        .filter(|score| score.abs() < 20000)
        .collect();
    let dropped = (scores.len() - kept.len()) as u64;
    // The kept positions in files of their own, cut at the same positions.
    let dataset = |max_score| {
        Dataset::open(&files(&folder, "all", &scores))
            .unwrap()
            .max_score(max_score)
    };
    let clean: Vec<_> = kept
        .iter()
        .flat_map(|&score| raw(&board(START, score)))
        .collect();
    let clean = Dataset::open(&[file(&folder, "clean.bin", clean)]).unwrap();
    for shuffle in [0, 16, 64, 5000] {
        let settings = settings(10, shuffle).epochs(Some(2));
        let expected = load(&clean, &settings).unwrap();
        let filtered = dataset(20000);
        let found = load(&filtered, &settings).unwrap();
        let scores = |batches: &[(Vec<i16>, Place)]| {
            batches
                .iter()
                .map(|(scores, _)| scores.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(scores(&found), scores(&expected), "{shuffle}");
        assert_eq!(filtered.dropped().scores, 2 * dropped);
        // A loader that goes on after any batch of the first epoch.
        for (batch, (_, place)) in found.iter().enumerate().take(found.len() / 2 - 1) {
            let rest = settings.clone().start(*place);
            let rest = load(&dataset(20000), &rest).unwrap();
            assert_eq!(rest, found[batch + 1..], "{shuffle}, after batch {batch}");
        }
        let all = load(&dataset(0), &settings).unwrap();
        assert_eq!(
            all.iter().map(|(scores, _)| scores.len()).sum::<usize>(),
            1800
        );
    }
}

#[test]
fn a_bound_that_keeps_nothing_and_a_damaged_record_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let large = files(&folder, "large", &[20000, -32002, 31000]);
    let dataset = Dataset::open(&large).unwrap().max_score(20000);
    let error = load(&dataset, &settings(10, 64)).unwrap_err().to_string();
    let words = "data: expected a position that is not left out, found 3 positions with scores";
    assert!(error.contains(words), "{error}");

    let mut bytes = [raw(&board(START, 1)), raw(&board(START, 32002))]
        .concat()
        .repeat(20);
    // The result of record 7, whose score is large.
    bytes[7 * 32 + 26] = 9;
    let path = file(&folder, "damaged.bin", bytes);
    let dataset = Dataset::open(&[path]).unwrap().max_score(20000);
    let error = load(&dataset, &settings(10, 64)).unwrap_err().to_string();
    assert!(
        error.contains("damaged.bin: record 7 (counted from 0), result"),
        "{error}"
    );
}
