//! Every form of head, with random weights that reach both ends of each clip and no overflow.

// Every test program compiles this file and uses only a part of it.
#![allow(dead_code)]

use crate::support::{Random, output_buckets};
use wgrad_inference::{
    Activation, FirstInputs, FloatTail, Head, Inputs, IntegerTail, Layer, Layered, Network, Plain,
    Square, Tail,
};

/// A form of head.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    Plain {
        squared: bool,
    },
    Layered {
        inputs: FirstInputs,
        activation: Activation,
        tail: TailChoice,
        /// The layers after the first one.
        layers: usize,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum TailChoice {
    Float {
        skip: bool,
        later: Activation,
    },
    Integer {
        shift: u32,
        bias_first: bool,
        later: Activation,
    },
}

pub const ACTIVATIONS: [Activation; 5] = [
    Activation::CRelu,
    Activation::SCRelu,
    Activation::Relu,
    Activation::Dual(Square::OfClipped),
    Activation::Dual(Square::Clipped),
];

pub fn choices() -> Vec<Choice> {
    let mut all = vec![
        Choice::Plain { squared: false },
        Choice::Plain { squared: true },
    ];
    let mut tails = Vec::new();
    for later in ACTIVATIONS {
        tails.extend([false, true].map(|skip| TailChoice::Float { skip, later }));
    }
    for shift in [7, 8, 9, 10] {
        for bias_first in [false, true] {
            for later in [Activation::CRelu, Activation::Relu] {
                tails.push(TailChoice::Integer {
                    shift,
                    bias_first,
                    later,
                });
            }
        }
    }
    let mut inputs = vec![FirstInputs::Clipped];
    for shift in [8, 9, 10] {
        inputs.extend([
            FirstInputs::Squared { shift },
            FirstInputs::Pairwise { shift },
        ]);
    }
    // Each tail meets each activation, and both meet each form of inputs and each depth in turns.
    let mut turn = 0;
    for &tail in &tails {
        for activation in ACTIVATIONS {
            all.push(Choice::Layered {
                inputs: inputs[turn % inputs.len()],
                activation,
                tail,
                layers: 1 + turn % 3,
            });
            turn += 1;
        }
    }
    all
}

pub fn network(
    inputs: Inputs,
    hidden: usize,
    buckets: usize,
    choice: &Choice,
    random: &mut Random,
) -> Network {
    let weights = random.many(inputs.count() * hidden, |r| r.within(60) as i16);
    let biases = random.many(hidden, |r| r.within(100) as i16);
    let head = head(hidden, buckets, choice, random);
    let table = output_buckets(buckets);
    Network::new(inputs, weights, biases, table, 400, head).unwrap()
}

fn outputs(activation: Activation) -> usize {
    if matches!(activation, Activation::Dual(_)) {
        2
    } else {
        1
    }
}

pub fn head(hidden: usize, buckets: usize, choice: &Choice, random: &mut Random) -> Head {
    let (inputs, activation, tail, layers) = match *choice {
        Choice::Plain { squared } => {
            return Head::Plain(Plain {
                squared,
                qa: 255,
                qb: 64,
                weights: random.many(2 * hidden * buckets, |r| r.within(120) as i16),
                biases: random.many(buckets, |r| r.within(30_000)),
            });
        }
        Choice::Layered {
            inputs,
            activation,
            tail,
            layers,
        } => (inputs, activation, tail, layers),
    };
    let width = match inputs {
        FirstInputs::Pairwise { .. } => hidden,
        _ => 2 * hidden,
    };
    const FIRST: usize = 4;
    const LATER: usize = 3;
    let skip = matches!(tail, TailChoice::Float { skip: true, .. }) && layers > 1;
    let later = match tail {
        TailChoice::Float { later, .. } | TailChoice::Integer { later, .. } => later,
    };
    // The inputs and outputs of the layers after the first one.
    let first = FIRST * outputs(activation);
    let mut sizes = Vec::new();
    let mut before = first;
    for index in 1..=layers {
        let is_last = index == layers;
        let skipped = if is_last && skip { first } else { 0 };
        let width = if is_last { 1 } else { LATER };
        sizes.push((
            before + skipped,
            width,
            if is_last { Activation::CRelu } else { later },
        ));
        before = width * outputs(later);
    }
    let tail = match tail {
        TailChoice::Float { .. } => {
            let float = |r: &mut Random| r.within(1000) as f32 / 700.0;
            let layer = |&(inputs, outputs, activation): &(usize, usize, Activation)| Layer {
                weights: random.many(buckets * outputs * inputs, float),
                biases: random.many(buckets * outputs, |r| float(r) / 4.0),
                outputs,
                activation,
            };
            let layers = sizes.iter().map(layer).collect();
            Tail::Float(FloatTail {
                factor: 1.0 / 7000.0,
                biases: random.many(buckets * FIRST, |r| float(r) / 2.0),
                layers,
            })
        }
        TailChoice::Integer {
            shift, bias_first, ..
        } => {
            // Sums of the last layer are within 32 bits.
            let q = if layers > 2 { 16 } else { 64 };
            let mut one = q * q;
            let layer = |&(inputs, outputs, activation): &(usize, usize, Activation)| {
                one *= q;
                let bias = one / 4;
                Layer {
                    weights: random.many(buckets * outputs * inputs, |r| r.within(q)),
                    biases: random.many(buckets * outputs, |r| r.within(bias)),
                    outputs,
                    activation,
                }
            };
            let layers = sizes.iter().map(layer).collect();
            let bias = if bias_first { q << shift } else { q };
            Tail::Integer(IntegerTail {
                q,
                shift,
                bias_first,
                biases: random.many(buckets * FIRST, |r| r.within(bias)),
                layers,
            })
        }
    };
    Head::Layered(Layered {
        qa: 255,
        inputs,
        weights: random.many(buckets * FIRST * width, |r| r.within(40) as i8),
        outputs: FIRST,
        activation,
        skip,
        tail,
    })
}
