//! Output buckets by the number of pieces.

use super::buckets::{NUMBERS, count_of};
use super::chess768::PIECES;
use super::record::Position;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

/// The entries of a table: 0 to 32 pieces.
const ENTRIES: usize = PIECES + 1;
/// What errors name.
const PLACE: &str = "output_buckets";

/// The output bucket of a chess position: a table of 33 entries by its number of pieces, 0 to 32.
///
/// As text it is `1`, `material:N` or 33 numbers with commas. In JSON it is a list of 33 numbers.
///
/// ```
/// use wgrad::nnue::data::OutputBuckets;
///
/// let buckets: OutputBuckets = "material:8".parse()?;
/// assert_eq!(buckets.count(), 8);
/// assert_eq!(buckets.table()[2..7], [0, 0, 0, 0, 1]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct OutputBuckets {
    table: [u8; ENTRIES],
    count: u8,
}

impl OutputBuckets {
    /// One bucket for all positions.
    pub const ONE: Self = Self {
        table: [0; ENTRIES],
        count: 1,
    };

    /// N = `buckets` buckets of equally many piece counts, as bullet's `MaterialCount`:
    /// (pieces − 2) ÷ ⌈32 ÷ N⌉, rounded down. The entries of 0 and 1 pieces, which no position has,
    /// are 0.
    ///
    /// # Errors
    /// A number that would leave a bucket without pieces: any other than 1 to 8, 11 and 16.
    pub fn material(buckets: usize) -> Result<Self> {
        let table = Self::material_table(buckets);
        let made = table.and_then(|table| Self::by_pieces(&table).ok());
        made.filter(|made| made.count() == buckets).ok_or_else(|| {
            let expected = "material:N with an N that leaves no bucket empty: 1 to 8, 11 or 16";
            Error::argument(PLACE, expected, format!("material:{buckets}"))
        })
    }

    fn material_table(buckets: usize) -> Option<Vec<usize>> {
        if buckets == 0 {
            return None;
        }
        let divisor = PIECES.div_ceil(buckets);
        let bucket = |pieces: usize| pieces.saturating_sub(2) / divisor;
        Some((0..ENTRIES).map(bucket).collect())
    }

    /// The bucket of each number of pieces, `[33]`, from 0 pieces on.
    ///
    /// # Errors
    /// Another number of entries than 33, and numbers with gaps: every number from 0 to the largest
    /// must occur.
    pub fn by_pieces(table: &[usize]) -> Result<Self> {
        if table.len() != ENTRIES {
            let expected = format!("{ENTRIES} {NUMBERS}, one for each of 0 to 32 pieces");
            return Err(Error::argument(PLACE, expected, table.len()));
        }
        let count = count_of(PLACE, table)?;
        Ok(Self {
            // Without gaps no number is above 32.
            table: std::array::from_fn(|pieces| table[pieces] as u8),
            count: count as u8,
        })
    }

    /// The number of buckets, 1 to 33.
    pub fn count(&self) -> usize {
        self.count.into()
    }

    /// The bucket of each number of pieces, `[33]`.
    pub fn table(&self) -> [usize; ENTRIES] {
        self.table.map(usize::from)
    }

    /// The bucket of a position.
    #[inline(always)]
    pub fn of(&self, position: &Position) -> u32 {
        self.of_pieces(position.piece_count()).into()
    }

    /// The bucket of this number of pieces. More than 32, which no position has, count as 32.
    #[inline(always)]
    pub(super) fn of_pieces(&self, pieces: usize) -> u8 {
        self.table[pieces.min(PIECES)]
    }

    /// Whether there is one bucket, which files leave out.
    pub(crate) fn is_one(&self) -> bool {
        self.count == 1
    }
}

impl Default for OutputBuckets {
    fn default() -> Self {
        Self::ONE
    }
}

impl FromStr for OutputBuckets {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let expected = "1, material:N or 33 numbers with commas";
            Error::argument(PLACE, expected, format!("{text:?}"))
        };
        if let Some(buckets) = text.strip_prefix("material:") {
            return Self::material(buckets.parse().map_err(|_| wrong())?);
        }
        let numbers = text.split(',').map(|number| number.trim().parse());
        let numbers: Vec<usize> = numbers.collect::<Result<_, _>>().map_err(|_| wrong())?;
        match numbers[..] {
            [1] => Ok(Self::ONE),
            _ => Self::by_pieces(&numbers),
        }
    }
}

impl Display for OutputBuckets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = match Self::material(self.count()) {
            _ if self.is_one() => "1".to_owned(),
            Ok(material) if material == *self => format!("material:{}", self.count),
            _ => self.table.map(|number| number.to_string()).join(","),
        };
        f.pad(&text)
    }
}

impl Debug for OutputBuckets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "OutputBuckets({self})")
    }
}

impl TryFrom<Vec<usize>> for OutputBuckets {
    type Error = Error;

    fn try_from(table: Vec<usize>) -> Result<Self> {
        Self::by_pieces(&table)
    }
}

impl From<OutputBuckets> for Vec<usize> {
    fn from(buckets: OutputBuckets) -> Self {
        buckets.table().to_vec()
    }
}
