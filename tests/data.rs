//! The data floor: records, text, features, the loader's order, and the text of every error.

use bulletformat::ChessBoard;
use cozy_chess::{Board, Color, Square};
use std::fs;
use std::io::Write;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use wgrad::data::{
    Chess768, Dataset, FeatureSet, Inputs, LoadedBatch, Loader, LoaderSettings, PADDING, Position,
    SparseInputs, Target,
};

const START: &str = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/data")
        .join(name)
}

fn sample_lines() -> Vec<String> {
    let text = fs::read_to_string(shipped("chess_sample.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn start() -> ChessBoard {
    *Position::from_fen(START, 0, 1).unwrap().board()
}

/// A board of kings on e1 and e8 and nothing else.
fn kings() -> ChessBoard {
    *Position::from_fen("4k3/8/8/8/8/8/8/4K3 w - -", 0, 1)
        .unwrap()
        .board()
}

/// Writes a record without the checks that `Position` makes.
fn raw(board: &ChessBoard) -> Vec<u8> {
    let mut bytes = board.occ.to_le_bytes().to_vec();
    bytes.extend(board.pcs);
    bytes.extend(board.score.to_le_bytes());
    bytes.extend([board.result, board.ksq, board.opp_ksq]);
    bytes.extend(board.extra);
    bytes
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::File::create(&path)
        .unwrap()
        .write_all(content.as_ref())
        .unwrap();
    path
}

fn load(paths: &[PathBuf], settings: &LoaderSettings) -> wgrad::error::Result<Vec<LoadedBatch>> {
    Loader::new(&Dataset::open(paths)?, Arc::new(Chess768), settings)?.collect()
}

fn lists(batch: &LoadedBatch) -> &[SparseInputs; 2] {
    match batch.batch.inputs() {
        Inputs::Sparse(lists) => lists,
        Inputs::Dense { .. } => panic!("the loader makes sparse batches"),
    }
}

fn features(position: &Position) -> [Vec<i32>; 2] {
    let mut lists = [vec![PADDING; 32], vec![PADDING; 32]];
    let [own, other] = &mut lists;
    Chess768.write(position, own, other);
    lists.map(|mut list| {
        list.retain(|&index| index != PADDING);
        list.sort();
        list
    })
}

// Records and text

#[test]
fn every_shipped_line_is_read_as_the_board_that_it_spells() {
    let lines = sample_lines();
    assert_eq!(lines.len(), 5000);
    for line in lines {
        let position: Position = line.parse().unwrap();
        let fields: Vec<_> = line.split('|').map(str::trim).collect();
        let board: Board = fields[0].parse().unwrap();
        let black = board.side_to_move() == Color::Black;

        let mut placed = 0;
        for piece in position.pieces() {
            let square = Square::index(usize::from(if black {
                piece.square ^ 56
            } else {
                piece.square
            }));
            assert_eq!(board.piece_on(square).unwrap() as u8, piece.kind, "{line}");
            let own = board.color_on(square) == Some(board.side_to_move());
            assert_eq!(own, piece.own, "{line}");
            placed += 1;
        }
        assert_eq!(board.occupied().len(), placed, "{line}");

        let (score, result): (i16, f32) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
        assert_eq!(position.score(), if black { -score } else { score });
        assert_eq!(position.result(), if black { 1.0 - result } else { result });
        let own_king = board.king(board.side_to_move()) as u8;
        assert_eq!(
            position.kings()[0],
            if black { own_king ^ 56 } else { own_king }
        );
        assert_eq!(
            Position::from_bytes(&position.to_bytes()).unwrap(),
            position
        );
    }
}

#[test]
fn text_and_its_records_load_alike() {
    let folder = tempfile::tempdir().unwrap();
    let lines = sample_lines();
    let records: Vec<u8> = lines
        .iter()
        .flat_map(|line| line.parse::<Position>().unwrap().to_bytes())
        .collect();
    let binary = file(&folder, "sample.bin", records);
    // A name without a telling ending, blank lines, the line ends of another system, no clocks.
    let text: String = lines
        .iter()
        .map(|line| {
            let (fen, rest) = line.split_once(" | ").unwrap();
            let fen: Vec<_> = fen.split(' ').take(4).collect();
            format!("{} | {rest}\r\n \r\n", fen.join(" "))
        })
        .collect();
    let text = file(&folder, "sample.data", text);
    let settings = LoaderSettings {
        batch_size: 600,
        shuffle: 1000,
        skip: 2,
        ..LoaderSettings::default()
    };
    let expected = load(&[binary], &settings).unwrap();
    assert_eq!(expected.len(), 7);
    assert_eq!(load(&[text], &settings).unwrap(), expected);
    assert_eq!(
        load(&[shipped("chess_sample.txt")], &settings).unwrap(),
        expected
    );
}

#[test]
fn castling_rights_that_do_not_fit_and_late_clocks_do_no_harm() {
    for fen in [
        "4k3/8/8/8/8/8/8/4K3 w KQkq - 0 0",
        "4k3/8/8/8/8/8/8/4K3 w HAha e3 150 300",
        "4k3/8/8/8/8/8/8/4K3 w - -",
    ] {
        assert_eq!(*Position::from_fen(fen, 0, 1).unwrap().board(), kings());
    }
}

#[test]
fn shipped_records_are_all_positions() {
    for (name, count) in [
        ("chess_train.bin", 200_000),
        ("chess_validation.bin", 20_000),
    ] {
        let dataset = Dataset::open(&[shipped(name)]).unwrap();
        assert_eq!(dataset.positions(), count);
        let settings = LoaderSettings {
            shuffle: 0,
            ..LoaderSettings::default()
        };
        let loader = Loader::new(&dataset, Arc::new(Chess768), &settings).unwrap();
        let loaded: usize = loader.map(|batch| batch.unwrap().batch.len()).sum();
        assert_eq!(loaded as u64, count);
    }
}

// Features and targets

#[test]
fn features_of_the_start_position() {
    // Of the side to move: pawns on a2 to h2 are 8 to 15, knights 64 + 1 and 6, bishops 128 + 2 and 5, rooks
    // 192 + 0 and 7, the queen 256 + 3, the king 320 + 4; of the other side 384 more, from rank 7 and 8.
    let mut expected: Vec<i32> = (8..16)
        .chain([65, 70, 130, 133, 192, 199, 259, 324])
        .collect();
    expected.extend((432..440).chain([505, 510, 570, 573, 632, 639, 699, 764]));
    let position = Position::new(start()).unwrap();
    assert_eq!(features(&position), [expected.clone(), expected]);
}

#[test]
fn features_with_black_to_move() {
    // Black: king g8, rook a8; White: king e1, pawn e4.
    let position = Position::from_fen("r5k1/8/8/8/4P3/8/8/4K3 b - - 0 1", 35, 2).unwrap();
    // As Black sees it the king stands on g1 = 6, the rook on a1 = 0; the opponent's king on e8 = 60, the pawn on e5 = 36.
    let own = vec![192, 320 + 6, 384 + 36, 384 + 320 + 60];
    // As White sees it the own pawn is on e4 = 28, the king on e1 = 4; the rook on a8 = 56, the king on g8 = 62.
    let other = vec![28, 320 + 4, 384 + 192 + 56, 384 + 320 + 62];
    assert_eq!(features(&position), [own, other]);
    assert_eq!(position.score(), -35);
    assert_eq!(position.result(), 0.0);
}

#[test]
fn colours_swapped_is_the_same_and_the_other_side_to_move_swaps_perspectives() {
    for line in sample_lines().iter().step_by(7) {
        let position: Position = line.parse().unwrap();
        let fields: Vec<_> = line.split(' ').collect();
        let side = if fields[1] == "w" { "b" } else { "w" };
        let swapped: String = fields[0]
            .chars()
            .map(|c| {
                if c.is_ascii_uppercase() {
                    c.to_ascii_lowercase()
                } else {
                    c.to_ascii_uppercase()
                }
            })
            .collect();
        let mirrored: Vec<_> = swapped.split('/').rev().collect();
        let mirrored = format!("{} {side} - -", mirrored.join("/"));
        let mirrored = Position::from_fen(&mirrored, 0, 1).unwrap();
        assert_eq!(features(&mirrored), features(&position));

        // Not every position stays legal when the other side is to move.
        if let Ok(passed) = Position::from_fen(&format!("{} {side} - -", fields[0]), 0, 1) {
            let [own, other] = features(&position);
            assert_eq!(features(&passed), [other, own]);
        }
    }
}

#[test]
fn targets_blend_result_and_score() {
    let position = Position::from_fen(START, 200, 2).unwrap();
    let target = |lambda| {
        Target {
            lambda,
            scale: 400.0,
        }
        .of(&position)
    };
    assert_eq!(target(1.0), 1.0);
    assert!((target(0.0) - 0.622_459_3).abs() < 1e-7);
    assert!((target(0.25) - (0.25 + 0.75 * 0.622_459_3)).abs() < 1e-7);
    assert_eq!(Target::default().sigmoid(200), target(0.0));
    assert_eq!(Target::default().sigmoid(0), 0.5);
}

// The loader

/// A dataset of several files and formats whose scores number its positions: 0, 1, 2, …
fn numbered(folder: &TempDir, counts: &[usize]) -> Vec<PathBuf> {
    let mut number = 0..;
    let mut next = || {
        *Position::from_fen(START, number.next().unwrap(), 1)
            .unwrap()
            .board()
    };
    let write = |(part, &count)| {
        if part == 1 {
            let line = |_| format!("{START} | {} | 0.5\n", next().score);
            return file(folder, "part.txt", (0..count).map(line).collect::<String>());
        }
        let records: Vec<_> = (0..count).flat_map(|_| raw(&next())).collect();
        file(folder, &format!("part{part}.bin"), records)
    };
    counts.iter().enumerate().map(write).collect()
}

fn settings(batch_size: usize, shuffle: usize) -> LoaderSettings {
    LoaderSettings {
        batch_size,
        shuffle,
        seed: 7,
        workers: 2,
        ..LoaderSettings::default()
    }
}

fn order(paths: &[PathBuf], settings: &LoaderSettings) -> Vec<i16> {
    let batches = load(paths, settings).unwrap();
    batches.into_iter().flat_map(|batch| batch.scores).collect()
}

#[test]
fn an_epoch_brings_each_position_once_in_an_order_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[301, 200, 502]);
    let all: Vec<i16> = (0..1003).collect();
    for shuffle in [1, 64, 250, 5000] {
        let base = settings(90, shuffle);
        let first = order(&paths, &base);
        let mut sorted = first.clone();
        sorted.sort();
        assert_eq!(sorted, all);
        assert_eq!(order(&paths, &base), first);
        if shuffle > 1 {
            assert_ne!(
                order(
                    &paths,
                    &LoaderSettings {
                        seed: 8,
                        ..base.clone()
                    }
                ),
                first
            );
            assert_ne!(order(&paths, &LoaderSettings { epoch: 1, ..base }), first);
            // Blocks are shuffled each in its own way.
            let block = |at: usize| {
                first[at * shuffle..]
                    .iter()
                    .take(64)
                    .map(move |n| *n as usize - at * shuffle)
            };
            assert!(shuffle == 5000 || !block(0).eq(block(1)));
        }
    }
    assert_eq!(order(&paths, &settings(90, 0)), all);
}

