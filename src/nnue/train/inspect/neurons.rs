//! Dead and saturated neurons.

use super::{Inspection, Lanes};
use serde::Serialize;

/// The share of the positions from which on a neuron counts as mostly dead or saturated.
pub const MOSTLY: f64 = 0.999;

/// The neurons of an accumulator or of a hidden layer that hardly change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Neurons {
    /// Where they are: `own accumulator`, `other accumulator`, `both accumulators`, or `layer 1` and
    /// so on.
    pub place: String,
    /// The number of neurons: lanes, in a hidden layer those of all buckets.
    pub lanes: usize,
    /// Those whose bucket has no position.
    pub unused: usize,
    /// Those that are 0 for every position.
    pub dead: Vec<usize>,
    /// Those that are 0 for at least [`MOSTLY`] of the positions, with the dead ones.
    pub mostly_dead: Vec<usize>,
    /// Those that are at the clip for every position.
    pub saturated: Vec<usize>,
    /// Those that are at the clip for at least [`MOSTLY`] of the positions, with the saturated ones.
    pub mostly_saturated: Vec<usize>,
}

impl Neurons {
    fn of(place: impl Into<String>, lanes: &Lanes) -> Self {
        Self {
            place: place.into(),
            lanes: lanes.len(),
            unused: lanes.unused(),
            dead: lanes.dead(1.0),
            mostly_dead: lanes.dead(MOSTLY),
            saturated: lanes.saturated(1.0),
            mostly_saturated: lanes.saturated(MOSTLY),
        }
    }
}

impl Inspection {
    /// The neurons of both accumulators and of each hidden layer. In a `tied` network a lane is the
    /// same neuron in both perspectives, so both together follow the two accumulators.
    pub fn neurons(&self, tied: bool) -> Vec<Neurons> {
        let [own, other] = &self.accumulators;
        let mut all = vec![
            Neurons::of("own accumulator", own),
            Neurons::of("other accumulator", other),
        ];
        if tied {
            all.push(Neurons::of("both accumulators", &own.with(other)));
        }
        let layers = self.layers.iter().enumerate();
        all.extend(layers.map(|(layer, lanes)| Neurons::of(format!("layer {}", layer + 1), lanes)));
        all
    }
}
