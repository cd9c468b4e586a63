//! Quantization-aware training (section 8.4): passes with the numbers that the parameters have in
//! an engine, and updates of the parameters themselves.

use super::architecture::Architecture;
use super::data::Encoding;
use super::export::{Entry, Quantized, Rounding, SaveFormat};
use super::kernels::fake_quantize::{NEAREST, TRUNCATE};
use super::network::Network;
use super::parameters::Parameters;
use super::step::QuantizedCopies;
use crate::error::{Error, Result};

/// How the parameters of a network become the numbers of a save format.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeQuantization {
    architecture: Architecture,
    /// Of each tensor, in the order of [`Architecture::tensors`]; none for floats, and for parts
    /// that are merged with others.
    pub(super) grids: Vec<Option<Grid>>,
    /// Whether the sum of both parts of factorised inputs has a grid, and not each part.
    pub(super) merges_shared: bool,
}

/// The integers of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) scale: f32,
    pub(super) low: f32,
    pub(super) high: f32,
    /// See [`Params::up`](super::kernels::fake_quantize::Params::up).
    pub(super) up: f32,
}

impl FakeQuantization {
    /// The scales, limits and roundings of a format. Tensors of floats stay as they are, and the
    /// planes of both kings stay two.
    ///
    /// # Errors
    /// A network that the format is not for, as [`Quantized::new`] refuses it, and a format without
    /// integers.
    pub fn new(
        format: &SaveFormat,
        architecture: &Architecture,
        encoding: Option<&Encoding>,
    ) -> Result<Self> {
        let quantized = Quantized::empty(format, architecture, encoding)?;
        let grid = |entry: &Entry| {
            let [low, high] = entry.kind.limits()?;
            Some(Grid {
                scale: entry.scale as f32,
                low: low as f32,
                high: high as f32,
                up: match entry.rounding.unwrap_or(format.rounding) {
                    Rounding::Nearest => NEAREST,
                    Rounding::Truncate => TRUNCATE,
                },
            })
        };
        let specs = architecture.tensors();
        let names = specs.iter().map(|spec| spec.name.as_str());
        let entries = names.map(|name| quantized.tensor(name).map(|tensor| &tensor.entry));
        let grids: Vec<_> = entries.map(|entry| entry.and_then(grid)).collect();
        if grids.iter().all(Option::is_none) {
            return Err(Error::argument("format", "a tensor of integers", "floats"));
        }
        Ok(Self {
            grids,
            // The architecture of the numbers has no shared part then.
            merges_shared: quantized.architecture() != architecture,
            architecture: architecture.clone(),
        })
    }
}

impl Network {
    /// Lets [`Network::gradients`] and [`Network::backward`] compute with the parameters that an
    /// engine has, Q(w) = clamp(round(w·s), low, high) ÷ s, in place of w, or not, which is the
    /// default. The gradients are those by Q(w), which a training applies to w. Outputs of
    /// [`Network::forward`] have w. The device then holds a second set of the parameters.
    ///
    /// # Errors
    /// The quantization of another architecture, and memory that runs out. Nothing changes then.
    pub fn set_quantization(&mut self, quantization: Option<FakeQuantization>) -> Result<()> {
        let Some(quantization) = quantization else {
            self.quantized = None;
            return Ok(());
        };
        if quantization.architecture != *self.architecture() {
            let expected = format!("one of {}", self.architecture());
            let found = quantization.architecture;
            return Err(Error::argument("quantization", expected, found));
        }
        let both = self.architecture().is_factorised() && !quantization.merges_shared;
        let parameters = self.like_parameters("quantized")?;
        // The shared parts stay 0 if the sums are quantized.
        let zeros = Parameters::zeros(self.architecture().clone())?;
        self.upload(&parameters, &zeros)?;
        self.quantized = Some(QuantizedCopies {
            parameters,
            merged: match both {
                true => self.like_weights("quantized")?,
                false => Vec::new(),
            },
            quantization,
        });
        Ok(())
    }
}
