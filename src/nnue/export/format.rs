//! How a network becomes the bytes of a file, as data.

use super::choice::FormatChoice;
use super::entry::{Entry, Rounding};
use super::evaluation::Evaluation;
use super::header::Header;
use super::presets;
use super::requirements::Requirements;
use crate::error::{Error, Result};
use crate::files::line::line_of;
use crate::nnue::architecture::Architecture;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// A save format: the contents of a file in their order.
///
/// It is written in TOML. A whole one is
///
/// ```
/// # let text = r#"
/// about = "a plain network for my engine"
///
/// [padding]
/// to = 64                     # zeros up to a multiple of 64 bytes
///
/// [[tensors]]
/// tensor = "A1"               # the name in a network file of wgrad
/// merge = ["shared"]          # with the part that all king buckets share
/// type = "i16"
/// scale = 255                 # the file holds 255·A1
///
/// [[tensors]]
/// tensor = "B1"
/// type = "i16"
/// scale = 255
///
/// [[tensors]]
/// tensor = "C"
/// order = ["bucket", "input"] # from the slowest to the fastest
/// type = "i16"
/// scale = 64
/// rounding = "truncate"       # instead of "nearest"
///
/// [[tensors]]
/// tensor = "d"
/// type = "i16"
/// scale = 16320
///
/// [evaluation]
/// scale = 400                 # the centipawns of an output of 1
/// # "#;
/// let format = wgrad::nnue::export::SaveFormat::from_toml(text)?;
/// assert_eq!(format.tensors.len(), 4);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SaveFormat {
    /// What the format is for, and where it comes from.
    #[serde(default)]
    pub about: String,
    /// The rounding of tensors that say nothing else.
    #[serde(default)]
    pub rounding: Rounding,
    /// The networks that the format is for.
    #[serde(default, skip_serializing_if = "Requirements::is_empty")]
    pub requires: Requirements,
    /// What holds the tensors.
    #[serde(default, skip_serializing_if = "Container::is_file")]
    pub container: Container,
    /// The first bytes of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The tensors in the order of the file. A run of entries whose names end in `*` is repeated
    /// for each layer that no other entry names, with its number for the star: `W*` and `c*` can be
    /// `W2`, `c2`, `W3` and `c3`.
    pub tensors: Vec<Entry>,
    /// The end of the file.
    #[serde(default)]
    pub padding: Padding,
    /// The arithmetic of the engine, if wgrad is to compute the same numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// What holds the tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// A file of the tensors alone, in their order.
    #[default]
    File,
    /// A file of the crate wgrad-inference, whose order and header do not depend on the format.
    Inference,
}

impl Container {
    fn is_file(&self) -> bool {
        *self == Self::File
    }
}

/// What fills the file after its last tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Padding {
    /// The length of the file is a multiple of this many bytes.
    pub to: usize,
    /// The bytes of this text, again and again; zeros if it is empty.
    pub with: String,
}

impl Default for Padding {
    fn default() -> Self {
        Self {
            to: 1,
            with: String::new(),
        }
    }
}

impl Padding {
    /// The largest multiple.
    const MOST: usize = 1 << 16;

    /// Fills up to the next multiple.
    pub(super) fn fill(&self, bytes: &mut Vec<u8>) {
        let missing = bytes.len().next_multiple_of(self.to.max(1)) - bytes.len();
        match self.with.as_bytes() {
            [] => bytes.resize(bytes.len() + missing, 0),
            text => bytes.extend(text.iter().cycle().take(missing)),
        }
    }
}

impl SaveFormat {
    /// The names of the formats that come with wgrad, each with the first line of what it is for.
    pub fn presets() -> Vec<(&'static str, String)> {
        presets::NAMES
            .iter()
            .map(|&name| (name, presets::about(name)))
            .collect()
    }

