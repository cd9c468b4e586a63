//! Times training steps. They run as in a trainer, which reads each loss a few steps later.

use super::batches::{Batches, Maker};
use super::positions::Positions;
use super::shape::Shape;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};
use wgrad::engine::device::{Class, Device, WorkTime};
use wgrad::engine::kernel::Traffic;
use wgrad::error::{Error, Result};
use wgrad::nnue::loss::Loss;
use wgrad::nnue::{Batch, Inputs, Learner, Needs, Network, Parameters, PendingLoss, Tuning};
use wgrad::optim::Optimizer;

/// The number of timed rounds. The result is their median.
const ROUNDS: usize = 5;
/// The number of steps for which only the call is timed, or each kernel: as many as the time
/// allows, within this range.
const CALLS: RangeInclusive<usize> = 9..=999;
/// The share of the time for finding the number of steps per round.
const WARM_UP: f64 = 0.1;

/// The time of a step: the median over the rounds.
pub struct Timing {
    pub seconds: f64,
    /// The time to check the lists of both perspectives and, if the step reads it, to build the
    /// transposed index.
    pub index_seconds: f64,
    /// The time in the call of a step with its share of the submission, and the part of it that is
    /// spent on copies to memory that the adapter reads. No earlier submission is in flight,
    /// because a driver might wait for it. `None` if the call itself computes.
    pub host_seconds: Option<[f64; 2]>,
    pub submissions: f64,
    /// The choices that the steps used.
    pub tuning: Tuning,
    /// `None` if a kernel does not count its traffic.
    pub traffic: Option<Traffic>,
    /// The time of each kernel on the device; `None` if nobody asked for it.
    pub kernels: Option<Vec<WorkTime>>,
}

/// A network on a device, with or without an optimizer.
enum Engine {
    Learner(Box<Learner>),
    Network(Box<Network>),
}

impl Engine {
    fn new(device: &Device, shape: &Shape, tuning: Tuning) -> Result<Self> {
        let parameters = Parameters::initial(shape.architecture.clone(), 1)?;
        Ok(if shape.optimizer {
            let (loss, optimizer) = (Loss::SIGMOID_MSE, Optimizer::ADAMW);
            let mut learner = Learner::new(device, &parameters, loss, optimizer)?;
            learner.set_half(shape.half)?;
            learner.set_half_weights(shape.half_weights)?;
            learner.set_tuning(tuning)?;
            Self::Learner(learner.into())
        } else {
            let mut network = Network::new(device, &parameters)?;
            network.set_tuning(tuning)?;
            Self::Network(network.into())
        })
    }

    fn step(&mut self, batch: &Batch) -> Result<PendingLoss> {
        match self {
            Self::Learner(learner) => learner.step(batch, 1e-3),
            Self::Network(network) => network.backward(batch, Loss::SIGMOID_MSE),
        }
    }

    fn network(&self) -> &Network {
        match self {
            Self::Learner(learner) => learner.network(),
            Self::Network(network) => network,
        }
    }

    /// The choices that its steps on such a batch use.
    fn tuning(&self, batch: &Batch) -> Result<Tuning> {
        let tuning = self.network().tuning();
        let others = self.network().tunings(batch)?;
        let by_tiles = others.iter().any(|other| other.tiles.is_some());
        let by_lanes = batch.has_records() || matches!(batch.inputs(), Inputs::Sparse(_));
        Ok(tuning
            .lanes(tuning.lanes.filter(|_| by_lanes))
            .tiles(tuning.tiles.filter(|_| by_tiles)))
    }

    fn needs(&self) -> Needs<'_> {
        match self {
            Self::Learner(learner) => learner.needs(),
            Self::Network(network) => network.needs(),
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
    batches: Batches<'a>,
    pending: VecDeque<PendingLoss>,
    /// The number of losses in flight, as in the trainer.
    in_flight: usize,
}

impl Runner<'_> {
    fn step(&mut self) -> Result<()> {
        let batch = self.batches.take()?;
        self.pending.push_back(self.engine.step(&batch)?);
        if let Cow::Owned(batch) = batch {
            self.batches.recycle(batch);
        }
        wait_for_all_but(self.in_flight, &mut self.pending)
    }

    /// The time of `count` steps, until the last loss arrives.
    fn round(&mut self, steps: usize) -> Result<Duration> {
        let start = Instant::now();
        (0..steps).try_for_each(|_| self.step())?;
        wait_for_all_but(0, &mut self.pending)?;
        Ok(start.elapsed())
    }
}

