//! The shape of a network: sizes, activation, tied or untied. Pure data.

use super::head::HiddenLayer;
use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// The shape of a two-perspective network: (N → K)×2, then the head, → 1.
///
/// Without more, the head is the one output layer of C and d. [`pairwise`](Self::pairwise),
/// [`layers`](Self::layers) and [`skip`](Self::skip) make it longer, and
/// [`buckets`](Self::buckets) gives every layer of it a set of weights per output bucket.
///
/// ```
/// use wgrad::nnue::{Activation, Architecture, HeadActivation, HiddenLayer};
///
/// let network = Architecture::new(768, 256).tied().activation(Activation::SCRelu);
/// assert_eq!(network.hidden, 256);
///
/// // (768 → 1024)×2, pairwise → 16 dual → 32 → 1, eight times.
/// let layers = vec![
///     HiddenLayer::new(16, HeadActivation::Dual),
///     HiddenLayer::new(32, HeadActivation::CRelu),
/// ];
/// let modern = Architecture::new(768, 1024).tied().pairwise(true).layers(layers).buckets(8);
/// assert_eq!(modern.head_inputs(), 1024);
/// ```
///
/// If a file of an earlier release lacks a field, the field takes its default value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Architecture {
    /// N, the number of inputs of one perspective.
    pub inputs: usize,
    /// K, the number of lanes of one accumulator.
    pub hidden: usize,
    /// Whether both perspectives share one accumulator: A1 = A2 and B1 = B2.
    pub tied: bool,
    /// The activation of the accumulators.
    pub activation: Activation,
    /// T, the upper end of CReLU and SCReLU. ReLU ignores it.
    pub clip: f32,
    /// The number of output buckets, each of which has its own weights in every layer of the head.
    pub buckets: usize,
    /// Whether the first K/2 activated lanes of a perspective are multiplied with its last K/2.
    #[serde(skip_serializing_if = "is_default")]
    pub pairwise: bool,
    /// The hidden layers of the head.
    #[serde(skip_serializing_if = "is_default")]
    pub layers: Vec<HiddenLayer>,
    /// Whether the output layer reads the outputs of the first hidden layer, followed by those of
    /// the last one, instead of the last one's alone.
    #[serde(skip_serializing_if = "is_default")]
    pub skip: bool,
    /// M, the number of columns of the shared part of A, or 0 without one. Feature f has its own
    /// column f and the shared column f mod M, and A is the sum of both.
    #[serde(skip_serializing_if = "is_default")]
    pub shared: usize,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The largest number of hidden layers in a head.
pub const MOST_LAYERS: usize = 8;

impl Default for Architecture {
    /// (768 → 128)×2 → 1. Everything else is as in [`Architecture::new`].
    fn default() -> Self {
        Self::new(768, 128)
    }
}

crate::setters! { Architecture {
    activation: Activation,
    clip: f32,
    buckets: usize,
    pairwise: bool,
    layers: Vec<HiddenLayer>,
    skip: bool,
    shared: usize,
} }

/// The name of a parameter tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterName {
    /// The accumulator weights of the side to move, or of both sides in a tied network.
    A1,
    /// The accumulator weights of the other side.
    A2,
    /// The shared part of A1, `A1f` in files.
    Shared1,
    /// The shared part of A2, `A2f` in files.
    Shared2,
    /// The accumulator biases of the side to move; of both sides in a tied network.
    B1,
    /// The accumulator biases of the other side.
    B2,
    /// The output weights of a head without hidden layers.
    C,
    /// The output bias of a head without hidden layers, `d` in formulas and files.
    D,
    /// The weights of a layer of the head, counted from 0: `W1`, `W2` and so on in files. The last
    /// ones are those of the output.
    W(usize),
    /// The biases of a layer of the head, counted from 0: `c1`, `c2` and so on in files.
    Bias(usize),
}

