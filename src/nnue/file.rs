//! Networks in safetensors files.
//!
//! A network file has the tensors `A1` and `A2` `[K, N]`, `B1` and `B2` `[K]`, `C` `[2K]` and `d`
//! `[1]`. `A2` and `B2` are absent if the network is tied. With several output buckets, `C` is
//! `[buckets, 2K]` and `d` is `[buckets]`. Its metadata are `activation` (crelu, screlu or relu),
//! `clip` (which relu ignores) and `tied` (true or false). The metadata of chess networks with other
//! inputs than `chess768` or with output buckets are in [`Encoding`](super::data::Encoding).
//!
//! [`read_network`] and [`write_network`] handle whole files. The other functions are for files with
//! more in them, such as checkpoints or gradients.

use super::architecture::{Architecture, ParameterName, TensorSpec};
use super::parameters::Parameters;
use crate::error::Result;
use crate::files::safetensors::{Metadata, StoredTensor, TensorData, TensorFile, tensor};
use crate::nnue::activation::Activation;
use std::path::{Path, PathBuf};

/// Writes a network file atomically, with `metadata` besides the network's own.
///
/// # Errors
/// NaN and infinities, and everything that the file system refuses. Nothing is written then.
pub fn write_network(path: &Path, parameters: &Parameters, metadata: Metadata) -> Result<()> {
    network_file(path, parameters, metadata).write_finite()
}

/// Reads the parameters and the metadata of a network file or a checkpoint.
///
/// # Errors
/// Tensors or metadata that are missing, do not fit together, or hold NaN or infinities. The error
/// names the tensor or the key.
pub fn read_network(path: &Path) -> Result<(Parameters, Metadata)> {
    let file = TensorFile::read(path)?;
    let parameters = read_parameters(&file, &read_architecture(&file)?, "")?;
    Ok((parameters, file.metadata))
}

/// A network file to be written at `path`: the parameters, the metadata of their architecture, and
/// `metadata`.
pub fn network_file(
    path: impl Into<PathBuf>,
    parameters: &Parameters,
    mut metadata: Metadata,
) -> TensorFile {
    let architecture = parameters.architecture();
    for (key, value) in [
        ("activation", architecture.activation.name().to_string()),
        ("clip", architecture.clip.to_string()),
        ("tied", architecture.tied.to_string()),
    ] {
        metadata.insert(key.to_string(), value);
    }
    let mut file = TensorFile::new(path, metadata);
    push_parameters(&mut file, parameters, "");
    file
}

/// Adds the tensors of `parameters` in the shapes of a network file. `suffix` follows each name, such
/// as `.grad` for gradients.
pub fn push_parameters(file: &mut TensorFile, parameters: &Parameters, suffix: &str) {
    let architecture = parameters.architecture();
    for (spec, values) in parameters.iter() {
        let values = match spec.shape[..] {
            [inputs, hidden] => transpose(values, inputs, hidden),
            _ => values.to_vec(),
        };
        file.tensors.push(StoredTensor {
            name: format!("{}{suffix}", spec.name),
            shape: shape_in_file(architecture, spec.name),
            data: TensorData::F32(values),
        });
    }
}

/// Reads the tensors that [`push_parameters`] adds with this suffix.
///
/// # Errors
/// A tensor that is missing, of another shape, or with NaN or infinities.
pub fn read_parameters(
    file: &TensorFile,
    architecture: &Architecture,
    suffix: &str,
) -> Result<Parameters> {
    let read = |spec: TensorSpec| {
        let name = format!("{}{suffix}", spec.name);
        let values = file.finite(&name, &shape_in_file(architecture, spec.name))?;
        Ok(match spec.shape[..] {
            [inputs, hidden] => transpose(values, hidden, inputs),
            _ => values.to_vec(),
        })
    };
    let values = architecture.tensors().into_iter().map(read);
    let values = values.collect::<Result<_>>()?;
    Parameters::from_values(architecture.clone(), values)
}

/// The architecture of the network in a file. N, K and the number of buckets come from the shapes of
/// `A1` and `C`, the rest from the metadata. [`read_parameters`] checks the other tensors against it.
///
/// # Errors
/// Metadata or shapes that are missing or describe no network.
pub fn read_architecture(file: &TensorFile) -> Result<Architecture> {
    let activation: Activation = file.option("activation", &Activation::names())?;
    let tied = file.option("tied", "true or false")?;
    let clip = match activation.has_clip() {
        true => file.option("clip", "a finite number above 0")?,
        // Without use for the clip, 1 replaces one that is missing or wrong.
        false => file.option("clip", "").ok().filter(positive).unwrap_or(1.0),
    };
    let weights = &file.tensor("A1")?.shape;
    let &[hidden, inputs] = weights.as_slice() else {
        return Err(file.fault(tensor("A1"), "a shape [K, N]", format!("{weights:?}")));
    };
    let buckets = match file.tensor("C")?.shape[..] {
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
    let checked = architecture.check();
    checked.map_err(|error| error.in_file(file.path()))?;
    let extra = file
        .tensors
        .iter()
        .find(|tensor| ["A2", "B2"].contains(&tensor.name.as_str()));
    if let (true, Some(extra)) = (tied, extra) {
        let found = format!("one of shape {:?}", extra.shape);
        return Err(file.fault(tensor(&extra.name), "none in a tied network", found));
    }
    Ok(architecture)
}

fn shape_in_file(architecture: &Architecture, name: ParameterName) -> Vec<usize> {
    let (hidden, buckets) = (architecture.hidden, architecture.buckets);
    match name {
        ParameterName::A1 | ParameterName::A2 => vec![hidden, architecture.inputs],
        ParameterName::B1 | ParameterName::B2 => vec![hidden],
        ParameterName::C if buckets > 1 => vec![buckets, 2 * hidden],
        ParameterName::C => vec![2 * hidden],
        ParameterName::D => vec![buckets],
    }
}

/// A `[rows, columns]` matrix as `[columns, rows]`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column = |at| values.iter().skip(at).step_by(columns).take(rows);
    (0..columns).flat_map(column).copied().collect()
}

fn positive(number: &f32) -> bool {
    number.is_finite() && *number > 0.0
}
