//! `wgrad data`.

use crate::support::{cut, scratch, shipped, wgrad};
use std::collections::HashSet;
use std::fs;

#[test]
fn positions_are_counted_shown_described_and_converted() {
    let (_guard, directory) = scratch();
    let records = cut(&directory, 500);
    let sample = shipped("chess_sample.txt");
    let lines = fs::read_to_string(&sample).unwrap().lines().count();
    let line = format!("data count {} {}", records.display(), sample.display());
    let counted = wgrad(&line, &[]).success().stdout;
    assert!(
        counted.contains("500  ") && counted.contains(&format!("{lines}  ")),
        "{counted}"
    );
    assert!(
        counted.ends_with(&format!("{:>14}  in all\n", 500 + lines)),
        "{counted}"
    );

    let (text, back) = (directory.join("text.txt"), directory.join("back.bin"));
    let marlin = directory.join("marlin.bin");
    for (format, path) in [("text", &text), ("marlinformat", &marlin)] {
        let line = format!("data convert --to {format} {}", records.display());
        wgrad(&line, &[("--out", path)]).success();
        let line = format!("data convert --to bulletformat {}", path.display());
        let shown = wgrad(&line, &[("--out", &back)]).success().stdout;
        assert!(shown.starts_with("500 positions in "), "{shown}");
        let bytes = fs::read(&records).unwrap();
        let same = fs::read(&back).unwrap();
        // A record's last three bytes have no meaning, and other formats do not hold them.
        for (own, other) in bytes.chunks(32).zip(same.chunks(32)) {
            assert_eq!(own[..29], other[..29], "{format}");
        }
        assert_eq!(bytes.len(), same.len());
    }
    // What was left out is not counted.
    let line = format!("data count --max-score 100 {}", records.display());
    let few = wgrad(&line, &[]).success().stdout;
    let few: usize = few.split_whitespace().next().unwrap().parse().unwrap();
    assert!((1..500).contains(&few), "{few}");

    let head = wgrad(&format!("data head -n 3 {}", records.display()), &[])
        .success()
        .stdout;
    let first: Vec<_> = fs::read_to_string(&text)
        .unwrap()
        .lines()
        .take(3)
        .map(str::to_owned)
        .collect();
    assert_eq!(head.lines().collect::<Vec<_>>(), first);
    let described = wgrad(&format!("data describe {}", records.display()), &[])
        .success()
        .stdout;
    assert!(
        described.starts_with("positions   500\nresults     "),
        "{described}"
    );
    assert!(described.contains("bucket 7"), "{described}");
}