impl ParameterName {
    /// The name in formulas and files.
    pub fn as_str(self) -> &'static str {
        const W: [&str; MOST_LAYERS + 1] = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9"];
        const BIAS: [&str; MOST_LAYERS + 1] =
            ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
        match self {
            Self::A1 => "A1",
            Self::A2 => "A2",
            Self::Shared1 => "A1f",
            Self::Shared2 => "A2f",
            Self::B1 => "B1",
            Self::B2 => "B2",
            Self::C => "C",
            Self::D => "d",
            Self::W(layer) => W.get(layer).copied().unwrap_or("W"),
            Self::Bias(layer) => BIAS.get(layer).copied().unwrap_or("c"),
        }
    }

    /// Whether the tensor is A or its shared part, which has a row of K lanes for each input.
    pub fn is_weights(self) -> bool {
        matches!(self, Self::A1 | Self::A2 | Self::Shared1 | Self::Shared2)
    }
}

impl Display for ParameterName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One parameter tensor of an [`Architecture`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorSpec {
    /// The name.
    pub name: ParameterName,
    /// The row-major shape in memory: `[N, K]` for A, `[M, K]` for its shared part, `[K]` for B,
    /// `[buckets·width]` for C, `[buckets]` for d, `[buckets, outputs, inputs]` for the weights of a
    /// layer and `[buckets, outputs]` for its biases.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements, which no checked architecture has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The inputs and outputs of a layer of the head, for one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LayerSize {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Architecture {
    /// An untied network of N = `inputs` and K = `hidden`, with CReLU, T = 1, no hidden layer and
    /// one output bucket.
    pub fn new(inputs: usize, hidden: usize) -> Self {
        Self {
            inputs,
            hidden,
            tied: false,
            activation: Activation::CRelu,
            clip: 1.0,
            buckets: 1,
            pairwise: false,
            layers: Vec::new(),
            skip: false,
            shared: 0,
        }
    }

    /// The same network with one accumulator for both perspectives.
    #[must_use]
    pub fn tied(self) -> Self {
        Self { tied: true, ..self }
    }

    /// The number of values that the accumulators give to the head: 2K, or K if they are multiplied
    /// in pairs.
    pub fn head_inputs(&self) -> usize {
        if self.pairwise {
            self.hidden
        } else {
            2 * self.hidden
        }
    }

    /// Whether the head is one output layer: no pairwise product and no hidden layer.
    pub fn has_plain_head(&self) -> bool {
        !self.pairwise && self.layers.is_empty()
    }

    /// The same network whose king buckets share a part of A, or not: M is the 768 inputs of one
    /// bucket.
    ///
    /// # Errors
    /// To share, an N that is not of several king buckets.
    pub fn factorised(self, factorised: bool) -> Result<Self> {
        const BUCKET: usize = 768;
        let inputs = self.inputs;
        if factorised && (inputs <= BUCKET || !inputs.is_multiple_of(BUCKET)) {
            let expected = "several king buckets";
            return Err(Error::argument(
                "factorise",
                expected,
                format!("N = {inputs}"),
            ));
        }
        let shared = if factorised { BUCKET } else { 0 };
        Ok(Self { shared, ..self })
    }

    /// Whether the inputs are factorised: A has a shared part.
    pub fn is_factorised(&self) -> bool {
        self.shared > 0
    }

    /// The hidden layers and the output layer of the head.
    pub(super) fn layer_sizes(&self) -> Vec<LayerSize> {
        let mut inputs = self.head_inputs();
        let mut sizes = Vec::with_capacity(self.layers.len() + 1);
        for layer in &self.layers {
            sizes.push(LayerSize {
                inputs,
                outputs: layer.width,
            });
            inputs = layer.outputs();
        }
        if let (true, Some(first)) = (self.skip, self.layers.first()) {
            inputs += first.outputs();
        }
        sizes.push(LayerSize { inputs, outputs: 1 });
        sizes
    }

    /// The number of weights in all layers of the head, for all buckets.
    pub(super) fn head_weights(&self) -> usize {
        let sizes = self.layer_sizes();
        let each = sizes.iter().map(|size| size.inputs * size.outputs);
        self.buckets * each.sum::<usize>()
    }

    /// Checks the sizes, that they fit together, and that the clip is finite and positive even if
    /// it has no effect.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0, a size past 32 bits, an odd K with a pairwise product,
    /// a skip connection without two layers, a shared part whose M does not divide N, and a wrong
    /// clip.
    pub fn check(&self) -> Result<()> {
        for (name, size) in [
            ("inputs (N)", self.inputs),
            ("hidden (K)", self.hidden),
            ("buckets", self.buckets),
        ] {
            check_size(name, size)?;
        }
        if self.pairwise && !self.hidden.is_multiple_of(2) {
            let expected = "an even number, because `pairwise` multiplies its halves";
            return Err(Error::argument("hidden (K)", expected, self.hidden));
        }
        if self.layers.len() > MOST_LAYERS {
            let expected = format!("at most {MOST_LAYERS} hidden layers");
            return Err(Error::argument("layers", expected, self.layers.len()));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            check_size(&format!("width of layer {}", index + 1), layer.width)?;
        }
        if self.skip && self.layers.len() < 2 {
            let found = self.layers.len();
            return Err(Error::argument("layers", "at least 2 with `skip`", found));
        }
        if self.shared > 0 && !self.inputs.is_multiple_of(self.shared) {
            let expected = format!("a divisor of N = {}", self.inputs);
            return Err(Error::argument("shared inputs (M)", expected, self.shared));
        }
        // B of two accumulators and the head share a buffer.
        let each = self.layer_sizes().into_iter();
        let each = each.map(|size| (size.inputs.saturating_add(1)).saturating_mul(size.outputs));
        let head = each
            .fold(0, usize::saturating_add)
            .saturating_mul(self.buckets);
        let shared = head.saturating_add(2 * self.hidden);
        if self.inputs.saturating_mul(self.hidden).max(shared) > u32::MAX as usize {
            return Err(Error::argument(
                "architecture",
                "at most 4294967295 weights in A, and in B and the head together",
                format!(
                    "N = {}, K = {}, {} buckets, {} hidden layers",
                    self.inputs,
                    self.hidden,
                    self.buckets,
                    self.layers.len()
                ),
            ));
        }
        if !(self.clip > 0.0 && self.clip.is_finite()) {
            let expected = "a finite number above 0";
            return Err(Error::argument("clip (T)", expected, self.clip));
        }
        Ok(())
    }

    /// The parameter tensors in their fixed order: A1, A2, the shared parts, B1, B2, then C and d,
    /// or the weights of all layers and the biases of all layers. Tied networks have no second
    /// ones.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        use ParameterName::{A1, A2, B1, B2, Bias, C, D, Shared1, Shared2, W};
        let (n, k) = (self.inputs, self.hidden);
        let accumulators = if self.tied { 1 } else { 2 };
        let mut tensors = Vec::new();
        let mut push = |name, shape: &[usize]| {
            let shape = shape.to_vec();
            tensors.push(TensorSpec { name, shape });
        };
        for name in [A1, A2].into_iter().take(accumulators) {
            push(name, &[n, k]);
        }
        if self.shared > 0 {
            for name in [Shared1, Shared2].into_iter().take(accumulators) {
                push(name, &[self.shared, k]);
            }
        }
        for name in [B1, B2].into_iter().take(accumulators) {
            push(name, &[k]);
        }
        if self.layers.is_empty() {
            push(C, &[self.buckets * self.head_inputs()]);
            push(D, &[self.buckets]);
            return tensors;
        }
        let sizes = self.layer_sizes();
        for (layer, size) in sizes.iter().enumerate() {
            push(W(layer), &[self.buckets, size.outputs, size.inputs]);
        }
        for (layer, size) in sizes.iter().enumerate() {
            push(Bias(layer), &[self.buckets, size.outputs]);
        }
        tensors
    }
}

