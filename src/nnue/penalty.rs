//! The L1 penalty on the input of the head (section 1.20).
//!
//! With h\[s\] the input of the first layer of the head, n numbers for each sample, what training
//! minimizes is
//!
//! ```text
//! E + l1 · (1/L) Σ_s (1/n) Σ_i |h[s, i]|
//! ```
//!
//! No h is below 0, so the penalty adds the same number, l1 ÷ (L·n), to each ∂E/∂h\[s, i\]. The
//! kernels add it before they apply the slope of the activation and the pairwise product.

use super::architecture::Architecture;
use super::network::Network;
use crate::error::{Error, Result};

/// Refuses an l1 that is negative or not finite, and a penalty for a head that is one output layer:
/// its kernels keep no ∂E/∂h.
pub(super) fn check(l1: f32, architecture: &Architecture) -> Result<()> {
    if !(l1 >= 0.0 && l1.is_finite()) {
        return Err(Error::argument("l1", "a finite number from 0", l1));
    }
    if l1 > 0.0 && architecture.has_plain_head() {
        let expected = "0, or a network with hidden layers (layers) or a pairwise product";
        let found = format!("{l1} with the network {architecture}");
        return Err(Error::argument("l1", expected, found));
    }
    Ok(())
}

impl Network {
    /// Adds l1 times the mean input of the first layer of the head to what
    /// [`Network::gradients`] and [`Network::backward`] differentiate; 0, the default, adds
    /// nothing. The input is that of both perspectives, after a pairwise product. The mean is over
    /// all its n numbers and all L samples, whatever their weights. An e that the caller gives has
    /// the penalty beside it too.
    ///
    /// The loss that these calls return is without the penalty, so it compares with a validation
    /// loss and with the loss for another l1. Section 1.20 of the mathematics has the formulas.
    ///
    /// # Errors
    /// An l1 that is negative or not finite, and one above 0 for a network with neither hidden
    /// layers nor a pairwise product. Nothing changes then.
    pub fn set_l1(&mut self, l1: f32) -> Result<()> {
        check(l1, self.architecture())?;
        self.l1 = l1;
        Ok(())
    }

    /// What the penalty adds to each ∂E/∂h of a batch of `samples` samples: l1 ÷ (L·n).
    pub(super) fn penalty(&self, samples: usize) -> f32 {
        let count = samples as f64 * self.architecture().head_inputs() as f64;
        (f64::from(self.l1) / count.max(1.0)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device::Device;
    use crate::nnue::Parameters;

    fn network(architecture: Architecture) -> Network {
        let parameters = Parameters::zeros(architecture).unwrap();
        Network::new(&Device::reference(), &parameters).unwrap()
    }

    #[test]
    fn every_input_of_the_head_has_its_share() {
        let layers = vec!["3:crelu".parse().unwrap()];
        let both = Architecture::new(5, 4).layers(layers);
        for (architecture, inputs) in [(both.clone(), 8.0), (both.pairwise(true), 4.0)] {
            let mut network = network(architecture);
            assert_eq!(network.penalty(10), 0.0);
            network.set_l1(0.5).unwrap();
            assert_eq!(network.penalty(10), 0.5 / (10.0 * inputs));
            network.set_l1(0.0).unwrap();
            assert_eq!(network.penalty(10), 0.0);
        }
    }

    #[test]
    fn what_has_no_penalty_is_refused() {
        let mut plain = network(Architecture::new(5, 4));
        plain.set_l1(0.0).unwrap();
        let error = plain.set_l1(0.005).unwrap_err().to_string();
        let words = "l1: expected 0, or a network with hidden layers (layers) or a pairwise \
                     product, found 0.005 with the network (5 -> 4) x 2 -> 1, untied";
        assert_eq!(error, words);
        let mut pairwise = network(Architecture::new(5, 4).pairwise(true));
        for l1 in [-0.005, f32::NAN, f32::INFINITY] {
            let error = pairwise.set_l1(l1).unwrap_err().to_string();
            assert!(
                error.starts_with("l1: expected a finite number from 0"),
                "{error}"
            );
        }
        assert_eq!(pairwise.penalty(1), 0.0);
    }
}
