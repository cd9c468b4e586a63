//! The data of a run: opened, and looked at before anything is written.

use super::run::Run;
use crate::engine::device::Device;
use crate::error::Result;
use crate::nnue::data::{Chess768, Dataset, Loader, LoaderSettings};
use std::sync::Arc;

/// Positions of a dataset that are checked before a run writes anything; the rest is checked as it is streamed.
const CHECKED_AHEAD: usize = 1 << 20;

/// Looks at the first records of a dataset, so that a damaged file is refused before a directory is made.
pub(super) fn check_ahead(dataset: &Dataset, threads: usize) -> Result<()> {
    let settings = LoaderSettings {
        shuffle: 0,
        workers: threads,
        transposed: false,
        ..LoaderSettings::default()
    };
    let batches = CHECKED_AHEAD.div_ceil(settings.batch_size);
    Loader::new(dataset, Arc::new(Chess768), &settings)?
        .take(batches)
        .try_for_each(|loaded| loaded.map(drop))
}

/// The batches of a dataset for a device: in turns with it where it computes on threads of the host.
pub(super) fn loader(
    device: &Device,
    dataset: &Dataset,
    settings: &LoaderSettings,
) -> Result<Loader> {
    let features = Arc::new(Chess768);
    match device.threads() {
        Some(threads) => Loader::in_turns(dataset, features, settings, threads),
        None => Loader::new(dataset, features, settings),
    }
}

/// The data of a run, and that of its validation.
pub(super) fn open_data(run: &Run) -> Result<(Dataset, Option<Dataset>)> {
    let validation = run.validation.as_ref();
    let validation = validation.map(|path| Dataset::open(std::slice::from_ref(path)));
    Ok((Dataset::open(&run.data)?, validation.transpose()?))
}
