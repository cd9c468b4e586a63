//! The integer network that an engine evaluates.

use super::evaluation::{Evaluation, TailKind};
use super::quantized::{Quantized, QuantizedTensor, Values};
use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use crate::nnue::data::{ChessInputs, Encoding};
use crate::nnue::head::HeadActivation;
use wgrad_inference as engine;

impl Quantized {
    /// The network as an engine evaluates it, with the arithmetic of the format.
    ///
    /// # Errors
    /// A format without an evaluation, scales and types that do not fit its arithmetic, and
    /// networks for which there is none: other games, untied ones, another clip than 1, a ReLU
    /// after the accumulators, and a pairwise product without hidden layers.
    pub fn network(&self) -> Result<engine::Network> {
        let wrong = |place: &str, expected: &str, found: String| {
            Err(Error::argument(
                format!("integer evaluation, {place}"),
                expected,
                found,
            ))
        };
        let architecture = &self.architecture;
        let Some(evaluation) = &self.format.evaluation else {
            return wrong("format", "one with a table [evaluation]", "none".into());
        };
        let Some(encoding) = &self.encoding else {
            return wrong("inputs", "features of chess", "others".into());
        };
        if !architecture.tied {
            return wrong("network", "a tied one", "an untied one".into());
        }
        if architecture.clip != 1.0 {
            return wrong("clip (T)", "1", architecture.clip.to_string());
        }
        if architecture.activation == Activation::Relu {
            return wrong("activation", "crelu or screlu", "relu".into());
        }
        let qa = self.whole_scale("A1")?;
        self.expect_scale("B1", qa)?;
        let head = match (architecture.layers.is_empty(), architecture.pairwise) {
            (true, true) => {
                return wrong("pairwise", "hidden layers after the product", "none".into());
            }
            (true, false) => engine::Head::Plain(self.plain(qa)?),
            (false, _) => engine::Head::Layered(self.layered(evaluation, qa)?),
        };
        let network = engine::Network::new(
            inputs(&encoding.inputs, self.has_merged_kings()),
            self.integers("A1", |value| i16::try_from(value).ok())?,
            self.integers("B1", |value| i16::try_from(value).ok())?,
            output_buckets(encoding),
            evaluation.scale,
            head,
        );
        network.map_err(|mismatch| {
            Error::argument(
                format!("integer evaluation, {}", mismatch.place),
                mismatch.expected,
                mismatch.found,
            )
        })
    }

    fn plain(&self, qa: i32) -> Result<engine::Plain> {
        let qb = self.whole_scale("C")?;
        self.expect_scale("d", qa.saturating_mul(qb))?;
        Ok(engine::Plain {
            squared: self.architecture.activation == Activation::SCRelu,
            qa,
            qb,
            weights: self.integers("C", |value| i16::try_from(value).ok())?,
            biases: self.integers("d", Some)?,
        })
    }

    fn layered(&self, evaluation: &Evaluation, qa: i32) -> Result<engine::Layered> {
        let architecture = &self.architecture;
        let shift = evaluation.product_shift;
        let inputs = match (architecture.pairwise, architecture.activation) {
            (true, Activation::CRelu) => engine::FirstInputs::Pairwise { shift },
            (false, Activation::SCRelu) => engine::FirstInputs::Squared { shift },
            (false, Activation::CRelu) => engine::FirstInputs::Clipped,
            (_, other) => {
                let expected = "crelu before a pairwise product";
                let place = "integer evaluation, activation";
                return Err(Error::argument(place, expected, other.name()));
            }
        };
        let is_product = !matches!(inputs, engine::FirstInputs::Clipped);
        let top = if is_product { (qa * qa) >> shift } else { qa };
        if !(1..=255).contains(&top) {
            let place = "integer evaluation, product_shift";
            let expected = format!("products of QA = {qa} within 8 bits");
            return Err(Error::argument(place, expected, format!("up to {top}")));
        }
        let outputs = architecture.layers[0].width;
        let activations = architecture.layers.iter().map(|layer| layer.activation);
        let mut activations = activations.map(activation);
        let first = activations.next().unwrap_or(engine::Activation::CRelu);
        // The output layer ignores its activation.
        let after: Vec<_> = activations.chain([engine::Activation::CRelu]).collect();
        let widths = architecture.layers.iter().skip(1).map(|layer| layer.width);
        let widths: Vec<usize> = widths.chain([1]).collect();
        let tail = match evaluation.tail {
            TailKind::Float => {
                let q1 = self.scale("W1")?;
                let unit = match is_product {
                    true => f64::from(qa * qa) / f64::from(1u32 << shift),
                    false => f64::from(qa),
                };
                let layers = after.iter().zip(&widths).enumerate();
                let layer = |(index, (&activation, &outputs))| -> Result<_> {
                    Ok(engine::Layer {
                        weights: self.floats(&format!("W{}", index + 2))?,
                        biases: self.floats(&format!("c{}", index + 2))?,
                        outputs,
                        activation,
                    })
                };
                engine::Tail::Float(engine::FloatTail {
                    factor: (1.0 / (unit * q1)) as f32,
                    biases: self.floats("c1")?,
                    layers: layers.map(layer).collect::<Result<_>>()?,
                })
            }
            TailKind::Integer => {
                let q = self.whole_scale("W2")?;
                let wide = |power: u32| i64::from(q).checked_pow(power).unwrap_or(i64::MAX);
                let first_bias = match evaluation.bias_first {
                    true => i64::from(q) << evaluation.sum_shift,
                    false => i64::from(q),
                };
                self.expect_scale_wide("c1", first_bias)?;
                let layers = after.iter().zip(&widths).enumerate();
                let layer = |(index, (&activation, &outputs))| -> Result<_> {
                    let (weights, biases) = (format!("W{}", index + 2), format!("c{}", index + 2));
                    self.expect_scale(&weights, q)?;
                    self.expect_scale_wide(&biases, wide(index as u32 + 3))?;
                    Ok(engine::Layer {
                        weights: self.integers(&weights, Some)?,
                        biases: self.integers(&biases, Some)?,
                        outputs,
                        activation,
                    })
                };
                engine::Tail::Integer(engine::IntegerTail {
                    q,
                    shift: evaluation.sum_shift,
                    bias_first: evaluation.bias_first,
                    biases: self.integers("c1", Some)?,
                    layers: layers.map(layer).collect::<Result<_>>()?,
                })
            }
        };
        Ok(engine::Layered {
            qa,
            inputs,
            weights: self.integers("W1", |value| i8::try_from(value).ok())?,
            outputs,
            activation: first,
            skip: architecture.skip,
            tail,
        })
    }

