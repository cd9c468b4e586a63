//! The text of every error, its place in the epoch, and settings that are refused.

use crate::support::{START, file, load, loader, raw, settings, shipped, start};
use bulletformat::ChessBoard;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path};
use tempfile::TempDir;
use wgrad::nnue::data::{Dataset, LoaderSettings, Place, Target};

/// The error of loading these files, without the folder.
fn complaint(folder: &TempDir, path: &Path) -> String {
    let error = load(&[path.into()], &settings(2, 0))
        .unwrap_err()
        .to_string();
    let name = format!("{}{MAIN_SEPARATOR}", folder.path().display());
    assert!(error.starts_with(&name), "{error} names the file");
    error.replace(&name, "")
}

#[test]
fn bad_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let says = |path: &Path| complaint(&folder, path);
    assert!(says(&folder.path().join("none.bin")).starts_with("none.bin: could not open: "));
    fs::create_dir(folder.path().join("folder")).unwrap();
    assert_eq!(
        says(&folder.path().join("folder")),
        "folder: directory: expected at least 1 file, found none"
    );
    // Opening a pipe that nobody writes to must not block.
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(
            says(&pipe),
            "pipe: type: expected a regular file, because the data are read again, found a pipe"
        );
    }
    assert_eq!(
        says(&file(&folder, "a.bin", "")),
        "a.bin: size: expected at least 1 position, found an empty file"
    );
    assert_eq!(
        says(&file(&folder, "a.txt", "\n \r\n")),
        "a.txt: lines: expected at least 1 position, found blank lines only"
    );
    let records = raw(&start()).repeat(3);
    assert_eq!(
        says(&file(&folder, "b.bin", &records[..70])),
        "b.bin: size: expected a multiple of 32 bytes, the length of a record, \
         found 70 bytes, 6 left over: truncated, or of another format"
    );
    let with_feature = "viriformat, Stockfish binpack, or";
    assert_eq!(
        says(&file(&folder, "c.bin", [0xff; 64])).replace(with_feature, "viriformat, or"),
        "c.bin: format: expected records of 32 bytes (bulletformat, marlinformat), games of \
         viriformat, or lines `FEN | score | result`, found a file of another format (as record 0, \
         occupancy: expected at most 32 pieces, found 64 pieces)"
    );
    assert!(
        says(&file(&folder, "d.csv", "a,b,c\n".repeat(32)))
            .starts_with("d.csv: line 1, score: expected centipawns")
    );
    assert_eq!(
        says(&file(&folder, "e.txt", [b'a'; 5000])),
        "e.txt: line 1: expected at most 4096 bytes, found more"
    );
    let mut line = [b'a'; 50];
    line[20] = 0xff;
    assert!(says(&file(&folder, "f.bin", line)).starts_with("f.bin: line 1, text: expected UTF-8"));
    assert!(
        Dataset::open(&[])
            .unwrap_err()
            .to_string()
            .contains("at least 1 file")
    );
}

#[test]
fn impossible_records_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let says = |change: &dyn Fn(&mut ChessBoard)| {
        let mut bad = start();
        change(&mut bad);
        let records = [raw(&start()), raw(&start()), raw(&start()), raw(&bad)].concat();
        let error = complaint(&folder, &file(&folder, "x.bin", records));
        error.replace("x.bin: record 3 (counted from 0), ", "")
    };
    assert_eq!(
        says(&|board| board.occ |= 1 << 30),
        "occupancy: expected at most 32 pieces, found 33 pieces"
    );
    // The fifth nibble is the piece on e1 = 4; it becomes a queen.
    assert_eq!(
        says(&|board| board.pcs[2] = board.pcs[2] & 0xf0 | 4),
        "own king: expected exactly 1 on the board, found 0"
    );
    assert_eq!(
        says(&|board| board.pcs[1] = board.pcs[1] & 0x0f | 0x50),
        "own king: expected exactly 1 on the board, found 2"
    );
    assert_eq!(
        says(&|board| board.pcs[15] = board.pcs[15] & 0x0f | 0xd0),
        "opponent's king: expected exactly 1 on the board, found 2"
    );
    assert_eq!(
        says(&|board| board.pcs[0] = board.pcs[0] & 0xf0 | 7),
        "piece on square 0: expected a code from 0 to 5, or 8 to 13 for the opponent, found piece code 7"
    );
    assert!(says(&|board| board.pcs[0] = 0x6e).contains("found piece code 14"));
    assert_eq!(
        says(&|board| board.result = 3),
        "result: expected 0, 1 or 2, found 3"
    );
    assert_eq!(
        says(&|board| board.ksq = 12),
        "own king square: expected 4 as on the board, found 12"
    );
    assert_eq!(
        says(&|board| board.opp_ksq = 60),
        "opponent's king square: expected 60 as on the board, found 4"
    );
    assert_eq!(
        says(&|board| board.score = i16::MIN),
        "score: expected -32767 to 32767, found -32768"
    );
    let empty = ChessBoard::default();
    assert_eq!(
        says(&|board| *board = empty),
        "own king: expected exactly 1 on the board, found 0"
    );
}

#[test]
fn a_byte_order_mark_before_the_first_line_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("{START} | 1 | 0.5\n");
    let path = file(&folder, "x.txt", format!("\u{feff}{line}{line}"));
    let batches = load(&[path], &settings(2, 0)).unwrap();
    assert_eq!(batches.iter().map(|batch| batch.len()).sum::<usize>(), 2);
}

