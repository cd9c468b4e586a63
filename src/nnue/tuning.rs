//! The variants that a training step chooses by the card, and the file that keeps such choices.
//!
//! Some kernels of a step have variants that compute the same sums, and which of them is the
//! fastest depends on the card. Without a [`Tuning`] a table by the vendor of the adapter decides.
//! `wgrad tune` times the variants and keeps the best one in a [`TuningFile`].

mod file;

pub use crate::engine::libraries::Tiles;
pub use file::{TunedShape, TuningFile};

use crate::engine::device::{Class, Device};
use crate::error::{Error, Result};
use crate::nnue::Architecture;
use crate::nnue::kernels::forward;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::num::NonZeroUsize;

/// The most recordings that may share a submission.
const MOST_RECORDINGS: usize = 64;

/// The choices of a training step that may differ between cards for one shape. What is `None` is
/// left to the table by vendor.
///
/// ```
/// use wgrad::nnue::Tuning;
///
/// let tuning = Tuning::default().lanes(Some(16));
/// assert_eq!(tuning.to_string(), "16 lanes");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tuning {
    /// The lanes of an invocation of the forward kernel of the masked path on adapters: 32, or 16
    /// with a K up to 2,048. The bits depend on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u32>,
    /// Where the kernels of tiles keep their operands on adapters: `deep_first`, `masked_weights`
    /// with several output buckets, and the products of dense inputs. It counts as part of the
    /// bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
    /// The most recordings that an adapter gets in one submission, 1 to 64. The bits do not depend
    /// on it, and trainings do not record it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recordings: Option<NonZeroUsize>,
}

crate::setters! { Tuning {
    lanes: Option<u32>,
    tiles: Option<Tiles>,
    recordings: Option<NonZeroUsize>,
} }

impl Tuning {
    /// The choices for a network on a device by the table of vendors, without the recordings per
    /// submission. A choice that the network does not have there is `None`.
    pub fn standard(device: &Device, architecture: &Architecture) -> Self {
        let adapter = device.adapter();
        Self {
            lanes: adapter
                .filter(|_| architecture.has_plain_head())
                .map(|_| standard_lanes(device, architecture.hidden)),
            tiles: adapter.map(|_| Tiles::of(device.class())),
            recordings: None,
        }
    }

    /// Whether nothing is chosen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These choices, and those of `other` where these leave a choice open.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            lanes: self.lanes.or(other.lanes),
            tiles: self.tiles.or(other.tiles),
            recordings: self.recordings.or(other.recordings),
        }
    }

    /// The choices that the bits of a training depend on and that differ from the table of vendors:
    /// what a training records.
    #[must_use]
    pub fn recorded(self, device: &Device, architecture: &Architecture) -> Self {
        let standard = Self::standard(device, architecture);
        Self {
            lanes: self.lanes.filter(|_| self.lanes != standard.lanes),
            tiles: self.tiles.filter(|_| self.tiles != standard.tiles),
            recordings: None,
        }
    }

    /// Checks that a network on a device has these variants.
    ///
    /// # Errors
    /// [`Error::Argument`] with the choice: any choice without an adapter; lanes other than 32 and
    /// 16, 16 with a K above 2,048, and lanes of a network with a longer head; more than 64
    /// recordings per submission.
    pub fn check(&self, device: &Device, architecture: &Architecture) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        if device.class() == Class::Host {
            let found = format!("{self} on {}", device.name());
            return Err(Error::argument("tuning", "an adapter", found));
        }
        if let Some(lanes) = self.lanes {
            let hidden = architecture.hidden;
            let found = match architecture.has_plain_head() {
                true if has_lanes(lanes, hidden) => None,
                true => Some(format!("{lanes} with K = {hidden}")),
                false => Some(format!("{lanes} with a longer head")),
            };
            if let Some(found) = found {
                let expected = "32, or 16 with a K up to 2,048, and a network with one layer";
                return Err(Error::argument("lanes", expected, found));
            }
        }
        match self.recordings {
            Some(recordings) if recordings.get() > MOST_RECORDINGS => {
                let expected = format!("1 to {MOST_RECORDINGS}");
                Err(Error::argument("recordings", expected, recordings))
            }
            _ => Ok(()),
        }
    }
}

/// The choices as words: `16 lanes, tiles in registers, 8 recordings per submission`.
impl Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiles = self.tiles.map(|tiles| match tiles {
            Tiles::Shared => "tiles in workgroup memory".to_owned(),
            Tiles::Registers => "tiles in registers".to_owned(),
        });
        let recordings = self.recordings.map(|recordings| match recordings.get() {
            1 => "1 recording per submission".to_owned(),
            recordings => format!("{recordings} recordings per submission"),
        });
        let lanes = self.lanes.map(|lanes| format!("{lanes} lanes"));
        let words: Vec<_> = [lanes, tiles, recordings].into_iter().flatten().collect();
        match words.is_empty() {
            true => f.write_str("the choice by vendor"),
            false => f.write_str(&words.join(", ")),
        }
    }
}

/// Whether the forward kernel has a variant of this many lanes per invocation for this K.
pub(super) fn has_lanes(lanes: u32, hidden: usize) -> bool {
    forward::LANES.contains(&lanes) && hidden <= forward::largest_hidden(lanes)
}

/// The lanes of an invocation of the forward kernel by the vendor of the adapter. The compilers of
/// AMD and Intel fit more invocations on a core with 16 lanes (16 waves of 16 on RDNA 3 and 16
/// invocations instead of 8 at once on Arc), while NVIDIA's needs fewer instructions with 32.
pub(super) fn standard_lanes(device: &Device, hidden: usize) -> u32 {
    const AMD: u32 = 0x1002;
    const INTEL: u32 = 0x8086;
    let [wide, narrow] = forward::LANES;
    match device.adapter().map(|adapter| adapter.vendor) {
        Some(AMD | INTEL) if has_lanes(narrow, hidden) => narrow,
        _ => wide,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuning_is_words_and_json_without_what_is_left_open() {
        let all = Tuning {
            lanes: Some(16),
            tiles: Some(Tiles::Registers),
            recordings: NonZeroUsize::new(8),
        };
        let words = "16 lanes, tiles in registers, 8 recordings per submission";
        assert_eq!(all.to_string(), words);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(text, r#"{"lanes":16,"tiles":"registers","recordings":8}"#);
        assert_eq!(serde_json::from_str::<Tuning>(&text).unwrap(), all);
        let text = serde_json::to_string(&Tuning::default()).unwrap();
        assert_eq!(text, "{}");
        // A later release may choose more.
        let later = serde_json::from_str::<Tuning>(r#"{"lanes":16,"rounds":4}"#).unwrap();
        assert_eq!(later, Tuning::default().lanes(Some(16)));
        assert_eq!(later.or(all), all);
        assert_eq!(all.or(later), all);
    }

    #[test]
    fn the_cpu_has_nothing_to_choose() {
        let (device, architecture) = (Device::cpu().unwrap(), Architecture::new(768, 64));
        let standard = Tuning::standard(&device, &architecture);
        assert!(standard.is_empty());
        standard.check(&device, &architecture).unwrap();
        let tuning = standard.lanes(Some(32));
        let error = tuning.check(&device, &architecture).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tuning: expected an adapter, found 32 lanes on cpu"
        );
    }
}
