//! The network in tensor files: `A1`, `A2` `[K, N]`, `B1`, `B2` `[K]` (`A2` and `B2` absent when tied), `C` `[2K]` and `d`
//! `[1]`, or `C` `[buckets, 2K]` and `d` `[buckets]` with more than one output bucket; and the string metadata `activation`
//! (crelu, screlu or relu), `clip` (without effect for relu) and `tied` (true or false).

use super::architecture::{Architecture, TensorSpec};
use super::parameters::Parameters;
use crate::error::Result;
use crate::files::safetensors::{Metadata, Tensor, TensorData, TensorFile, tensor};
use crate::nnue::activation::Activation;
use std::path::{Path, PathBuf};

/// A file that holds a network, and perhaps more.
impl TensorFile {
    /// A network file to be written at `path`: the parameters, what describes their architecture, and `metadata`.
    pub fn network(
        path: impl Into<PathBuf>,
        parameters: &Parameters,
        mut metadata: Metadata,
    ) -> Self {
        let architecture = parameters.architecture();
        for (key, value) in [
            ("activation", architecture.activation.name().to_string()),
            ("clip", architecture.clip.to_string()),
            ("tied", architecture.tied.to_string()),
        ] {
            metadata.insert(key.to_string(), value);
        }
        let mut file = Self::new(path, metadata);
        file.push_parameters(parameters, "");
        file
    }

    /// Adds the tensors of `parameters` in the shapes of a network file, each name followed by `suffix`: "" for the
    /// network itself, ".grad" for gradients.
    pub fn push_parameters(&mut self, parameters: &Parameters, suffix: &str) {
        let architecture = parameters.architecture();
        for (spec, values) in parameters.iter() {
            let values = match spec.shape[..] {
                [inputs, hidden] => transpose(values, inputs, hidden),
                _ => values.to_vec(),
            };
            self.tensors.push(Tensor {
                name: format!("{}{suffix}", spec.name),
                shape: shape_in_file(architecture, spec.name),
                data: TensorData::F32(values),
            });
        }
    }

    /// What [`Self::push_parameters`] added, in the layout of the device. NaN and infinities are refused.
    pub fn parameters(&self, architecture: Architecture, suffix: &str) -> Result<Parameters> {
        let read = |spec: TensorSpec| {
            let name = format!("{}{suffix}", spec.name);
            let values = self.finite(&name, &shape_in_file(&architecture, spec.name))?;
            Ok(match spec.shape[..] {
                [inputs, hidden] => transpose(values, hidden, inputs),
                _ => values.to_vec(),
            })
        };
        let values = architecture.tensors().into_iter().map(read);
        Parameters::from_values(architecture, values.collect::<Result<_>>()?)
    }

    /// The architecture of the network in the file: N, K and the buckets from the shapes of `A1` and `C`, the rest from
    /// the metadata. [`Self::parameters`] checks the other tensors against it.
    pub fn architecture(&self) -> Result<Architecture> {
        let activation: Activation = self.option("activation", "crelu, screlu or relu")?;
        let tied = self.option("tied", "true or false")?;
        let clip = match activation {
            // It has no effect there: nothing is an error, and 1 replaces what could not be a clip.
            Activation::Relu => self.option("clip", "").ok().filter(positive).unwrap_or(1.0),
            _ => self.option("clip", "a finite number above 0")?,
        };
        let weights = &self.tensor("A1")?.shape;
        let &[hidden, inputs] = weights.as_slice() else {
            return Err(self.fault(tensor("A1"), "a shape [K, N]", format!("{weights:?}")));
        };
        let buckets = match self.tensor("C")?.shape[..] {
            [buckets, _] => buckets,
            _ => 1,
        };
        let architecture = Architecture {
            inputs,
            hidden,
            tied,
            activation,
            clip,
            buckets,
        };
        architecture.check().map_err(|error| self.place(error))?;
        let extra = self
            .tensors
            .iter()
            .find(|t| ["A2", "B2"].contains(&t.name.as_str()));
        if let (true, Some(extra)) = (tied, extra) {
            let found = format!("one of shape {:?}", extra.shape);
            return Err(self.fault(tensor(&extra.name), "none in a tied network", found));
        }
        Ok(architecture)
    }
}

/// Writes a network atomically; NaN and infinities are refused and nothing is written.
pub fn write_network(path: &Path, parameters: &Parameters, metadata: Metadata) -> Result<()> {
    TensorFile::network(path, parameters, metadata).write_finite()
}

/// Reads the parameters and the metadata of a network file or a checkpoint.
///
/// Everything about the architecture comes from shapes and metadata; what does not fit together, is missing, or is NaN or
/// infinite is an error that names the tensor or the key.
pub fn read_network(path: &Path) -> Result<(Parameters, Metadata)> {
    let file = TensorFile::read(path)?;
    let parameters = file.parameters(file.architecture()?, "")?;
    Ok((parameters, file.metadata))
}

fn shape_in_file(architecture: &Architecture, name: &str) -> Vec<usize> {
    let (inputs, hidden, buckets) = (
        architecture.inputs,
        architecture.hidden,
        architecture.buckets,
    );
    match name {
        "A1" | "A2" => vec![hidden, inputs],
        "B1" | "B2" => vec![hidden],
        "C" if buckets > 1 => vec![buckets, 2 * hidden],
        "C" => vec![2 * hidden],
        _ => vec![buckets],
    }
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |at| values.iter().skip(at).step_by(columns).take(rows);
    (0..columns).flat_map(column).copied().collect()
}

fn positive(number: &f32) -> bool {
    number.is_finite() && *number > 0.0
}
