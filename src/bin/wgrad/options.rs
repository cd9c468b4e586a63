//! Options that several commands share.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::num::NonZeroUsize;
use wgrad::Result;
use wgrad::engine::device::Device;
use wgrad::nnue::data::LoaderSettings;
use wgrad::nnue::loss::Loss;
use wgrad::nnue::train::Objective;

/// The device of the command.
#[derive(clap::Args)]
pub struct DeviceOption {
    /// `auto`, `cpu`, or part of an adapter's name. `vulkan:`, `metal:`, `dx12:` or `gl:` before
    /// the name chooses the backend. `wgrad adapters` lists the adapters. `auto` takes the best
    /// GPU, or the CPU if there is none. It never takes a software adapter [default: the adapter
    /// that WGPU_BACKEND and WGPU_ADAPTER_NAME name, else auto]
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
}

impl DeviceOption {
    /// Opens the device.
    pub fn open(&self) -> Result<Device> {
        Device::open(self.device.as_deref())
    }

    /// Opens the device, with the number of threads for the CPU executor.
    pub fn open_with(&self, threads: &ThreadsOption) -> Result<Device> {
        let threads = NonZeroUsize::new(threads.threads);
        Device::open_with_threads(self.device.as_deref(), threads)
    }
}

/// The number of threads.
#[derive(clap::Args)]
pub struct ThreadsOption {
    /// Threads of the CPU executor, which also prepare its batches, or threads that prepare the
    /// batches of an adapter. 0 means one per core, but at most 8 for an adapter. The results do
    /// not depend on it
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1024).map(usize::from))]
    pub threads: usize,
}

impl ThreadsOption {
    /// The number of threads that prepare the batches of an adapter.
    pub fn loader_threads(&self) -> usize {
        match self.threads {
            0 => LoaderSettings::default().threads,
            threads => threads,
        }
    }
}

/// The quantity that the network predicts.
#[derive(clap::Args)]
pub struct ObjectiveOptions {
    /// λ, the share of the game result in the target: t = λ·result + (1 − λ)·σ(score / scale); 0 to
    /// 1
    #[arg(
        long,
        value_name = "SHARE",
        visible_alias = "wdl",
        allow_negative_numbers = true
    )]
    pub lambda: Option<f32>,
    /// The divisor of a score (in centipawns) in the target; above 0
    #[arg(long, value_name = "CENTIPAWNS", allow_negative_numbers = true)]
    pub scale: Option<f32>,
    /// The loss: sigmoid_mse compares σ(Y) with the target, mse the raw output Y, win_rate the win
    /// rate of Stockfish's model; cross_entropy is that of σ(Y)
    #[arg(long, value_parser = PossibleValuesParser::new(Loss::NAMED.map(|loss| loss.name())).try_map(|name| name.parse::<Loss>()))]
    pub loss: Option<Loss>,
    /// q of the loss |P − t|^q; at least 1, 2 for the squared error
    #[arg(long, value_name = "Q", allow_negative_numbers = true)]
    pub power: Option<f32>,
}

impl ObjectiveOptions {
    /// Whether an option is given.
    pub fn is_given(&self) -> bool {
        let numbers = [self.lambda, self.scale, self.power];
        self.loss.is_some() || numbers.iter().any(Option::is_some)
    }

    /// The objective, with the given options in place of its own values.
    pub fn over(&self, objective: Objective) -> Objective {
        let mut loss = objective.loss;
        if let Some(named) = self.loss {
            // Every named loss has a name.
            loss = loss.named(named.name()).unwrap_or(named);
        }
        loss.power = self.power.unwrap_or(loss.power);
        let lambda = self.lambda.unwrap_or(objective.lambda);
        let given = Objective::new(loss, lambda, self.scale.unwrap_or(objective.scale));
        given.target_win_rate(objective.target_win_rate)
    }
}
