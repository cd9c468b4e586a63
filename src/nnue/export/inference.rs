//! Networks of wgrad-inference as quantized networks.

use super::entry::{Entry, Number};
use super::evaluation::{Evaluation, TailKind};
use super::format::{Container, Padding, SaveFormat};
use super::quantized::{Quantized, Values};
use super::{Merge, Requirements, Rounding};
use crate::error::{Error, Result};
use crate::nnue::activation::Activation;
use crate::nnue::architecture::Architecture;
use crate::nnue::data::{ChessInputs, Encoding, OutputBuckets};
use crate::nnue::head::{HeadActivation, HiddenLayer};
use wgrad_inference as engine;

impl Quantized {
    /// The numbers of a network of wgrad-inference, in a format that writes them again.
    ///
    /// # Errors
    /// Tables of buckets with gaps, a mirrored table with other buckets on the files e to h than on
    /// d to a, and numbers that are not finite, none of which wgrad writes.
    pub fn from_network(network: &engine::Network) -> Result<Self> {
        let encoding = encoding_of(network)?;
        let inputs = encoding.inputs.inputs();
        let mut architecture = Architecture::new(inputs, network.hidden())
            .tied()
            .buckets(encoding.output_buckets.count());
        let mut named: Vec<(Entry, Values)> = Vec::new();
        let mut push = |name: String, kind, scale, values| {
            named.push((Entry::new(name, kind, scale), values));
        };
        let evaluation = match network.head() {
            engine::Head::Plain(plain) => {
                if plain.squared {
                    architecture.activation = Activation::SCRelu;
                }
                let (qa, qb) = (f64::from(plain.qa), f64::from(plain.qb));
                accumulator(network, qa, &mut push);
                push("C".into(), Number::I16, qb, whole(&plain.weights));
                push("d".into(), Number::I32, qa * qb, whole(&plain.biases));
                Evaluation::new(network.scale())
            }
            engine::Head::Layered(layered) => {
                accumulator(network, f64::from(layered.qa), &mut push);
                layered_head(network, layered, &mut architecture, &mut push)
            }
        };
        let mut entries: Vec<Entry> = named.iter().map(|(entry, _)| entry.clone()).collect();
        if network.inputs().merged_kings {
            entries[0].merge.push(Merge::Kings);
        }
        let format = SaveFormat {
            about: "a file of wgrad-inference".into(),
            rounding: Rounding::Nearest,
            requires: Requirements::default(),
            container: Container::Inference,
            header: None,
            tensors: entries,
            padding: Padding::default(),
            evaluation: Some(evaluation),
        };
        let mut quantized = Self::empty(&format, &architecture, Some(&encoding))?;
        for (tensor, (entry, values)) in quantized.tensors.iter_mut().zip(named) {
            if let Values::Floats(values) = &values
                && let Some(value) = values.iter().find(|value| !value.is_finite())
            {
                let name = format!("tensor {}", entry.tensor);
                return Err(Error::argument(name, "finite numbers", value));
            }
            tensor.values = values;
        }
        Ok(quantized)
    }
}

fn whole<T: Copy + Into<i32>>(values: &[T]) -> Values {
    Values::Integers(values.iter().map(|&value| value.into()).collect())
}

fn accumulator(
    network: &engine::Network,
    qa: f64,
    push: &mut impl FnMut(String, Number, f64, Values),
) {
    push("A1".into(), Number::I16, qa, whole(network.weights()));
    push("B1".into(), Number::I16, qa, whole(network.biases()));
}