#[test]
fn the_last_batch_is_partial() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[50, 40, 13]);
    let sizes = |batch_size| -> Vec<_> {
        let batches = load(&paths, &settings(batch_size, 30)).unwrap();
        assert_eq!(
            Dataset::open(&paths).unwrap().batches(batch_size),
            batches.len() as u64
        );
        batches.iter().map(|loaded| loaded.batch.len()).collect()
    };
    assert_eq!(sizes(40), [40, 40, 23]);
    assert_eq!(sizes(103), [103]);
    assert_eq!(sizes(1000), [103]);
    assert_eq!(sizes(1), [1; 103]);
}

#[test]
fn workers_have_no_influence() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    let with = |workers| {
        load(
            &paths,
            &LoaderSettings {
                workers,
                ..settings(17, 100)
            },
        )
        .unwrap()
    };
    let one = with(1);
    assert_eq!(with(2), one);
    assert_eq!(with(5), one);
}

#[test]
fn skipping_gives_the_rest_of_the_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let paths = numbered(&folder, &[300, 200, 503]);
    for shuffle in [0, 7, 64, 5000] {
        let base = settings(48, shuffle);
        let whole = load(&paths, &base).unwrap();
        assert_eq!(whole.len(), 21);
        for skip in 0..=21 {
            let rest = load(
                &paths,
                &LoaderSettings {
                    skip,
                    ..base.clone()
                },
            )
            .unwrap();
            assert_eq!(rest, whole[skip as usize..]);
        }
    }
}

