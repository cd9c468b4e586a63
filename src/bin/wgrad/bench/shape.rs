//! The shapes to time: one shape, or a grid of them.

use crate::Failure;
use crate::encoding;
use crate::head::HeadOptions;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::fmt::{self, Display};
use std::path::PathBuf;
use wgrad::error::Error;
use wgrad::nnue::activation::Activation;
use wgrad::nnue::data::{ChessInputs, Encoding, OutputBuckets};
use wgrad::nnue::tuning::TunedShape;
use wgrad::nnue::{Architecture, Tuning};

/// Any of these options selects a single shape.
#[derive(clap::Args)]
#[group(id = "shape", multiple = true)]
pub struct ShapeOptions {
    /// K, lanes of one accumulator
    #[arg(long, value_name = "K")]
    hidden: Option<usize>,
    /// L, positions in a batch
    #[arg(long, value_name = "L", visible_alias = "batch")]
    batch_size: Option<usize>,
    /// N, inputs of one perspective; or the name of a feature set, as `wgrad train --inputs` takes
    /// it
    #[arg(long, value_name = "N|NAME", value_parser = inputs)]
    inputs: Option<Inputs>,
    /// The buckets of king-buckets, as `wgrad train --buckets` takes them
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    buckets: Option<Vec<usize>>,
    /// The output buckets, as `wgrad train --output-buckets` takes them. Random positions fall into
    /// all of them alike
    #[arg(long, value_name = "TABLE")]
    output_buckets: Option<OutputBuckets>,
    /// F, active inputs per position and perspective
    #[arg(long, value_name = "F", conflicts_with = "data")]
    indices: Option<usize>,
    /// The activation between accumulators and output
    #[arg(long, value_parser = PossibleValuesParser::new(Activation::ALL.map(Activation::name)).try_map(|name| name.parse::<Activation>()))]
    activation: Option<Activation>,
    /// Use one accumulator for both perspectives
    #[arg(long)]
    tied: bool,
    /// Give X as ones and zeros instead of index lists
    #[arg(long)]
    dense: bool,
    /// Use the positions of this data file instead of random ones
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Store Z and its gradients in 16 bits, as `wgrad train --half` does
    #[arg(long)]
    half: bool,
    /// Read A in 16 bits in the forward pass, as `wgrad train --half-weights` does
    #[arg(long)]
    half_weights: bool,
}

/// Options of `wgrad bench` that say how the steps of a shape are computed. Any of them selects a
/// single shape too.
#[derive(clap::Args)]
#[group(id = "step", multiple = true)]
pub struct StepOptions {
    /// Give the positions of the data file to the device as records, which it decodes, or as index
    /// lists; without this option, as in a training
    #[arg(long, value_name = "FORM", requires = "data", conflicts_with = "dense", value_parser = PossibleValuesParser::new(["records", "lists"]).map(|form| form == "records"))]
    feed: Option<bool>,
    /// AdamW, or only the gradients
    #[arg(long, value_parser = PossibleValuesParser::new(["adamw", "none"]).map(|name| name == "adamw"))]
    optimizer: Option<bool>,
    /// Lanes of an invocation of the forward kernel on adapters, 16 or 32 [default: as `wgrad tune`
    /// kept, else by the vendor of the adapter]
    #[arg(long, value_name = "LANES")]
    lanes: Option<u32>,
}

impl StepOptions {
    /// The first of the options that is given.
    fn given(&self) -> Option<&'static str> {
        let options = [
            (self.optimizer.is_some(), "--optimizer"),
            (self.lanes.is_some(), "--lanes"),
            (self.feed.is_some(), "--feed"),
        ];
        let given = options.iter().find(|option| option.0);
        given.map(|option| option.1)
    }
}

