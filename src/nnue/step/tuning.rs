//! The variants of the kernels of a step.

use super::Step;
use crate::error::Result;
use crate::nnue::tuning::Tuning;

impl Step {
    /// Chooses the variants of every path: see
    /// [`Network::set_tuning`](crate::nnue::Network::set_tuning).
    pub(in crate::nnue) fn set_tuning(&mut self, tuning: Tuning) -> Result<()> {
        tuning.check(&self.device, &self.architecture)?;
        let chosen = tuning.or(Tuning::standard(&self.device, &self.architecture));
        self.masked.lanes = chosen.lanes.unwrap_or(self.masked.lanes);
        if let Some(tiles) = chosen.tiles {
            self.masked.tiles = tiles;
            self.deep.tiles = tiles;
            self.layered.tiles = tiles;
        }
        if let Some(recordings) = tuning.recordings {
            self.device.set_recordings_per_submission(recordings);
        }
        Ok(())
    }

    /// The choices that the network has on its device.
    pub(in crate::nnue) fn tuning(&self) -> Tuning {
        let standard = Tuning::standard(&self.device, &self.architecture);
        Tuning {
            lanes: standard.lanes.map(|_| self.masked.lanes),
            tiles: standard.tiles.map(|_| self.masked.tiles),
            recordings: self.device.adapter().and_then(|_| {
                let recordings = self.device.recordings_per_submission();
                std::num::NonZeroUsize::new(recordings)
            }),
        }
    }
}
