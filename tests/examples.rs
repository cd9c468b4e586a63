//! Examples print what their head comments say.
//!
//! Words must agree, in order; numbers to 5%, for a GPU's and another platform's last digits differ. A line `…` stands for
//! any lines. An example that takes a minute runs with `--quick`, and its numbers are free.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The lines of the last ```text block in the head comment.
fn promised(source: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(source).unwrap();
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    let head: Vec<&str> = head
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let start = head.iter().rposition(|line| *line == "```text").unwrap();
    let block = head[start + 1..].iter().take_while(|line| **line != "```");
    block.map(|line| (*line).to_owned()).collect()
}

/// The largest relative difference of two numbers.
const TOLERANCE: f64 = 0.05;

/// Whether two words are the same, or numbers that are nearly so.
fn agree(promised: &str, found: &str, tolerance: f64) -> bool {
    let number = |word: &str| {
        let word = word.trim_matches(|letter: char| "[](),%:".contains(letter));
        word.parse::<f64>().ok()
    };
    match (number(promised), number(found)) {
        (Some(a), Some(b)) => (a - b).abs() <= tolerance * a.abs().max(b.abs()),
        _ => promised == found,
    }
}

fn same_line(promised: &str, found: &str, tolerance: f64) -> bool {
    let (promised, found): (Vec<_>, Vec<_>) = (
        promised.split_whitespace().collect(),
        found.split_whitespace().collect(),
    );
    let mut words = promised.iter().zip(&found);
    promised.len() == found.len() && words.all(|(a, b)| agree(a, b, tolerance))
}

/// Where `cargo test` puts the examples.
fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples")
}

#[test]
fn every_example_prints_what_its_comment_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pictures = tempfile::tempdir().unwrap();
    let mut sources: Vec<PathBuf> = std::fs::read_dir(root.join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    sources.sort();
    assert!(sources.len() >= 10);
    for source in sources {
        let name = source.file_stem().unwrap();
        let program = programs().join(name);
        let mut command = Command::new(&program);
        // Sixty epochs carry the last digits of a GPU into the first.
        if name == "05_digits" {
            command
                .arg("--picture")
                .arg(pictures.path().join("digits.svg"));
        }
        let mut tolerance = TOLERANCE;
        if name == "09_connect_four" {
            command.arg("--quick");
            tolerance = f64::MAX;
        }
        let ended = command.current_dir(root).output();
        let ended = ended.unwrap_or_else(|error| {
            panic!("{}: {error}; run all of `cargo test`", program.display())
        });
        assert!(ended.status.success(), "{name:?}: {ended:?}");
        let found = String::from_utf8(ended.stdout).unwrap();
        let mut lines = found.lines();
        for promised in promised(&source).iter().filter(|line| *line != "…") {
            // The picture's place is the test's own.
            let wanted = |line: &str| match promised.strip_prefix("curves in ") {
                Some(_) => line.starts_with("curves in "),
                None => same_line(promised, line, tolerance),
            };
            assert!(
                lines.any(wanted),
                "{name:?}: promised {promised:?}, found\n{found}"
            );
        }
    }
}

#[test]
fn other_words_and_other_numbers_are_noticed() {
    let same_line = |promised, found| same_line(promised, found, TOLERANCE);
    assert!(same_line("C has 128 weights", "C has  128 weights"));
    assert!(same_line(
        "loss: 0.100, J = [1.0,",
        "loss: 0.101, J = [1.0,"
    ));
    assert!(!same_line("loss 0.100", "loss 0.110"));
    assert!(!same_line("loss 0.100", "gain 0.100"));
    assert!(!same_line("loss 0.100", "loss 0.100 nats"));
    assert!(!same_line("sum [1.0, 2.0]", "sum [1.0, NaN]"));
    assert!(agree("1.0", "7.0", f64::MAX));
    assert!(!agree("1.0", "NaN", f64::MAX));
}
