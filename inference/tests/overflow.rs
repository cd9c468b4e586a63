//! Numbers that are too large for their types: they wrap around, and the check names them.

mod support;

use support::Random;
use wgrad_inference::{
    Accumulators, Activation, Color, FirstInputs, Head, Inputs, IntegerTail, Layer, Layered,
    Network, Overflow, Piece, Plain, Square, Tail,
};

fn kings() -> [Piece; 2] {
    [Piece::new('K', 0).unwrap(), Piece::new('k', 63).unwrap()]
}

/// A network whose lanes are the biases.
fn network(biases: Vec<i16>, head: Head) -> Network {
    let weights = vec![0; 768 * biases.len()];
    Network::new(Inputs::PLAIN, weights, biases, [0; 33], 1, head).unwrap()
}

fn plain(squared: bool, qa: i32, weights: Vec<i16>, bias: i32) -> Head {
    Head::Plain(Plain {
        squared,
        qa,
        qb: 1,
        weights,
        biases: vec![bias],
    })
}

/// One input of 255, two outputs, and layers of one lane after them.
fn tail(weights: [i8; 2], biases: [i32; 2], q: i32, layers: &[([i32; 2], i32)]) -> Layered {
    let layers = layers.iter().enumerate();
    let layers = layers.map(|(index, &(weights, bias))| Layer {
        weights: weights[..if index == 0 { 2 } else { 1 }].to_vec(),
        biases: vec![bias],
        outputs: 1,
        activation: Activation::Relu,
    });
    let tail = IntegerTail {
        q,
        shift: 0,
        bias_first: false,
        biases: biases.to_vec(),
        layers: layers.collect(),
    };
    let [first, second] = weights;
    Layered {
        qa: 255,
        inputs: FirstInputs::Clipped,
        weights: vec![first, 0, second, 0],
        outputs: 2,
        activation: Activation::Relu,
        skip: false,
        tail: Tail::Integer(tail),
    }
}

#[track_caller]
fn check(network: &Network, value: i32, overflow: Option<Overflow>) {
    let board = kings();
    let accumulators = Accumulators::new(network, board.into_iter());
    assert_eq!(network.evaluate(&accumulators, Color::White, 2), value);
    let expected = overflow.map_or(Ok(value), Err);
    assert_eq!(
        network.evaluate_checked(board.into_iter(), Color::White),
        expected
    );
}

const MOST: i64 = i32::MAX as i64;
/// A clip that is also the scale, so that an evaluation is the sum.
const QA: i32 = 32_767;

#[test]
fn a_lane_of_an_accumulator_is_within_16_bits() {
    for (bias, value) in [(32_766, 32_767), (32_767, 32_768), (-32_768, -32_767)] {
        let mut weights = vec![0; 2 * 768];
        // The king on a1 adds 1 to the second lane.
        weights[2 * (5 * 64) + 1] = 1;
        let head = plain(false, QA, vec![0, 1, 0, 0], 0);
        let network =
            Network::new(Inputs::PLAIN, weights, vec![0, bias], [0; 33], QA, head).unwrap();
        let overflow = (value > 32_767).then_some(Overflow::Accumulator { lane: 1, value });
        let lane = value as i16;
        check(&network, i32::from(lane).max(0), overflow);
        if let Some(overflow) = overflow {
            let text = overflow.to_string();
            assert_eq!(text, "accumulator, lane 1: expected 16 bits, found 32768");
        }
    }
}

#[test]
fn a_wrap_that_comes_back_is_no_overflow_of_a_lane() {
    // Pieces are added one after the other: the first one leaves 16 bits, the second one returns.
    let mut weights = vec![0; 768];
    (weights[5 * 64], weights[6 * 64 + 5 * 64 + 63]) = (10, -20);
    let head = plain(false, QA, vec![1, 0], 0);
    let network = Network::new(Inputs::PLAIN, weights, vec![32_760], [0; 33], QA, head).unwrap();
    check(&network, 32_750, None);
}

