//! Files that are read back give the same numbers, and those the same bytes.

use crate::support::{
    encoding, fens, free, inputs, layered, parameters, plain, position, refused, small_buckets,
};
use wgrad::nnue::data::Encoding;
use wgrad::nnue::export::{Evaluator, Quantized, Rounding, SaveFormat};
use wgrad::nnue::{Architecture, Parameters};
use wgrad_inference::Network;

/// Small networks that the formats can write: plain, with output buckets and shared weights, and
/// with layers.
fn networks() -> Vec<(Architecture, Encoding)> {
    let chess = encoding(inputs("chess768", None), 1);
    let kings = encoding(inputs("king-buckets-mirrored", Some(&small_buckets())), 8);
    vec![
        (plain(&chess, 5), chess.clone()),
        (plain(&kings, 3).factorised(true).unwrap(), kings.clone()),
        (layered(&chess, 8, &["4:crelu"]), chess),
        (
            layered(&kings, 6, &["4:dual", "3:crelu"])
                .factorised(true)
                .unwrap(),
            kings,
        ),
    ]
}

const NAMES: [&str; 8] = [
    "wgrad", "bullet", "publius", "tcheran", "akimbo", "renegade", "integral", "hobbes",
];

/// Whether a format lists the tensors of a network.
fn fits(name: &str, architecture: &Architecture) -> bool {
    match name {
        "wgrad" | "bullet" => true,
        "hobbes" => architecture.layers.len() == 2,
        "integral" => !architecture.layers.is_empty(),
        _ => architecture.layers.is_empty(),
    }
}

#[test]
fn every_format_reads_what_it_writes() {
    let mut count = 0;
    for (architecture, encoding) in networks() {
        let net = parameters(&architecture, 0.49, 10);
        for name in NAMES {
            for rounding in [Rounding::Nearest, Rounding::Truncate] {
                let format = free(name, &architecture).rounding(rounding);
                let written = Quantized::new(&format, &net, Some(&encoding));
                if !fits(name, &architecture) {
                    refused(written, &["tensors"]);
                    continue;
                }
                let written = written.unwrap();
                let bytes = written.to_bytes().unwrap();
                let read =
                    Quantized::from_bytes(&format, &architecture, Some(&encoding), &bytes).unwrap();
                if name != "wgrad" {
                    assert_eq!(read.tensors(), written.tensors(), "{name}, {architecture}");
                }
                assert_eq!(read.network().unwrap(), written.network().unwrap());
                assert!(read.to_bytes().unwrap() == bytes, "{name}, {architecture}");
                // From the floats that the integers mean, with either rounding.
                let parameters = read.parameters().unwrap();
                assert_eq!(parameters.architecture().shared, 0);
                for rounding in [Rounding::Nearest, Rounding::Truncate] {
                    let format = read.format().clone().rounding(rounding);
                    let again = Quantized::new(&format, &parameters, Some(&encoding)).unwrap();
                    assert!(again.to_bytes().unwrap() == bytes, "{name}, {architecture}");
                }
                count += 1;
            }
        }
    }
    // Two plain networks of six formats, one of three and one of four.
    assert_eq!(count, 2 * (6 + 6 + 3 + 4));
}

#[test]
fn raw_files_come_back_bit_by_bit() {
    for (architecture, encoding) in networks() {
        let net = parameters(&architecture, 7.0, 11);
        let format = free("raw", &architecture);
        let bytes = Quantized::new(&format, &net, Some(&encoding))
            .unwrap()
            .to_bytes()
            .unwrap();
        let read = Quantized::from_bytes(&format, &architecture, Some(&encoding), &bytes).unwrap();
        assert_eq!(read.parameters().unwrap(), net);
    }
}

#[test]
fn every_integer_comes_back_from_its_float() {
    let architecture = Architecture::new(257, 256).tied();
    for scale in [255.0, 64.0, 181.0, 16320.0, 1.0, 0.37] {
        for rounding in ["nearest", "truncate"] {
            let format = crate::support::format(&format!(
                "rounding = '{rounding}'\n[[tensors]]\ntensor = 'A1'\ntype = 'i16'\n\
                 scale = {scale:?}\n[[tensors]]\ntensor = 'B1'\ntype = 'i8'\n\
                 [[tensors]]\ntensor = 'C'\ntype = 'i8'\n[[tensors]]\ntensor = 'd'\ntype = 'i8'\n"
            ));
            // Every number of 16 bits, and more.
            let numbers = (0..257 * 256u32).flat_map(|number| (number as u16).to_le_bytes());
            let bytes: Vec<u8> = numbers.chain([0; 256 + 512 + 1]).collect();
            let read = Quantized::from_bytes(&format, &architecture, None, &bytes).unwrap();
            let parameters = read.parameters().unwrap();
            for other in [Rounding::Nearest, Rounding::Truncate] {
                let format = format.clone().rounding(other);
                let again = Quantized::new(&format, &parameters, None).unwrap();
                assert!(
                    again.to_bytes().unwrap() == bytes,
                    "{scale}, {rounding}, {other:?}"
                );
            }
        }
    }
}

