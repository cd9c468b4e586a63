//! The summary of a run: how far it is, its losses, its data and its device.

use super::page::{Page, escaped};
use crate::describe;
use indicatif::{HumanCount, HumanDuration};
use std::time::Duration;
use wgrad::nnue::train::{Config, History, Point};

/// The last steps whose mean is the training loss at the end.
const LAST: u64 = 64;

/// A fact: its name, its value, and a smaller line below.
struct Fact {
    name: &'static str,
    value: String,
    below: String,
}

fn fact(name: &'static str, value: impl Into<String>, below: impl Into<String>) -> Fact {
    Fact {
        name,
        value: value.into(),
        below: below.into(),
    }
}

/// Adds the summary.
pub fn push(page: &mut Page, history: &History, config: Option<&Config>) {
    let settings = history.stages.last().map(|(_, settings)| settings);
    if let Some(settings) = settings {
        let architecture = &settings.architecture;
        let line = format!(
            "{architecture}, {}; inputs {}; output buckets {}",
            architecture.activation.name(),
            settings.inputs,
            settings.output_buckets
        );
        page.text("faint", &line);
    }
    page.push("<dl class=\"facts\">");
    for Fact { name, value, below } in facts(history, config) {
        let wide = match value.len() > 24 {
            true => " class=\"wide\"",
            false => "",
        };
        let below = match below.is_empty() {
            true => String::new(),
            false => format!("<small>{}</small>", escaped(below)),
        };
        page.push(format_args!(
            "<div{wide}><dt>{name}</dt><dd>{}{below}</dd></div>",
            // A long path may break after a slash.
            escaped(value).replace('/', "/<wbr>")
        ));
    }
    page.push("</dl>");
    for (index, (_, settings)) in history.stages.iter().enumerate() {
        let line = describe::training(settings);
        let line = match history.stages.len() {
            1 => line,
            _ => format!("stage {}: {line}", index + 1),
        };
        page.text("faint", &line);
    }
}

fn facts(history: &History, config: Option<&Config>) -> Vec<Fact> {
    let last = history.steps.last();
    let steps = last.map_or(0, |last| last.step);
    let mut facts = Vec::new();
    let state = match &history.end {
        None => "going on, or killed",
        Some((reason, _)) => reason,
    };
    let epochs = history.stages.iter().map(|(_, settings)| {
        let length = match settings.in_superbatches() {
            true => settings.superbatches,
            false => settings.epochs,
        };
        crate::counted(length as usize, settings.period_name()).replace("batchs", "batches")
    });
    let epochs = epochs.collect::<Vec<_>>().join(", ");
    facts.push(fact("state", state, ""));
    facts.push(fact("steps", HumanCount(steps).to_string(), epochs));
    if let Some(best) = history.best() {
        let below = format!(
            "after step {}, correlation {:.4}",
            HumanCount(best.step),
            best.correlation
        );
        facts.push(fact("best validation loss", loss(best.loss), below));
    }
    if let Some(end) = history.validations.last() {
        let below = format!(
            "correlation {:.4} over {} positions",
            end.correlation,
            HumanCount(end.positions)
        );
        facts.push(fact("last validation loss", loss(end.loss), below));
    }
    // A line of the log may tell of more steps than are wanted.
    let (mut count, mut sum) = (0, 0.0);
    for point in history.steps.iter().rev() {
        if count < LAST {
            count += point.steps;
            sum += point.loss * point.steps as f64;
        }
    }
    let mean = sum / count as f64;
    let below = format!(
        "mean of the last {}",
        crate::counted(count as usize, "step")
    );
    facts.push(fact("last training loss", loss(mean), below));
    let (positions, seconds) = history
        .steps
        .chunk_by(|a, b| a.call == b.call)
        .filter_map(<[Point]>::last)
        .filter(|last| last.seconds.is_finite())
        .fold((0, 0.0), |sum, last| {
            (sum.0 + last.positions, sum.1 + last.seconds)
        });
    if seconds > 0.0 {
        let time = match seconds {
            seconds if seconds < 120.0 => format!("{seconds:.1} s"),
            seconds => HumanDuration(Duration::from_secs_f64(seconds)).to_string(),
        };
        facts.push(fact("training time", time, "without validations"));
        let speed = HumanCount((positions as f64 / seconds) as u64);
        facts.push(fact(
            "positions per second",
            speed.to_string(),
            "mean of all steps",
        ));
    }
    let mut devices: Vec<&str> = history.devices.iter().map(String::as_str).collect();
    devices.dedup();
    facts.push(fact("device", devices.join(", then "), ""));
    let mut positions = history.positions.map_or(String::new(), |positions| {
        format!("{} positions", HumanCount(positions))
    });
    if let Some(config) = config {
        let run = &config.run;
        if !run.data.is_empty() {
            let data = describe::data(&run.data, run.validation.as_deref());
            facts.push(fact("data", data, std::mem::take(&mut positions)));
        }
    }
    if !positions.is_empty() {
        facts.push(fact("data", positions, ""));
    }
    facts
}

fn loss(loss: f64) -> String {
    format!("{loss:.6}")
}
