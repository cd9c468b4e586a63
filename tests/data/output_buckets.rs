//! Output buckets by the number of pieces: computed by hand, in batches, and as text.

use crate::support::{START, file, load, sample_lines, settings, shipped};
use wgrad::nnue::data::{OutputBuckets, Position};

/// Positions of 2, 3, 17 and 32 pieces.
const FENS: [(&str, usize); 4] = [
    ("4k3/8/8/8/8/8/8/4K3 w - - 0 1", 2),
    ("4k3/8/8/8/8/8/4P3/4K3 b - - 0 1", 3),
    ("4k3/pppppppp/8/8/8/8/PPPPPPP1/4K3 w - - 0 1", 17),
    (START, 32),
];

fn table(bucket: impl Fn(usize) -> usize) -> OutputBuckets {
    let table: Vec<_> = (0..=32).map(bucket).collect();
    OutputBuckets::by_pieces(&table).unwrap()
}

#[test]
fn buckets_of_positions_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = FENS
        .iter()
        .map(|(fen, _)| format!("{fen} | 0 | 0.5\n"))
        .collect();
    let path = file(&folder, "four.txt", text);
    for (buckets, expected) in [
        // (pieces − 2) ÷ 4, ÷ 2, ÷ 3 and ÷ 16.
        ("material:8".parse().unwrap(), [0, 0, 3, 7]),
        ("material:16".parse().unwrap(), [0, 0, 7, 15]),
        ("material:11".parse().unwrap(), [0, 0, 5, 10]),
        ("material:2".parse().unwrap(), [0, 0, 0, 1]),
        (table(|pieces| pieces), [2, 3, 17, 32]),
        (table(|pieces| usize::from(pieces == 3)), [0, 1, 0, 0]),
        (table(|pieces| usize::from(pieces < 17)), [1, 1, 0, 0]),
    ] {
        for ((fen, pieces), expected) in FENS.iter().zip(expected) {
            let position = Position::from_fen(fen, 0, 1).unwrap();
            assert_eq!(position.piece_count(), *pieces);
            assert_eq!(buckets.of(&position), expected, "{buckets} of {fen}");
        }
        let base = settings(4, 0).output_buckets(buckets);
        let [batch] = &load(std::slice::from_ref(&path), &base).unwrap()[..] else {
            panic!("one batch");
        };
        // The samples of a batch are in the order of their buckets.
        let mut ordered = expected;
        ordered.sort_unstable();
        assert_eq!(batch.buckets(), Some(&ordered[..]));
    }
}

#[test]
fn a_loader_gives_every_sample_its_bucket() {
    let lines = sample_lines();
    let mut lines = lines.chunks(300);
    let buckets = OutputBuckets::material(8).unwrap();
    let base = settings(300, 0).output_buckets(buckets);
    let mut found = [0; 8];
    for batch in load(&[shipped("chess_sample.txt")], &base).unwrap() {
        let positions = lines.next().unwrap().iter();
        let mut positions: Vec<Position> = positions.map(|line| line.parse().unwrap()).collect();
        // A batch is in the order of its buckets, and each bucket in the order of the file.
        let bucket = |position: &Position| (position.pieces().count() - 2) / 4;
        positions.sort_by_key(bucket);
        let expected: Vec<u32> = positions.iter().map(|one| bucket(one) as u32).collect();
        assert_eq!(batch.buckets().unwrap(), expected);
        let scores: Vec<i16> = positions.iter().map(Position::score).collect();
        assert_eq!(batch.scores(), scores);
        expected
            .iter()
            .for_each(|&bucket| found[bucket as usize] += 1);
    }
    assert!(lines.next().is_none());
    assert!(found.iter().all(|&count| count > 0), "{found:?}");
    let one = load(&[shipped("chess_sample.txt")], &settings(300, 0)).unwrap();
    assert!(one.iter().all(|batch| batch.buckets().is_none()));
}

#[test]
fn tables_are_text_and_json() {
    let uneven: Vec<usize> = (0..=32).map(|pieces| usize::from(pieces > 10)).collect();
    let list = uneven
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(",");
    for (text, count, shown) in [
        ("1", 1, "1"),
        ("material:1", 1, "1"),
        ("material:8", 8, "material:8"),
        (&list, 2, &*list),
        (&list.replace(',', ", "), 2, &*list),
    ] {
        let buckets: OutputBuckets = text.parse().unwrap();
        assert_eq!((buckets.count(), &*buckets.to_string()), (count, shown));
        let json = serde_json::to_string(&buckets).unwrap();
        assert_eq!(json, format!("{:?}", buckets.table()).replace(' ', ""));
        assert_eq!(
            serde_json::from_str::<OutputBuckets>(&json).unwrap(),
            buckets
        );
    }
    assert_eq!(OutputBuckets::default(), OutputBuckets::ONE);
    assert_eq!(list.parse::<OutputBuckets>().unwrap().table()[..], uneven);
}

#[test]
fn tables_with_empty_buckets_or_wrong_lengths_are_refused() {
    for buckets in 0..=40 {
        let fills = matches!(buckets, 1..=8 | 11 | 16);
        assert_eq!(OutputBuckets::material(buckets).is_ok(), fills, "{buckets}");
    }
    let list = |count: usize, number: &str| vec![number; count].join(",");
    let gap = format!("{},2", list(32, "0"));
    for (text, words) in [
        ("material:9", ["1 to 8, 11 or 16", "material:9"]),
        ("material:", ["material:N or 33 numbers", "\"material:\""]),
        (
            "material:-1",
            ["material:N or 33 numbers", "\"material:-1\""],
        ),
        ("8", ["33 bucket numbers", "found 1"]),
        ("", ["material:N or 33 numbers", "\"\""]),
        ("pieces", ["material:N or 33 numbers", "\"pieces\""]),
        (&list(32, "0"), ["33 bucket numbers", "found 32"]),
        (&list(34, "0"), ["33 bucket numbers", "found 34"]),
        (&list(33, "1"), ["without gaps", "found 1 but no 0"]),
        (&gap, ["without gaps", "found 2 but no 1"]),
    ] {
        let error = text.parse::<OutputBuckets>().unwrap_err().to_string();
        for word in words.iter().chain(&["output_buckets"]) {
            assert!(error.contains(word), "no {word:?} in: {error}");
        }
    }
    let error = serde_json::from_str::<OutputBuckets>("[0,1]").unwrap_err();
    assert!(error.to_string().contains("33 bucket numbers"), "{error}");
}