#[test]
fn a_loaded_batch_is_what_its_positions_say() {
    let lines = sample_lines();
    let target = Target {
        lambda: 0.3,
        scale: 300.0,
    };
    let base = LoaderSettings {
        target,
        ..settings(512, 0)
    };
    let batches = load(&[shipped("chess_sample.txt")], &base).unwrap();
    let mut lines = lines.iter();
    for loaded in &batches {
        let [own, other] = lists(loaded);
        for sample in 0..loaded.batch.len() {
            let position: Position = lines.next().unwrap().parse().unwrap();
            let list = |inputs: &SparseInputs| {
                let list = &inputs.indices()[sample * 32..][..32];
                let mut list: Vec<_> = list
                    .iter()
                    .copied()
                    .filter(|&index| index != PADDING)
                    .collect();
                list.sort();
                list
            };
            assert_eq!([list(own), list(other)], features(&position));
            assert_eq!(loaded.batch.targets()[sample], target.of(&position));
            assert_eq!(loaded.scores[sample], position.score());
            assert_eq!(loaded.results[sample], position.result());
        }
    }
    assert!(lines.next().is_none());
}

#[test]
fn a_loader_dropped_half_way_ends_its_threads() {
    let dataset = Dataset::open(&[shipped("chess_train.bin")]).unwrap();
    for taken in [0, 1, 5] {
        let held: Arc<dyn FeatureSet> = Arc::new(Chess768);
        let base = LoaderSettings {
            workers: 3,
            ..settings(256, 10_000)
        };
        let mut loader = Loader::new(&dataset, held.clone(), &base).unwrap();
        assert_eq!(loader.by_ref().take(taken).count(), taken);
        drop(loader);
        assert_eq!(Arc::strong_count(&held), 1, "a worker still lives");
    }
}

