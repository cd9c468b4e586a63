//! Batch normalisation over the batch axis (section 2).

use super::layer::{Layer, Mode, Named, Role};
use crate::engine::device::Device;
use crate::error::Result;
use crate::tensor::{Tensor, no_gradient};

/// x̂ = (x − μ)/√(v + ε), y = γ ⊙ x̂ + β, for x `[batch, features]`; μ and v are the mean and the biased variance of the batch
/// while training, and the running values in evaluation.
///
/// After a training batch μ_run ← α·μ_run + (1 − α)·μ, and the same for v. PyTorch's `momentum` is 1 − α, and its running variance
/// is the unbiased one, v·n/(n − 1), so that running values of the two differ by that factor.
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
    /// γ = 1, β = 0, running mean 0 and variance 1, ε = 1e-5, α = 0.9.
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

    /// Without γ and β: they stay 1 and 0.
    #[must_use]
    pub fn without_affine(self) -> Self {
        Self {
            gamma: self.gamma.detach(),
            beta: self.beta.detach(),
            affine: false,
            ..self
        }
    }

    /// Another ε, and another α, the share of the old running values that stays.
    #[must_use]
    pub fn with(self, epsilon: f32, decay: f32) -> Self {
        Self {
            epsilon,
            decay,
            ..self
        }
    }

    /// μ_run and v_run, `[features]`.
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
