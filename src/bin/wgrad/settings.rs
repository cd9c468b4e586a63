//! The options that determine the numbers of a training.

use crate::Failure;
use crate::encoding::EncodingOptions;
use crate::head::HeadOptions;
use crate::options::ObjectiveOptions;
use crate::sieve::SieveOptions;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use wgrad::nnue::activation::Activation;
use wgrad::nnue::export::FormatChoice;
use wgrad::nnue::train::{Objective, Settings};
use wgrad::nnue::{Initial, Tiles, Tuning};
use wgrad::optim::Optimizer;
use wgrad::optim::schedule::{Schedule, Unit, Warmup};

/// An option that is not given takes its default, or the value of the resumed run.
#[derive(clap::Args)]
pub struct SettingsOptions {
    #[command(flatten)]
    encoding: EncodingOptions,
    #[arg(long, value_name = "K", help = format!("K, lanes of one accumulator [default: {}]", Settings::default().architecture.hidden))]
    hidden: Option<usize>,
    /// Use one accumulator for both perspectives (A1 = A2, B1 = B2) [default: one for each]
    #[arg(long)]
    tied: bool,
    /// The activation between accumulators and output: min(max(Z, 0), T), its square, or max(Z, 0)
    /// [default: crelu]
    #[arg(long, value_parser = PossibleValuesParser::new(Activation::ALL.map(Activation::name)).try_map(|name| name.parse::<Activation>()))]
    activation: Option<Activation>,
    /// T, the upper end of crelu and screlu; above 0 [default: 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    clip: Option<f32>,
    #[command(flatten)]
    head: HeadOptions,
    #[arg(long, value_name = "COUNT", help = format!("Passes over the data [default: {}]", Settings::default().epochs))]
    epochs: Option<u64>,
    /// The length in superbatches instead of epochs; the data start again when they end
    #[arg(long, value_name = "COUNT", conflicts_with = "epochs")]
    superbatches: Option<u64>,
    #[arg(long, value_name = "COUNT", help = format!("Batches in a superbatch [default: {}]", Settings::default().batches_per_superbatch))]
    batches_per_superbatch: Option<u64>,
    #[arg(long, value_name = "L", visible_alias = "batch", help = format!("L, positions in a batch [default: {}]", Settings::default().batch_size))]
    batch_size: Option<usize>,
    /// S, the parts of a batch whose gradients are summed in a binary tree: a power of two that
    /// divides L. Under mpirun each process computes some of them [default: 1; under mpirun 8, or
    /// the number of processes if there are more]
    #[arg(long, value_name = "S")]
    shards: Option<usize>,
    /// η, the learning rate at the start [default: 0.002]
    #[arg(
        long,
        value_name = "RATE",
        visible_alias = "lr",
        allow_negative_numbers = true
    )]
    learning_rate: Option<f32>,
    /// The schedule of the learning rate: constant, linear:END, cosine[:END], exponential:END,
    /// step:FACTOR,EVERY or drop:FACTOR,AFTER; pieces joined with `;`, each but the last with
    /// @PERIODS [default: cosine]
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<Schedule>,
    /// Steps over which the learning rate rises to the schedule: i ÷ STEPS of it at step i, or,
    /// with harmonic:STEPS, 1 ÷ (STEPS + 1 − i) [default: 0]
    #[arg(long, value_name = "STEPS")]
    warmup: Option<Warmup>,
    /// How often the schedules move: step, or superbatch, which is an epoch for a length in epochs
    /// [default: superbatch for a length in superbatches, otherwise step]
    #[arg(long, value_name = "UNIT")]
    schedule_per: Option<Unit>,
    /// AdamW, RAdam or Ranger with decoupled decay, or SGD with momentum [default: adamw]
    #[arg(long, value_parser = PossibleValuesParser::new(Optimizer::NAMES))]
    optimizer: Option<String>,
    /// μ, the momentum of sgd: from 0 to below 1 [default: 0.9]
    #[arg(long, value_name = "MU", allow_negative_numbers = true)]
    momentum: Option<f32>,
    /// Except for sgd: each step multiplies every parameter by 1 − learning rate · DECAY [default:
    /// 0.01]
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    weight_decay: Option<f32>,
    /// Except for sgd: the range of every parameter, such as -1.98..1.98 or, for the same range,
    /// 1.98 [default: none]
    #[arg(long, value_name = "LOW..HIGH", visible_alias = "weight-clip", allow_hyphen_values = true, value_parser = range)]
    weight_range: Option<(f32, f32)>,
    /// For adamw: whether the moments are divided by 1 − β^t; bullet's are not [default: true]
    #[arg(long, value_name = "BOOL")]
    bias_correction: Option<bool>,
    /// Store Z and its gradients in 16 bits. Adapters do it for SCReLU and for networks with a
    /// pairwise product or hidden layers [default: 32 bits]
    #[arg(long)]
    half: bool,
    /// Read A in 16 bits in the forward pass of a step. Adapters do it [default: 32 bits]
    #[arg(long)]
    half_weights: bool,
    /// Train with the numbers that the parameters have in a save format, by its name as `wgrad
    /// export` lists it, or by a file; best as a last stage [default: floats]
    #[arg(long, value_name = "NAME|FILE.toml")]
    quantization_aware: Option<FormatChoice>,
    /// The distribution of the initial parameters: standard, or he or he:INPUTS for variances of 2
    /// ÷ inputs and biases of 0, where INPUTS replaces the inputs of A [default: standard]
    #[arg(long, value_name = "NAME")]
    initial: Option<Initial>,
    /// Lanes of an invocation of the forward kernel on adapters, 16 or 32 [default: as `wgrad tune`
    /// kept, else by the vendor of the adapter]
    #[arg(long, value_name = "LANES")]
    lanes: Option<u32>,
    /// Where kernels of tiles keep their operands on adapters: shared (in workgroup memory) or
    /// registers [default: as `wgrad tune` kept, else shared on a GPU]
    #[arg(long, value_parser = PossibleValuesParser::new(Tiles::ALL.map(Tiles::name)).try_map(|name| name.parse::<Tiles>()))]
    tiles: Option<Tiles>,
    #[command(flatten)]
    sieve: SieveOptions,
    /// Seed of the initial parameters, of the shuffle and of the filter's chance [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, value_name = "POSITIONS", help = format!(
        "Positions that are shuffled together, 36 bytes of memory each; 0 keeps the order of the files [default: {}]", Settings::default().shuffle_buffer
    ))]
    shuffle_buffer: Option<usize>,
    #[command(
        flatten,
        next_help_heading = "The target [defaults: 0, 400, sigmoid_mse and 2]"
    )]
    objective: ObjectiveOptions,
    /// The L1 penalty: training adds L1 times the mean input of the first layer of the head to the
    /// loss, for networks with --layers or --pairwise. The losses shown are without it [default: 0]
    #[arg(long, value_name = "L1", allow_negative_numbers = true)]
    l1: Option<f32>,
    /// The schedule of λ, as that of the learning rate [default: constant]
    #[arg(long, value_name = "SCHEDULE")]
    lambda_schedule: Option<Schedule>,
    /// Steps over which λ rises to its schedule, as --warmup [default: 0]
    #[arg(long, value_name = "STEPS")]
    lambda_warmup: Option<Warmup>,
}

