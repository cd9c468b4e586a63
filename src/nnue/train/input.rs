//! The data of a run: opened, and checked before anything is written.

use super::run::Run;
use crate::error::Result;
use crate::nnue::Needs;
use crate::nnue::data::{Chess768, Dataset, Loader, LoaderSettings};
use std::sync::Arc;

/// The number of positions that are checked before a run writes anything. The others are checked
/// when they are read.
const CHECKED_AHEAD: usize = 1 << 20;

/// Checks the first records of a dataset, so that a damaged file is refused before a directory is
/// created.
pub(super) fn check_ahead(dataset: &Dataset, threads: usize) -> Result<()> {
    let settings = LoaderSettings::default().shuffle_buffer(0).threads(threads);
    let batches = CHECKED_AHEAD.div_ceil(settings.batch_size);
    Loader::new(dataset, Arc::new(Chess768), &settings, Needs::default())?
        .take(batches)
        .try_for_each(|batch| batch.map(drop))
}

/// The training data of a run, and its validation data.
pub(super) fn open_data(run: &Run) -> Result<(Dataset, Option<Dataset>)> {
    let validation = run.validation.as_ref();
    let validation = validation.map(|path| Dataset::open(std::slice::from_ref(path)));
    Ok((Dataset::open(&run.data)?, validation.transpose()?))
}