    /// The TOML of the formats of this name. Two formats share a name if one is for networks
    /// without hidden layers and one for those with them.
    ///
    /// # Errors
    /// An unknown name.
    pub fn preset_texts(name: &str) -> Result<Vec<&'static str>> {
        presets::texts(name)
    }

    /// The format of this name for such a network.
    ///
    /// # Errors
    /// An unknown name.
    pub fn preset(name: &str, architecture: &Architecture) -> Result<Self> {
        let texts = presets::texts(name)?;
        let text = match texts[..] {
            [_, layered] if !architecture.layers.is_empty() => layered,
            [first, ..] => first,
            [] => return Err(Error::argument("format", "a known format", name)),
        };
        Self::from_toml(text)
    }

    /// The format of a name, or of a file if the name ends in `.toml`.
    ///
    /// # Errors
    /// As [`SaveFormat::preset`] and [`SaveFormat::from_file`].
    pub fn find(name: &str, architecture: &Architecture) -> Result<Self> {
        name.parse::<FormatChoice>()?.for_network(architecture)
    }

    /// Reads a format from TOML.
    ///
    /// # Errors
    /// [`Error::Argument`] with the line, or with the tensor and its key.
    pub fn from_toml(text: &str) -> Result<Self> {
        let format: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            let place = line.map_or("format".to_owned(), |line| format!("line {line}"));
            Error::argument(place, "the keys of a save format", error.message())
        })?;
        format.check().map(|()| format)
    }

    /// Reads a file of TOML.
    ///
    /// # Errors
    /// A file that cannot be read, and everything that [`SaveFormat::from_toml`] refuses.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        Self::from_toml(&text).map_err(|error| match error {
            Error::Argument(fault) => Error::data(path, fault),
            error => error,
        })
    }

    /// The same format with this rounding for every tensor.
    #[must_use]
    pub fn rounding(mut self, rounding: Rounding) -> Self {
        self.rounding = rounding;
        for entry in &mut self.tensors {
            entry.rounding = None;
        }
        self
    }

    /// Checks everything that does not depend on a network.
    ///
    /// # Errors
    /// [`Error::Argument`] with the tensor and its key.
    pub fn check(&self) -> Result<()> {
        if self.tensors.is_empty() {
            return Err(Error::argument("tensors", "at least one", "none"));
        }
        if self.container == Container::Inference && self.evaluation.is_none() {
            let expected = "a table [evaluation] for the container inference";
            return Err(Error::argument("format", expected, "none"));
        }
        if !(1..=Padding::MOST).contains(&self.padding.to) {
            let expected = format!("1 to {}", Padding::MOST);
            return Err(Error::argument("padding, to", expected, self.padding.to));
        }
        for entry in &self.tensors {
            entry.check()?;
        }
        if let Some(header) = &self.header {
            header.check()?;
        }
        match &self.evaluation {
            Some(evaluation) => evaluation.check(),
            None => Ok(()),
        }
    }

    /// The same format with the entries of this network's tensors: stars are replaced, and optional
    /// entries of tensors that the network lacks are left out.
    pub(super) fn for_network(&self, architecture: &Architecture) -> Self {
        let specs = architecture.tensors();
        let has = |name: &str| specs.iter().any(|spec| spec.name.as_str() == name);
        let layers = 1..=architecture.layers.len() + 1;
        let free = layers.filter(|layer| {
            let names = [format!("W{layer}"), format!("c{layer}")];
            has(&names[0])
                && !self
                    .tensors
                    .iter()
                    .any(|entry| names.contains(&entry.tensor))
        });
        let free: Vec<usize> = free.collect();
        let mut tensors = Vec::new();
        let is_star = |entry: &Entry| entry.tensor.ends_with('*');
        for run in self.tensors.chunk_by(|a, b| is_star(a) == is_star(b)) {
            if !is_star(&run[0]) {
                let kept = run
                    .iter()
                    .filter(|entry| !entry.optional || has(&entry.tensor));
                tensors.extend(kept.cloned());
                continue;
            }
            for layer in &free {
                tensors.extend(run.iter().map(|entry| Entry {
                    tensor: entry.tensor.replace('*', &layer.to_string()),
                    ..entry.clone()
                }));
            }
        }
        Self {
            tensors,
            ..self.clone()
        }
    }

    /// The first entry of a tensor.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.tensors.iter().find(|entry| entry.tensor == name)
    }
}
