//! Networks as bytes: the documented layout, reading them back, and every kind of damage.

mod heads;
mod support;

use heads::{choices, network};
use support::{Random, forms};
use wgrad_inference::{
    Accumulators, Color, Damage, FloatTail, Head, Inputs, Layer, Layered, Network, Plain, Tail,
    VERSION, pieces_of,
};

const BOARD: &str = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R";

/// Networks of every form of head, each with the next of these forms of inputs.
fn networks(forms: &[Inputs]) -> Vec<Network> {
    let mut random = Random(6);
    let choices = choices();
    let each = choices.iter().step_by(7).enumerate();
    each.map(|(number, choice)| {
        let inputs = forms[number % forms.len()].clone();
        let buckets = if number % 2 == 0 { 1 } else { 8 };
        network(inputs, 2, buckets, choice, &mut random)
    })
    .collect()
}

fn small() -> Vec<Network> {
    networks(&[Inputs::PLAIN])
}

fn all() -> Vec<Network> {
    let forms: Vec<Inputs> = forms().into_iter().map(|(_, inputs)| inputs).collect();
    networks(&forms)
}

/// Bytes with the checksum that they need.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= 16 {
        let sum = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// Uses a network that was read in every way that its types allow.
fn use_all(network: &Network) {
    let board = pieces_of(BOARD);
    let accumulators = Accumulators::new(network, board.clone());
    for to_move in Color::ALL {
        for count in [0, 2, 32, 1000] {
            network.evaluate(&accumulators, to_move, count);
        }
        let _ = network.evaluate_checked(board.clone(), to_move);
    }
    let again = Network::from_bytes(&network.to_bytes()).unwrap();
    assert_eq!(again.to_bytes(), network.to_bytes());
}

#[test]
fn networks_come_back() {
    for network in all() {
        let bytes = network.to_bytes();
        assert_eq!(bytes.len() % 64, 0);
        assert_eq!(Network::from_bytes(&bytes).as_ref(), Ok(&network));
        use_all(&network);
    }
}

#[test]
fn a_plain_network_has_the_documented_bytes() {
    let inputs = Inputs {
        mirrored: true,
        merged_kings: true,
        king_buckets: std::array::from_fn(|square| (square / 32) as u8),
    };
    let weights: Vec<i16> = (0..2 * 704 * 3).map(|place| place as i16 - 2000).collect();
    let head = Head::Plain(Plain {
        squared: true,
        qa: 200,
        qb: 50,
        weights: (0..12).map(|place| -place).collect(),
        biases: vec![-70_000, 1 << 20],
    });
    let output_buckets = std::array::from_fn(|pieces| u8::from(pieces > 16));
    let network = Network::new(
        inputs,
        weights.clone(),
        vec![-1, 300, -32_768],
        output_buckets,
        -7,
        head,
    );
    let mut expected = b"wgradnet".to_vec();
    expected.extend(VERSION.to_le_bytes());
    expected.extend([0; 4]);
    expected.extend([1, 1]);
    expected.extend([0; 32]);
    expected.extend([1; 32]);
    expected.extend([0; 17]);
    expected.extend([1; 16]);
    expected.push(0);
    for number in [3, -7, 200, 1, 50] {
        expected.extend(i32::to_le_bytes(number));
    }
    let align = |bytes: &mut Vec<u8>| {
        while !bytes.len().is_multiple_of(64) {
            bytes.push(0);
        }
    };
    align(&mut expected);
    expected.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
    align(&mut expected);
    expected.extend([-1, 300, -32_768].into_iter().flat_map(i16::to_le_bytes));
    align(&mut expected);
    expected.extend((0..12).flat_map(|place: i16| (-place).to_le_bytes()));
    align(&mut expected);
    expected.extend([-70_000, 1 << 20].into_iter().flat_map(i32::to_le_bytes));
    align(&mut expected);
    assert_eq!(network.unwrap().to_bytes(), signed(expected));
}

