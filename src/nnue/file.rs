//! Networks in safetensors files.
//!
//! A network file has the tensors `A1` and `A2` `[K, N]`, `B1` and `B2` `[K]`, `C` `[2K]` and `d`
//! `[1]`. `A2` and `B2` are absent if the network is tied. With several output buckets, `C` is
//! `[buckets, 2K]` and `d` is `[buckets]`. Its metadata are `activation` (crelu, screlu or relu),
//! `clip` (which relu ignores) and `tied` (true or false), and `checksum`, as in every file of
//! tensors ([`safetensors`](crate::files::safetensors)). The metadata of chess networks with other
//! inputs than `chess768` or with output buckets are in [`Encoding`](super::data::Encoding).
//!
//! A network with a longer head has the metadata `head`, a JSON object such as
//! `{"pairwise": true, "layers": [{"width": 16, "activation": "dual"}], "buckets": 8, "skip": false}`.
//! With `pairwise` the width of `C` is K instead of 2K. With hidden layers the tensors `W1`
//! `[buckets, outputs, inputs]` and `c1` `[buckets, outputs]`, `W2`, `c2` and so on, up to the output
//! layer's, replace `C` and `d`. The shared part of factorized inputs is `A1f` and `A2f` `[K, M]`.
//!
//! [`read_network`] and [`write_network`] handle whole files. The other functions are for files with
//! more in them, such as checkpoints or gradients.

use super::architecture::{Architecture, ParameterName, TensorSpec};
use super::head::HiddenLayer;
use super::parameters::Parameters;
use crate::error::Result;
use crate::files::memory::{copied, room};
use crate::files::safetensors::{Metadata, StoredTensor, TensorData, TensorFile, tensor};
use crate::nnue::activation::Activation;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The metadata key of the head.
const HEAD: &str = "head";

/// Writes a network file atomically. `metadata` are added to the network's own metadata.
///
/// # Errors
/// NaN and infinities, and every error of the file system. After an error, nothing is written.
pub fn write_network(path: &Path, parameters: &Parameters, metadata: Metadata) -> Result<()> {
    network_file(path, parameters, metadata)?.write_finite()
}

/// Reads the parameters and the metadata of a network file or a checkpoint. A file without a
/// checksum gives a warning.
///
/// # Errors
/// Tensors or metadata that are missing, do not fit together, or hold NaN or infinities. The error
/// names the tensor or the key.
pub fn read_network(path: &Path) -> Result<(Parameters, Metadata)> {
    let file = TensorFile::read(path)?;
    file.warn_if_unchecked();
    let parameters = read_parameters(&file, &read_architecture(&file)?, "")?;
    Ok((parameters, file.metadata))
}

/// A network file to be written at `path`: the parameters, the metadata of their architecture, and
/// `metadata`.
///
/// # Errors
/// As [`push_parameters`].
pub fn network_file(
    path: impl Into<PathBuf>,
    parameters: &Parameters,
    mut metadata: Metadata,
) -> Result<TensorFile> {
    let architecture = parameters.architecture();
    for (key, value) in [
        ("activation", architecture.activation.name().to_string()),
        ("clip", architecture.clip.to_string()),
        ("tied", architecture.tied.to_string()),
    ] {
        metadata.insert(key.to_string(), value);
    }
    if architecture.pairwise || !architecture.layers.is_empty() {
        metadata.insert(HEAD.to_string(), head_of(architecture).to_string());
    }
    let mut file = TensorFile::new(path, metadata);
    push_parameters(&mut file, parameters, "")?;
    Ok(file)
}

/// Adds the tensors of `parameters` in the shapes of a network file. `suffix` follows each name,
/// such as `.grad` for gradients.
///
/// # Errors
/// [`Error::Memory`](crate::Error::Memory) if the system has no memory for a copy of the tensors.
pub fn push_parameters(file: &mut TensorFile, parameters: &Parameters, suffix: &str) -> Result<()> {
    let architecture = parameters.architecture();
    for (spec, values) in parameters.iter() {
        let name = format!("{}{suffix}", spec.name);
        let values = match spec.shape[..] {
            [inputs, hidden] if spec.name.is_weights() => transpose(&name, values, inputs, hidden)?,
            _ => copied(&name, values)?,
        };
        file.tensors.push(StoredTensor {
            name,
            shape: shape_in_file(architecture, &spec),
            data: TensorData::F32(values),
        });
    }
    Ok(())
}

