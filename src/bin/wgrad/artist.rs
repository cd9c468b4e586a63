//! The picture of the loss curve.

use crate::picture;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wgrad::nnue::train::log::Curve;
use wgrad::nnue::train::{Run, Settings};

/// Draws the loss curve from the log.
pub struct Artist {
    path: PathBuf,
    log: PathBuf,
    title: String,
    /// The steps of a superbatch or epoch.
    pub steps_per_epoch: u64,
    drawn: Instant,
    cost: Duration,
}

impl Artist {
    /// An artist of the run's curve.
    pub fn new(run: &Run, settings: &Settings) -> Self {
        let activation = settings.architecture.activation.name();
        Self {
            path: run.out.join("loss.svg"),
            log: run.log(),
            title: format!("Loss of {}, {activation}", settings.architecture),
            steps_per_epoch: 1,
            drawn: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// The file of the picture.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Draws the curve, unless drawing would take more than a hundredth of the time, because the
    /// log grows. A failure is reported at the end.
    pub fn draw_if_cheap(&mut self) {
        if self.drawn.elapsed() > 100 * self.cost {
            let began = Instant::now();
            if let Err(error) = self.draw() {
                log::info!("{error}");
            }
            self.drawn = Instant::now();
            self.cost = self.drawn - began;
        }
    }

    /// Draws the curve. Returns false if there are no points yet.
    pub fn draw(&self) -> wgrad::Result<bool> {
        picture::draw(
            &self.path,
            &Curve::read(&self.log)?,
            &self.title,
            self.steps_per_epoch,
        )
    }
}