#[test]
fn a_layered_network_has_the_documented_bytes() {
    let layer = |inputs: usize, outputs: usize, activation| Layer {
        weights: (0..inputs * outputs)
            .map(|place| place as f32 / 8.0)
            .collect(),
        biases: vec![0.5; outputs],
        outputs,
        activation,
    };
    let later = [
        layer(4, 3, heads::ACTIVATIONS[2]),
        layer(7, 1, heads::ACTIVATIONS[1]),
    ];
    let head = Head::Layered(Layered {
        qa: 255,
        inputs: wgrad_inference::FirstInputs::Pairwise { shift: 9 },
        weights: vec![-128, 127, 3, -4],
        outputs: 2,
        activation: heads::ACTIVATIONS[4],
        skip: true,
        tail: Tail::Float(FloatTail {
            factor: 0.125,
            biases: vec![1.0, -2.0],
            layers: later.to_vec(),
        }),
    });
    let network = Network::new(
        Inputs::PLAIN,
        vec![5; 2 * 768],
        vec![6, 7],
        [0; 33],
        400,
        head,
    )
    .unwrap();
    let mut expected = b"wgradnet".to_vec();
    expected.extend(VERSION.to_le_bytes());
    expected.resize(115, 0);
    expected.push(1);
    let pairwise = [2, 400, 255, 2, 9, 2, 4, 1, 0];
    expected.extend(pairwise.into_iter().flat_map(u32::to_le_bytes));
    expected.extend(0.125f32.to_le_bytes());
    expected.extend([2, 3, 2, 1, 1].into_iter().flat_map(u32::to_le_bytes));
    let mut tensor = |bytes: &[u8]| {
        expected.resize(expected.len().div_ceil(64) * 64, 0);
        expected.extend(bytes);
    };
    let floats = |values: &[f32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    tensor(&[5, 0].repeat(2 * 768));
    tensor(&[6, 0, 7, 0]);
    tensor(&[128, 127, 3, 252]);
    tensor(&floats(&[1.0, -2.0]));
    for layer in &later {
        tensor(&floats(&layer.weights));
        tensor(&floats(&layer.biases));
    }
    expected.resize(expected.len().div_ceil(64) * 64, 0);
    assert_eq!(network.to_bytes(), signed(expected));
}

#[test]
fn every_changed_byte_and_every_shorter_file_is_refused() {
    let network = &small()[2];
    let bytes = network.to_bytes();
    // Every checksum of a whole file takes time, so most places have one of the 255 other bytes.
    let mut random = Random(7);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1 + random.below(255) as u8;
        let found = Network::from_bytes(&changed).unwrap_err();
        match place {
            0..8 => assert_eq!(found, Damage::Format, "byte {place}"),
            8..12 => assert!(matches!(found, Damage::Version(_)), "byte {place}"),
            _ => assert_eq!(found, Damage::Checksum, "byte {place}"),
        }
    }
    for len in 0..bytes.len() {
        let found = Network::from_bytes(&bytes[..len]).unwrap_err();
        let expected = match len {
            0..8 => Damage::Format,
            8..16 => Damage::Short,
            _ => Damage::Checksum,
        };
        assert_eq!(found, expected, "{len} bytes");
    }
}

#[test]
fn shorter_and_longer_files_with_a_right_checksum_are_refused() {
    for network in small() {
        let bytes = network.to_bytes();
        let data = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        for len in [16, 17, 100, 127, 128, 200, bytes.len() / 2, data] {
            let found = Network::from_bytes(&signed(bytes[..len].to_vec()));
            assert_eq!(
                found.unwrap_err(),
                Damage::Short,
                "{len} of {} bytes",
                bytes.len()
            );
        }
        let longer = signed([&bytes[..], &[0]].concat());
        assert_eq!(Network::from_bytes(&longer).unwrap_err(), Damage::Long);
    }
}