#[test]
fn sums_of_a_plain_head_are_within_32_bits() {
    let sum = |value| {
        Some(Overflow::Sum {
            layer: 0,
            output: 0,
            value,
        })
    };
    // 3 · 255² · 32767 needs 34 bits.
    let product = 255 * 255 * 32_767;
    let head = plain(true, 255, vec![32_767, 32_767, 32_767, 0, 0, 0], 0);
    let wrapped = (3 * product as i64) as i32 / 255;
    check(
        &network(vec![255; 3], head),
        wrapped / 255,
        sum(2 * product as i64 + product as i64),
    );
    // A single product needs more than 32 bits with a larger QA.
    let product = 1000 * 1000 * 32_767i64;
    let head = plain(true, 1000, vec![32_767, 0], 0);
    check(
        &network(vec![1000], head),
        product as i32 / 1000 / 1000,
        sum(product),
    );
    // The bias makes the sum too large, and then the scale does.
    let head = plain(false, 255, vec![1, 0], i32::MAX);
    check(
        &network(vec![255], head),
        (MOST + 255) as i32 / 255,
        sum(MOST + 255),
    );
    let head = plain(false, 255, vec![1, 0], i32::MAX - 255);
    check(&network(vec![255], head.clone()), i32::MAX / 255, None);
    let network = network(vec![255], head);
    let scaled = Network::new(
        Inputs::PLAIN,
        network.weights().to_vec(),
        network.biases().to_vec(),
        [0; 33],
        3,
        network.head().clone(),
    );
    check(&scaled.unwrap(), (3 * MOST) as i32 / 255, sum(3 * MOST));
}

#[test]
fn sums_of_the_first_hidden_layer_are_within_32_bits() {
    // 255 · 127 lanes need more than 32 bits from 66,313 lanes on.
    let hidden = 33_200;
    let mut head = tail([0, 0], [0, 0], 1, &[([0, 1], 0)]);
    head.weights = [vec![0; 2 * hidden], vec![127; 2 * hidden]].concat();
    let network = network(vec![255; hidden], Head::Layered(head));
    let value = 255 * 127 * 2 * hidden as i64;
    assert!(value > MOST);
    let overflow = Overflow::Sum {
        layer: 0,
        output: 1,
        value,
    };
    // The wrapped sum is below 0, and ReLU makes it 0.
    check(&network, 0, Some(overflow));
    let text = overflow.to_string();
    assert!(
        text.contains("layer 0 after the accumulators, output 1"),
        "{text}"
    );
    assert!(text.contains(&format!("found {value}")), "{text}");
}

#[test]
fn biases_and_squares_after_the_first_hidden_layer_are_within_32_bits() {
    let first = |value| Overflow::Sum {
        layer: 0,
        output: 1,
        value,
    };
    let bias = tail([1, 1], [0, i32::MAX], 1, &[([0, 1], 0)]);
    check(
        &network(vec![255], Head::Layered(bias)),
        0,
        Some(first(MOST + 255)),
    );
    let mut before = tail([1, 1], [0, i32::MAX], 1, &[([0, 1], 0)]);
    if let Tail::Integer(tail) = &mut before.tail {
        (tail.bias_first, tail.shift) = (true, 31);
    }
    check(
        &network(vec![255], Head::Layered(before)),
        0,
        Some(first(MOST + 255)),
    );
    // 46,341² is the first square that 32 bits do not hold. It wraps to a number below 0.
    for (z, value, overflow) in [
        (46_340, 1, None),
        (46_341, 0, Some(46_341 * 46_341)),
        (-46_340, 1, None),
        (1 << 16, 0, Some(1 << 32)),
    ] {
        let mut head = tail([0, 0], [0, z], 1, &[([0, 0], 0)]);
        head.activation = Activation::Dual(Square::Clipped);
        if let Tail::Integer(tail) = &mut head.tail {
            tail.layers[0].weights = vec![0, 0, 0, 1];
        }
        check(
            &network(vec![0], Head::Layered(head)),
            value,
            overflow.map(first),
        );
    }
    // ReLU keeps z, which the scale makes too large.
    let relu = tail([0, 0], [0, 1 << 26], 64, &[([0, 0], 0)]);
    check(
        &network(vec![0], Head::Layered(relu)),
        0,
        Some(first(1 << 32)),
    );
}

