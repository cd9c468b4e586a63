//! Directories, and the formats that a file's first bytes tell.

use crate::support::{START, file, lists, load, loader, sample_lines, settings, shipped};
use std::fs;
use std::path::{Path, PathBuf};
use wgrad::nnue::SparseInputs;
use wgrad::nnue::data::{Dataset, LoadedBatch};

/// The lists and the targets of all batches.
fn contents(batches: &[LoadedBatch]) -> Vec<([SparseInputs; 2], Vec<f32>)> {
    let content = |batch: &LoadedBatch| (lists(batch).clone(), batch.targets().to_vec());
    batches.iter().map(content).collect()
}

fn all(paths: &[PathBuf]) -> Vec<([SparseInputs; 2], Vec<f32>)> {
    contents(&load(paths, &settings(64, 128)).unwrap())
}

/// A line of text as a record of marlinformat. Rooks on a1 and h8 may castle.
fn marlin(line: &str) -> [u8; 32] {
    let fields: Vec<_> = line.split('|').map(str::trim).collect();
    let (mut occupied, mut pieces) = (0u64, Vec::new());
    let mut fen = fields[0].split(' ');
    for (rank, squares) in fen.next().unwrap().split('/').enumerate() {
        let mut square = 8 * (7 - rank as u32);
        for letter in squares.chars() {
            if let Some(empty) = letter.to_digit(10) {
                square += empty;
                continue;
            }
            let kind = "pnbrqk".find(letter.to_ascii_lowercase()).unwrap() as u8;
            let kind = if kind == 3 && (square == 0 || square == 63) {
                6
            } else {
                kind
            };
            occupied |= 1 << square;
            pieces.push((square, kind | u8::from(letter.is_lowercase()) << 3));
            square += 1;
        }
    }
    pieces.sort();
    let mut record = [0; 32];
    record[..8].copy_from_slice(&occupied.to_le_bytes());
    for (index, (_, code)) in pieces.into_iter().enumerate() {
        record[8 + index / 2] |= code << (4 * (index % 2));
    }
    record[24] = 64 | if fen.next() == Some("b") { 0x80 } else { 0 };
    record[25..28].copy_from_slice(&[3, 20, 0]);
    record[28..30].copy_from_slice(&fields[1].parse::<i16>().unwrap().to_le_bytes());
    record[30] = (2.0 * fields[2].parse::<f32>().unwrap()) as u8;
    record
}

#[test]
fn a_directory_is_its_files_in_name_order() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    fs::create_dir_all(directory.join("a.dir")).unwrap();
    let lines = sample_lines();
    let write = |name: &str, lines: &[String]| {
        let path = directory.join(name);
        fs::write(&path, lines.join("\n")).unwrap();
        path
    };
    let second = write("b", &lines[100..200]);
    let first = write("a.txt", &lines[..100]);
    write(".hidden", &lines[..3]);
    write("a.dir/inner", &lines[..3]);
    let single = file(&folder, "c.txt", lines[200..250].join("\n"));
    assert_eq!(
        all(&[directory, single.clone()]),
        all(&[first, second, single])
    );
}

#[test]
fn marlinformat_gives_the_positions_of_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let lines = &sample_lines()[..500];
    let text = file(&folder, "a.txt", lines.join("\n"));
    let records: Vec<_> = lines.iter().flat_map(|line| marlin(line)).collect();
    // The name does not tell the format.
    let binary = file(&folder, "b.txt", &records);
    let dataset = Dataset::open(std::slice::from_ref(&binary)).unwrap();
    assert_eq!(dataset.positions(), Some(500));
    let whole = load(std::slice::from_ref(&binary), &settings(64, 128)).unwrap();
    assert_eq!(contents(&whole), all(&[text]));
    for batch in [1, 3, 6] {
        let settings = settings(64, 128).start(*whole[batch - 1].next_place());
        let rest = loader(&dataset, &settings).unwrap();
        let rest: Vec<_> = rest.collect::<Result<_, _>>().unwrap();
        assert_eq!(contents(&rest), contents(&whole[batch..]), "batch {batch}");
    }
    let mut damaged = records.clone();
    damaged[32 * 7 + 30] = 9;
    let path = file(&folder, "c.bin", &damaged);
    let error = load(&[path], &settings(64, 0)).unwrap_err().to_string();
    let words = "record 7 (counted from 0), result: expected 0, 1 or 2, found 9";
    assert!(error.ends_with(words), "{error}");
    let path = file(&folder, "d.bin", &records[..40]);
    let error = Dataset::open(&[path]).unwrap_err().to_string();
    assert!(error.contains("found 40 bytes, 8 left over"), "{error}");
}

#[test]
fn a_text_needs_no_ending_and_a_sound_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let lines = sample_lines();
    let path = file(&folder, "a.bin", format!("{START} | x | 1.0\n{}", lines[0]));
    let error = load(&[path], &settings(64, 0)).unwrap_err().to_string();
    assert!(
        error.contains("a.bin: line 1, score: expected centipawns"),
        "{error}"
    );
    let records = fs::read(shipped("chess_validation.bin")).unwrap();
    let path = file(&folder, "b.txt", &records[..320]);
    assert_eq!(Dataset::open(&[path]).unwrap().positions(), Some(10));
}

#[test]
fn known_formats_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let found = |content: &[u8]| {
        let path: &Path = &file(&folder, "x.txt", content);
        let error = Dataset::open(&[path.into()]).unwrap_err().to_string();
        error.split_once("found ").unwrap().1.to_owned()
    };
    let plain = format!("fen {START}\nmove e2e4\nscore 20\nply 0\nresult 1\ne\n");
    let epd = "8/8/8/4k3/8/8/4P3/4K3 w - - c9 \"1-0\";\n";
    for (content, name) in [
        (&b"BINP\x00\x08\x00\x00"[..], "Stockfish binpack"),
        (plain.as_bytes(), "Stockfish .plain"),
        (epd.as_bytes(), "EPD"),
        (b"[Event \"x\"]\n", "PGN"),
    ] {
        // This feature reads it.
        if cfg!(feature = "binpack-gpl-3") && name == "Stockfish binpack" {
            continue;
        }
        let found = found(content);
        assert!(
            found.starts_with(name) && found.contains('('),
            "{name}: {found}"
        );
    }
}