impl SettingsOptions {
    /// Overwrites the settings with the given options.
    pub fn over(&self, settings: &mut Settings) -> Result<(), Failure> {
        let encoding = self.encoding.over(settings.encoding())?;
        settings.architecture.inputs = encoding.inputs.inputs();
        settings.architecture.buckets = encoding.output_buckets.count();
        settings.inputs = encoding.inputs;
        settings.output_buckets = encoding.output_buckets;
        let architecture = &mut settings.architecture;
        put(&mut architecture.hidden, self.hidden);
        architecture.tied |= self.tied;
        put(&mut architecture.activation, self.activation);
        put(&mut architecture.clip, self.clip);
        self.head.over(architecture, "train")?;
        put(&mut settings.epochs, self.epochs);
        put(&mut settings.batch_size, self.batch_size);
        put(&mut settings.shards, self.shards);
        put(&mut settings.learning_rate, self.learning_rate);
        put(&mut settings.superbatches, self.superbatches);
        put(
            &mut settings.batches_per_superbatch,
            self.batches_per_superbatch,
        );
        put(&mut settings.initial, self.initial);
        put(&mut settings.schedule, self.schedule.clone());
        put(&mut settings.warmup, self.warmup);
        settings.schedule_per = self.schedule_per.or(settings.schedule_per);
        put(&mut settings.lambda_schedule, self.lambda_schedule.clone());
        put(&mut settings.lambda_warmup, self.lambda_warmup);
        put(&mut settings.l1, self.l1);
        settings.half |= self.half;
        settings.half_weights |= self.half_weights;
        if self.quantization_aware.is_some() {
            settings
                .quantization_aware
                .clone_from(&self.quantization_aware);
        }
        let given = Tuning::default().lanes(self.lanes).tiles(self.tiles);
        settings.tuning = given.or(settings.tuning);
        self.sieve.over(settings)?;
        put(&mut settings.seed, self.seed);
        put(&mut settings.shuffle_buffer, self.shuffle_buffer);
        let given = Objective::new(settings.loss, settings.lambda, settings.scale);
        let objective = self.objective.over(given);
        (settings.loss, settings.lambda, settings.scale) =
            (objective.loss, objective.lambda, objective.scale);
        settings.optimizer = self.optimizer(settings.optimizer)?;
        Ok(())
    }

