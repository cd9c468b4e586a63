//! The save format that a training names: a preset, or a format of its own.

use super::format::SaveFormat;
use crate::error::{Error, Result};
use crate::nnue::architecture::Architecture;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::str::FromStr;
use toml::Table;

/// The save format of a training, before its network is known. A text of it is the name of a preset
/// or a path that ends in `.toml`. Files of a training hold the name, or the TOML of the format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FormatChoice {
    /// The format of this name that comes with wgrad. Networks without hidden layers and those with
    /// them may have different formats of one name.
    Preset(String),
    /// Another format.
    Own(Box<SaveFormat>),
}

impl FormatChoice {
    /// The format for such a network.
    ///
    /// # Errors
    /// As [`SaveFormat::preset`] and [`SaveFormat::check`].
    pub fn for_network(&self, architecture: &Architecture) -> Result<SaveFormat> {
        match self {
            Self::Preset(name) => SaveFormat::preset(name, architecture),
            Self::Own(format) => format.check().map(|()| (**format).clone()),
        }
    }

    /// A format from its keys.
    ///
    /// # Errors
    /// As [`SaveFormat::from_toml`].
    pub(in crate::nnue) fn from_table(table: &Table) -> Result<Self> {
        let format = SaveFormat::from_toml(&table.to_string())?;
        Ok(Self::Own(Box::new(format)))
    }

    /// The keys of a format of its own; `None` for a preset.
    pub(in crate::nnue) fn table(&self) -> Option<Table> {
        match self {
            Self::Preset(_) => None,
            Self::Own(format) => Table::try_from(format).ok(),
        }
    }
}

/// The name of a preset, or "a format of its own".
impl Display for FormatChoice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(name) => f.write_str(name),
            Self::Own(_) => f.write_str("a format of its own"),
        }
    }
}

impl FromStr for FormatChoice {
    type Err = Error;

    /// Finds a preset, or reads a file.
    fn from_str(name: &str) -> Result<Self> {
        match name.ends_with(".toml") {
            true => Ok(Self::Own(Box::new(SaveFormat::from_file(Path::new(name))?))),
            false => SaveFormat::preset_texts(name).map(|_| Self::Preset(name.to_owned())),
        }
    }
}

impl TryFrom<String> for FormatChoice {
    type Error = Error;

    /// Reads a name, or the TOML of a format, which has several lines.
    fn try_from(text: String) -> Result<Self> {
        match text.contains('\n') {
            true => Ok(Self::Own(Box::new(SaveFormat::from_toml(&text)?))),
            false => text.parse(),
        }
    }
}

impl From<FormatChoice> for String {
    fn from(choice: FormatChoice) -> Self {
        match choice.table() {
            Some(table) => table.to_string(),
            None => choice.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_reads_back_from_the_files_of_a_training() {
        let own = SaveFormat::preset_texts("bullet").unwrap()[1];
        let mut own = SaveFormat::from_toml(own).unwrap();
        // A scale that has no short decimal form.
        own.tensors[0].scale = 255.0 / 1.98;
        let own = FormatChoice::Own(Box::new(own));
        for choice in [own, "wgrad".parse().unwrap()] {
            let json = serde_json::to_string(&choice).unwrap();
            let back: FormatChoice = serde_json::from_str(&json).unwrap();
            assert_eq!(back, choice, "{json}");
            if let Some(table) = choice.table() {
                assert_eq!(FormatChoice::from_table(&table).unwrap(), choice);
            }
        }
        let error = "stockfish".parse::<FormatChoice>().unwrap_err().to_string();
        assert!(error.contains("publius"), "{error}");
        let error = "none.toml".parse::<FormatChoice>().unwrap_err().to_string();
        assert!(error.contains("none.toml"), "{error}");
    }
}