pub fn wait_for_all_but(left: usize, pending: &mut VecDeque<PendingLoss>) -> Result<()> {
    while pending.len() > left
        && let Some(first) = pending.pop_front()
    {
        let loss = first.wait()?;
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

/// How steps are timed.
pub struct How {
    /// The number of threads that build the batches if the device does not compute on threads of
    /// the host.
    pub threads: usize,
    /// The time for the steps, including the time to build their batches.
    pub seconds: Duration,
    /// Whether to time each kernel as well, for as long again.
    pub kernels: bool,
}

/// Times steps with the variants that a tuning chooses.
pub fn time(
    device: &Device,
    shape: &Shape,
    tuning: Tuning,
    positions: &Positions,
    how: &How,
) -> Result<Timing> {
    let (threads, seconds) = (how.threads, how.seconds);
    let mut engine = Engine::new(device, shape, tuning)?;
    let needs = match shape.records {
        // Dense inputs are made of lists.
        _ if shape.dense => engine.needs().with_records(false),
        Some(records) => engine.needs().with_records(records),
        None => engine.needs(),
    };
    let own = positions.in_form(shape, threads, needs)?;
    let positions = own.as_ref().unwrap_or(positions);
    let entries = 2.0 * positions.indices * shape.batch as f64;
    let transpose = engine.needs().transpose(shape.batch, entries as usize);
    let maker = Maker::new(positions, transpose);
    let first = maker.make(None)?;
    let traffic = engine.traffic(&first)?;
    let tuning = engine.tuning(&first)?;
    let (mut engine, timing) = std::thread::scope(|scope| {
        let mut runner = Runner {
            engine,
            batches: Batches::new(&maker, device, threads, scope),
            pending: VecDeque::new(),
            in_flight: device.steps_in_flight(),
        };
        let timing = rounds(device, &mut runner, &maker, seconds)?;
        Ok::<_, Error>((runner.engine, timing))
    })?;
    let host_seconds = match device.class() {
        Class::Host => None,
        Class::Gpu | Class::Software => Some(host(device, &mut engine, &maker, seconds)?),
    };
    let kernels = how
        .kernels
        .then(|| kernels(device, &mut engine, &maker, seconds, timing.seconds));
    Ok(Timing {
        host_seconds,
        tuning,
        traffic,
        kernels: kernels.transpose()?,
        ..timing
    })
}

/// Warms up, then times the rounds.
fn rounds(
    device: &Device,
    runner: &mut Runner<'_>,
    maker: &Maker<'_>,
    seconds: Duration,
) -> Result<Timing> {
    // The first step compiles pipelines and creates buffers. The other steps wait for each other as
    // they do in a round.
    runner.round(1)?;
    let warm = seconds.mul_f64(WARM_UP);
    let (mut steps, mut taken) = (1, runner.round(1)?);
    while taken < warm {
        steps *= 2;
        taken = runner.round(steps)?;
    }
    let each = taken.as_secs_f64() / steps as f64;
    let steps = (seconds.mul_f64(1.0 - WARM_UP).as_secs_f64() / ROUNDS as f64 / each).max(1.0);
    // Whole submissions.
    let steps = (steps as usize).next_multiple_of(device.recordings_per_submission());

    maker.taken();
    let before = device.objects().submissions;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push(runner.round(steps)?);
    }
    rounds.sort();
    let all = (ROUNDS * steps) as f64;
    let made = maker.taken();
    Ok(Timing {
        seconds: rounds[ROUNDS / 2].as_secs_f64() / steps as f64,
        index_seconds: made.as_secs_f64() / all,
        host_seconds: None,
        tuning: Tuning::default(),
        submissions: (device.objects().submissions - before) as f64 / all,
        traffic: None,
        kernels: None,
    })
}

/// The time within the call of a step while nothing else runs and no submission is in flight, and
/// the share of that time that copies: the median over calls from one submission to the next.
fn host(
    device: &Device,
    engine: &mut Engine,
    maker: &Maker<'_>,
    seconds: Duration,
) -> Result<[f64; 2]> {
    // The batches are built before the call, because in a training other threads build them.
    let batches = [maker.make(None)?, maker.make(None)?];
    let (start, mut pending) = (Instant::now(), VecDeque::new());
    let mut calls = Vec::new();
    let mut next = batches.iter().cycle();
    while calls.len() < *CALLS.start() || calls.len() < *CALLS.end() && start.elapsed() < seconds {
        let (start, staging) = (Instant::now(), device.staging());
        let submissions = device.objects().submissions;
        while device.objects().submissions == submissions {
            let batch = next.next().unwrap_or(&batches[0]);
            pending.push_back(engine.step(batch)?);
        }
        let times = [start.elapsed(), device.staging() - staging];
        let steps = pending.len() as f64;
        calls.push(times.map(|time| time.as_secs_f64() / steps));
        wait_for_all_but(0, &mut pending)?;
    }
    Ok([0, 1].map(|part| {
        let mut times: Vec<_> = calls.iter().map(|call| call[part]).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }))
}

/// The time of each kernel in a step, the median over as many steps as the time allows if a step
/// takes `step` seconds.
fn kernels(
    device: &Device,
    engine: &mut Engine,
    maker: &Maker<'_>,
    seconds: Duration,
    step: f64,
) -> Result<Vec<WorkTime>> {
    let batches = [maker.make(None)?, maker.make(None)?];
    let steps = ((seconds.as_secs_f64() / step) as usize).clamp(*CALLS.start(), *CALLS.end());
    let (mut next, mut pending) = (batches.iter().cycle(), VecDeque::new());
    device.kernel_times(steps, || {
        let batch = next.next().unwrap_or(&batches[0]);
        pending.push_back(engine.step(batch)?);
        wait_for_all_but(0, &mut pending)
    })
}
