//! The linear layer (section 2).

use super::initial::Initial;
use super::layer::{Layer, Mode, Named, Role};
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// y = x·W + b, with x `[…, in]`, W `[in, out]` and b `[out]`.
///
/// Gradients: gx = g·Wᵀ, gW = xᵀ·g, gb = Σ_batch g.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// A layer whose weights and bias have the [initial distribution](Initial::FanIn) of PyTorch.
    ///
    /// # Errors
    /// Sizes that do not fit the device.
    pub fn new(device: &Device, inputs: usize, outputs: usize, seed: u64) -> Result<Self> {
        Self::with(device, [inputs, outputs], Initial::FanIn, seed)
    }

    /// A layer whose weights have this initial distribution. The bias is uniform within ±1/√in for
    /// [`Initial::FanIn`], and 0 otherwise.
    ///
    /// # Errors
    /// Sizes that do not fit the device.
    pub fn with(device: &Device, fans: [usize; 2], initial: Initial, seed: u64) -> Result<Self> {
        let bias = match initial {
            // A separate stream, so that the bias does not repeat the first weights.
            Initial::FanIn => initial.parameter(device, &fans[1..], fans, !seed)?,
            _ => Tensor::new(device, &vec![0.0f32; fans[1]], &fans[1..])?.parameter(),
        };
        Ok(Self {
            weight: initial.parameter(device, &fans, fans, seed)?,
            bias,
        })
    }

    /// The layer with this weight, `[in, out]`, and this bias, `[out]`.
    ///
    /// # Errors
    /// A weight that is not a matrix, and a bias that is not one number per output.
    pub fn from_tensors(weight: Tensor, bias: Tensor) -> Result<Self> {
        let (of_weight, of_bias) = (weight.shape(), bias.shape());
        let (expected, found) = match *of_weight {
            [_, outputs] if *of_bias == [outputs] => return Ok(Self { weight, bias }),
            [_, outputs] => (format!("a bias [{outputs}]"), of_bias),
            _ => ("a weight [in, out]".to_owned(), of_weight),
        };
        let found = format!("{found:?}");
        Err(Error::operation(
            "linear",
            [of_weight, of_bias],
            expected,
            found,
        ))
    }

    /// The weight W, `[in, out]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias b, `[out]`.
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }
}

impl Layer for Linear {
    fn forward(&self, x: &Tensor, _: Mode) -> Result<Tensor> {
        x.matmul(&self.weight)?.add(&self.bias)
    }

    fn tensors(&self) -> Vec<Named<'_>> {
        vec![
            Named::new("weight", &self.weight, Role::Matrix),
            Named::new("bias", &self.bias, Role::Parameter),
        ]
    }
}