/// N, or a feature set.
#[derive(Clone, Debug)]
enum Inputs {
    Count(usize),
    Name(&'static str),
}

fn inputs(text: &str) -> Result<Inputs, String> {
    if let Ok(count) = text.parse() {
        return Ok(Inputs::Count(count));
    }
    let name = ChessInputs::NAMES.into_iter().find(|name| *name == text);
    let wrong = || format!("expected a number or {}", ChessInputs::NAMES.join(", "));
    name.map(Inputs::Name).ok_or_else(wrong)
}

/// One shape of a step.
#[derive(Clone, Debug)]
pub struct Shape {
    pub architecture: Architecture,
    /// How the positions of a file become samples.
    pub encoding: Encoding,
    /// L.
    pub batch: usize,
    /// F, for random positions.
    pub indices: usize,
    /// Whether X is given as ones and zeros.
    pub dense: bool,
    /// AdamW, or only the gradients.
    pub optimizer: bool,
    /// Whether steps store Z and its gradients in 16 bits.
    pub half: bool,
    pub half_weights: bool,
    /// The variants that the options choose.
    pub tuning: Tuning,
    /// Whether positions are records for the device; `None` lets the device decide.
    pub records: Option<bool>,
}

const INPUTS: usize = 768;
const INDICES: usize = 32;

impl Shape {
    fn plain((hidden, batch): (usize, usize)) -> Self {
        Self {
            architecture: Architecture::new(INPUTS, hidden),
            encoding: Encoding::default(),
            batch,
            indices: INDICES,
            dense: false,
            optimizer: true,
            half: false,
            half_weights: false,
            tuning: Tuning::default(),
            records: None,
        }
    }

    /// The properties that the best variants depend on.
    pub fn tuned(&self) -> TunedShape {
        TunedShape::new(&self.architecture, self.batch)
            .half(self.half)
            .half_weights(self.half_weights)
            .dense(self.dense)
    }

    pub fn optimizer_name(&self) -> &'static str {
        if self.optimizer { "adamw" } else { "none" }
    }
}

impl Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let architecture = &self.architecture;
        write!(
            f,
            "K={} L={} N={}",
            architecture.hidden, self.batch, architecture.inputs
        )?;
        if architecture.buckets > 1 {
            write!(f, " buckets={}", architecture.buckets)?;
        }
        if architecture.pairwise {
            write!(f, " pairwise")?;
        }
        for layer in &architecture.layers {
            write!(f, " {layer}")?;
        }
        let words = [
            (true, architecture.activation.name()),
            (architecture.skip, "skip"),
            (architecture.shared > 0, "factorised"),
            (architecture.tied, "tied"),
            (self.dense, "dense"),
            (self.half, "half"),
            (self.half_weights, "half-weights"),
            (self.records == Some(true), "records"),
            (self.records == Some(false), "lists"),
            (true, if self.optimizer { "adamw" } else { "gradients" }),
        ];
        words
            .iter()
            .filter(|word| word.0)
            .try_for_each(|word| write!(f, " {}", word.1))?;
        match self.tuning.is_empty() {
            true => Ok(()),
            false => write!(f, " {}", self.tuning),
        }
    }
}

/// The values of K and L that the grid varies one at a time. Adapters that run shaders on the CPU
/// get smaller ones.
pub fn base(software: bool) -> (usize, usize) {
    if software { (64, 1024) } else { (256, 16384) }
}

/// The shapes if no option is given: several K, then several L.
pub fn grid(software: bool) -> Vec<Shape> {
    let (hidden, batch) = base(software);
    let sizes = [
        (hidden / 2, batch),
        (hidden, batch),
        (4 * hidden, batch),
        (hidden, batch / 4),
        (hidden, 4 * batch),
    ];
    sizes.map(Shape::plain).to_vec()
}

fn with_lists(option: &str) -> String {
    format!("{option} goes with index lists, not with --dense")
}

