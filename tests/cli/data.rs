//! `wgrad data`.

use crate::support::{cut, scratch, shipped, wgrad};
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
    let line = format!("data convert --to text {}", records.display());
    wgrad(&line, &[("--out", &text)]).success();
    let line = format!("data convert --to bulletformat {}", text.display());
    let shown = wgrad(&line, &[("--out", &back)]).success().stdout;
    assert!(shown.starts_with("500 positions in "), "{shown}");
    let bytes = fs::read(&records).unwrap();
    let same = fs::read(&back).unwrap();
    // A record's last three bytes have no meaning, and text does not hold them.
    for (own, other) in bytes.chunks(32).zip(same.chunks(32)) {
        assert_eq!(own[..29], other[..29]);
    }
    assert_eq!(bytes.len(), same.len());

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
