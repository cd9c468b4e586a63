//! Every reader of files on the files of the fuzzing corpora, and on damaged copies of them.

#[path = "../fuzz/readers.rs"]
mod readers;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

/// Damaged copies of each file.
const COPIES: usize = 60;

/// Overwrites, removes, repeats or cuts some bytes.
fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let start = random.random_range(0..bytes.len());
        let end = bytes.len().min(start + random.random_range(1..9));
        match random.random_range(0..6) {
            0 => bytes[start] ^= 1 << random.random_range(0..8),
            1 => bytes[start..end].fill(*[0, 1, 0x7f, 0xff].get(start % 4).unwrap_or(&0)),
            2 => drop(bytes.drain(start..end)),
            3 => bytes.extend_from_within(start..end),
            4 => bytes.truncate(start),
            _ => bytes[start] = random.random(),
        }
    }
}

#[test]
fn no_reader_panics_on_its_corpus_or_on_damaged_copies() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut names: Vec<_> = fs::read_dir(&corpora)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut known = readers::ALL.map(|(name, _)| name);
    known.sort_unstable();
    assert_eq!(names, known);
    for (name, read) in readers::ALL {
        let mut files: Vec<_> = fs::read_dir(corpora.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{name}");
        for file in files {
            let whole = fs::read(&file).unwrap();
            read(&whole);
            for _ in 0..COPIES {
                let mut bytes = whole.clone();
                damage(&mut bytes, &mut random);
                read(&bytes);
            }
        }
    }
}