/// Reads the tensors that [`push_parameters`] adds with this suffix.
///
/// # Errors
/// A tensor that is missing, has another shape, or holds NaN or infinities.
pub fn read_parameters(
    file: &TensorFile,
    architecture: &Architecture,
    suffix: &str,
) -> Result<Parameters> {
    let read = |spec: TensorSpec| {
        let name = format!("{}{suffix}", spec.name);
        let values = file.finite(&name, &shape_in_file(architecture, &spec))?;
        match spec.shape[..] {
            [inputs, hidden] if spec.name.is_weights() => transpose(&name, values, hidden, inputs),
            _ => copied(&name, values),
        }
    };
    let values = architecture.tensors().into_iter().map(read);
    let values = values.collect::<Result<_>>()?;
    Parameters::from_values(architecture.clone(), values)
}

/// The metadata of the head. It stays a JSON object of its own, because other programs write it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default)]
    pairwise: bool,
    #[serde(default)]
    layers: Vec<HiddenLayer>,
    #[serde(default = "one")]
    buckets: usize,
    #[serde(default)]
    skip: bool,
}

fn one() -> usize {
    1
}

fn head_of(architecture: &Architecture) -> serde_json::Value {
    serde_json::json!({
        "pairwise": architecture.pairwise,
        "layers": architecture.layers,
        "buckets": architecture.buckets,
        "skip": architecture.skip,
    })
}

/// The architecture of the network in a file. N, K, M and the number of buckets come from the shapes
/// of `A1`, `A1f` and `C` or `W1`, the rest from the metadata. [`read_parameters`] checks the other
/// tensors against it.
///
/// # Errors
/// Metadata or shapes that are missing or describe no network.
pub fn read_architecture(file: &TensorFile) -> Result<Architecture> {
    let activation: Activation = file.option("activation", &Activation::names())?;
    let tied = file.option("tied", "true or false")?;
    let clip = match activation.has_clip() {
        true => file.option("clip", "a finite number above 0")?,
        // If the activation does not use the clip, 1 replaces a clip that is missing or wrong.
        false => file.option("clip", "").ok().filter(positive).unwrap_or(1.0),
    };
    let weights = &file.tensor("A1")?.shape;
    let &[hidden, inputs] = weights.as_slice() else {
        return Err(file.fault(tensor("A1"), "a shape [K, N]", format!("{weights:?}")));
    };
    let head = match file.metadata.get(HEAD) {
        Some(text) => Some(serde_json::from_str::<Head>(text).map_err(|error| {
            file.fault(
                "metadata `head`",
                "pairwise, layers, buckets and skip",
                error,
            )
        })?),
        None => None,
    };
    let buckets = match (&head, file.has("C")) {
        (Some(head), _) => head.buckets,
        (None, false) if file.has("W1") => {
            let expected = "the layers of the network, as there is a tensor `W1`";
            return Err(file.fault("metadata `head`", expected, "none"));
        }
        (None, _) => match file.tensor("C")?.shape[..] {
            [buckets, _] => buckets,
            _ => 1,
        },
    };
    let shared = match file.has("A1f") {
        true => match file.tensor("A1f")?.shape[..] {
            [_, shared] => shared,
            ref shape => {
                return Err(file.fault(tensor("A1f"), "a shape [K, M]", format!("{shape:?}")));
            }
        },
        false => 0,
    };
    let mut architecture = Architecture::new(inputs, hidden)
        .activation(activation)
        .clip(clip)
        .buckets(buckets)
        .shared(shared);
    architecture.tied = tied;
    if let Some(head) = head {
        architecture.pairwise = head.pairwise;
        architecture.layers = head.layers;
        architecture.skip = head.skip;
    }
    let checked = architecture.check();
    checked.map_err(|error| error.in_file(file.path()))?;
    let extra = file
        .tensors
        .iter()
        .find(|tensor| ["A2", "A2f", "B2"].contains(&tensor.name.as_str()));
    if let (true, Some(extra)) = (tied, extra) {
        let found = format!("one of shape {:?}", extra.shape);
        return Err(file.fault(tensor(&extra.name), "none in a tied network", found));
    }
    Ok(architecture)
}

/// The shape of a tensor in a network file: A is `[K, N]` there, and C has a row per bucket.
pub fn shape_in_file(architecture: &Architecture, spec: &TensorSpec) -> Vec<usize> {
    let buckets = architecture.buckets;
    match (spec.name, &spec.shape[..]) {
        (name, &[inputs, hidden]) if name.is_weights() => vec![hidden, inputs],
        (ParameterName::C, _) if buckets > 1 => vec![buckets, architecture.head_inputs()],
        (_, shape) => shape.to_vec(),
    }
}

/// A `[rows, columns]` matrix as `[columns, rows]`.
fn transpose(name: &str, values: &[f32], rows: usize, columns: usize) -> Result<Vec<f32>> {
    let mut transposed = room(name, values.len())?;
    let column = |at| values.iter().skip(at).step_by(columns).take(rows);
    transposed.extend((0..columns).flat_map(column));
    Ok(transposed)
}

fn positive(number: &f32) -> bool {
    number.is_finite() && *number > 0.0
}
