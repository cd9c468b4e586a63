//! Batch normalization over the samples of a batch (section 2).

use super::layer::{Layer, Mode, Named, Role};
use crate::engine::device::Device;
use crate::error::Result;
use crate::tensor::{Tensor, no_gradient};

/// Batch normalization: x̂ = (x − μ)/√(v + ε) and y = γ ⊙ x̂ + β, for x `[batch, features]`. During
/// training, μ and v are the mean and the biased variance of the batch. In evaluation they are the
/// running values.
///
/// After each training batch, μ_run ← α·μ_run + (1 − α)·μ, and likewise for v. PyTorch's `momentum`
/// is 1 − α. Its running variance uses the unbiased variance, v·n/(n − 1) for n samples, so it
/// differs from this one.
///
/// Gradients: gx = (γ/√(v + ε)) ⊙ (g − mean(g) − x̂ ⊙ mean(g ⊙ x̂)), gγ = Σ g ⊙ x̂, gβ = Σ g.
#[derive(Clone, Debug)]
pub struct BatchNorm1d {
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
    affine: bool,
    epsilon: f32,
    decay: f32,
}

impl BatchNorm1d {
    /// A layer with γ = 1, β = 0, running mean 0, running variance 1, ε = 1e-5 and α = 0.9.
    pub fn new(device: &Device, features: usize) -> Result<Self> {
        let filled = |value: f32| Tensor::new(device, &vec![value; features], &[features]);
        Ok(Self {
            gamma: filled(1.0)?.parameter(),
            beta: filled(0.0)?.parameter(),
            running_mean: filled(0.0)?,
            running_variance: filled(1.0)?,
            affine: true,
            epsilon: 1e-5,
            decay: 0.9,
        })
    }

    /// The same layer without γ and β, which stay 1 and 0.
    #[must_use]
    pub fn without_affine(self) -> Self {
        Self {
            gamma: self.gamma.detach(),
            beta: self.beta.detach(),
            affine: false,
            ..self
        }
    }

    /// The same layer with this ε, and with α = `decay`, the share of the old running values that
    /// is kept.
    #[must_use]
    pub fn with(self, epsilon: f32, decay: f32) -> Self {
        Self {
            epsilon,
            decay,
            ..self
        }
    }

    /// The running mean μ_run and the running variance v_run, each `[features]`.
    pub fn running(&self) -> [&Tensor; 2] {
        [&self.running_mean, &self.running_variance]
    }
}

impl Layer for BatchNorm1d {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        if mode == Mode::Evaluation {
            let [mean, variance] = self.running();
            return x.normalize_by(mean, variance, &self.gamma, &self.beta, self.epsilon);
        }
        let normalized = x.batch_norm(&self.gamma, &self.beta, self.epsilon)?;
        no_gradient(|| {
            let follow = |running: &Tensor, new: &Tensor| {
                let old = running.affine(self.decay, 0.0)?;
                running.assign(&old.add(&new.affine(1.0 - self.decay, 0.0)?)?)
            };
            follow(&self.running_mean, &normalized.mean)?;
            follow(&self.running_variance, &normalized.variance)
        })?;
        Ok(normalized.output)
    }

    fn tensors(&self) -> Vec<Named<'_>> {
        let mut tensors = Vec::new();
        if self.affine {
            tensors.push(Named::new("weight", &self.gamma, Role::Parameter));
            tensors.push(Named::new("bias", &self.beta, Role::Parameter));
        }
        tensors.push(Named::new("running_mean", &self.running_mean, Role::Buffer));
        tensors.push(Named::new(
            "running_var",
            &self.running_variance,
            Role::Buffer,
        ));
        tensors
    }
}
