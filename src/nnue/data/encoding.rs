//! How chess positions become samples of a network, as network files say it.

use super::chess_inputs::ChessInputs;
use super::dataset::Dataset;
use super::loader::{Loader, LoaderSettings};
use super::output_buckets::OutputBuckets;
use crate::error::{Error, Result};
use crate::files::safetensors::{Metadata, TensorFile};
use crate::nnue::architecture::Architecture;
use crate::nnue::needs::Needs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// How chess positions become samples: their features and their output buckets.
///
/// Network files and checkpoints hold both as JSON in their metadata, under `inputs` and
/// `output_buckets`. A file without `inputs` is of `chess768`, and one without `output_buckets` has
/// a single bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Encoding {
    /// The feature set.
    pub inputs: ChessInputs,
    /// The output buckets.
    pub output_buckets: OutputBuckets,
}

/// The metadata keys.
const INPUTS: &str = "inputs";
const OUTPUT_BUCKETS: &str = "output_buckets";

impl Encoding {
    /// An encoding with these inputs and output buckets.
    pub fn new(inputs: ChessInputs, output_buckets: OutputBuckets) -> Self {
        Self {
            inputs,
            output_buckets,
        }
    }

    /// Checks that a network takes these inputs and has these output buckets.
    ///
    /// # Errors
    /// [`Error::Argument`] with the numbers of both.
    pub fn check(&self, architecture: &Architecture) -> Result<()> {
        let inputs = self.inputs.inputs();
        if architecture.inputs != inputs {
            let expected = format!("{inputs}, as {} has", self.inputs);
            return Err(Error::argument("inputs (N)", expected, architecture.inputs));
        }
        self.check_buckets(architecture)
    }

    /// Checks the output buckets alone.
    pub(crate) fn check_buckets(&self, architecture: &Architecture) -> Result<()> {
        let buckets = self.output_buckets.count();
        if architecture.buckets != buckets {
            let expected = format!("{buckets}, as output_buckets has");
            return Err(Error::argument("buckets", expected, architecture.buckets));
        }
        Ok(())
    }

    /// A loader of samples in this encoding. It replaces [`LoaderSettings::output_buckets`].
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn loader(
        &self,
        dataset: &Dataset,
        settings: LoaderSettings,
        needs: Needs<'_>,
    ) -> Result<Loader> {
        let settings = settings.output_buckets(self.output_buckets);
        self.inputs.loader(dataset, &settings, needs)
    }

    /// The metadata of a file, without those that are as in a file that has none.
    ///
    /// # Errors
    /// None for any encoding: JSON can hold them all.
    pub fn metadata(&self) -> Result<Metadata> {
        let mut metadata = Metadata::new();
        if !self.inputs.is_chess768() {
            metadata.insert(INPUTS.into(), to_json(INPUTS, &self.inputs)?);
        }
        if !self.output_buckets.is_one() {
            let text = to_json(OUTPUT_BUCKETS, &self.output_buckets)?;
            metadata.insert(OUTPUT_BUCKETS.into(), text);
        }
        Ok(metadata)
    }

    /// The encoding of a network, from the metadata that
    /// [`read_network`](crate::nnue::read_network) read at `path`.
    ///
    /// # Errors
    /// [`Error::Tensors`] with the key: inputs of another game, or a damaged table.
    pub fn from_metadata(path: &Path, metadata: &Metadata) -> Result<Self> {
        let inputs = "the inputs of chess, {\"name\": \"chess768\" or \"king-buckets\", …}";
        let buckets = "a list of 33 bucket numbers, by the number of pieces";
        Ok(Self {
            inputs: from_json(path, metadata, INPUTS, inputs)?,
            output_buckets: from_json(path, metadata, OUTPUT_BUCKETS, buckets)?,
        })
    }
}

fn to_json(key: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::argument(key, "a value that JSON can hold", error))
}

fn from_json<T: DeserializeOwned + Default>(
    path: &Path,
    metadata: &Metadata,
    key: &str,
    expected: &str,
) -> Result<T> {
    let Some(text) = metadata.get(key) else {
        return Ok(T::default());
    };
    serde_json::from_str(text).map_err(|error| {
        let found = format!("{text} ({error})");
        TensorFile::new(path, Metadata::new()).fault(format!("metadata `{key}`"), expected, found)
    })
}
