//! Evaluations equal the formulas of the documentation in wide integers, for every form of head.

mod heads;
mod support;

use heads::{choices, network};
use support::{Random, Seen, features, forms, play};
use wgrad_inference::{
    Activation, Color, FirstInputs, Head, Layered, Network, Piece, Plain, Square, Tail,
};

/// The evaluation of a position, written from the formulas of [`Head`].
fn twin(network: &Network, board: &[Piece], to_move: Color) -> i32 {
    let hidden = network.hidden();
    let lanes = [to_move, to_move.other()].map(|side| {
        let mut sums: Vec<i64> = network.biases().iter().map(|&bias| bias.into()).collect();
        for feature in features(network.inputs(), board, side) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum += i64::from(network.weights()[feature * hidden + lane]);
            }
        }
        sums
    });
    let bucket = usize::from(network.output_buckets()[board.len()]);
    let scale = i64::from(network.scale());
    match network.head() {
        Head::Plain(head) => plain(head, &lanes, bucket, scale),
        Head::Layered(head) => layered(head, &lanes, bucket, scale),
    }
}

fn plain(head: &Plain, lanes: &[Vec<i64>; 2], bucket: usize, scale: i64) -> i32 {
    let (qa, qb) = (i64::from(head.qa), i64::from(head.qb));
    let width = 2 * lanes[0].len();
    let mut sum = 0;
    for (place, &lane) in lanes.iter().flatten().enumerate() {
        let clipped = lane.max(0).min(qa);
        let weight = i64::from(head.weights[bucket * width + place]);
        sum += if head.squared {
            clipped * clipped * weight
        } else {
            clipped * weight
        };
    }
    if head.squared {
        sum /= qa;
    }
    let output = sum + i64::from(head.biases[bucket]);
    i32::try_from(output * scale / (qa * qb)).unwrap()
}

fn layered(head: &Layered, lanes: &[Vec<i64>; 2], bucket: usize, scale: i64) -> i32 {
    let qa = i64::from(head.qa);
    let clip = |lane: i64| lane.max(0).min(qa);
    let mut inputs = Vec::new();
    for lanes in lanes {
        let half = lanes.len() / 2;
        match head.inputs {
            FirstInputs::Clipped => inputs.extend(lanes.iter().map(|&lane| clip(lane))),
            FirstInputs::Squared { shift } => {
                inputs.extend(
                    lanes
                        .iter()
                        .map(|&lane| clip(lane).pow(2) / 2i64.pow(shift)),
                );
            }
            FirstInputs::Pairwise { shift } => inputs.extend(
                (0..half)
                    .map(|lane| clip(lanes[lane]) * clip(lanes[lane + half]) / 2i64.pow(shift)),
            ),
        }
    }
    assert!(inputs.iter().all(|input| (0..256).contains(input)));
    let sum = |output: usize| -> i64 {
        let first = (bucket * head.outputs + output) * inputs.len();
        let row = &head.weights[first..][..inputs.len()];
        inputs
            .iter()
            .zip(row)
            .map(|(&input, &weight)| input * i64::from(weight))
            .sum()
    };
    let sums: Vec<i64> = (0..head.outputs).map(sum).collect();
    match &head.tail {
        Tail::Float(_) => float_tail(head, &sums, bucket, scale),
        Tail::Integer(_) => integer_tail(head, &sums, bucket, scale),
    }
}

fn float_tail(head: &Layered, sums: &[i64], bucket: usize, scale: i64) -> i32 {
    let Tail::Float(tail) = &head.tail else {
        unreachable!()
    };
    let activated = |z: &[f32], activation: Activation| {
        let one = |z: f32| match activation {
            Activation::Relu => z.max(0.0),
            Activation::CRelu | Activation::Dual(_) => z.clamp(0.0, 1.0),
            Activation::SCRelu => z.clamp(0.0, 1.0) * z.clamp(0.0, 1.0),
        };
        let mut outputs: Vec<f32> = z.iter().map(|&z| one(z)).collect();
        match activation {
            Activation::Dual(Square::OfClipped) => {
                outputs.extend(z.iter().map(|z| z.clamp(0.0, 1.0) * z.clamp(0.0, 1.0)));
            }
            Activation::Dual(Square::Clipped) => outputs.extend(z.iter().map(|z| (z * z).min(1.0))),
            _ => {}
        }
        outputs
    };
    let mut z: Vec<f32> = Vec::new();
    for (output, &sum) in sums.iter().enumerate() {
        z.push(sum as f32 * tail.factor + tail.biases[bucket * head.outputs + output]);
    }
    let start = activated(&z, head.activation);
    let mut inputs = start.clone();
    for (index, layer) in tail.layers.iter().enumerate() {
        let is_last = index == tail.layers.len() - 1;
        if is_last && head.skip {
            inputs.splice(0..0, start.iter().copied());
        }
        let mut z = Vec::new();
        for output in 0..layer.outputs {
            let row = bucket * layer.outputs + output;
            let mut sum = layer.biases[row];
            for (place, input) in inputs.iter().enumerate() {
                sum += input * layer.weights[row * inputs.len() + place];
            }
            z.push(sum);
        }
        inputs = if is_last {
            z
        } else {
            activated(&z, layer.activation)
        };
    }
    (inputs[0] * scale as f32).trunc() as i32
}