    fn known(&self, name: &str) -> Result<&QuantizedTensor> {
        let missing = || Error::argument("integer evaluation", format!("a tensor {name}"), "none");
        self.tensor(name).ok_or_else(missing)
    }

    fn scale(&self, name: &str) -> Result<f64> {
        Ok(self.known(name)?.entry.scale)
    }

    fn whole_scale(&self, name: &str) -> Result<i32> {
        let scale = self.scale(name)?;
        match scale.fract() == 0.0 && (1.0..=32767.0).contains(&scale) {
            true => Ok(scale as i32),
            false => {
                let place = format!("integer evaluation, scale of {name}");
                Err(Error::argument(place, "a whole number up to 32767", scale))
            }
        }
    }

    fn expect_scale(&self, name: &str, expected: i32) -> Result<()> {
        self.expect_scale_wide(name, expected.into())
    }

    fn expect_scale_wide(&self, name: &str, expected: i64) -> Result<()> {
        let found = self.scale(name)?;
        match found == expected as f64 {
            true => Ok(()),
            false => {
                let place = format!("integer evaluation, scale of {name}");
                Err(Error::argument(place, expected.to_string(), found))
            }
        }
    }

    fn integers<T>(&self, name: &str, narrow: impl Fn(i32) -> Option<T>) -> Result<Vec<T>> {
        let place = || format!("integer evaluation, {name}");
        let Values::Integers(values) = &self.known(name)?.values else {
            return Err(Error::argument(place(), "integers", "floats"));
        };
        let narrowed = values.iter().map(|&value| {
            narrow(value).ok_or_else(|| Error::argument(place(), "a narrower integer", value))
        });
        narrowed.collect()
    }

    /// The floats of a tensor at scale 1.
    fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let place = || format!("integer evaluation, {name}");
        let tensor = self.known(name)?;
        match &tensor.values {
            Values::Floats(values) if tensor.entry.scale == 1.0 => Ok(values.clone()),
            Values::Floats(_) => Err(Error::argument(place(), "a scale of 1", tensor.entry.scale)),
            Values::Integers(_) => Err(Error::argument(place(), "floats", "integers")),
        }
    }
}

fn activation(activation: HeadActivation) -> engine::Activation {
    match activation {
        HeadActivation::CRelu => engine::Activation::CRelu,
        HeadActivation::SCRelu => engine::Activation::SCRelu,
        HeadActivation::Relu => engine::Activation::Relu,
        HeadActivation::Dual => engine::Activation::Dual(engine::Square::OfClipped),
        HeadActivation::DualSquare => engine::Activation::Dual(engine::Square::Clipped),
    }
}

/// The features of an encoding.
fn inputs(inputs: &ChessInputs, merged_kings: bool) -> engine::Inputs {
    let Some(kings) = inputs.king_buckets() else {
        return engine::Inputs {
            merged_kings,
            ..engine::Inputs::PLAIN
        };
    };
    let bucket = |square: usize| match kings.is_mirrored() {
        true => kings.table()[square / 8 * 4 + (square % 8).min(7 - square % 8)],
        false => kings.table()[square],
    };
    engine::Inputs {
        mirrored: kings.is_mirrored(),
        merged_kings,
        // A table has at most 64 buckets.
        king_buckets: std::array::from_fn(|square| bucket(square) as u8),
    }
}

fn output_buckets(encoding: &Encoding) -> [u8; 33] {
    // A table has at most 33 buckets.
    encoding.output_buckets.table().map(|bucket| bucket as u8)
}