#[test]
fn an_imported_network_evaluates_as_its_floats_do() {
    for (architecture, encoding) in networks() {
        let net = parameters(&architecture, 0.3, 12);
        let format = free("bullet", &architecture);
        let written = Quantized::new(&format, &net, Some(&encoding)).unwrap();
        let network = written.network().unwrap();
        // The file of wgrad-inference says the same network.
        let file = Network::from_bytes(&network.to_bytes()).unwrap();
        assert_eq!(file, network);
        let imported = Quantized::from_network(&file).unwrap();
        assert_eq!(imported.encoding(), Some(&encoding));
        let (own, other) = (
            written.parameters().unwrap(),
            imported.parameters().unwrap(),
        );
        let outputs = |parameters: &Parameters| {
            let positions: Vec<_> = fens(20, 13).iter().map(|fen| position(fen)).collect();
            let mut evaluator = Evaluator::new(parameters, &encoding).unwrap();
            evaluator.outputs(&positions).unwrap()
        };
        assert_eq!(outputs(&own), outputs(&other), "{architecture}");
    }
}

#[test]
fn a_file_without_padding_is_read_too() {
    let (architecture, encoding) = networks().swap_remove(0);
    let net = parameters(&architecture, 0.5, 14);
    let format = free("bullet", &architecture);
    let written = Quantized::new(&format, &net, Some(&encoding)).unwrap();
    let bytes = written.to_bytes().unwrap();
    let end = 2 * (768 * 5 + 5 + 10 + 1);
    let whole = bytes.len();
    assert_eq!(whole, 7744);
    let read = |bytes: &[u8]| Quantized::from_bytes(&format, &architecture, Some(&encoding), bytes);
    assert_eq!(read(&bytes[..end]).unwrap(), read(&bytes).unwrap());
    for len in [0, 1, end - 1, end + 1, whole - 1] {
        let words = [
            "size of the file",
            &format!("{whole} bytes for (768 -> 5) x 2"),
            &format!("or {end} without padding"),
            &format!("found {len}"),
        ];
        refused(read(&bytes[..len]), &words);
    }
}

#[test]
fn files_of_wgrad_inference_that_wgrad_cannot_say_are_refused() {
    let (architecture, encoding) = networks().swap_remove(1);
    let net = parameters(&architecture, 0.5, 15);
    let format = SaveFormat::preset("wgrad", &architecture).unwrap();
    let written = Quantized::new(&format, &net, Some(&encoding)).unwrap();
    let network = written.network().unwrap();
    let changed = |inputs: wgrad_inference::Inputs, output_buckets, scale| {
        let network = Network::new(
            inputs,
            network.weights().to_vec(),
            network.biases().to_vec(),
            output_buckets,
            scale,
            network.head().clone(),
        );
        Quantized::from_network(&network.unwrap())
    };
    let (inputs, buckets) = (network.inputs().clone(), *network.output_buckets());
    changed(inputs.clone(), buckets, 400).unwrap();
    // The square e1 has another bucket than d1.
    let mut lopsided = inputs.clone();
    lopsided.king_buckets[4] = 7;
    let words = ["king bucket of square", "a mirrored board"];
    refused(changed(lopsided, buckets, 400), &words);
    let mut gap = buckets;
    gap.iter_mut()
        .filter(|bucket| **bucket == 3)
        .for_each(|bucket| *bucket = 2);
    refused(changed(inputs.clone(), gap, 400), &["bucket"]);
    refused(
        changed(inputs, buckets, 0),
        &["evaluation, scale", "at least 1"],
    );
    let damaged = Quantized::from_bytes(&format, &architecture, Some(&encoding), b"wgradnet");
    refused(
        damaged,
        &[
            "file",
            "a network of wgrad-inference",
            "the end of the file",
        ],
    );
}

#[test]
fn floats_that_are_not_finite_are_refused() {
    let (architecture, encoding) = networks().swap_remove(3);
    let net = parameters(&architecture, 0.5, 16);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for name in ["bullet", "raw"] {
            let format = free(name, &architecture);
            let written = Quantized::new(&format, &net, Some(&encoding)).unwrap();
            let mut bytes = written.to_bytes().unwrap();
            let end = match name {
                "raw" => bytes.len(),
                // Integers, then floats up to the padding.
                _ => {
                    let floats = 8 * (4 + 8 * 3 + 3 + 3 + 1);
                    2 * (768 * 8 * 6 + 6) + 8 * 4 * 6 + 4 * floats
                }
            };
            bytes[end - 4..end].copy_from_slice(&bad.to_le_bytes());
            let read = Quantized::from_bytes(&format, &architecture, Some(&encoding), &bytes);
            refused(read, &["tensor c3", "finite numbers", &bad.to_string()]);
        }
        let format = SaveFormat::preset("wgrad", &architecture).unwrap();
        let mut bad_net = net.clone();
        *bad_net.values_mut().last_mut().unwrap().last_mut().unwrap() = bad;
        let written = Quantized::new(&format, &bad_net, Some(&encoding)).unwrap();
        let bytes = written.to_bytes().unwrap();
        let read = Quantized::from_bytes(&format, &architecture, Some(&encoding), &bytes);
        refused(read, &["tensor c3", "finite numbers", &bad.to_string()]);
    }
}