#[test]
fn bad_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let says = |line: &str| {
        let content = format!("{START} | 1 | 0.5\n\n{START} | -2 | 1.0\n{line}\n");
        let error = complaint(&folder, &file(&folder, "x.txt", content));
        error.replace("x.txt: line 4, ", "")
    };
    assert_eq!(
        says(&format!("{START} | 12")),
        "fields: expected 3, FEN | score | result, found 2"
    );
    for score in ["32768", "-32768", "40000", "mate", "1e3", ""] {
        let range = "-32767 to 32767, found";
        let said = says(&format!("{START} | {score} | 0.5"));
        assert!(
            said.starts_with("score: expected ") && said.contains(range),
            "{said}"
        );
    }
    assert_eq!(
        says(&format!("{START} | 0 | 0.7")),
        "result: expected 1.0, 0.5 or 0.0, or 1-0, 1/2-1/2 or 0-1, found \"0.7\""
    );
    for (fen, field) in [
        ("", "number of fields"),
        ("4k3/8/8/8/8/8/8/4K3", "number of fields"),
        ("4k3/8/8/8/8/8/8/4K3 x - - 0 1", "side to move"),
        ("4k3/8/8/8/8/8/8/4K3 w ? - 0 1", "castling rights"),
        ("4k3/8/8/8/8/8/8/4K3 w - e9 0 1", "en passant square"),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 x", "clocks"),
        ("4k3/8/8/8/8/8/4K3 w - - 0 1", "number of ranks"),
        ("4k3/9/8/8/8/8/8/4K3 w - - 0 1", "pieces"),
        ("4k3/7/8/8/8/8/8/4K3 w - - 0 1", "rank 7"),
        ("8/8/8/8/8/8/8/4K3 w - - 0 1", "kings of Black"),
        ("4k3/8/8/8/8/8/8/4KK2 w - - 0 1", "kings of White"),
    ] {
        let said = says(&format!("{fen} | 0 | 0.5"));
        assert!(
            said.starts_with(&format!("FEN, {field}: expected ")),
            "{said}"
        );
    }
}

#[test]
fn an_error_comes_in_its_place_and_ends_the_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad = start();
    bad.result = 9;
    let records = [
        raw(&start()).repeat(25),
        raw(&bad),
        raw(&start()).repeat(100),
    ]
    .concat();
    let lines = format!("{START} | 0 | 0.5\n").repeat(25)
        + "?\n"
        + &format!("{START} | 0 | 0.5\n").repeat(100);
    for path in [
        file(&folder, "x.bin", records),
        file(&folder, "x.txt", lines),
    ] {
        let dataset = Dataset::open(&[path]).unwrap();
        for threads in [1, 3] {
            let base = settings(10, 0).threads(threads);
            let mut batches = loader(&dataset, &base).unwrap();
            let items: Vec<_> = batches.by_ref().map(|batch| batch.is_ok()).collect();
            assert_eq!(items, [true, true, false]);
            assert!(batches.next().is_none());
        }
    }
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!("{START} | 0 | 0.5\n");
    for (name, content) in [
        ("x.bin", raw(&start()).repeat(9)),
        ("x.txt", lines.repeat(9).into()),
    ] {
        let path = file(&folder, name, &content);
        let dataset = Dataset::open(std::slice::from_ref(&path)).unwrap();
        file(&folder, name, &content[..content.len() / 9 * 5]);
        let batches = loader(&dataset, &settings(2, 0)).unwrap();
        let error = batches
            .collect::<Result<Vec<_>, _>>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("as it was at the start"), "{error}");
        fs::remove_file(&path).unwrap();
        let mut batches = loader(&dataset, &settings(2, 0)).unwrap();
        let error = batches.next().unwrap().err().unwrap().to_string();
        assert!(error.contains("could not open"), "{error}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let dataset = Dataset::open(&[shipped("chess_sample.txt")]).unwrap();
    let refuses = |settings: LoaderSettings, name: &str| {
        let error = loader(&dataset, &settings).err().unwrap().to_string();
        assert!(error.starts_with(name), "{error}");
    };
    let base = settings(100, 0);
    let target = |lambda, scale| base.clone().target(Target::new(lambda, scale));
    refuses(base.clone().batch_size(0), "batch_size: expected 1 to ");
    refuses(
        base.clone().batch_size(1 << 26),
        "batch_size: expected 1 to ",
    );
    refuses(
        base.clone().threads(1025),
        "threads: expected at most 1024, found 1025",
    );
    refuses(
        target(1.5, 400.0),
        "lambda (λ): expected a number from 0 to 1, found 1.5",
    );
    refuses(target(f32::NAN, 400.0), "lambda");
    refuses(
        target(0.0, 0.0),
        "scale: expected a finite number above 0, found 0",
    );
    refuses(target(0.0, f32::INFINITY), "scale");
}

#[test]
fn places_outside_of_the_data_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [file(&folder, "x.bin", raw(&start()).repeat(100))];
    let place = |text: &str| -> Place { serde_json::from_str(text).unwrap() };
    for (start, expected) in [
        (
            Place::after(0, 11),
            "start, batches: expected at most the 10 batches",
        ),
        (
            place(r#"{"from": {"file": 1}}"#),
            "start, file: expected one of 1 files, found 1",
        ),
        (
            place(r#"{"from": {"offset": 3232}}"#),
            "size: expected at least 3232 bytes",
        ),
        (
            place(r#"{"from": {"offset": 3200}}"#),
            "no data from there on",
        ),
        (
            place(r#"{"used": 11}"#),
            "start, used: expected at most the 10 records",
        ),
    ] {
        let base = settings(10, 0).start(start).epochs(2);
        let error = load(&paths, &base).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
