//! What a network does on positions, in tables and in JSON.

use crate::{Failure, print};
use indicatif::HumanCount;
use serde::Serialize;
use wgrad::nnue::Architecture;
use wgrad::nnue::train::Objective;
use wgrad::nnue::train::inspect::{Inspection, Neurons, PHASES};

/// An inspection with everything that follows from it.
#[derive(Serialize)]
pub struct Activity {
    /// What the losses mean.
    pub objective: Objective,
    #[serde(flatten)]
    pub found: Inspection,
    pub neurons: Vec<Neurons>,
    pub phases: Vec<Phase>,
}

/// Positions by their number of pieces.
#[derive(Serialize)]
pub struct Phase {
    /// The least and the greatest number of pieces.
    pub pieces: [usize; 2],
    pub positions: u64,
    /// NaN without positions.
    pub loss: f64,
}

impl Activity {
    pub fn new(objective: Objective, found: Inspection, architecture: &Architecture) -> Self {
        let mut first = 2;
        let phases = PHASES.into_iter().zip(found.phases()).map(|(last, group)| {
            let pieces = [first, last];
            first = last + 1;
            Phase {
                pieces,
                positions: group.positions,
                loss: group.loss,
            }
        });
        Self {
            objective,
            phases: phases.collect(),
            neurons: found.neurons(architecture.tied),
            found,
        }
    }

    /// What was trained, in a line.
    pub fn objective_text(&self) -> String {
        let objective = &self.objective;
        format!(
            "{}, power {}, lambda {}, scale {}",
            objective.loss.name(),
            objective.loss.power,
            objective.lambda,
            objective.scale,
        )
    }

    /// The share of the positions, in percent.
    pub fn percent(&self, positions: u64) -> f64 {
        100.0 * positions as f64 / self.found.positions as f64
    }

    /// Prints a table each of neurons, output buckets, king buckets and phases.
    pub fn print(&self) -> Result<(), Failure> {
        let found = &self.found;
        print(format_args!(
            "\nloss {:.6} over {} positions ({})",
            found.loss,
            HumanCount(found.positions),
            self.objective_text(),
        ))?;
        print(format_args!(
            "\n{:18} {:>7} {:>9} {:>12} {:>9} {:>12} {:>8}",
            "neurons", "lanes", "always 0", "99.9% 0", "always T", "99.9% T", "unused"
        ))?;
        for neurons in &self.neurons {
            print(format_args!(
                "{:18} {:>7} {:>9} {:>12} {:>9} {:>12} {:>8}",
                neurons.place,
                neurons.lanes,
                neurons.dead.len(),
                neurons.mostly_dead.len(),
                neurons.saturated.len(),
                neurons.mostly_saturated.len(),
                neurons.unused
            ))?;
        }
        if found.output_buckets.len() > 1 {
            print(format_args!(
                "\n{:18} {:>12} {:>8} {:>10}",
                "output bucket", "positions", "share", "loss"
            ))?;
            for (bucket, group) in found.output_buckets.iter().enumerate() {
                self.print_group(&bucket.to_string(), group.positions, group.loss)?;
            }
        }
        if !found.king_buckets.is_empty() {
            print(format_args!(
                "\n{:18} {:>12} {:>12}",
                "king bucket", "own king", "other king"
            ))?;
        }
        for (bucket, group) in found.king_buckets.iter().enumerate() {
            let (own, other) = (self.percent(group.own), self.percent(group.other));
            print(format_args!("{bucket:<18} {own:>11.2}% {other:>11.2}%"))?;
        }
        print(format_args!(
            "\n{:18} {:>12} {:>8} {:>10}",
            "pieces", "positions", "share", "loss"
        ))?;
        for phase in &self.phases {
            let [first, last] = phase.pieces;
            self.print_group(&format!("{first} to {last}"), phase.positions, phase.loss)?;
        }
        Ok(())
    }

    fn print_group(&self, name: &str, positions: u64, loss: f64) -> Result<(), Failure> {
        print(format_args!(
            "{name:18} {:>12} {:>7.2}% {:>10}",
            HumanCount(positions).to_string(),
            self.percent(positions),
            loss_text(loss)
        ))
    }
}

/// A loss, or a dash without positions.
pub fn loss_text(loss: f64) -> String {
    match loss.is_nan() {
        true => "-".to_owned(),
        false => format!("{loss:.6}"),
    }
}
