//! The filter of viriformat, against the crate of that format.

use crate::games::{expected, random_games, records};
use crate::support::{START, board, file, raw, shipped};
use std::path::PathBuf;
use viriformat::dataformat::Filter as Theirs;
use wgrad::nnue::data::{BadRecords, Dataset, Filter};

fn open(path: &PathBuf) -> Dataset {
    Dataset::open(std::slice::from_ref(path)).unwrap()
}

/// The filter of a TOML text in both forms.
fn both(text: &str) -> (Filter, Theirs) {
    (
        Filter::from_toml(text).unwrap(),
        toml::from_str(text).unwrap(),
    )
}

#[test]
fn a_filter_keeps_the_positions_that_its_crate_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(200, 11);
    let path = file(&folder, "games.vf", &games);
    let all = expected(&games, &Theirs::UNRESTRICTED).len();
    for text in [
        "",
        "min_ply = 40\nfilter_tactical = false\nfilter_check = false",
        "min_ply = 0\nmin_pieces = 25\nmax_eval = 700\nfilter_check = false",
        "min_ply = 0\nfilter_tactical = false\nfilter_castling = true",
        "min_ply = 0\nmax_eval_incorrectness = 300\nfilter_tactical = false",
    ] {
        let (ours, theirs) = both(text);
        let expected = expected(&games, &theirs);
        assert!((all / 20..19 * all / 20).contains(&expected.len()) || text.contains("castling"));
        let dataset = open(&path).filter(ours, 0).unwrap();
        assert_eq!(records(&dataset), expected, "{text}");
        assert_eq!(dataset.dropped().filtered, (all - expected.len()) as u64);
    }
}

/// The crate decides with a generator of its own, so only the numbers are compared.
#[test]
fn chance_keeps_as_many_positions_as_in_the_crate() {
    let folder = tempfile::tempdir().unwrap();
    let games = random_games(400, 12);
    let path = file(&folder, "games.vf", &games);
    let base = "min_ply = 0\nfilter_tactical = false\nfilter_check = false\n";
    let counts: Vec<_> = (0..33).map(|count| f64::from(count) / 40.0).collect();
    let counts =
        format!("material_count_filtered = true\nmaterial_count_probabilities = {counts:?}");
    for more in [
        "random_fen_skipping = true\nrandom_fen_skip_probability = 0.3",
        "wdl_filtered = true",
        &counts,
    ] {
        let (ours, theirs) = both(&format!("{base}{more}"));
        let expected: usize = (0..4).map(|_| expected(&games, &theirs).len()).sum();
        let kept = |seed| records(&open(&path).filter(ours.clone(), seed).unwrap());
        let found: usize = (0..4).map(|seed| kept(seed).len()).sum();
        assert_eq!(kept(1), kept(1));
        assert_ne!(kept(1), kept(2));
        // Both sums are of about 80,000 decisions: six standard deviations of their difference.
        let most = 6.0 * (2.0 * 0.25 * 4.0 * 20_000f64).sqrt();
        let apart = (found as f64 - expected as f64).abs();
        assert!(
            apart < most && found > 10_000,
            "{more}: {found}, {expected}"
        );
    }
}

#[test]
fn keys_that_need_games_are_refused_without_them() {
    let dataset = || open(&shipped("chess_validation.bin"));
    for (text, key) in [
        ("", "min_ply = 0"),
        ("min_ply = 0", "filter_tactical = false"),
        (
            "min_ply = 0\nfilter_tactical = false\nfilter_castling = true",
            "filter_castling = false",
        ),
    ] {
        let filter = Filter::from_toml(text).unwrap();
        let error = dataset().filter(filter, 0).unwrap_err().to_string();
        let words = format!(
            "filter: expected whole games, as viriformat has, or {key}, found positions alone"
        );
        assert!(
            error.contains("chess_validation.bin: ") && error.contains(&words),
            "{error}"
        );
    }
    let filter =
        Filter::from_toml("min_ply = 0\nfilter_tactical = false\nmin_pieces = 20").unwrap();
    let kept = dataset().filter(filter, 0).unwrap();
    let (mut few, mut checks) = (0, 0);
    for position in dataset().iter().map(Result::unwrap) {
        few += u64::from(position.piece_count() < 20);
        checks += 1;
    }
    let left = kept.iter().map(Result::unwrap);
    let left = left
        .inspect(|position| assert!(position.piece_count() >= 20))
        .count() as u64;
    assert!(few > 0 && left + kept.dropped().filtered == checks);
    assert!(kept.dropped().filtered >= few);
}

/// Games know their checks, and records compute them from their pieces.
#[test]
fn checks_are_those_of_the_games() {
    let folder = tempfile::tempdir().unwrap();
    let games = file(&folder, "games.vf", random_games(150, 13));
    let (ours, _) = both("min_ply = 0\nfilter_tactical = false\nmin_pieces = 0");
    let all = records(&open(&games));
    let alone = file(&folder, "records.bin", all.concat());
    let kept = |path| records(&open(path).filter(ours.clone(), 0).unwrap());
    let from_games = kept(&games);
    assert!(all.len() - from_games.len() > 100);
    assert_eq!(kept(&alone), from_games);
}

#[test]
fn wrong_keys_and_numbers_are_named() {
    for (text, message) in [
        (
            "min_plyy = 3",
            "filter, line 1: expected the keys of a filter of viriformat",
        ),
        ("min_ply = 3\nfilter_check = 2", "filter, line 2"),
        (
            "material_count_probabilities = [0.5]",
            "expected 33 numbers, found 1",
        ),
        (
            "random_fen_skip_probability = 1.5",
            "random_fen_skip_probability: expected 0 to 1",
        ),
        ("mom_target = 0", "mom_target: expected at least 1"),
        (
            "material_min = 90",
            "material_min: expected at most material_max = 78",
        ),
        ("wdl_heuristic_scale = nan", "expected finite numbers"),
    ] {
        let error = Filter::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "filter.toml", "max_evil = 1");
    let error = Filter::from_file(&path).unwrap_err().to_string();
    assert!(
        error.contains("filter.toml: ") && error.contains("line 1"),
        "{error}"
    );
}

#[test]
fn damaged_records_and_lines_are_skipped_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let sound: Vec<_> = (0..50).map(|score| raw(&board(START, score))).collect();
    let mut bytes = sound.concat();
    for damaged in [0, 7, 8, 49] {
        bytes[32 * damaged + 26] = 9;
    }
    let mut lines: Vec<_> = (0..50)
        .map(|score| format!("{START} | {score} | 0.5"))
        .collect();
    for damaged in [0, 7, 8, 49] {
        lines[damaged] = "nonsense | 1 | 0.5".into();
    }
    let mut kept = sound.clone();
    for damaged in [49, 8, 7, 0] {
        kept.remove(damaged);
    }
    let text = file(&folder, "damaged.txt", lines.join("\n"));
    // The first record tells the format.
    let binary = file(&folder, "damaged.bin", [sound[0].clone(), bytes].concat());
    kept.insert(0, sound[0].clone());
    let skipping = open(&binary).bad_records(BadRecords::Skip);
    assert_eq!(records(&skipping), kept);
    assert_eq!(skipping.dropped().bad, 4);
    let skipping = open(&text).bad_records(BadRecords::Skip);
    assert_eq!(records(&skipping), kept[1..]);
    assert_eq!(skipping.dropped().bad, 4);
    assert!(open(&text).iter().any(|position| position.is_err()));
}
