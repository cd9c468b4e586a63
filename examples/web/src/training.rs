//! A training that a page drives step by step.

use std::collections::VecDeque;
use wasm_bindgen::prelude::*;
use wgrad::nnue::data::{Dataset, Encoding, Loader, LoaderSettings};
use wgrad::nnue::train::{Evaluator, Settings};
use wgrad::nnue::{Learner, Model, PendingLoss};
use wgrad::optim::schedule::Timeline;
use wgrad::{Device, Error, Result};

/// A network in training, with the positions that it learns from and is validated on.
#[wasm_bindgen]
pub struct Training {
    device: Device,
    settings: Settings,
    learner: Learner,
    /// `None` after the last epoch.
    loader: Option<Loader>,
    in_flight: VecDeque<PendingLoss>,
    timeline: Timeline,
    validation: Dataset,
    epoch: u64,
    positions: u64,
}

impl Training {
    pub(crate) fn new(
        device: &Device,
        settings: Settings,
        data: Vec<u8>,
        validation: Vec<u8>,
    ) -> Result<Self> {
        settings.check()?;
        let data = Dataset::in_memory("training positions", data)?;
        let validation = Dataset::in_memory("validation positions", validation)?;
        let timeline = settings.timeline(data.estimate()?.positions);
        let architecture = settings.architecture.clone();
        let parameters = settings.initial.parameters(architecture, settings.seed)?;
        let learner = Learner::new(device, &parameters, settings.loss, settings.optimizer)?;
        let loader = LoaderSettings::default()
            .batch_size(settings.batch_size)
            .shuffle_buffer(settings.shuffle_buffer)
            .seed(settings.seed)
            .epochs(settings.epochs)
            .target(settings.objective().target());
        let data = settings.sieved(data)?;
        let loader = settings.encoding().loader(&data, loader, learner.needs())?;
        Ok(Self {
            device: device.clone(),
            validation: settings.sieved(validation)?,
            loader: Some(loader),
            in_flight: VecDeque::new(),
            timeline,
            learner,
            settings,
            epoch: 0,
            positions: 0,
        })
    }

    /// The encoding of positions.
    fn encoding(&self) -> Encoding {
        self.settings.encoding()
    }

    /// Takes the next batch for a step; false at the end of an epoch.
    fn step(&mut self) -> Result<bool> {
        let Some(batch) = self.loader.as_mut().and_then(Iterator::next) else {
            self.loader = None;
            return Ok(false);
        };
        let batch = batch?;
        let moment = self.timeline.moment(self.learner.steps() + 1, self.epoch);
        let learning_rate = self.settings.learning_rate_at(&moment);
        let loss = self.learner.step(&batch, learning_rate)?;
        self.in_flight.push_back(loss);
        self.positions += batch.len() as u64;
        self.epoch += u64::from(batch.ends_epoch());
        Ok(!batch.ends_epoch())
    }

    /// Reads losses until at most so many are in flight.
    async fn settle(&mut self, most: usize, losses: &mut Vec<f32>) -> Result<()> {
        while self.in_flight.len() > most
            && let Some(pending) = self.in_flight.pop_front()
        {
            let loss = pending.await?;
            if !loss.is_finite() {
                return Err(Error::argument("loss", "a finite number", loss));
            }
            losses.push(loss);
        }
        Ok(())
    }

    /// Y of each position of a dataset, in its order.
    async fn outputs(&mut self, data: &Dataset, evaluator: &mut Evaluator) -> Result<Vec<f32>> {
        let settings = evaluator.loader_settings();
        let needs = self.learner.output_needs();
        let mut outputs = Vec::new();
        for batch in self.encoding().loader(data, settings, needs)? {
            let batch = batch?;
            let y = self.learner.network_mut().forward_async(&batch).await?;
            evaluator.add(&batch, &y);
            outputs.extend(y);
        }
        Ok(outputs)
    }
}

#[wasm_bindgen]
impl Training {
    /// The steps of the whole training.
    #[wasm_bindgen(getter, js_name = totalSteps)]
    pub fn total_steps(&self) -> f64 {
        self.timeline.steps as f64
    }

    /// The steps so far.
    #[wasm_bindgen(getter)]
    pub fn steps(&self) -> f64 {
        self.learner.steps() as f64
    }

    /// The complete epochs so far.
    #[wasm_bindgen(getter)]
    pub fn epoch(&self) -> f64 {
        self.epoch as f64
    }

    /// The positions so far, over all epochs.
    #[wasm_bindgen(getter)]
    pub fn positions(&self) -> f64 {
        self.positions as f64
    }

    /// Whether all epochs are done.
    #[wasm_bindgen(getter, js_name = isDone)]
    pub fn is_done(&self) -> bool {
        self.epoch >= self.timeline.periods
    }

    /// Takes up to `steps` steps, fewer at the end of an epoch, and returns the losses that have
    /// arrived since the last call. At the end of an epoch all have.
    ///
    /// # Errors
    /// A damaged position, a loss that is not finite, and failures of the GPU.
    pub async fn advance(&mut self, steps: u32) -> Result<Vec<f32>, JsError> {
        let mut losses = Vec::new();
        let most = self.device.steps_in_flight();
        for _ in 0..steps {
            if !self.step()? {
                self.settle(0, &mut losses).await?;
                break;
            }
            self.settle(most, &mut losses).await?;
        }
        Ok(losses)
    }

    /// The mean loss over the validation positions.
    ///
    /// # Errors
    /// A damaged position, and failures of the GPU.
    pub async fn validate(&mut self) -> Result<f64, JsError> {
        let data = self.validation.clone();
        let mut evaluator = Evaluator::new(self.settings.objective())?;
        self.outputs(&data, &mut evaluator).await?;
        Ok(evaluator.evaluation().loss)
    }

    /// The evaluation of a position in centipawns, for the side to move.
    ///
    /// # Errors
    /// A FEN that is not one, with the field at fault, and failures of the GPU.
    pub async fn evaluate(&mut self, fen: &str) -> Result<f64, JsError> {
        let line = format!("{fen} | 0 | 0.5\n");
        let data = Dataset::in_memory("position", line.into_bytes())?;
        let objective = self.settings.objective();
        let mut evaluator = Evaluator::new(objective)?;
        let outputs = self.outputs(&data, &mut evaluator).await?;
        let y = outputs.first().copied();
        let y = y.ok_or_else(|| Error::argument("position", "one position", "none"))?;
        Ok(objective.score(y))
    }
}