#[test]
fn sums_of_later_layers_are_within_32_bits() {
    let at = |layer, value| Overflow::Sum {
        layer,
        output: 0,
        value,
    };
    // A product, a sum of products, and a bias of the second layer.
    let product = tail([1, 0], [0, 0], 1, &[([1 << 24, 0], 0)]);
    check(
        &network(vec![255], Head::Layered(product)),
        0xff00_0000u32 as i32,
        Some(at(1, 255 << 24)),
    );
    let half = 1 << 30;
    let sum = tail([0, 0], [1, 1], 1, &[([half, half], 0)]);
    check(
        &network(vec![0], Head::Layered(sum)),
        i32::MIN,
        Some(at(1, 1 << 31)),
    );
    let bias = tail([0, 0], [1, 0], 1, &[([1, 0], i32::MAX)]);
    check(
        &network(vec![0], Head::Layered(bias)),
        i32::MIN,
        Some(at(1, MOST + 1)),
    );
    // The third layer.
    let third = tail([0, 0], [1, 0], 1, &[([1, 0], 0), ([1, 0], i32::MAX)]);
    check(
        &network(vec![0], Head::Layered(third)),
        i32::MIN,
        Some(at(2, MOST + 1)),
    );
    let fits = tail([0, 0], [1, 0], 1, &[([1, 0], 0), ([1, 0], i32::MAX - 1)]);
    check(&network(vec![0], Head::Layered(fits)), i32::MAX, None);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |words: &str, biases: Vec<i16>, head: Head| {
        let weights = vec![0; 768 * biases.len()];
        let result = Network::new(Inputs::PLAIN, weights, biases, [0; 33], 1, head);
        let text = result.unwrap_err().to_string();
        assert!(text.contains(words), "no {words:?} in: {text}");
    };
    for scale in [0, -1, 32_768, i32::MIN] {
        refused(
            "QA: expected 1 to 32767",
            vec![0],
            plain(true, scale, vec![0; 2], 0),
        );
        let mut head = plain(true, 255, vec![0; 2], 0);
        if let Head::Plain(plain) = &mut head {
            plain.qb = scale;
        }
        refused("QB: expected 1 to 32767", vec![0], head);
        let head = tail([0, 0], [0, 0], scale, &[([0, 0], 0)]);
        refused("scale of an integer tail", vec![0], Head::Layered(head));
    }
    refused(
        "lanes of the accumulator",
        vec![],
        plain(true, 255, vec![], 0),
    );
    refused(
        "weights of the output",
        vec![0],
        plain(true, 255, vec![0; 3], 0),
    );
    let layered = |change: &dyn Fn(&mut Layered)| {
        let mut head = tail([0, 0], [0, 0], 1, &[([0, 0], 0)]);
        change(&mut head);
        Head::Layered(head)
    };
    let squared = |shift| FirstInputs::Squared { shift };
    for (words, change) in [
        (
            "1 to 255, found 256",
            &(|head: &mut Layered| head.qa = 256) as &dyn Fn(&mut Layered),
        ),
        ("1 to 255, found 508", &|head| head.inputs = squared(7)),
        ("1 to 255, found 0", &|head| head.inputs = squared(32)),
        ("an even number, found 1", &|head| {
            head.inputs = FirstInputs::Pairwise { shift: 9 }
        }),
        ("weights of layer 1", &|head| head.outputs = 3),
        ("weights of layer 1", &|head| head.outputs = usize::MAX),
        ("skip connection", &|head| head.skip = true),
    ] {
        refused(words, vec![0], layered(change));
    }
    let changed = |change: &dyn Fn(&mut IntegerTail)| {
        layered(&|head| {
            if let Tail::Integer(tail) = &mut head.tail {
                change(tail);
            }
        })
    };
    for (words, change) in [
        (
            "shift of sums",
            &(|tail: &mut IntegerTail| tail.shift = 32) as &dyn Fn(&mut IntegerTail),
        ),
        ("biases of layer 1", &|tail| tail.biases.push(0)),
        ("outputs of the output layer", &|tail| tail.layers.clear()),
        ("weights of a layer", &|tail| tail.layers[0].weights.push(0)),
        ("biases of a layer", &|tail| tail.layers[0].biases.push(0)),
    ] {
        refused(words, vec![0], changed(change));
    }
    let mut random = Random(9);
    let deep = tail([0, 0], [0, 0], 32_767, &random.many(4, |_| ([0, 0], 0)));
    refused("a scale within 64 bits", vec![0], Head::Layered(deep));
}
