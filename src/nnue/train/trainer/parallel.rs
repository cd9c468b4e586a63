//! A trainer as one of several ranks: rank 0 writes all files, and all decide together.

use super::Trainer;
use super::stage::Input;
use crate::engine::device::Device;
use crate::error::Result;
use crate::nnue::Parameters;
use crate::nnue::data::{LoadedBatch, Loader, Shards};
use crate::nnue::ranks::{self, Ranks};
use crate::nnue::train::stage::Stage;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// The shards of each batch that a rank computes.
pub(super) fn shards_of(ranks: &dyn Ranks, shards: usize) -> Result<Shards> {
    Ok(Shards::new(shards, ranks::shards_of(ranks, shards)?))
}

/// Where a training begins: its step, data and parameters. Ranks compare it.
pub(super) fn state_of(
    ranks: &dyn Ranks,
    step: u64,
    input: &Input,
    parameters: &Parameters,
) -> Result<BTreeMap<String, String>> {
    if ranks.count() == 1 {
        return Ok(BTreeMap::new());
    }
    let mut checksum = crc32fast::Hasher::new();
    for values in parameters.values() {
        checksum.update(bytemuck::cast_slice(values));
    }
    let data = input.dataset.fingerprint()?;
    let data = data.replacen('-', " positions with checksum ", 1);
    let parameters = format!("a checksum of {:08x}", checksum.finalize());
    // In the order of their names these follow the settings, which decide the parameters.
    let state = [
        ("start, data", data),
        ("start, step", step.to_string()),
        ("start, parameters", parameters),
    ];
    Ok(state.map(|(name, value)| (name.to_owned(), value)).into())
}

/// What decides the bits of a device, in words.
fn arithmetic(device: &Device) -> String {
    let (name, cpu) = (device.name(), std::env::consts::ARCH);
    match device.adapter() {
        Some(adapter) => format!("{name}, {}", adapter.driver),
        None => format!("{name}, {cpu} {:?}", pulp::Arch::new()),
    }
}

/// Checks that all ranks compute the same training with the same arithmetic. Returns the host and
/// the device of each rank, if there are several.
///
/// # Errors
/// The first difference from rank 0.
pub(super) fn check_ranks(
    ranks: &dyn Ranks,
    device: &Device,
    stages: &[Stage],
    state: BTreeMap<String, String>,
) -> Result<Vec<String>> {
    for stage in stages {
        shards_of(ranks, stage.settings.shards)?;
    }
    if ranks.count() == 1 {
        return Ok(Vec::new());
    }
    let mut values = state;
    values.insert("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    values.insert("device".to_owned(), arithmetic(device));
    for (index, stage) in stages.iter().enumerate() {
        let settings = serde_json::to_value(&stage.settings).unwrap_or_default();
        let settings = settings.as_object().into_iter().flatten();
        let name = |key| match stages.len() {
            1 => format!("settings, {key}"),
            _ => format!("stage {}, {key}", index + 1),
        };
        values.extend(settings.map(|(key, value)| (name(key), value.to_string())));
    }
    ranks::agree(ranks, &values)?;
    let own = format!("{}: {}", ranks.place(), device.name());
    let all = ranks.share(own.as_bytes())?.into_iter();
    Ok(all
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .collect())
}

impl Trainer {
    /// Whether this rank writes the files of the run.
    pub(super) fn writes(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Whether one of the ranks is asked to stop.
    pub(super) fn is_asked_to(&self, stop: &AtomicBool) -> Result<bool> {
        ranks::any(&*self.ranks, stop.load(Ordering::Relaxed))
    }

    /// The shards of the next batch that this rank computes; `None` after the last batch.
    pub(super) fn next_batch(&self, loader: &mut Loader) -> Option<Result<Vec<LoadedBatch>>> {
        let own = self.settings().shards / self.ranks.count();
        let shards: Result<Vec<_>> = loader.take(own).collect();
        match shards {
            Ok(shards) if shards.is_empty() => None,
            shards => Some(shards),
        }
    }
}
