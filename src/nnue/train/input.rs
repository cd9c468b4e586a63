//! The data of a run: opened, and checked before anything is written.

use crate::error::Result;
use crate::nnue::Needs;
use crate::nnue::data::{Chess768, Dataset, Loader, LoaderSettings};
use std::path::PathBuf;
use std::sync::Arc;

/// The number of positions that are checked before a run writes anything. The others are checked
/// when they are read.
const CHECKED_AHEAD: usize = 1 << 20;

/// Checks the first records of a dataset, so that a damaged file is refused before a directory is
/// created, unless damaged records are left out.
pub(super) fn check_ahead(dataset: &Dataset, threads: usize) -> Result<()> {
    let settings = LoaderSettings::default().shuffle_buffer(0).threads(threads);
    let batches = CHECKED_AHEAD.div_ceil(settings.batch_size);
    let Some(whole) = dataset.unsieved() else {
        return Ok(());
    };
    Loader::new(&whole, Arc::new(Chess768), &settings, Needs::default())?
        .take(batches)
        .try_for_each(|batch| batch.map(drop))
}

/// Opens data files.
pub(super) fn open(files: &[PathBuf]) -> Result<Dataset> {
    Dataset::open(files)
}
