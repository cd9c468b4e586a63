//! Initial values of parameters.

use crate::engine::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The initial distribution of a weight matrix `[in, out]`. The same seed gives the same values on
/// every device. Logarithms of another platform may change the last bit of normal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Initial {
    /// Uniform within ±√(6/(in + out)), after Glorot.
    XavierUniform,
    /// Normal with variance 2/(in + out), after Glorot.
    XavierNormal,
    /// Uniform within ±√(6/in), for layers before a ReLU, after He.
    KaimingUniform,
    /// Normal with variance 2/in, after He.
    KaimingNormal,
    /// Uniform within ±1/√in, the default of PyTorch's linear layers for weights and biases.
    #[default]
    FanIn,
}

impl Initial {
    /// A new parameter of this shape, for a layer with this number of inputs and outputs.
    ///
    /// # Errors
    /// A shape that does not fit the device.
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
