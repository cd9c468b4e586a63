//! The feature sets of chess as data: chosen by a name and parameters, and stored in files.

use super::chess768::{Chess768, PIECES};
use super::dataset::Dataset;
use super::features::FeatureSet;
use super::king_buckets::KingBuckets;
use super::loader::{Loader, LoaderSettings};
use super::record::Position;
use crate::error::{Error, Result};
use crate::nnue::names::one_of;
use crate::nnue::needs::Needs;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// The inputs of a chess network: [`Chess768`] or [`KingBuckets`].
///
/// In JSON they are one of
///
/// ```json
/// {"name": "chess768"}
/// {"name": "chess768", "mirrored": true}
/// {"name": "king-buckets", "table": [0, 1, …]}
/// {"name": "king-buckets", "mirrored": true, "table": [0, 1, …]}
/// ```
///
/// with a table of 64 entries, or of 32 if mirrored. `chess768` mirrored is [`KingBuckets`] with a
/// single bucket. Equal sets are equal values: a table of zeros is read as `chess768`.
///
/// ```
/// use wgrad::nnue::data::ChessInputs;
///
/// let text = r#"{"name":"chess768","mirrored":true}"#;
/// let inputs: ChessInputs = serde_json::from_str(text).unwrap();
/// assert_eq!((inputs.inputs(), inputs.name()), (768, "chess768-mirrored"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct ChessInputs {
    /// `None` for [`Chess768`].
    kings: Option<KingBuckets>,
}

/// The JSON object.
#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
enum Stored {
    Chess768 {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        mirrored: bool,
    },
    KingBuckets {
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        mirrored: bool,
        table: Vec<usize>,
    },
}

/// The names of the sets.
const CHESS768: &str = "chess768";
const CHESS768_MIRRORED: &str = "chess768-mirrored";
const KING_BUCKETS: &str = "king-buckets";
const KING_BUCKETS_MIRRORED: &str = "king-buckets-mirrored";

/// What errors name.
const TABLE: &str = "buckets (of kings)";

impl ChessInputs {
    /// The names that [`ChessInputs::named`] takes.
    pub const NAMES: [&'static str; 4] = [
        CHESS768,
        CHESS768_MIRRORED,
        KING_BUCKETS,
        KING_BUCKETS_MIRRORED,
    ];

    /// The set with this name. `table` has the bucket of each square of the king: 64 numbers for
    /// `king-buckets`, 32 for `king-buckets-mirrored`, and none for the others.
    ///
    /// # Errors
    /// An unknown name, a table that is missing or too many, and everything that [`KingBuckets`]
    /// refuses.
    pub fn named(name: &str, table: Option<&[usize]>) -> Result<Self> {
        let kings = match (name, table) {
            (CHESS768, None) => return Ok(Self::default()),
            (CHESS768_MIRRORED, None) => KingBuckets::mirrored(&[0; 32])?,
            (KING_BUCKETS, Some(table)) => KingBuckets::new(table)?,
            (KING_BUCKETS_MIRRORED, Some(table)) => KingBuckets::mirrored(table)?,
            (KING_BUCKETS, None) => return missing(name, 64),
            (KING_BUCKETS_MIRRORED, None) => return missing(name, 32),
            (CHESS768 | CHESS768_MIRRORED, Some(table)) => {
                let found = format!("{} bucket numbers", table.len());
                return Err(Error::argument(TABLE, format!("none with {name}"), found));
            }
            _ => {
                let found = format!("{name:?}");
                return Err(Error::argument("inputs", one_of(&Self::NAMES), found));
            }
        };
        Ok(kings.into())
    }

    /// The name, one of [`ChessInputs::NAMES`].
    pub fn name(&self) -> &'static str {
        match &self.kings {
            None => CHESS768,
            Some(kings) => match (kings.buckets(), kings.is_mirrored()) {
                (1, _) => CHESS768_MIRRORED,
                (_, false) => KING_BUCKETS,
                (_, true) => KING_BUCKETS_MIRRORED,
            },
        }
    }

    /// The king buckets, also those of `chess768` mirrored; `None` for [`Chess768`].
    pub fn king_buckets(&self) -> Option<&KingBuckets> {
        self.kings.as_ref()
    }

    /// N, the number of inputs of one perspective.
    pub fn inputs(&self) -> usize {
        self.kings
            .as_ref()
            .map_or(Chess768.inputs(), KingBuckets::inputs)
    }

    /// F, the largest number of features of a position in one perspective.
    pub fn max_indices(&self) -> usize {
        PIECES
    }

    /// The feature set, for a [`BatchBuilder`](super::BatchBuilder).
    pub fn features(&self) -> Arc<dyn FeatureSet<Position = Position>> {
        match &self.kings {
            None => Arc::new(Chess768),
            Some(kings) => Arc::new(kings.clone()),
        }
    }

    /// A [`Loader`] of this set. Its loop over the records is compiled for the set, and so is faster
    /// than that of [`Loader::new`] with [`ChessInputs::features`].
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn loader(
        &self,
        dataset: &Dataset,
        settings: &LoaderSettings,
        needs: Needs<'_>,
    ) -> Result<Loader> {
        match &self.kings {
            None => Loader::new(dataset, Arc::new(Chess768), settings, needs),
            Some(kings) => Loader::new(dataset, Arc::new(kings.clone()), settings, needs),
        }
    }

    /// Whether this is [`Chess768`], which files leave out.
    pub(crate) fn is_chess768(&self) -> bool {
        self.kings.is_none()
    }
}

fn missing<T>(name: &str, entries: usize) -> Result<T> {
    let expected = format!("{entries} bucket numbers for {name}");
    Err(Error::argument(TABLE, expected, "none"))
}

impl From<Chess768> for ChessInputs {
    fn from(_: Chess768) -> Self {
        Self::default()
    }
}

impl From<KingBuckets> for ChessInputs {
    fn from(kings: KingBuckets) -> Self {
        // With a single bucket and without mirroring, every feature is that of `Chess768`.
        let plain = kings.buckets() == 1 && !kings.is_mirrored();
        Self {
            kings: (!plain).then_some(kings),
        }
    }
}

/// The name, and the number of buckets if there are several.
impl Display for ChessInputs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.kings.as_ref().map_or(1, KingBuckets::buckets) {
            1 => f.pad(self.name()),
            buckets => f.pad(&format!("{} ({buckets} buckets)", self.name())),
        }
    }
}

impl TryFrom<Stored> for ChessInputs {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        match stored {
            Stored::Chess768 { mirrored: false } => Self::named(CHESS768, None),
            Stored::Chess768 { mirrored: true } => Self::named(CHESS768_MIRRORED, None),
            Stored::KingBuckets { mirrored, table } => match mirrored {
                false => Self::named(KING_BUCKETS, Some(&table)),
                true => Self::named(KING_BUCKETS_MIRRORED, Some(&table)),
            },
        }
    }
}

impl From<ChessInputs> for Stored {
    fn from(inputs: ChessInputs) -> Self {
        match inputs.kings {
            Some(kings) if kings.buckets() > 1 => Self::KingBuckets {
                mirrored: kings.is_mirrored(),
                table: kings.table().to_vec(),
            },
            kings => Self::Chess768 {
                mirrored: kings.is_some(),
            },
        }
    }
}