    fn optimizer(&self, standing: Optimizer) -> Result<Optimizer, Failure> {
        let name = self.optimizer.as_deref().unwrap_or(standing.name());
        let mut optimizer = match name == standing.name() {
            true => standing,
            false => Optimizer::named(name).unwrap_or(standing),
        };
        let mut foreign = match &mut optimizer {
            Optimizer::Sgd(sgd) => {
                put(&mut sgd.momentum, self.momentum);
                self.weight_decay
                    .map(|_| "--weight-decay")
                    .or(self.weight_range.map(|_| "--weight-range"))
            }
            _ => self.momentum.map(|_| "--momentum"),
        };
        let adaptive = match &mut optimizer {
            Optimizer::AdamW(own) => Some((&mut own.weight_decay, &mut own.weight_range)),
            Optimizer::RAdam(own) => Some((&mut own.weight_decay, &mut own.weight_range)),
            Optimizer::Ranger(own) => Some((&mut own.weight_decay, &mut own.weight_range)),
            _ => None,
        };
        if let Some((decay, range)) = adaptive {
            put(decay, self.weight_decay);
            *range = self.weight_range.or(*range);
        }
        match &mut optimizer {
            Optimizer::AdamW(adamw) => put(&mut adamw.bias_correction, self.bias_correction),
            _ => foreign = foreign.or(self.bias_correction.map(|_| "--bias-correction")),
        }
        match foreign {
            Some(option) => {
                let message = format!("{option} does not go with --optimizer {name}");
                Err(Failure::Usage("train", message))
            }
            None => Ok(optimizer),
        }
    }
}

/// Overwrites a value with a given one.
pub fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// `LOW..HIGH`, or R for −R..R.
fn range(text: &str) -> Result<(f32, f32), String> {
    let number = |text: &str| {
        let value = text.trim().parse::<f32>();
        value.map_err(|_| format!("{text:?} is not a number"))
    };
    match text.split_once("..") {
        Some((low, high)) => Ok((number(low)?, number(high)?)),
        None => number(text).map(|range| (-range, range)),
    }
}
