//! The numbers of a file.

use super::axes::{self, Places};
use super::entry::{Axis, Entry, Merge, Rounding};
use super::format::SaveFormat;
use super::merge;
use crate::error::{Error, Result};
use crate::nnue::architecture::{Architecture, TensorSpec};
use crate::nnue::data::Encoding;
use crate::nnue::names::one_of;
use crate::nnue::parameters::Parameters;

/// A network in the numbers of a save format.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    pub(super) format: SaveFormat,
    /// Without a shared part of the weights that the format has merged.
    pub(super) architecture: Architecture,
    pub(super) encoding: Option<Encoding>,
    pub(super) tensors: Vec<QuantizedTensor>,
}

/// A tensor in the numbers of a file, in the order of the network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuantizedTensor {
    /// Its entry in the format.
    pub entry: Entry,
    /// Its axes with their sizes, from the slowest to the fastest in memory.
    pub axes: Vec<(Axis, usize)>,
    /// Its numbers.
    pub values: Values,
}

/// The numbers of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Scaled and rounded.
    Integers(Vec<i32>),
    /// Scaled.
    Floats(Vec<f32>),
}

impl Quantized {
    /// The numbers of a network in a format. Without an `encoding` the inputs may be those of
    /// another game.
    ///
    /// # Errors
    /// A network that the format is not for, tensors that the network lacks or that the format
    /// leaves out, and a weight that does not fit its type: the error names the tensor, the place,
    /// the value, the limit and the clip range that prevents it.
    pub fn new(
        format: &SaveFormat,
        parameters: &Parameters,
        encoding: Option<&Encoding>,
    ) -> Result<Self> {
        let mut quantized = Self::empty(format, parameters.architecture(), encoding)?;
        for tensor in &mut quantized.tensors {
            let weights = merged(&tensor.entry, parameters, encoding)?;
            tensor.values = round(&tensor.entry, format.rounding, &tensor.axes, &weights)?;
        }
        Ok(quantized)
    }

    /// The tensors of a format for a network, without values.
    pub(in crate::nnue) fn empty(
        format: &SaveFormat,
        architecture: &Architecture,
        encoding: Option<&Encoding>,
    ) -> Result<Self> {
        architecture.check()?;
        format.check()?;
        if let Some(encoding) = encoding {
            encoding.check(architecture)?;
            format.requires.check(architecture, encoding)?;
        }
        let format = &format.for_network(architecture);
        let specs = listed(format, architecture)?;
        let tensors = specs.into_iter().zip(&format.tensors).map(|(spec, entry)| {
            let mut axes = axes::of_tensor(architecture, &spec);
            if entry.merge.contains(&Merge::Kings) {
                axes[0].1 = axes[0].1 / 768 * merge::MERGED;
            }
            // Checks the order.
            Places::new(&entry.tensor, &axes, &entry.order)?;
            Ok(QuantizedTensor {
                entry: entry.clone(),
                axes,
                values: Values::Integers(Vec::new()),
            })
        });
        let mut architecture = architecture.clone();
        if merges_shared(format) {
            architecture.shared = 0;
        }
        Ok(Self {
            format: format.clone(),
            tensors: tensors.collect::<Result<_>>()?,
            encoding: encoding.cloned(),
            architecture,
        })
    }

    /// The format.
    pub fn format(&self) -> &SaveFormat {
        &self.format
    }

