//! The clock: training steps as a trainer makes them, with the losses read a few steps late.

use super::positions::Positions;
use super::shape::Shape;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wgrad::batch::Batch;
use wgrad::device::{Class, Device};
use wgrad::error::{Error, Result};
use wgrad::kernel::Traffic;
use wgrad::loss::Loss;
use wgrad::optim::Optimizer;
use wgrad::perspective::{Learner, Network, Parameters, PendingLoss};

/// Losses on their way, as in the trainer.
const IN_FLIGHT: usize = 4;
/// Timed rounds, of which the median counts.
const ROUNDS: usize = 5;
/// Steps whose call alone is timed.
const CALLS: usize = 9;
/// The part of the time that finds out how many steps a round has.
const WARM_UP: f64 = 0.1;

/// What a step takes, in the median over the rounds.
pub struct Timing {
    pub seconds: f64,
    /// To check the lists of both perspectives and, where the step reads it, make the transposed index.
    pub index_seconds: f64,
    /// Within the call of the step when none is on its way, for which a driver may wait; none where that call computes.
    pub host_seconds: Option<f64>,
    pub submissions: f64,
    /// None if a kernel does not count its own.
    pub traffic: Option<Traffic>,
}

/// A network on a device, with or without an optimiser.
enum Engine {
    Learner(Box<Learner>),
    Network(Box<Network>),
}

impl Engine {
    fn new(device: &Device, shape: &Shape) -> Result<Self> {
        let parameters = Parameters::initial(shape.architecture, 1)?;
        Ok(if shape.optimizer {
            let learner = Learner::new(device, &parameters, Loss::SIGMOID_MSE, Optimizer::ADAMW)?;
            Self::Learner(learner.into())
        } else {
            Self::Network(Network::new(device, &parameters)?.into())
        })
    }

    fn step(&mut self, batch: &Batch) -> Result<PendingLoss> {
        match self {
            Self::Learner(learner) => learner.step(batch, 1e-3),
            Self::Network(network) => network.backward(batch, Loss::SIGMOID_MSE),
        }
    }

    fn reads_transposed(&self) -> bool {
        match self {
            Self::Learner(learner) => learner.reads_transposed(),
            Self::Network(network) => network.reads_transposed(),
        }
    }

    fn traffic(&mut self, batch: &Batch) -> Result<Option<Traffic>> {
        let kernels = match self {
            Self::Learner(learner) => learner.traffic(batch)?,
            Self::Network(network) => network.traffic(batch, Loss::SIGMOID_MSE)?,
        };
        Ok(kernels.map(|kernels| kernels.into_values().sum()))
    }
}

struct Runner<'a> {
    engine: Engine,
    positions: &'a Positions,
    pending: VecDeque<PendingLoss>,
    /// A batch whose memory the next may use, as a loader's goes round.
    spare: Option<Batch>,
    steps: usize,
    index: Duration,
}

impl Runner<'_> {
    /// A step, and the time within its call.
    fn step(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let batch = {
            let transposed = self.engine.reads_transposed();
            self.positions
                .batch(self.steps, self.spare.take(), transposed)?
        };
        self.index += start.elapsed();
        let start = Instant::now();
        let pending = self.engine.step(&batch)?;
        let host = start.elapsed();
        if let Cow::Owned(batch) = batch {
            self.spare = Some(batch);
        }
        self.steps += 1;
        self.pending.push_back(pending);
        self.wait_for_all_but(IN_FLIGHT)?;
        Ok(host)
    }

    /// The median time within the call of a step that finds none on its way.
    fn host(&mut self) -> Result<Duration> {
        let calls = (0..CALLS).map(|_| {
            let host = self.step()?;
            self.wait_for_all_but(0)?;
            Ok(host)
        });
        let mut calls = calls.collect::<Result<Vec<_>>>()?;
        calls.sort();
        Ok(calls[CALLS / 2])
    }

    fn wait_for_all_but(&mut self, left: usize) -> Result<()> {
        while self.pending.len() > left
            && let Some(pending) = self.pending.pop_front()
        {
            let loss = pending.wait()?;
            if !loss.is_finite() {
                return Err(Error::argument(
                    "loss of a timed step",
                    "a finite number",
                    loss,
                ));
            }
        }
        Ok(())
    }

    /// The time of so many steps, until the last loss is there.
    fn round(&mut self, steps: usize) -> Result<Duration> {
        let start = Instant::now();
        (0..steps).try_for_each(|_| self.step().map(drop))?;
        self.wait_for_all_but(0)?;
        Ok(start.elapsed())
    }
}

/// Times steps for about so long.
pub fn time(
    device: &Device,
    shape: &Shape,
    positions: &Positions,
    seconds: Duration,
) -> Result<Timing> {
    let mut engine = Engine::new(device, shape)?;
    let traffic = engine.traffic(&*positions.batch(0, None, false)?)?;
    let mut runner = Runner {
        engine,
        positions,
        pending: VecDeque::new(),
        spare: None,
        steps: 0,
        index: Duration::ZERO,
    };
    // Pipelines are compiled and buffers made in the first; the others wait for each other as they will in a round.
    runner.round(1)?;
    let warm = seconds.mul_f64(WARM_UP);
    let (mut steps, mut taken) = (1, runner.round(1)?);
    while taken < warm {
        steps *= 2;
        taken = runner.round(steps)?;
    }
    let each = taken.as_secs_f64() / steps as f64;
    let steps = (seconds.mul_f64(1.0 - WARM_UP).as_secs_f64() / ROUNDS as f64 / each).max(1.0);
    let steps = steps as usize;

    runner.index = Duration::ZERO;
    let before = device.objects().submissions;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push(runner.round(steps)?);
    }
    rounds.sort();
    let all = (ROUNDS * steps) as f64;
    let submissions = (device.objects().submissions - before) as f64 / all;
    let index_seconds = runner.index.as_secs_f64() / all;
    Ok(Timing {
        seconds: rounds[ROUNDS / 2].as_secs_f64() / steps as f64,
        index_seconds,
        host_seconds: match device.class() {
            Class::Host => None,
            Class::Gpu | Class::Software => Some(runner.host()?.as_secs_f64()),
        },
        submissions,
        traffic,
    })
}