#[test]
fn king_buckets_and_duplicates_are_counted() {
    let (_guard, directory) = scratch();
    let path = directory.join("two.txt");
    // The own king is on a1, and the other king is on e1 of its own board. The second line is the
    // first one for Black, and the third line has another score.
    let lines = [
        "4k3/8/8/8/8/8/P7/K7 w - - 0 1 | 5 | 1.0",
        "k7/p7/8/8/8/8/8/4K3 b - - 0 1 | -5 | 0.0",
        "4k3/8/8/8/8/8/P7/K7 w - - 0 1 | 90 | 0.5",
        "4k3/8/8/8/8/8/8/K7 w - - 0 1 | 0 | 0.5",
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let table = |counts: usize, at: usize| {
        let bucket = |square| if square == at { "1" } else { "0" };
        (0..counts).map(bucket).collect::<Vec<_>>().join(",")
    };
    let describe = |options: &str| {
        let line = format!("data describe {options} {}", path.display());
        wgrad(&line, &[])
    };
    // Square e1 of 64, and d1 of 32, where the mirrored king of e1 is.
    for table in [table(64, 4), table(32, 3)] {
        let shown = describe(&format!("--buckets {table}")).success().stdout;
        assert!(
            shown.ends_with(
                "king bucket 0   50.0% (own king 100.0%, other king 0.0%)\n\
                 king bucket 1   50.0% (own king 0.0%, other king 100.0%)\n"
            ),
            "{shown}"
        );
        assert!(!shown.contains("duplicates"), "{shown}");
    }
    let shown = describe("--duplicates").success().stdout;
    let begin = "positions   4\nduplicates  2 (50.0%)\nresults     50.0% won, 50.0% drawn";
    assert!(shown.starts_with(begin), "{shown}");
    assert!(
        shown.contains("least 0, 5% 0, median 5, 95% 5, most 90"),
        "{shown}"
    );
    assert!(!shown.contains("king bucket"), "{shown}");
    describe("--buckets 0,1").refused(1, &["--buckets: expected 64 numbers", "or 32", "found 2"]);
    describe(&format!("--buckets {}", table(64, 4).replace('1', "2")))
        .refused(1, &["buckets (of kings)"]);

    // As many as a set of the boards themselves finds.
    let records = cut(&directory, 20_000);
    let mut bytes = fs::read(&records).unwrap();
    bytes.extend_from_within(32 * 100..32 * 5_100);
    fs::write(&records, &bytes).unwrap();
    let boards: HashSet<_> = bytes.chunks(32).map(|record| &record[..24]).collect();
    let duplicates = 25_000 - boards.len();
    let line = format!("data describe --duplicates {}", records.display());
    let shown = wgrad(&line, &[]).success().stdout.replace(',', "");
    assert!(
        shown.contains(&format!("duplicates  {duplicates} (")),
        "{shown}"
    );
}

#[test]
fn a_conversion_that_fails_leaves_the_file_as_it_was() {
    let (_guard, directory) = scratch();
    let (bad, out) = (directory.join("bad.txt"), directory.join("out.bin"));
    fs::write(
        &bad,
        "8/8/8/k6K/8/8/8/8 w - - 0 1 | 0 | 0.5\n8/8 w | 0 | 0.5\n",
    )
    .unwrap();
    fs::write(&out, "before").unwrap();
    let line = format!("data convert --to bulletformat {}", bad.display());
    let refused = wgrad(&line, &[("--out", &out)]);
    refused.refused(1, &["bad.txt: line 2, FEN, number of ranks: expected 8"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "before");
    wgrad(&line, &[("--out", &bad)]).refused(1, &["--out: expected another file"]);
}

#[test]
fn a_file_larger_than_the_memory_is_shuffled() {
    let (_guard, directory) = scratch();
    // 2.9 MB of records in parts of half a MiB.
    let records = cut(&directory, 90_000);
    let shuffle = |name: &str, seed: u64, memory: u64| {
        let out = directory.join(name);
        let line = format!(
            "data shuffle --seed {seed} --memory {memory} {}",
            records.display()
        );
        wgrad(&line, &[("--out", &out)]).success();
        let bytes = fs::read(out).unwrap();
        bytes
            .chunks(32)
            .map(|record| record[..29].to_vec())
            .collect::<Vec<_>>()
    };
    let before: Vec<_> = fs::read(&records)
        .unwrap()
        .chunks(32)
        .map(|record| record[..29].to_vec())
        .collect();
    let after = shuffle("a.bin", 1, 1);
    assert_eq!(after, shuffle("b.bin", 1, 1));
    assert_ne!(after, shuffle("c.bin", 2, 1));
    let sorted = |records: &[Vec<u8>]| {
        let mut sorted = records.to_vec();
        sorted.sort_unstable();
        sorted
    };
    assert_eq!(sorted(&after), sorted(&before));
    // Chi-square over 30 by 30 fields: from which thirtieth of the file to which. Equal records are
    // told apart by their order, as in a stable sort.
    let order = |records: &[Vec<u8>]| {
        let mut order: Vec<_> = (0..records.len()).collect();
        order.sort_by_key(|&at| &records[at]);
        order
    };
    const FIELDS: usize = 30;
    let mut counts = [[0u32; FIELDS]; FIELDS];
    for (from, to) in order(&before).into_iter().zip(order(&after)) {
        counts[from * FIELDS / 90_000][to * FIELDS / 90_000] += 1;
    }
    let expected = 90_000.0 / (FIELDS * FIELDS) as f64;
    let square = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
    let chi_square: f64 = counts.iter().flatten().map(square).sum();
    // 29 · 29 degrees of freedom: mean 841, deviation √(2 · 841) = 41.
    assert!(
        (841.0 - 5.0 * 41.0..841.0 + 5.0 * 41.0).contains(&chi_square),
        "{chi_square}"
    );
    assert_eq!(
        fs::read_dir(&directory).unwrap().count(),
        4,
        "the parts are gone"
    );
    wgrad(
        &format!("data shuffle --memory 0 {}", records.display()),
        &[("--out", &directory.join("d.bin"))],
    )
    .refused(1, &["memory: expected at least"]);
}