/// A set of features that panics at a certain score.
struct Panics;

impl FeatureSet for Panics {
    fn features(&self) -> usize {
        1
    }
    fn width(&self) -> usize {
        1
    }
    fn write(&self, position: &Position, own: &mut [i32], _: &mut [i32]) {
        assert_ne!(position.score(), 100, "as the test wants");
        own[0] = 0;
    }
}

#[test]
fn a_panic_in_a_worker_reaches_the_consumer_after_the_batches_before() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Dataset::open(&numbered(&folder, &[1000])).unwrap();
    for workers in [1, 4] {
        let base = LoaderSettings {
            workers,
            ..settings(10, 0)
        };
        let mut loader = Loader::new(&dataset, Arc::new(Panics), &base).unwrap();
        assert!(loader.by_ref().take(10).all(|batch| batch.is_ok()));
        let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| loader.next()));
        let panic = next.expect_err("the panic goes on");
        assert!(
            panic
                .downcast_ref::<String>()
                .unwrap()
                .contains("as the test wants")
        );
        assert!(loader.next().is_none());
    }
}

#[test]
fn the_fingerprint_follows_content_and_not_names() {
    let folder = tempfile::tempdir().unwrap();
    let print = |paths: &[PathBuf]| Dataset::open(paths).unwrap().fingerprint().unwrap();
    let paths = numbered(&folder, &[301, 200, 502]);
    let first = print(&paths);
    assert!(first.starts_with("1003-"), "{first}");
    assert_eq!(print(&paths), first);
    assert_ne!(
        print(&[paths[1].clone(), paths[0].clone(), paths[2].clone()]),
        first
    );
    let renamed = folder.path().join("renamed");
    fs::copy(&paths[0], &renamed).unwrap();
    assert_eq!(print(&[renamed, paths[1].clone(), paths[2].clone()]), first);
    let mut changed = fs::read(&paths[2]).unwrap();
    changed[24] ^= 1;
    fs::write(&paths[2], changed).unwrap();
    assert_ne!(print(&paths), first);
}