/// A file that is read is the file that is written: no byte of it is without a meaning.
#[test]
fn a_file_that_is_written_otherwise_is_refused() {
    for network in small() {
        let bytes = network.to_bytes();
        let shorter = signed(bytes[..bytes.len() - 1].to_vec());
        assert_eq!(Network::from_bytes(&shorter).unwrap_err(), Damage::Short);
        let mut padded = bytes.clone();
        *padded.last_mut().unwrap() = 1;
        let found = Network::from_bytes(&signed(padded)).unwrap_err();
        assert_eq!(found, Damage::Padding);
        let words = "padding: expected zeros, found another byte";
        assert_eq!(found.to_string(), words);
        for place in 16..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = signed(changed);
            if let Ok(read) = Network::from_bytes(&changed) {
                assert!(read.to_bytes() == changed, "byte {place}");
            }
        }
    }
}

/// No size of a file makes it read more than it has: a network that is read has no more numbers
/// than the file has bytes, and huge sizes end at once instead of in an allocation.
#[test]
fn fields_of_every_value_are_refused_or_give_a_network_of_the_size_of_the_file() {
    let mut random = Random(8);
    let values = [
        0,
        1,
        2,
        3,
        5,
        17,
        255,
        256,
        32_767,
        1 << 16,
        1 << 31,
        u32::MAX,
    ];
    let (mut read, mut refused) = (0, 0);
    for network in small().iter().step_by(2) {
        let bytes = network.to_bytes();
        let mut attempt = |changed: Vec<u8>| match Network::from_bytes(&signed(changed)) {
            Ok(network) => {
                assert!(network.weights().len() + network.biases().len() <= bytes.len());
                use_all(&network);
                read += 1;
            }
            Err(damage) => {
                assert!(!damage.to_string().is_empty());
                refused += 1;
            }
        };
        for place in (116..192).step_by(4) {
            for value in values {
                let mut changed = bytes.clone();
                changed[place..place + 4].copy_from_slice(&value.to_le_bytes());
                attempt(changed);
            }
        }
        for _ in 0..60 {
            let mut changed = bytes.clone();
            for _ in 0..=random.below(3) {
                let place = 16 + random.below(176);
                changed[place] = random.next() as u8;
            }
            attempt(changed);
        }
    }
    assert!(
        read > 100 && refused > 1000,
        "{read} read, {refused} refused"
    );
}

#[test]
fn random_bytes_with_a_right_checksum_are_refused() {
    let mut random = Random(10);
    for _ in 0..3000 {
        let len = 16 + random.below(2000);
        let mut bytes = random.many(len, |r| r.next() as u8);
        bytes[..8].copy_from_slice(b"wgradnet");
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        if random.flag() && len > 116 {
            // Flags and tables that are valid, so that the sizes are read.
            bytes[16..115].fill(0);
            bytes[115] &= 1;
        }
        let found = Network::from_bytes(&signed(bytes));
        assert!(found.is_err(), "{len} bytes are too few for 768 inputs");
    }
}

#[test]
fn fields_are_named() {
    let bytes = small()[1].to_bytes();
    let layered = small()[5].to_bytes();
    for (bytes, place, value, words) in [
        (
            &bytes,
            16,
            2u32,
            "mirrored: expected a known value, found 2",
        ),
        (&bytes, 17, 2, "merged kings: expected a known value"),
        (&bytes, 115, 9, "head: expected a known value, found 9"),
        (
            &bytes,
            128,
            9,
            "first inputs: expected a known value, found 9",
        ),
        (&layered, 132, 32, "shift: expected a known value, found 32"),
        (
            &layered,
            140,
            5,
            "activation: expected a known value, found 5",
        ),
        (
            &layered,
            144,
            2,
            "skip connection: expected a known value, found 2",
        ),
        (&layered, 148, 2, "tail: expected a known value, found 2"),
        (&layered, 124, 0, "QA: expected 1 to 32767, found 0"),
    ] {
        let mut changed = bytes.clone();
        match place {
            16..116 => changed[place] = value as u8,
            _ => changed[place..place + 4].copy_from_slice(&value.to_le_bytes()),
        }
        let found = Network::from_bytes(&signed(changed))
            .unwrap_err()
            .to_string();
        assert!(found.contains(words), "no {words:?} in: {found}");
    }
    let mut other = bytes;
    other[8] = 2;
    let found = Network::from_bytes(&other).unwrap_err();
    assert_eq!(found, Damage::Version(2));
    assert_eq!(found.to_string(), "version: expected 1, found 2");
}
