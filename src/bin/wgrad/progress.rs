//! The progress of a training for a person: lines on stdout, and a bar on stderr if stderr is a
//! terminal.

mod spark;

use crate::{describe, print, warn};
use console::Term;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use spark::Spark;
use std::path::Path;
use std::time::{Duration, Instant};
use wgrad::nnue::train::{Config, Event, Summary, Taken};

/// The width from which on the line of the bar shows the course of the loss.
const COLUMNS: u16 = 100;

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
    period: &'static str,
    periods: u64,
    bar: ProgressBar,
    spark: Spark,
    last: Last,
    period_began: Instant,
}

/// The contents of the line of a superbatch or epoch.
#[derive(Default)]
struct Last {
    loss: f64,
    positions_per_second: f64,
    validation: Option<String>,
}

impl Progress {
    /// A bar that appears with the first step.
    pub fn new(lines: Lines) -> Self {
        Self {
            lines,
            period: "",
            periods: 0,
            bar: ProgressBar::hidden(),
            spark: Spark::default(),
            last: Last::default(),
            period_began: Instant::now(),
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

    /// Prints the data, the network and the directory of a training that begins.
    pub fn introduce(&self, config: &Config, out: &Path) {
        let settings = &config.stages[0].settings;
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
        if !config.run.data.is_empty() {
            let data = describe::data(&config.run.data, config.run.validation.as_deref());
            self.say(format_args!("data        {data}"));
        }
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
        let exact = match out.to_str() {
            Some(_) => "",
            None => " (with U+FFFD for what is not Unicode)",
        };
        self.say(format_args!("writing to  {}{exact}", out.display()));
    }

    /// Prints what a training took from the network that it starts from.
    pub fn tell_taken(&self, taken: &Taken, init: &Path) {
        let left = match taken.left.is_empty() {
            true => String::new(),
            false => format!("; initial values for {}", taken.left.join(", ")),
        };
        self.say(format_args!(
            "starts from {}: {}{left}",
            init.display(),
            taken.taken.join(", ")
        ));
    }

    /// Shows an event. Returns true at the end of a superbatch or epoch.
    pub fn observe(&mut self, event: Event<'_>) -> bool {
        match event {
            Event::Started {
                device,
                reason,
                total_steps,
                resumed_from,
                ..
            } => {
                self.say(format_args!("device      {device} ({reason})"));
                if let Some(step) = resumed_from {
                    self.say(format_args!(
                        "            going on after step {} of {}",
                        HumanCount(step),
                        HumanCount(total_steps)
                    ));
                }
                self.start_bar(total_steps, resumed_from.unwrap_or(0));
                false
            }
            Event::Stage {
                index,
                stages,
                stage,
                positions,
                steps,
                steps_per_period,
                ..
            } => {
                let settings = &stage.settings;
                self.period = settings.period_name();
                self.periods = settings.timeline(positions).periods;
                if stages > 1 {
                    let number = index + 1;
                    self.say(format_args!("stage {number}/{stages}   {}", stage.name));
                }
                if !stage.data.is_empty() {
                    let data = describe::data(&stage.data, stage.validation.as_deref());
                    self.say(format_args!("data        {data}"));
                }
                self.say(format_args!("training    {}", describe::training(settings)));
                self.say(format_args!(
                    "            {} positions, {} steps {} {}, {} in all",
                    HumanCount(positions),
                    HumanCount(steps_per_period),
                    if self.period == "epoch" { "an" } else { "a" },
                    self.period,
                    HumanCount(steps),
                ));
                self.period_began = Instant::now();
                false
            }
            Event::Step {
                step,
                loss,
                positions_per_second,
                ..
            } => {
                self.last.loss = loss;
                self.last.positions_per_second = positions_per_second;
                self.spark.push(loss);
                self.bar.set_message(format!(
                    "loss {loss:.6}{}  {} positions/s",
                    self.course(),
                    HumanCount(positions_per_second as u64)
                ));
                self.bar.set_position(step);
                false
            }
            Event::Validation {
                loss,
                correlation,
                integer_loss,
                integer_error,
                ..
            } => {
                let integers = match (integer_loss, integer_error) {
                    (Some(loss), _) => format!("  integers {loss:.6}"),
                    (None, Some(_)) => "  integers do not fit".to_owned(),
                    (None, None) => String::new(),
                };
                let floats = format!("validation {loss:.6}  correlation {correlation:.4}");
                self.last.validation = Some(format!("  {floats}{integers}"));
                false
            }
            Event::Period { period, .. } => {
                self.end_period(period);
                true
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
        self.period_began = Instant::now();
    }

    /// The course of the loss, if the bar is visible and stays long enough beside it.
    fn course(&self) -> String {
        let room = || Term::stderr().size_checked().map(|(_, columns)| columns);
        match self.bar.is_hidden() || room().is_none_or(|columns| columns < COLUMNS) {
            true => String::new(),
            false => format!("  {}", self.spark.text()),
        }
    }

    /// Prints the line of a superbatch or epoch.
    fn end_period(&mut self, period: u64) {
        let validation = self.last.validation.take().unwrap_or_default();
        let width = self.periods.to_string().len();
        self.say(format_args!(
            "{} {period:>width$}/{}  training {:.6}{validation}  {:>9} positions/s  {:.1} s",
            self.period,
            self.periods,
            self.last.loss,
            HumanCount(self.last.positions_per_second as u64).to_string(),
            self.period_began.elapsed().as_secs_f64(),
        ));
        self.bar
            .set_prefix(format!("{} {period}/{}", self.period, self.periods));
        self.period_began = Instant::now();
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
            let integers = match summary.integer_validation {
                Some(integers) => format!("; loss in integers {:.6}", integers.loss),
                None => String::new(),
            };
            self.say(format_args!(
                "validation  loss {:.6}, correlation {:.4} over {} positions{integers}",
                validation.loss,
                validation.correlation,
                HumanCount(validation.positions),
            ));
        }
        let files = [
            ("network", summary.net.as_deref()),
            ("checkpoint", Some(summary.checkpoint.as_path())),
            ("best", summary.best.as_deref()),
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
