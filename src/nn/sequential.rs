//! Chains of layers.

use super::batch_norm::BatchNorm1d;
use super::dropout::Dropout;
use super::initial::Initial;
use super::layer::{Layer, Mode, Named};
use super::linear::Linear;
use super::nonlinearity::Nonlinearity;
use crate::engine::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A chain of layers. The name of each tensor begins with the number of its layer, as in PyTorch's
/// `Sequential`.
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// A chain without layers, which returns its input.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same chain with another layer at its end.
    #[must_use]
    pub fn with(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }
}

impl Layer for Sequential {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut layers = self.layers.iter();
        layers.try_fold(x.clone(), |x, layer| layer.forward(&x, mode))
    }

    fn tensors(&self) -> Vec<Named<'_>> {
        let layers = self.layers.iter().enumerate();
        let tensors = layers.flat_map(|(place, layer)| {
            layer.tensors().into_iter().map(move |named| Named {
                name: format!("{place}.{}", named.name),
                ..named
            })
        });
        tensors.collect()
    }
}

/// A multi-layer perceptron (section 3): linear layers with an activation between each two of them.
/// Batch normalization before each activation and dropout after it are optional. The output of the
/// last linear layer is the output of the network.
///
/// ```
/// use wgrad::Device;
/// use wgrad::nn::{Layer, Mlp, Nonlinearity};
///
/// let device = Device::cpu()?;
/// let network = Mlp::new(&[64, 128, 10], Nonlinearity::Relu).batch_norm().build(&device, 1)?;
/// let names: Vec<String> = network.tensors().into_iter().map(|named| named.name).collect();
/// assert_eq!(names[..4], ["0.weight", "0.bias", "1.weight", "1.bias"]);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mlp {
    sizes: Vec<usize>,
    activation: Nonlinearity,
    batch_norm: bool,
    dropout: f32,
    initial: Initial,
}

impl Mlp {
    /// A perceptron of these sizes, from the input to the output.
    pub fn new(sizes: &[usize], activation: Nonlinearity) -> Self {
        Self {
            sizes: sizes.to_vec(),
            activation,
            batch_norm: false,
            dropout: 0.0,
            initial: Initial::default(),
        }
    }

    /// Adds batch normalization before each activation.
    #[must_use]
    pub fn batch_norm(self) -> Self {
        Self {
            batch_norm: true,
            ..self
        }
    }

    /// Adds dropout after each activation.
    #[must_use]
    pub fn dropout(self, rate: f32) -> Self {
        Self {
            dropout: rate,
            ..self
        }
    }

    /// Sets the initial distribution of the weights.
    #[must_use]
    pub fn initial(self, initial: Initial) -> Self {
        Self { initial, ..self }
    }

    /// The network with its parameters on a device.
    ///
    /// # Errors
    /// Fewer than two sizes, a size of 0, or a dropout rate that is out of its range.
    pub fn build(&self, device: &Device, seed: u64) -> Result<Sequential> {
        if self.sizes.len() < 2 || self.sizes.contains(&0) {
            let expected = "at least 2 sizes above 0";
            return Err(Error::argument(
                "sizes",
                expected,
                format!("{:?}", self.sizes),
            ));
        }
        let mut network = Sequential::new();
        let last = self.sizes.len() - 2;
        for (place, fans) in self.sizes.windows(2).enumerate() {
            // One stream per layer. They also differ from the streams of other small seeds.
            let seed = seed.wrapping_mul(1 << 16).wrapping_add(place as u64);
            network = network.with(Linear::with(
                device,
                [fans[0], fans[1]],
                self.initial,
                seed,
            )?);
            if place == last {
                break;
            }
            if self.batch_norm {
                network = network.with(BatchNorm1d::new(device, fans[1])?);
            }
            network = network.with(self.activation);
            if self.dropout > 0.0 {
                network = network.with(Dropout::new(self.dropout, seed)?);
            }
        }
        Ok(network)
    }
}
