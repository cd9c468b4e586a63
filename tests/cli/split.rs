//! `wgrad data split`.

#[cfg(unix)]
use crate::support::wgrad_limited;
use crate::support::{Ended, cut, scratch, shipped, wgrad};
use std::fs;
use std::path::Path;

fn split(options: &str, data: &Path, train: &Path, validation: &Path) -> Ended {
    let line = format!("data split {options} {}", data.display());
    wgrad(&line, &[("--train", train), ("--validation", validation)])
}

#[test]
fn each_position_goes_to_one_of_two_files() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 20_000);
    let parts = |options: &str| {
        let [train, validation] = ["t.bin", "v.bin"].map(|name| directory.join(name));
        let shown = split(options, &data, &train, &validation).success().stdout;
        let bytes = [&train, &validation].map(|path| fs::read(path).unwrap());
        let counts = bytes.each_ref().map(|bytes| bytes.len() / 32);
        for (count, path) in counts.into_iter().zip([&train, &validation]) {
            let line = format!("{count} positions in {}", path.display());
            assert!(shown.replace(',', "").contains(&line), "{line}: {shown}");
        }
        (bytes, counts)
    };
    let (own, counts) = parts("--share 0.2 --seed 3");
    // The deviation of a binomial distribution: √(20,000 · 0.2 · 0.8) = 57.
    assert!((4000 - 285..4000 + 285).contains(&counts[1]), "{counts:?}");
    // Each part has the order of the data, and together they are the data.
    let all = fs::read(&data).unwrap();
    let mut rest = own.each_ref().map(|bytes| bytes.chunks(32).peekable());
    for record in all.chunks(32) {
        let next = |part: &mut std::iter::Peekable<std::slice::Chunks<'_, u8>>| {
            part.next_if_eq(&record).is_some()
        };
        assert!(rest.iter_mut().any(next), "a part has the record next");
    }
    assert!(rest.iter_mut().all(|part| part.next().is_none()));

    assert_eq!(parts("--share 0.2 --seed 3").0, own);
    assert_ne!(parts("--share 0.2 --seed 4").0, own);
    let (_, usual) = parts("");
    // √(20,000 · 0.05 · 0.95) = 31.
    assert!((1000 - 155..1000 + 155).contains(&usual[1]), "{usual:?}");

    let sample = shipped("chess_sample.txt");
    let lines = fs::read_to_string(&sample).unwrap().lines().count();
    let [train, validation] = ["a.bin", "b.bin"].map(|name| directory.join(name));
    split("--share 0.5", &sample, &train, &validation).success();
    let size = |path: &Path| fs::metadata(path).unwrap().len() as usize;
    assert_eq!(size(&train) + size(&validation), 32 * lines);
}

#[test]
fn a_split_that_fails_leaves_both_files_as_they_were() {
    let (_guard, directory) = scratch();
    let data = cut(&directory, 2000);
    let [train, validation] = ["t.bin", "v.bin"].map(|name| directory.join(name));
    for path in [&train, &validation] {
        fs::write(path, "before").unwrap();
    }
    let bad = directory.join("bad.bin");
    let mut bytes = fs::read(&data).unwrap();
    bytes[32 * 1500 + 26] = 9;
    fs::write(&bad, bytes).unwrap();
    split("", &bad, &train, &validation).refused(1, &["bad.bin: record 1500", "result"]);
    for share in ["0", "1", "-0.5", "nan"] {
        let refused = split(&format!("--share {share}"), &data, &train, &validation);
        refused.refused(1, &["share: expected a number between 0 and 1"]);
    }
    let none = split("--share 0.0000001", &data, &train, &validation);
    none.refused(1, &["share that gives both files", "2000 and 0 positions"]);
    split("", &data, &train, &data).refused(1, &["--validation: expected another file"]);
    split("", &data, &data, &validation).refused(1, &["--train: expected another file"]);
    split("", &data, &train, &train).refused(1, &["--validation: expected another file"]);
    let (new, same) = (directory.join("new.bin"), directory.join("./new.bin"));
    split("", &data, &new, &same).refused(1, &["--validation: expected another file"]);
    #[cfg(unix)]
    for (share, full) in [("0.1", "t.bin"), ("0.9", "v.bin")] {
        // 64,000 bytes in all, and 40,960 in a file at the most.
        let line = format!("data split --share {share} {}", data.display());
        let paths = [("--train", &*train), ("--validation", &*validation)];
        wgrad_limited(80, &line, &paths).refused(1, &[full, "could not write", "too large"]);
    }
    for path in [&train, &validation] {
        assert_eq!(fs::read_to_string(path).unwrap(), "before");
    }
    let left = fs::read_dir(&directory).unwrap().count();
    assert_eq!(left, 4, "unfinished files are gone");
}
