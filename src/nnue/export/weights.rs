//! weights.bin of bullet: its tensors under their names.
//!
//! For each tensor the file has its name, a line feed, the number of its elements as u64, and the
//! elements as f32, in bullet's order, little-endian (jw1912/bullet,
//! crates/trainer/src/model/weights.rs).

use super::bytes;
use super::format::SaveFormat;
use super::quantized::Quantized;
use crate::error::{Error, Result};
use crate::nnue::architecture::{Architecture, ParameterName};
use crate::nnue::data::Encoding;
use crate::nnue::parameters::Parameters;

/// The longest name of a tensor.
const LONGEST: usize = 256;

/// The parameters of a weights.bin of bullet, for a network of this shape. Its tensors must have
/// the names of bullet's examples: l0w, l0f (the shared part), l0b, l1w, l1b and so on.
///
/// # Errors
/// An untied network, a file that is cut short, tensors that are missing or unknown, and wrong
/// numbers of elements.
pub fn read_bullet_weights(
    bytes: &[u8],
    architecture: &Architecture,
    encoding: Option<&Encoding>,
) -> Result<Parameters> {
    if !architecture.tied {
        return Err(Error::argument("network", "a tied one", "an untied one"));
    }
    let tensors = split(bytes)?;
    let format = SaveFormat::preset("raw", architecture)?.for_network(architecture);
    let mut ordered = Vec::new();
    let mut names = Vec::new();
    for spec in architecture.tensors() {
        names.push((spec.name.as_str(), bullet_name(spec.name), spec.len()));
    }
    for entry in &format.tensors {
        // The format lists the tensors of a tied network and no others.
        let known = names.iter().find(|(name, ..)| *name == entry.tensor);
        let Some((_, name, len)) = known else {
            continue;
        };
        let found = tensors.iter().find(|(found, _)| found == name);
        let found = found
            .ok_or_else(|| Error::argument(format!("tensor {name}"), "one in the file", "none"))?;
        if found.1.len() != 4 * len {
            let expected = format!("{len} elements for {architecture}");
            return Err(Error::argument(
                format!("tensor {name}"),
                expected,
                found.1.len() / 4,
            ));
        }
        ordered.extend(found.1);
    }
    let unknown = |(name, _): &&(String, &[u8])| !names.iter().any(|(_, known, _)| known == name);
    if let Some((name, _)) = tensors.iter().find(unknown) {
        let known: Vec<&str> = names.iter().map(|(_, name, _)| name.as_str()).collect();
        let expected = format!("{} for {architecture}", known.join(", "));
        return Err(Error::argument("tensors", expected, format!("{name:?}")));
    }
    Quantized::from_bytes(&format, architecture, encoding, &ordered)?.parameters()
}

/// bullet's name of a tensor.
fn bullet_name(name: ParameterName) -> String {
    match name {
        ParameterName::A1 | ParameterName::A2 => "l0w".into(),
        ParameterName::Shared1 | ParameterName::Shared2 => "l0f".into(),
        ParameterName::B1 | ParameterName::B2 => "l0b".into(),
        ParameterName::C => "l1w".into(),
        ParameterName::D => "l1b".into(),
        ParameterName::W(layer) => format!("l{}w", layer + 1),
        ParameterName::Bias(layer) => format!("l{}b", layer + 1),
    }
}

/// The names and the bytes of the tensors.
fn split(bytes: &[u8]) -> Result<Vec<(String, &[u8])>> {
    let mut tensors = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let place = bytes.len() - rest.len();
        let cut = |expected: &str| {
            let place = format!("byte {place}");
            Error::argument(place, expected, "the end of the file or other bytes")
        };
        let end = rest.iter().take(LONGEST).position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| cut("the name of a tensor and a line feed"))?;
        let name = std::str::from_utf8(&rest[..end]);
        let name = name.map_err(|_| cut("the name of a tensor in ASCII"))?;
        let (count, after) = rest[end + 1..]
            .split_first_chunk()
            .ok_or_else(|| cut("the number of elements after the name"))?;
        let len = u64::from_le_bytes(*count).checked_mul(4);
        let len = len.and_then(|len| usize::try_from(len).ok());
        let data = len.and_then(|len| after.split_at_checked(len));
        let (data, after) = data.ok_or_else(|| cut("all elements of the tensor"))?;
        tensors.push((name.to_owned(), data));
        rest = after;
    }
    match tensors.is_empty() {
        true => Err(bytes::wrong_file("weights.bin of bullet", "an empty file")),
        false => Ok(tensors),
    }
}