    /// The network's shape, without a shared part that the format has merged.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The features and output buckets, if the network is one of chess.
    pub fn encoding(&self) -> Option<&Encoding> {
        self.encoding.as_ref()
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> &[QuantizedTensor] {
        &self.tensors
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&QuantizedTensor> {
        self.tensors
            .iter()
            .find(|tensor| tensor.entry.tensor == name)
    }

    /// The weights that the numbers mean: each number divided by its scale, in f32. Writing them
    /// again gives the same numbers with either rounding.
    ///
    /// # Errors
    /// Tensors that do not fit the architecture, which those of [`Quantized::new`] do.
    pub fn parameters(&self) -> Result<Parameters> {
        let mut values = Vec::new();
        for spec in self.architecture.tensors() {
            let name = spec.name.as_str();
            let tensor = self.tensor(name);
            let tensor = tensor.ok_or_else(|| Error::argument(name, "a tensor", "none"))?;
            let weights = tensor.weights();
            values.push(match tensor.entry.merge.contains(&Merge::Kings) {
                true => merge::split_kings(&weights, self.architecture.hidden),
                false => weights,
            });
        }
        Parameters::from_values(self.architecture.clone(), values)
    }

    /// The integers of a tensor.
    pub(super) fn integers_of(&self, name: &str) -> Result<Vec<i32>> {
        match self.tensor(name).map(|tensor| &tensor.values) {
            Some(Values::Integers(values)) => Ok(values.clone()),
            _ => {
                let place = format!("tensor {name}");
                Err(Error::argument(place, "integers in the format", "none"))
            }
        }
    }

    /// The least and the greatest integer of a tensor's type.
    pub(super) fn limits_of(&self, name: &str) -> [i32; 2] {
        let limits = self
            .tensor(name)
            .and_then(|tensor| tensor.entry.kind.limits());
        limits.unwrap_or([i32::MIN, i32::MAX])
    }

    /// Gives a tensor other integers.
    pub(super) fn replace(&mut self, name: &str, values: Vec<i32>) -> Result<()> {
        let mut tensors = self.tensors.iter_mut();
        let tensor = tensors.find(|tensor| tensor.entry.tensor == name);
        let tensor = tensor.ok_or_else(|| Error::argument(name, "a tensor", "none"))?;
        let [low, high] = tensor.entry.kind.limits().unwrap_or([i32::MIN, i32::MAX]);
        if let Some(value) = values.iter().find(|value| !(low..=high).contains(*value)) {
            let expected = format!("{low} to {high}");
            return Err(Error::argument(format!("tensor {name}"), expected, value));
        }
        tensor.values = Values::Integers(values);
        Ok(())
    }

    /// Gives some elements of a tensor other values, which `value` makes of the given numbers.
    pub(super) fn rebias(
        &mut self,
        name: &str,
        numbers: &[(usize, f64)],
        value: impl Fn(f64) -> f64,
    ) -> Result<()> {
        let mut tensors = self.tensors.iter_mut();
        let tensor = tensors.find(|tensor| tensor.entry.tensor == name);
        let tensor = tensor.ok_or_else(|| Error::argument(name, "a tensor", "none"))?;
        match &mut tensor.values {
            Values::Floats(values) => {
                for &(at, number) in numbers {
                    values[at] = value(number) as f32;
                }
                Ok(())
            }
            Values::Integers(values) => {
                let mut values = values.clone();
                for &(at, number) in numbers {
                    values[at] = value(number) as i32;
                }
                self.replace(name, values)
            }
        }
    }

    /// Subtracts weights from some elements of a tensor.
    pub(super) fn shift(&mut self, name: &str, weights: &[(usize, f64)]) -> Result<()> {
        let scale = self.tensor(name).map_or(1.0, |tensor| tensor.entry.scale);
        let current: Vec<f64> = match self.tensor(name).map(|tensor| &tensor.values) {
            Some(Values::Integers(values)) => values.iter().copied().map(f64::from).collect(),
            Some(Values::Floats(values)) => values.iter().copied().map(f64::from).collect(),
            None => Vec::new(),
        };
        let numbers = weights
            .iter()
            .map(|&(at, weight)| (at, current[at] - scale * weight));
        let numbers: Vec<(usize, f64)> = numbers.collect();
        let is_float = matches!(
            self.tensor(name).map(|t| &t.values),
            Some(Values::Floats(_))
        );
        self.rebias(name, &numbers, |number| match is_float {
            true => number,
            false => number.round(),
        })
    }

    /// Whether both kings share a plane.
    pub(super) fn has_merged_kings(&self) -> bool {
        let first = self.format.entry("A1");
        first.is_some_and(|entry| entry.merge.contains(&Merge::Kings))
    }
}

impl QuantizedTensor {
    /// The weights that the numbers mean, which both roundings turn into the same numbers.
    fn weights(&self) -> Vec<f32> {
        let scale = self.entry.scale;
        match &self.values {
            Values::Floats(values) => {
                let weight = |&value: &f32| (f64::from(value) / scale) as f32;
                values.iter().map(weight).collect()
            }
            Values::Integers(values) => {
                let weight = |&value: &i32| {
                    let near = (f64::from(value) / scale) as f32;
                    let gives = |weight: f32, how: Rounding| {
                        how.apply(f64::from(weight) * scale) as i32 == value
                    };
                    let both = [Rounding::Nearest, Rounding::Truncate];
                    // A quotient just below an integer would be cut to the one before it.
                    let around = [near, near.next_up(), near.next_down()];
                    let same = |&weight: &f32| both.into_iter().all(|how| gives(weight, how));
                    let found = around.into_iter().find(same);
                    found.unwrap_or(near)
                };
                values.iter().map(weight).collect()
            }
        }
    }
}

fn merges_shared(format: &SaveFormat) -> bool {
    let first = format.entry("A1");
    first.is_some_and(|entry| entry.merge.contains(&Merge::Shared))
}

/// The tensors of the network in the order of the format. Each must be listed once.
fn listed(format: &SaveFormat, architecture: &Architecture) -> Result<Vec<TensorSpec>> {
    let specs = architecture.tensors();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let mut found = Vec::with_capacity(format.tensors.len());
    for (at, entry) in format.tensors.iter().enumerate() {
        let name = entry.tensor.as_str();
        if format.tensors[..at]
            .iter()
            .any(|other| other.tensor == name)
        {
            return Err(Error::argument(
                "tensors",
                format!("{name} once"),
                "it again",
            ));
        }
        let spec = specs.iter().find(|spec| spec.name.as_str() == name);
        let spec = spec.ok_or_else(|| {
            let expected = format!("{}, the tensors of {architecture}", one_of(&names));
            Error::argument("tensors", expected, format!("{name:?}"))
        })?;
        found.push(spec.clone());
    }
    let is_listed = |name: &str| format.tensors.iter().any(|entry| entry.tensor == name);
    // A merged part is in the file already.
    let is_merged = |name: &str| matches!(name, "A1f" | "A2f") && merges_shared(format);
    match names
        .iter()
        .find(|name| !is_listed(name) && !is_merged(name))
    {
        None => Ok(found),
        Some(name) => {
            let expected = format!("every tensor of {architecture}");
            Err(Error::argument(
                "tensors",
                expected,
                format!("none for {name}"),
            ))
        }
    }
}

/// The weights of a tensor with everything that is joined with them.
pub(super) fn merged(
    entry: &Entry,
    parameters: &Parameters,
    encoding: Option<&Encoding>,
) -> Result<Vec<f32>> {
    let missing = || Error::argument(&entry.tensor, "a tensor of the network", "none");
    let find = |name: &str| {
        let mut tensors = parameters.iter();
        let found = tensors.find(|(spec, _)| spec.name.as_str() == name);
        found.map(|(_, values)| values)
    };
    let mut weights = find(&entry.tensor).ok_or_else(missing)?.to_vec();
    if entry.merge.contains(&Merge::Shared)
        && let Some(shared) = find(&format!("{}f", entry.tensor))
    {
        merge::shared(&mut weights, shared);
    }
    match entry.merge.contains(&Merge::Kings) {
        true => merge::kings(&weights, parameters.architecture().hidden, encoding),
        false => Ok(weights),
    }
}

/// Weights as numbers of a file.
fn round(
    entry: &Entry,
    rounding: Rounding,
    axes: &[(Axis, usize)],
    weights: &[f32],
) -> Result<Values> {
    let scaled = |&weight: &f32| f64::from(weight) * entry.scale;
    let Some([low, high]) = entry.kind.limits() else {
        return Ok(Values::Floats(
            weights.iter().map(|weight| scaled(weight) as f32).collect(),
        ));
    };
    let rounding = entry.rounding.unwrap_or(rounding);
    let mut values = Vec::with_capacity(weights.len());
    for (place, weight) in weights.iter().enumerate() {
        let value = rounding.apply(scaled(weight));
        if !(f64::from(low)..=f64::from(high)).contains(&value) {
            let name = format!("tensor {}, {}", entry.tensor, axes::name_of(axes, place));
            let clip = f64::from(high) / entry.scale;
            let expected = format!(
                "{low} to {high} at scale {}, which a training with weights clipped at {clip:.4} \
                 keeps",
                entry.scale
            );
            let found = format!("{value} from the weight {weight}");
            return Err(Error::argument(name, expected, found));
        }
        values.push(value as i32);
    }
    Ok(Values::Integers(values))
}