fn integer_tail(head: &Layered, sums: &[i64], bucket: usize, scale: i64) -> i32 {
    let Tail::Integer(tail) = &head.tail else {
        unreachable!()
    };
    let q = i64::from(tail.q);
    let unit = 2i64.pow(tail.shift);
    let mut z = Vec::new();
    for (output, &sum) in sums.iter().enumerate() {
        let bias = i64::from(tail.biases[bucket * head.outputs + output]);
        z.push(match tail.bias_first {
            true => (sum + bias).div_euclid(unit),
            false => sum.div_euclid(unit) + bias,
        });
    }
    let clip = |z: i64| z.max(0).min(q);
    let mut inputs: Vec<i64> = z
        .iter()
        .map(|&z| match head.activation {
            Activation::Relu => z.max(0) * q,
            Activation::SCRelu => clip(z) * clip(z),
            Activation::CRelu | Activation::Dual(_) => clip(z) * q,
        })
        .collect();
    match head.activation {
        Activation::Dual(Square::OfClipped) => inputs.extend(z.iter().map(|&z| clip(z) * clip(z))),
        Activation::Dual(Square::Clipped) => inputs.extend(z.iter().map(|&z| (z * z).min(q * q))),
        _ => {}
    }
    let mut power = 2;
    for (index, layer) in tail.layers.iter().enumerate() {
        power += 1;
        let mut outputs = Vec::new();
        for output in 0..layer.outputs {
            let row = bucket * layer.outputs + output;
            let mut sum = i64::from(layer.biases[row]);
            for (place, input) in inputs.iter().enumerate() {
                sum += input * i64::from(layer.weights[row * inputs.len() + place]);
            }
            if index < tail.layers.len() - 1 {
                sum = sum.max(0);
                if layer.activation == Activation::CRelu {
                    sum = sum.min(q.pow(power));
                }
            }
            outputs.push(sum);
        }
        inputs = outputs;
    }
    i32::try_from(inputs[0] * scale / q.pow(power)).unwrap()
}

/// Positions of a few games.
fn positions(random: &mut Random, inputs: &wgrad_inference::Inputs) -> Vec<(Vec<Piece>, Color)> {
    let mut found = Vec::new();
    for _ in 0..2 {
        play(random, inputs, &mut Seen::default(), |_, board, to_move| {
            found.push((board.to_vec(), to_move));
        });
    }
    found
}

#[test]
fn every_form_of_head_and_inputs_computes_the_formulas() {
    let mut random = Random(5);
    let all: Vec<_> = forms()
        .into_iter()
        .map(|(name, inputs)| {
            let positions = positions(&mut random, &inputs);
            (name, inputs, positions)
        })
        .collect();
    let choices = choices();
    assert!(choices.len() > 100, "{} heads", choices.len());
    let (mut different, mut count) = (0, 0);
    for (number, choice) in choices.iter().enumerate() {
        let (name, inputs, positions) = &all[number % all.len()];
        let buckets = if number % 2 == 0 { 8 } else { 1 };
        let network = network(inputs.clone(), 8, buckets, choice, &mut random);
        let mut values = Vec::new();
        for (board, to_move) in positions.iter().step_by(7) {
            let expected = twin(&network, board, *to_move);
            let found = network.evaluate_checked(board.iter().copied(), *to_move);
            assert_eq!(found, Ok(expected), "{name}, {choice:?}");
            let accumulators = wgrad_inference::Accumulators::new(&network, board.iter().copied());
            let found = network.evaluate(&accumulators, *to_move, board.len());
            assert_eq!(found, expected, "{name}, {choice:?}");
            values.push(expected);
            count += 1;
        }
        values.sort_unstable();
        values.dedup();
        different += usize::from(values.len() > positions.len() / 14);
    }
    assert!(count > 1000, "only {count} positions");
    // Heads that clip everything would agree with any others.
    assert!(
        2 * different > choices.len(),
        "{different} of {} heads vary",
        choices.len()
    );
}

#[test]
fn shifts_round_down_and_divisions_toward_zero() {
    let lanes = |head| {
        let inputs = wgrad_inference::Inputs::PLAIN;
        Network::new(inputs, vec![0; 768], vec![1], [0; 33], 1, head).unwrap()
    };
    let value = |head| {
        let network = lanes(head);
        let board = [Piece::new('K', 0).unwrap(), Piece::new('k', 63).unwrap()];
        let value = network
            .evaluate_checked(board.into_iter(), Color::White)
            .unwrap();
        assert_eq!(twin(&network, &board, Color::White), value);
        value
    };
    let plain = |squared, qb, weights: [i16; 2], bias| {
        Head::Plain(Plain {
            squared,
            qa: 2,
            qb,
            weights: weights.to_vec(),
            biases: vec![bias],
        })
    };
    // −3 ÷ 2 = −1, then −1 − 1 = −2, then −2 ÷ (2·1) = −1.
    assert_eq!(value(plain(true, 1, [-3, 0], -1)), -1);
    // (−3 − 2) ÷ (2·1) = −2.
    assert_eq!(value(plain(false, 1, [-3, 0], -2)), -2);
    assert_eq!(value(plain(false, 1, [3, 0], 2)), 2);
    let layered = |bias_first, bias| {
        let tail = wgrad_inference::IntegerTail {
            q: 1,
            shift: 1,
            bias_first,
            biases: vec![bias],
            layers: vec![wgrad_inference::Layer {
                weights: vec![0, 1],
                biases: vec![0],
                outputs: 1,
                activation: Activation::CRelu,
            }],
        };
        Head::Layered(Layered {
            qa: 2,
            inputs: FirstInputs::Clipped,
            weights: vec![-1, 0],
            outputs: 1,
            activation: Activation::Dual(Square::Clipped),
            skip: false,
            tail: Tail::Integer(tail),
        })
    };
    // −1 >> 1 = −1, whose square is 1; with its bias it is 0.
    assert_eq!(value(layered(false, 0)), 1);
    assert_eq!(value(layered(false, 1)), 0);
    // (−1 + 1) >> 1 = 0, and (−1 + 2) >> 1 = 0.
    assert_eq!(value(layered(true, 1)), 0);
    assert_eq!(value(layered(true, 2)), 0);
}
