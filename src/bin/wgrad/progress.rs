//! The progress of a training for a person: lines on stdout, and a bar on stderr if stderr is a
//! terminal.

use crate::{print, warn};
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::Path;
use std::time::{Duration, Instant};
use wgrad::nnue::train::{Event, Settings, Summary};

/// The destination of the lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// To stdout.
    Stdout,
    /// To stderr, because stdout holds JSON.
    Stderr,
    /// Nowhere.
    Nowhere,
}

/// Shows the events of a training.
pub struct Progress {
    lines: Lines,
    epochs: u64,
    steps_per_epoch: u64,
    bar: ProgressBar,
    last: Last,
    epoch_began: Instant,
}

/// The contents of the line of an epoch.
#[derive(Default)]
struct Last {
    epoch: u64,
    loss: f64,
    positions_per_second: f64,
    validation: Option<(f64, f64)>,
}

impl Progress {
    /// A bar that appears with the first step.
    pub fn new(lines: Lines, epochs: u64) -> Self {
        Self {
            lines,
            epochs,
            steps_per_epoch: 0,
            bar: ProgressBar::hidden(),
            last: Last::default(),
            epoch_began: Instant::now(),
        }
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: impl std::fmt::Display) {
        // A training continues if nobody reads its lines.
        self.bar.suspend(|| match self.lines {
            Lines::Stdout => drop(print(line)),
            Lines::Stderr => warn(line),
            Lines::Nowhere => {}
        });
    }

    /// Prints the settings, the data and the directory of a training that begins.
    pub fn introduce(&self, settings: &Settings, data: &str, out: &Path) {
        let architecture = &settings.architecture;
        let weights: usize = architecture
            .tensors()
            .iter()
            .map(|tensor| tensor.len())
            .sum();
        let clip = match architecture.activation.has_clip() {
            true => format!(" with T = {}", architecture.clip),
            false => String::new(),
        };
        self.say(format_args!("data        {data}"));
        self.say(format_args!(
            "inputs      {}; output buckets {}",
            settings.inputs, settings.output_buckets
        ));
        self.say(format_args!(
            "network     {}, {}{clip}; {} weights",
            architecture,
            architecture.activation.name(),
            HumanCount(weights as u64),
        ));
        self.say(format_args!(
            "training    {} on batches of {}{}{}, {}, learning rate {} ({}), {}, seed {}",
            crate::counted(settings.epochs as usize, "epoch"),
            HumanCount(settings.batch_size as u64),
            if settings.half { ", Z in 16 bits" } else { "" },
            match settings.half_weights {
                true => ", A in 16 bits",
                false => "",
            },
            settings.optimizer,
            settings.learning_rate,
            settings.schedule,
            objective(settings),
            settings.seed,
        ));
        let exact = match out.to_str() {
            Some(_) => "",
            None => " (with U+FFFD for what is not Unicode)",
        };
        self.say(format_args!("writing to  {}{exact}", out.display()));
    }

    /// Shows an event. Returns true at the end of an epoch.
    pub fn observe(&mut self, event: Event<'_>) -> bool {
        match event {
            Event::Started {
                device,
                reason,
                positions,
                steps_per_epoch,
                total_steps,
                resumed_from,
                ..
            } => {
                self.steps_per_epoch = steps_per_epoch;
                self.say(format_args!("device      {device} ({reason})"));
                let going_on = match resumed_from {
                    Some(step) => format!("; going on after step {}", HumanCount(step)),
                    None => String::new(),
                };
                self.say(format_args!(
                    "            {} positions, {} steps an epoch, {} in all{going_on}",
                    HumanCount(positions),
                    HumanCount(steps_per_epoch),
                    HumanCount(total_steps),
                ));
                self.start_bar(total_steps, resumed_from.unwrap_or(0));
                false
            }
            Event::Step {
                step,
                epoch,
                loss,
                positions_per_second,
                ..
            } => {
                self.last.epoch = epoch;
                self.last.loss = loss;
                self.last.positions_per_second = positions_per_second;
                self.bar
                    .set_prefix(format!("epoch {}/{}", epoch + 1, self.epochs));
                self.bar.set_message(format!(
                    "loss {loss:.6}  {} positions/s",
                    HumanCount(positions_per_second as u64)
                ));
                self.bar.set_position(step);
                false
            }
            Event::Validation {
                loss, correlation, ..
            } => {
                self.last.validation = Some((loss, correlation));
                false
            }
            Event::Checkpoint { step, .. } => {
                let ended = self.steps_per_epoch > 0 && step.is_multiple_of(self.steps_per_epoch);
                if ended {
                    self.end_epoch();
                }
                ended
            }
            _ => false,
        }
    }

    fn start_bar(&mut self, total_steps: u64, done: u64) {
        if self.lines == Lines::Nowhere {
            return;
        }
        // The bar draws nothing if stderr is not a terminal.
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let style = ProgressStyle::with_template("{prefix}  {wide_bar}  {msg}  {eta} left");
        self.bar = ProgressBar::with_draw_target(Some(total_steps), target);
        if let Ok(style) = style {
            self.bar.set_style(style.progress_chars("━╸─"));
        }
        self.bar.set_position(done);
        self.bar.reset_eta();
        self.epoch_began = Instant::now();
    }

    /// Prints the line of an epoch.
    fn end_epoch(&mut self) {
        let validation = match self.last.validation.take() {
            Some((loss, correlation)) => {
                format!("  validation {loss:.6}  correlation {correlation:.4}")
            }
            None => String::new(),
        };
        let width = self.epochs.to_string().len();
        self.say(format_args!(
            "epoch {:>width$}/{}  training {:.6}{validation}  {:>9} positions/s  {:.1} s",
            self.last.epoch + 1,
            self.epochs,
            self.last.loss,
            HumanCount(self.last.positions_per_second as u64).to_string(),
            self.epoch_began.elapsed().as_secs_f64(),
        ));
        self.epoch_began = Instant::now();
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints how the training ended and the paths of its files.
    pub fn conclude(&self, summary: &Summary, picture: Option<&Path>) {
        let time = match summary.seconds {
            seconds if seconds < 120.0 => format!("{seconds:.1} s"),
            seconds => HumanDuration(Duration::from_secs_f64(seconds)).to_string(),
        };
        self.say(format_args!(
            "{} after {} of {} steps in {time}, {} positions/s",
            if summary.finished {
                "finished"
            } else {
                "stopped"
            },
            HumanCount(summary.step),
            HumanCount(summary.total_steps),
            HumanCount(summary.positions_per_second as u64),
        ));
        if let Some(validation) = summary.validation {
            self.say(format_args!(
                "validation  loss {:.6}, correlation {:.4} over {} positions",
                validation.loss,
                validation.correlation,
                HumanCount(validation.positions),
            ));
        }
        let files = [
            ("network", summary.net.as_deref()),
            ("checkpoint", Some(summary.checkpoint.as_path())),
            ("log", Some(summary.log.as_path())),
            ("picture", picture),
        ];
        for (name, path) in files {
            if let Some(path) = path {
                self.say(format_args!("{name:<10}  {}", path.display()));
            }
        }
    }
}

fn objective(settings: &Settings) -> String {
    format!(
        "{} (power {}, lambda {}, scale {})",
        settings.loss.name(),
        settings.loss.power,
        settings.lambda,
        settings.scale
    )
}