// Errors

/// What loading these files says, without the folder.
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
    assert!(says(&folder.path().join("folder")).starts_with("folder: could not "));
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
         found 70 bytes, 6 left over: truncated or foreign"
    );
    assert_eq!(
        says(&file(&folder, "c.bin", [0xff; 64])),
        "c.bin: format: expected bulletformat records of 32 bytes, or lines `FEN | score | result` (.txt, .fen, \
         .epd, .plain), found a foreign file (as record 0, occupancy: expected at most 32 pieces, found 64 pieces)"
    );
    assert!(says(&file(&folder, "d.csv", "a,b,c\n".repeat(32))).contains("found a foreign file"));
    assert_eq!(
        says(&file(&folder, "e.txt", [0xff; 5000])),
        "e.txt: line 1: expected at most 4096 bytes, found more"
    );
    assert!(
        says(&file(&folder, "f.txt", [0xff; 50]))
            .starts_with("f.txt: line 1, text: expected UTF-8")
    );
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
    // On e1 = 4, the fifth nibble, a queen.
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
    for score in ["32768", "-32768", "40000", "mate", "1.5", ""] {
        let range = "-32767 to 32767, found";
        let said = says(&format!("{START} | {score} | 0.5"));
        assert!(
            said.starts_with("score: expected ") && said.contains(range),
            "{said}"
        );
    }
    assert_eq!(
        says(&format!("{START} | 0 | 0.7")),
        "result: expected 1.0, 0.5 or 0.0, found \"0.7\""
    );
    for fen in [
        "",
        "4k3/8/8/8/8/8/8/4K3",
        "4k3/8/8/8/8/8/8/4K3 w -",
        "4k3/8/8/8/8/8/8/4K3 w - - 0",
        "4k3/8/8/8/8/8/8/4K3 x - - 0 1",
        "4k3/8/8/8/8/8/8/4K3 w ? - 0 1",
        "4k3/8/8/8/8/8/8/4K3 w - e9 0 1",
        "4k3/8/8/8/8/8/8/4K3 w - - 0 x",
        "4k3/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/9/8/8/8/8/8/4K3 w - - 0 1",
        "8/8/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/8/8/8/8/8/8/4KK2 w - - 0 1",
        "4k3/4R3/8/8/8/8/8/4K3 w - - 0 1",
    ] {
        let said = says(&format!("{fen} | 0 | 0.5"));
        assert!(
            said.starts_with(&format!("FEN: expected a legal position, found {fen:?} (")),
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
        for workers in [1, 3] {
            let base = LoaderSettings {
                workers,
                ..settings(10, 0)
            };
            let mut loader = Loader::new(&dataset, Arc::new(Chess768), &base).unwrap();
            let items: Vec<_> = loader.by_ref().map(|batch| batch.is_ok()).collect();
            assert_eq!(items, [true, true, false]);
            assert!(loader.next().is_none());
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
        let loader = Loader::new(&dataset, Arc::new(Chess768), &settings(2, 0)).unwrap();
        let error = loader
            .collect::<Result<Vec<_>, _>>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("when opened"), "{error}");
        fs::remove_file(&path).unwrap();
        let mut loader = Loader::new(&dataset, Arc::new(Chess768), &settings(2, 0)).unwrap();
        let error = loader.next().unwrap().err().unwrap().to_string();
        assert!(error.contains("could not open"), "{error}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let dataset = Dataset::open(&[shipped("chess_sample.txt")]).unwrap();
    let refuses = |settings: LoaderSettings, name: &str| {
        let error = Loader::new(&dataset, Arc::new(Chess768), &settings)
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with(name), "{error}");
    };
    let base = settings(100, 0);
    let target = |lambda, scale| LoaderSettings {
        target: Target { lambda, scale },
        ..base.clone()
    };
    refuses(
        LoaderSettings {
            batch_size: 0,
            ..base.clone()
        },
        "batch size: expected 1 to ",
    );
    refuses(
        LoaderSettings {
            batch_size: 1 << 26,
            ..base.clone()
        },
        "batch size: expected 1 to ",
    );
    refuses(
        LoaderSettings {
            workers: 0,
            ..base.clone()
        },
        "workers: expected at least 1, found 0",
    );
    refuses(
        LoaderSettings {
            skip: 51,
            ..base.clone()
        },
        "skip: expected at most the 50 batches",
    );
    refuses(target(1.5, 400.0), "lambda: expected 0 to 1, found 1.5");
    refuses(target(f32::NAN, 400.0), "lambda");
    refuses(
        target(0.0, 0.0),
        "scale: expected a finite number above 0, found 0",
    );
    refuses(target(0.0, f32::INFINITY), "scale");
}

// Sparse inputs

#[test]
fn sparse_inputs_refuse_bad_lists() {
    let says = |width, indices: &[i32]| {
        let error = SparseInputs::new("X1", 10, width, indices.to_vec()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        says(2, &[0, 1, 2, 10]),
        "X1, sample 1: expected an index from 0 to 9 or -1, found 10"
    );
    assert!(says(2, &[-2, 1]).starts_with("X1, sample 0"));
    assert_eq!(
        says(3, &[0, 1, 2, 5, -1, 5]),
        "X1, sample 1: expected each index at most once, found 5 twice"
    );
    assert!(says(2, &[0, 1, 2]).contains("found 3 indices"));
    assert!(says(0, &[]).contains("at least 1 each"));
    assert!(
        SparseInputs::new("X1", 0, 1, vec![0])
            .unwrap_err()
            .to_string()
            .contains("at least 1 feature")
    );
}

#[test]
fn the_transposed_index_is_the_naive_one() {
    let batches = load(&[shipped("chess_validation.bin")], &settings(1000, 4000)).unwrap();
    let padded_anywhere =
        SparseInputs::new("X1", 5, 3, vec![-1, 4, 0, 0, -1, -1, -1, -1, -1, 4, 3, 0]).unwrap();
    assert_eq!(padded_anywhere.samples(), [0, 1, 3, 3, 0, 3]);
    for inputs in batches
        .iter()
        .take(2)
        .flat_map(lists)
        .chain([&padded_anywhere])
    {
        assert_eq!(inputs.offsets().len(), inputs.features() + 1);
        for feature in 0..inputs.features() {
            let [from, to] = [0, 1].map(|end| inputs.offsets()[feature + end] as usize);
            let naive: Vec<u32> = inputs
                .indices()
                .chunks(inputs.width())
                .zip(0..)
                .filter(|(list, _)| list.contains(&(feature as i32)))
                .map(|(_, sample)| sample)
                .collect();
            assert_eq!(inputs.samples()[from..to], naive);
        }
        assert_eq!(
            *inputs.offsets().last().unwrap() as usize,
            inputs.samples().len()
        );
    }
}
