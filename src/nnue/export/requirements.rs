//! The networks that a save format is for.

use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use crate::nnue::architecture::Architecture;
use crate::nnue::data::{ChessInputs, Encoding, OutputBuckets};
use crate::nnue::head::HiddenLayer;
use serde::{Deserialize, Serialize};

/// What an engine fixes about the networks that it loads. A key that is left out allows anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Requirements {
    /// K.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// The activation of the accumulators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// Whether halves of the accumulators are multiplied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairwise: Option<bool>,
    /// The hidden layers, such as `["16:crelu", "32:crelu"]`; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Whether the output layer reads the first hidden layer too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<bool>,
    /// The features, as in the metadata of a network file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<ChessInputs>,
    /// The output buckets, as an option has them: `1`, `material:8` or 33 numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_buckets: Option<String>,
}

impl Requirements {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The network that is required. What is left out is as in [`Architecture::default`], tied,
    /// with SCReLU, or as in [`Encoding::default`].
    ///
    /// # Errors
    /// A key that no network has.
    pub fn network(&self) -> Result<(Architecture, Encoding)> {
        let buckets = match &self.output_buckets {
            None => OutputBuckets::ONE,
            Some(text) => text.parse()?,
        };
        let encoding = Encoding::new(self.inputs.clone().unwrap_or_default(), buckets);
        let inputs = encoding.inputs.inputs();
        let default = Architecture::default().hidden;
        let mut network = Architecture::new(inputs, self.hidden.unwrap_or(default)).tied();
        network.activation = self.activation.unwrap_or(Activation::SCRelu);
        network.pairwise = self.pairwise.unwrap_or(false);
        network.skip = self.skip.unwrap_or(false);
        network.buckets = encoding.output_buckets.count();
        network.layers = self.hidden_layers()?.unwrap_or_default();
        Ok((network, encoding))
    }

    fn hidden_layers(&self) -> Result<Option<Vec<HiddenLayer>>> {
        let Some(texts) = &self.layers else {
            return Ok(None);
        };
        let layers = texts.iter().map(|text| text.parse());
        layers.collect::<Result<_>>().map(Some)
    }

    /// Refuses other networks.
    pub(super) fn check(&self, architecture: &Architecture, encoding: &Encoding) -> Result<()> {
        fn same<T: PartialEq>(
            name: &str,
            expected: Option<T>,
            found: T,
            show: impl Fn(&T) -> String,
        ) -> Result<()> {
            match expected {
                Some(expected) if expected != found => {
                    let words = format!("{}, as the format requires", show(&expected));
                    Err(Error::argument(name, words, show(&found)))
                }
                _ => Ok(()),
            }
        }
        same(
            "hidden (K)",
            self.hidden,
            architecture.hidden,
            usize::to_string,
        )?;
        let activation = architecture.activation;
        same("activation", self.activation, activation, |one| {
            one.name().to_owned()
        })?;
        same(
            "pairwise",
            self.pairwise,
            architecture.pairwise,
            bool::to_string,
        )?;
        let layers = self.hidden_layers()?;
        same(
            "layers",
            layers,
            architecture.layers.clone(),
            |layers| match layers.is_empty() {
                true => "none".to_owned(),
                false => {
                    let texts = layers.iter().map(HiddenLayer::to_string);
                    texts.collect::<Vec<_>>().join(",")
                }
            },
        )?;
        same("skip", self.skip, architecture.skip, bool::to_string)?;
        same(
            "inputs",
            self.inputs.clone(),
            encoding.inputs.clone(),
            shown,
        )?;
        let buckets: Option<OutputBuckets> = match &self.output_buckets {
            None => None,
            Some(text) => Some(text.parse()?),
        };
        let found = encoding.output_buckets;
        same("output buckets", buckets, found, OutputBuckets::to_string)
    }
}

/// The features with the table of their king buckets.
fn shown(inputs: &ChessInputs) -> String {
    match inputs.king_buckets() {
        Some(kings) if kings.buckets() > 1 => {
            let table: Vec<String> = kings.table().iter().map(usize::to_string).collect();
            format!("{} with --buckets {}", inputs.name(), table.join(","))
        }
        _ => inputs.name().to_owned(),
    }
}