/// Adds the tensors of the layers, completes the architecture and finds the evaluation.
fn layered_head(
    network: &engine::Network,
    layered: &engine::Layered,
    architecture: &mut Architecture,
    push: &mut impl FnMut(String, Number, f64, Values),
) -> Evaluation {
    let mut evaluation = Evaluation::new(network.scale());
    match layered.inputs {
        engine::FirstInputs::Clipped => {}
        engine::FirstInputs::Squared { shift } => {
            architecture.activation = Activation::SCRelu;
            evaluation.product_shift = shift;
        }
        engine::FirstInputs::Pairwise { shift } => {
            architecture.pairwise = true;
            evaluation.product_shift = shift;
        }
    }
    architecture.skip = layered.skip;
    let mut hidden = vec![(layered.outputs, layered.activation)];
    let qa = f64::from(layered.qa);
    let unit = match layered.inputs {
        engine::FirstInputs::Clipped => qa,
        engine::FirstInputs::Squared { shift } | engine::FirstInputs::Pairwise { shift } => {
            qa * qa / f64::from(1u32 << shift)
        }
    };
    match &layered.tail {
        engine::Tail::Float(tail) => {
            // The nearest scale of six digits, because the factor is a rounded float.
            let scale = 1.0 / (unit * f64::from(tail.factor));
            let scale = (scale * 1e6).round() / 1e6;
            push("W1".into(), Number::I8, scale, whole(&layered.weights));
            let floats = |values: &[f32]| Values::Floats(values.to_vec());
            push("c1".into(), Number::F32, 1.0, floats(&tail.biases));
            for (number, layer) in (2..).zip(&tail.layers) {
                push(
                    format!("W{number}"),
                    Number::F32,
                    1.0,
                    floats(&layer.weights),
                );
                push(
                    format!("c{number}"),
                    Number::F32,
                    1.0,
                    floats(&layer.biases),
                );
                hidden.push((layer.outputs, layer.activation));
            }
        }
        engine::Tail::Integer(tail) => {
            let q = f64::from(tail.q);
            let shift = f64::from(1u32 << tail.shift);
            evaluation.tail = TailKind::Integer;
            evaluation.sum_shift = tail.shift;
            evaluation.bias_first = tail.bias_first;
            // The scale is not stored: it is the one that makes sums of the scale Q.
            push(
                "W1".into(),
                Number::I8,
                q * shift / unit,
                whole(&layered.weights),
            );
            let bias = if tail.bias_first { q * shift } else { q };
            push("c1".into(), Number::I32, bias, whole(&tail.biases));
            for (number, layer) in (2..).zip(&tail.layers) {
                push(format!("W{number}"), Number::I32, q, whole(&layer.weights));
                let one = q.powi(number + 1);
                push(format!("c{number}"), Number::I32, one, whole(&layer.biases));
                hidden.push((layer.outputs, layer.activation));
            }
        }
    }
    // The last layer is the output.
    hidden.pop();
    let layers = hidden.into_iter().map(|(width, activation)| {
        let activation = match activation {
            engine::Activation::CRelu => HeadActivation::CRelu,
            engine::Activation::SCRelu => HeadActivation::SCRelu,
            engine::Activation::Relu => HeadActivation::Relu,
            engine::Activation::Dual(engine::Square::OfClipped) => HeadActivation::Dual,
            engine::Activation::Dual(engine::Square::Clipped) => HeadActivation::DualSquare,
        };
        HiddenLayer::new(width, activation)
    });
    architecture.layers = layers.collect();
    evaluation
}

/// The features and output buckets of a network.
fn encoding_of(network: &engine::Network) -> Result<Encoding> {
    let inputs = network.inputs();
    let table = inputs.king_buckets.map(usize::from);
    let half: Vec<usize> = (0..32)
        .map(|entry| table[entry / 4 * 8 + entry % 4])
        .collect();
    let differs = |&square: &usize| table[square] != table[square ^ 7];
    if let (true, Some(square)) = (inputs.mirrored, (0..64).find(differs)) {
        let name = format!("king bucket of square {square} of a mirrored board");
        let expected = format!("{}, as on square {}", table[square ^ 7], square ^ 7);
        return Err(Error::argument(name, expected, table[square]));
    }
    let chess = match (inputs.mirrored, inputs.buckets()) {
        (false, 1) => ChessInputs::default(),
        (true, 1) => ChessInputs::named("chess768-mirrored", None)?,
        (false, _) => ChessInputs::named("king-buckets", Some(&table))?,
        (true, _) => ChessInputs::named("king-buckets-mirrored", Some(&half))?,
    };
    let buckets = network.output_buckets().map(usize::from);
    let buckets = match buckets.iter().all(|&bucket| bucket == 0) {
        true => OutputBuckets::ONE,
        false => OutputBuckets::by_pieces(&buckets)?,
    };
    Ok(Encoding::new(chess, buckets))
}
