//! Trainings in words.

use crate::recipe::SHIPPED;
use indicatif::HumanCount;
use std::path::{Path, PathBuf};
use wgrad::nnue::train::Settings;

/// The numbers of a stage in a line.
pub fn training(settings: &Settings) -> String {
    let length = match settings.in_superbatches() {
        true => format!(
            "{} of {} batches",
            crate::counted(settings.superbatches as usize, "superbatch")
                .replace("superbatchs", "superbatches"),
            HumanCount(settings.batches_per_superbatch)
        ),
        false => format!(
            "{} on batches",
            crate::counted(settings.epochs as usize, "epoch")
        ),
    };
    let warmup = match settings.warmup.steps {
        0 => String::new(),
        _ => format!(", warm-up {}", settings.warmup),
    };
    format!(
        "{length} of {}{}{}{}{}, {}, learning rate {} ({}{warmup}), {}, seed {}",
        HumanCount(settings.batch_size as u64),
        if settings.half { ", Z in 16 bits" } else { "" },
        match settings.half_weights {
            true => ", A in 16 bits",
            false => "",
        },
        match &settings.quantization_aware {
            Some(format) => format!(", quantized as {format}"),
            None => String::new(),
        },
        if settings.filter.is_some() {
            ", filtered"
        } else {
            ""
        },
        settings.optimizer,
        settings.learning_rate,
        settings.schedule,
        objective(settings),
        settings.seed,
    )
}

/// The files in a line.
pub fn data(files: &[PathBuf], validation: Option<&Path>) -> String {
    let shown = |path: &Path| {
        // The shipped data appear under their own names, in whatever directory they are.
        let shipped = SHIPPED.iter().find(|name| path.ends_with(name));
        shipped.map_or_else(|| path.display().to_string(), |name| (*name).to_owned())
    };
    let data = match files {
        [first, .., last] if files.len() > 3 => {
            format!("{} files, {} to {}", files.len(), shown(first), shown(last))
        }
        files => files
            .iter()
            .map(|path| shown(path))
            .collect::<Vec<_>>()
            .join(", "),
    };
    match validation {
        Some(path) => format!("{data}; validation {}", shown(path)),
        None => format!("{data}; no validation"),
    }
}

fn objective(settings: &Settings) -> String {
    format!(
        "{} (power {}, lambda {}{}, scale {}{})",
        settings.loss.name(),
        settings.loss.power,
        settings.lambda,
        match settings.lambda_schedule.is_constant() {
            true => String::new(),
            false => format!(" ({})", settings.lambda_schedule),
        },
        settings.scale,
        match settings.l1 {
            0.0 => String::new(),
            l1 => format!(", L1 penalty {l1}"),
        },
    )
}
