//! How parameters start.

use crate::engine::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The distribution that a weight matrix `[in, out]` starts from. The same seed gives the same values on every device; another
/// platform's logarithm may differ in the last bit of the normal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Initial {
    /// Uniform in ±√(6/(in + out)) (Glorot).
    XavierUniform,
    /// Normal of variance 2/(in + out).
    XavierNormal,
    /// Uniform in ±√(6/in), for layers before a ReLU (He).
    KaimingUniform,
    /// Normal of variance 2/in.
    KaimingNormal,
    /// Uniform in ±1/√in, as PyTorch's linear layers start, weights and biases alike.
    #[default]
    FanIn,
}

impl Initial {
    /// A parameter of this shape for a layer of `inputs` and `outputs`.
    pub fn parameter(
        self,
        device: &Device,
        shape: &[usize],
        [inputs, outputs]: [usize; 2],
        seed: u64,
    ) -> Result<Tensor> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (fan_in, both) = (inputs.max(1) as f32, (inputs + outputs).max(1) as f32);
        let count = shape.iter().product();
        let mut uniform = |bound: f32| -> Vec<f32> {
            (0..count)
                .map(|_| random.random_range(-bound..=bound))
                .collect()
        };
        let values = match self {
            Self::XavierUniform => uniform((6.0 / both).sqrt()),
            Self::KaimingUniform => uniform((6.0 / fan_in).sqrt()),
            Self::FanIn => uniform(1.0 / fan_in.sqrt()),
            Self::XavierNormal | Self::KaimingNormal => {
                let variance = match self {
                    Self::XavierNormal => 2.0 / both,
                    _ => 2.0 / fan_in,
                };
                let draw = |_| -> f32 {
                    let normal: f32 = StandardNormal.sample(&mut random);
                    normal * variance.sqrt()
                };
                (0..count).map(draw).collect()
            }
        };
        Ok(Tensor::new(device, &values, shape)?.parameter())
    }
}
