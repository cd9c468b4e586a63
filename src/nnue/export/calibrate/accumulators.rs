//! The rounding of the accumulators, for the outputs that follow from them.

use super::super::quantized::Quantized;
use super::floats::scaled;
use super::samples::Samples;
use crate::error::Result;
use crate::nnue::parameters::Parameters;
use rayon::prelude::*;

/// How lanes become the inputs of the next layer.
#[derive(Clone, Copy)]
pub(super) enum Active {
    /// \[z\] = min(max(z, 0), QA).
    Clipped,
    /// \[z\]² ÷ QA, as a fraction.
    Squared,
    /// \[z\]² >> shift.
    ShiftedSquare(u32),
    /// \[z\]·\[z'\] >> shift, with the lane z' that is K/2 away.
    Pairwise(u32),
}

/// The integers of the accumulators, and their values on the samples.
pub(super) struct Accumulators<'a> {
    samples: &'a Samples,
    pub(super) hidden: usize,
    qa: i32,
    active: Active,
    /// The scaled weights `[N, K]` and biases `[K]`.
    exact: [Vec<f64>; 2],
    pub(super) weights: Vec<i32>,
    pub(super) biases: Vec<i32>,
    /// `[K, 2·samples]`: the values of list l are at l, l + 2·samples and so on.
    lanes: Vec<i16>,
    /// For each feature, and at the end for the biases, the lists that have it.
    lists: Vec<Vec<u32>>,
}

impl<'a> Accumulators<'a> {
    pub(super) fn new(
        quantized: &Quantized,
        parameters: &Parameters,
        samples: &'a Samples,
        active: Active,
    ) -> Result<Self> {
        let mut lists = samples.by_feature();
        lists.push((0..2 * samples.len() as u32).collect());
        let mut own = Self {
            samples,
            hidden: quantized.architecture().hidden,
            qa: quantized.network()?.head().qa(),
            active,
            exact: [
                scaled(quantized, parameters, "A1")?,
                scaled(quantized, parameters, "B1")?,
            ],
            weights: quantized.integers_of("A1")?,
            biases: quantized.integers_of("B1")?,
            lanes: Vec::new(),
            lists,
        };
        own.lanes = own.sums();
        Ok(own)
    }

    fn sums(&self) -> Vec<i16> {
        let lists = 2 * self.samples.len();
        let mut lanes = vec![0; self.hidden * lists];
        let rows = lanes.par_chunks_exact_mut(lists).enumerate();
        rows.for_each(|(lane, row)| {
            for (list, z) in row.iter_mut().enumerate() {
                let features = self.samples.list(list).iter();
                let weights = features.map(|&f| self.weights[f as usize * self.hidden + lane]);
                *z = (self.biases[lane] + weights.sum::<i32>()) as i16;
            }
        });
        lanes
    }

    fn lane(&self, lane: usize, list: usize) -> i32 {
        self.lanes[lane * 2 * self.samples.len() + list].into()
    }

    /// What a lane gives to the next layer, if it has the value z.
    #[inline]
    fn value(&self, z: i32, partner: i32) -> f32 {
        let z = z.clamp(0, self.qa);
        match self.active {
            Active::Clipped => z as f32,
            Active::Squared => (z * z) as f32 / self.qa as f32,
            Active::ShiftedSquare(shift) => ((z * z) >> shift) as f32,
            Active::Pairwise(shift) => ((z * partner.clamp(0, self.qa)) >> shift) as f32,
        }
    }

    /// The input of the next layer from a lane of a list.
    pub(super) fn input(&self, lane: usize, list: usize) -> f32 {
        self.value(self.lane(lane, list), self.partner(lane, list))
    }

    fn partner(&self, lane: usize, list: usize) -> i32 {
        match self.active {
            Active::Pairwise(_) => {
                let half = self.hidden / 2;
                self.lane((lane + half) % (2 * half), list)
            }
            _ => 0,
        }
    }

    /// Moves each weight to its other integer if that reduces the squared error of the outputs.
    /// `errors` are those of the samples, and `factor` is the change of an output per change of the
    /// input that a lane of a list gives to the next layer.
    pub(super) fn round(
        &mut self,
        errors: &mut [f32],
        factor: impl Fn(usize, usize) -> f32 + Sync,
    ) {
        let count = 2 * self.samples.len();
        let lists = std::mem::take(&mut self.lists);
        for lane in 0..self.hidden {
            let factors = (0..count).into_par_iter().map(|list| factor(lane, list));
            let factors: Vec<f32> = factors.collect();
            let partners = (0..count)
                .into_par_iter()
                .map(|list| self.partner(lane, list));
            let partners: Vec<i32> = partners.collect();
            let row = lane * count;
            for (feature, lists) in lists.iter().enumerate() {
                let at = feature * self.hidden + lane;
                let weight = self.exact[0].get(at).zip(self.weights.get(at));
                let (&exact, &chosen) =
                    weight.unwrap_or((&self.exact[1][lane], &self.biases[lane]));
                let [low, high] = [exact.floor(), exact.ceil()].map(|one| one as i32);
                let other = if chosen == low { high } else { low };
                let step = other - chosen;
                let change = |list: u32| {
                    let list = list as usize;
                    let (z, partner) = (i32::from(self.lanes[row + list]), partners[list]);
                    factors[list] * (self.value(z + step, partner) - self.value(z, partner))
                };
                if step == 0 || difference(lists, errors, change) >= 0.0 {
                    continue;
                }
                for &list in lists {
                    errors[list as usize / 2] += change(list);
                }
                for &list in lists {
                    self.lanes[row + list as usize] += step as i16;
                }
                match self.weights.get_mut(at) {
                    Some(weight) => *weight = other,
                    None => self.biases[lane] = other,
                }
            }
        }
        self.lists = lists;
    }

    /// Puts the integers into the network.
    pub(super) fn store(&self, quantized: &mut Quantized) -> Result<()> {
        quantized.replace("A1", self.weights.clone())?;
        quantized.replace("B1", self.biases.clone())
    }
}

/// By how much the sum of the squared errors changes with a change of each list.
fn difference(lists: &[u32], errors: &[f32], change: impl Fn(u32) -> f32) -> f64 {
    let mut difference = 0.0;
    let mut at = 0;
    while at < lists.len() {
        let sample = lists[at] / 2;
        let mut sum = change(lists[at]);
        at += 1;
        // Both perspectives may have the feature.
        if at < lists.len() && lists[at] / 2 == sample {
            sum += change(lists[at]);
            at += 1;
        }
        difference += f64::from(sum * (2.0 * errors[sample as usize] + sum));
    }
    difference
}
