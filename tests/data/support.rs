//! Boards, records and files to load, and helpers to load them.

use bulletformat::ChessBoard;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use wgrad::error::Result;
use wgrad::nnue::data::{
    Chess768, Dataset, FeatureSet, Inputs, LoadedBatch, Loader, LoaderSettings, Perspective,
    Position, SparseInputs,
};

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
    *Position::from_fen(fen, score, 1).unwrap().board()
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
    Loader::new(dataset, Arc::new(Chess768), settings)
}

pub fn load(paths: &[PathBuf], settings: &LoaderSettings) -> Result<Vec<LoadedBatch>> {
    loader(&Dataset::open(paths)?, settings)?.collect()
}

pub fn lists(batch: &LoadedBatch) -> &[SparseInputs; 2] {
    match batch.batch.inputs() {
        Inputs::Sparse(lists) => lists,
        Inputs::Dense { .. } => panic!("the loader makes sparse batches"),
    }
}

pub fn features(position: &Position) -> [Vec<u32>; 2] {
    [Perspective::Own, Perspective::Other].map(|perspective| {
        let mut list = vec![u32::MAX; Chess768.width()];
        let count = Chess768.write(position, perspective, &mut list);
        list.truncate(count);
        list.sort();
        list
    })
}

pub fn settings(batch_size: usize, shuffle: usize) -> LoaderSettings {
    LoaderSettings {
        batch_size,
        shuffle,
        seed: 7,
        workers: 2,
        ..LoaderSettings::default()
    }
}