/// The layers from inputs to output, such as
/// `(768 -> 1024) x 2, pairwise -> 16:dual -> 32:crelu -> 1 x 8, tied`.
impl Display for Architecture {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} -> {}) x 2", self.inputs, self.hidden)?;
        if self.pairwise {
            write!(f, ", pairwise")?;
        }
        for layer in &self.layers {
            write!(f, " -> {layer}")?;
        }
        write!(f, " -> 1")?;
        if self.buckets > 1 {
            write!(f, " x {}", self.buckets)?;
        }
        if self.skip {
            write!(f, ", skip")?;
        }
        if self.shared > 0 {
            write!(f, ", {} shared inputs", self.shared)?;
        }
        write!(f, ", {}", if self.tied { "tied" } else { "untied" })
    }
}

fn check_size(name: &str, size: usize) -> Result<()> {
    if size == 0 {
        return Err(Error::argument(name, "at least 1", size));
    }
    if size > i32::MAX as usize {
        return Err(Error::argument(name, "at most 2147483647", size));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nnue::head::HeadActivation;

    #[test]
    fn an_architecture_is_shown_from_inputs_to_output() {
        let plain = Architecture::new(768, 128);
        assert_eq!(plain.to_string(), "(768 -> 128) x 2 -> 1, untied");
        let layers = ["16:dual", "32:crelu"].map(|text| text.parse().unwrap());
        let network = Architecture::new(7680, 1024).tied().pairwise(true);
        let network = network
            .layers(layers.to_vec())
            .skip(true)
            .buckets(8)
            .shared(768);
        assert_eq!(
            network.to_string(),
            "(7680 -> 1024) x 2, pairwise -> 16:dual -> 32:crelu -> 1 x 8, skip, \
             768 shared inputs, tied"
        );
    }

    #[test]
    fn layers_have_the_inputs_of_the_layers_before() {
        let layer = |width, activation| HiddenLayer::new(width, activation);
        let layers = vec![
            layer(16, HeadActivation::Dual),
            layer(32, HeadActivation::CRelu),
        ];
        let network = Architecture::new(768, 64)
            .pairwise(true)
            .layers(layers)
            .buckets(2);
        let inputs = |network: &Architecture| {
            let sizes = network.layer_sizes().into_iter();
            sizes.map(|size| size.inputs).collect::<Vec<_>>()
        };
        assert_eq!(inputs(&network), [64, 32, 32]);
        assert_eq!(inputs(&network.clone().skip(true)), [64, 32, 64]);
        assert_eq!(network.head_weights(), 2 * (64 * 16 + 32 * 32 + 32));
        let names = network
            .tensors()
            .into_iter()
            .map(|tensor| tensor.name.as_str());
        let expected = ["A1", "A2", "B1", "B2", "W1", "W2", "W3", "c1", "c2", "c3"];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn sizes_that_do_not_fit_together_are_refused() {
        let network = || Architecture::new(12, 4);
        let layer = HiddenLayer::new(2, HeadActivation::CRelu);
        let cases = [
            ("hidden (K)", Architecture::new(12, 3).pairwise(true)),
            ("layers", network().layers(vec![layer; MOST_LAYERS + 1])),
            ("layers", network().layers(vec![layer]).skip(true)),
            (
                "width of layer 2",
                network().layers(vec![layer, HiddenLayer { width: 0, ..layer }]),
            ),
            ("shared inputs (M)", network().shared(5)),
            (
                "architecture",
                network().layers(vec![HiddenLayer {
                    width: 1 << 30,
                    ..layer
                }]),
            ),
        ];
        for (name, architecture) in cases {
            let error = architecture.check().unwrap_err().to_string();
            assert!(error.contains(name), "no {name:?} in: {error}");
        }
        network()
            .layers(vec![layer; MOST_LAYERS])
            .shared(4)
            .skip(true)
            .check()
            .unwrap();
    }
}
