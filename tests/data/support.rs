//! Boards, records and files to load, and helpers to load them.

use bulletformat::ChessBoard;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use wgrad::error::Result;
use wgrad::nnue::data::{
    Chess768, Dataset, FeatureSet, LoadedBatch, Loader, LoaderSettings, Perspective, Position,
};
use wgrad::nnue::{Inputs, Needs, SparseInputs};

pub const START: &str = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1";

pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/data")
        .join(name)
}

pub fn sample_lines() -> Vec<String> {
    let text = fs::read_to_string(shipped("chess_sample.txt")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// A drawn position.
pub fn board(fen: &str, score: i16) -> ChessBoard {
    let bytes = Position::from_fen(fen, score, 1).unwrap().to_bytes();
    ChessBoard {
        occ: u64::from_le_bytes(*bytes.first_chunk().unwrap()),
        pcs: *bytes[8..].first_chunk().unwrap(),
        score,
        result: bytes[26],
        ksq: bytes[27],
        opp_ksq: bytes[28],
        extra: [0; 3],
    }
}

pub fn start() -> ChessBoard {
    board(START, 0)
}

/// Writes a record without the checks that `Position` makes.
pub fn raw(board: &ChessBoard) -> Vec<u8> {
    let mut bytes = board.occ.to_le_bytes().to_vec();
    bytes.extend(board.pcs);
    bytes.extend(board.score.to_le_bytes());
    bytes.extend([board.result, board.ksq, board.opp_ksq]);
    bytes.extend(board.extra);
    bytes
}

pub fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::File::create(&path)
        .unwrap()
        .write_all(content.as_ref())
        .unwrap();
    path
}

pub fn loader(dataset: &Dataset, settings: &LoaderSettings) -> Result<Loader> {
    Loader::new(dataset, Arc::new(Chess768), settings, Needs::default())
}

pub fn load(paths: &[PathBuf], settings: &LoaderSettings) -> Result<Vec<LoadedBatch>> {
    loader(&Dataset::open(paths)?, settings)?.collect()
}

pub fn lists(batch: &LoadedBatch) -> &[SparseInputs; 2] {
    match batch.inputs() {
        Inputs::Sparse(lists) => lists,
        Inputs::Dense { .. } => panic!("the loader makes sparse batches"),
    }
}

pub fn features(position: &Position) -> [Vec<u32>; 2] {
    [Perspective::Own, Perspective::Other].map(|perspective| {
        let mut list = vec![u32::MAX; Chess768.max_indices()];
        let count = Chess768.write(position, perspective, &mut list);
        list.truncate(count);
        list.sort();
        list
    })
}

pub fn settings(batch_size: usize, shuffle: usize) -> LoaderSettings {
    LoaderSettings::default()
        .batch_size(batch_size)
        .shuffle_buffer(shuffle)
        .seed(7)
        .threads(2)
}

/// A dataset of several files and formats whose scores number its positions: 0, 1, 2, …
pub fn numbered(folder: &TempDir, counts: &[usize]) -> Vec<PathBuf> {
    let mut number = 0..;
    let mut next = || board(START, number.next().unwrap());
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

/// The scores of all batches.
pub fn order(paths: &[PathBuf], settings: &LoaderSettings) -> Vec<i16> {
    let batches = load(paths, settings).unwrap();
    let scores = batches.iter().flat_map(|batch| batch.scores());
    scores.copied().collect()
}