impl ShapeOptions {
    /// The first option that is given and that selects a single shape.
    pub fn given(&self, head: &HeadOptions, step: &StepOptions) -> Option<&'static str> {
        let options = [
            (self.hidden.is_some(), "--hidden"),
            (self.batch_size.is_some(), "--batch-size"),
            (self.inputs.is_some(), "--inputs"),
            (self.buckets.is_some(), "--buckets"),
            (self.output_buckets.is_some(), "--output-buckets"),
            (self.indices.is_some(), "--indices"),
            (self.activation.is_some(), "--activation"),
            (self.tied, "--tied"),
            (self.dense, "--dense"),
            (self.data.is_some(), "--data"),
            (self.half, "--half"),
            (self.half_weights, "--half-weights"),
        ];
        let given = options.iter().find(|option| option.0);
        let given = given.map(|option| option.1).or_else(|| head.given());
        given.or_else(|| step.given())
    }

    /// The single shape of `wgrad bench`, if any option of it, of its head or of its steps is
    /// given.
    ///
    /// # Errors
    /// As [`Self::shape`].
    pub fn one(&self, head: &HeadOptions, step: &StepOptions) -> Result<Option<Shape>, Failure> {
        if self.given(head, step).is_none() {
            return Ok(None);
        }
        let mut shape = self.shape("bench", base(false), head)?;
        shape.optimizer = step.optimizer.unwrap_or(true);
        shape.tuning = shape.tuning.lanes(step.lanes);
        shape.records = step.feed;
        let given = [
            (shape.half, "--half"),
            (shape.half_weights, "--half-weights"),
            (step.lanes.is_some(), "--lanes"),
        ];
        let given = given.into_iter().find(|option| option.0);
        if let Some((_, option)) = given.filter(|_| !shape.optimizer) {
            let message = format!("{option} goes with --optimizer adamw");
            return Err(Failure::Usage("bench", message));
        }
        if step.lanes.is_some() && shape.dense {
            return Err(Failure::Usage("bench", with_lists("--lanes")));
        }
        Ok(Some(shape))
    }

    /// The shape of a command, with K and L of `base` unless the options give others.
    ///
    /// # Errors
    /// Sizes with which no network can be trained, and options that do not go together.
    pub fn shape(
        &self,
        command: &'static str,
        (hidden, batch): (usize, usize),
        head: &HeadOptions,
    ) -> Result<Shape, Failure> {
        let mut shape = Shape::plain((
            self.hidden.unwrap_or(hidden),
            self.batch_size.unwrap_or(batch),
        ));
        shape.encoding = self.encoding(command)?;
        let architecture = &mut shape.architecture;
        architecture.inputs = match self.inputs {
            Some(Inputs::Count(count)) => count,
            _ => shape.encoding.inputs.inputs(),
        };
        architecture.buckets = shape.encoding.output_buckets.count();
        architecture.tied = self.tied;
        architecture.activation = self.activation.unwrap_or(architecture.activation);
        head.over(architecture, command)?;
        architecture.check()?;
        shape.indices = self.indices.unwrap_or(INDICES.min(architecture.inputs));
        shape.dense = self.dense;
        shape.half = self.half;
        shape.half_weights = self.half_weights;
        let of_lists = [(self.half, "--half"), (self.half_weights, "--half-weights")];
        let given = of_lists.into_iter().find(|option| option.0);
        if let Some((_, option)) = given.filter(|_| self.dense) {
            return Err(Failure::Usage(command, with_lists(option)));
        }
        let most = i32::MAX as usize / (2 * architecture.inputs.max(shape.indices));
        if !(1..=most).contains(&shape.batch) {
            let expected = format!("1 to {most}");
            return Err(Error::argument("--batch-size", expected, shape.batch).into());
        }
        if !(1..=shape.architecture.inputs).contains(&shape.indices) {
            let expected = format!("1 to {}, the inputs", shape.architecture.inputs);
            return Err(Error::argument("--indices", expected, shape.indices).into());
        }
        Ok(shape)
    }

    fn encoding(&self, command: &'static str) -> Result<Encoding, Failure> {
        let name = match self.inputs {
            Some(Inputs::Name(name)) => name,
            Some(Inputs::Count(_)) if self.data.is_some() => {
                let message = "--data goes with a name for --inputs, not with a number".to_owned();
                return Err(Failure::Usage(command, message));
            }
            _ => ChessInputs::NAMES[0],
        };
        let standing = ChessInputs::default();
        let inputs = encoding::inputs(command, name, self.buckets.as_deref(), &standing)?;
        Ok(Encoding::new(
            inputs,
            self.output_buckets.unwrap_or_default(),
        ))
    }
}
