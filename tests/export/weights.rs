//! weights.bin of bullet.

use crate::support::{encoding, free, inputs, layered, parameters, plain, refused, small_buckets};
use wgrad::nnue::Architecture;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::export::{Quantized, read_bullet_weights};

/// The name in bullet of each tensor in the order of raw.bin, and its number of elements.
fn tensors(architecture: &Architecture) -> Vec<(String, usize)> {
    let (k, buckets) = (architecture.hidden, architecture.buckets);
    let mut found = vec![("l0w".to_owned(), architecture.inputs * k)];
    if architecture.shared > 0 {
        found.push(("l0f".to_owned(), architecture.shared * k));
    }
    found.push(("l0b".to_owned(), k));
    let mut width = architecture.head_inputs();
    let widths = architecture
        .layers
        .iter()
        .map(|layer| (layer.width, layer.outputs()));
    for (layer, (outputs, next)) in (1..).zip(widths.chain([(1, 1)])) {
        found.push((format!("l{layer}w"), buckets * width * outputs));
        found.push((format!("l{layer}b"), buckets * outputs));
        width = next;
    }
    found
}

/// The same numbers with names and counts, in another order.
fn named(raw: &[u8], tensors: &[(String, usize)]) -> Vec<u8> {
    let (mut parts, mut rest) = (Vec::new(), raw);
    for (name, count) in tensors {
        let (data, after) = rest.split_at(4 * count);
        let head = [name.as_bytes(), b"\n", &(*count as u64).to_le_bytes()].concat();
        parts.push([&head, data].concat());
        rest = after;
    }
    assert!(rest.is_empty());
    parts.reverse();
    parts.concat()
}

fn networks() -> Vec<(Architecture, Encoding)> {
    let kings = encoding(inputs("king-buckets-mirrored", Some(&small_buckets())), 8);
    let chess = encoding(inputs("chess768", None), 1);
    vec![
        (plain(&chess, 3), chess),
        (plain(&kings, 2).factorised(true).unwrap(), kings.clone()),
        (layered(&kings, 4, &["4:dual", "3:crelu"]), kings),
    ]
}

#[test]
fn named_tensors_and_raw_bytes_say_the_same_network() {
    for (architecture, encoding) in networks() {
        let net = parameters(&architecture, 5.0, 17);
        let format = free("raw", &architecture);
        let raw = Quantized::new(&format, &net, Some(&encoding))
            .unwrap()
            .to_bytes()
            .unwrap();
        let bytes = named(&raw, &tensors(&architecture));
        let read = read_bullet_weights(&bytes, &architecture, Some(&encoding)).unwrap();
        assert_eq!(read, net, "{architecture}");
    }
}

#[test]
fn damaged_and_other_files_are_refused() {
    let (architecture, encoding) = networks().swap_remove(0);
    let net = parameters(&architecture, 5.0, 18);
    let format = free("raw", &architecture);
    let raw = Quantized::new(&format, &net, Some(&encoding))
        .unwrap()
        .to_bytes()
        .unwrap();
    let tensors = tensors(&architecture);
    let bytes = named(&raw, &tensors);
    let read = |bytes: &[u8]| read_bullet_weights(bytes, &architecture, Some(&encoding));
    refused(read(&[]), &["weights.bin of bullet", "an empty file"]);
    // Every cut, except between tensors, where the rest is missing.
    for len in 1..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len} bytes");
    }
    refused(
        read(&bytes[..2]),
        &["byte 0", "the name of a tensor and a line feed"],
    );
    refused(
        read(&bytes[..8]),
        &["byte 0", "the number of elements after the name"],
    );
    refused(
        read(&bytes[..13]),
        &["byte 0", "all elements of the tensor"],
    );
    let first = 4 + 8 + 4;
    assert!(bytes.starts_with(b"l1b\n"));
    refused(
        read(&bytes[first..]),
        &["tensor l1b", "one in the file", "none"],
    );
    // Huge counts.
    for count in [u64::MAX, u64::MAX / 4, 1 << 62, 1 << 40] {
        let mut huge = bytes.clone();
        huge[4..12].copy_from_slice(&count.to_le_bytes());
        refused(read(&huge), &["byte 0", "all elements of the tensor"]);
    }
    let extra = [&bytes[..], b"l9w\n\0\0\0\0\0\0\0\0"].concat();
    refused(read(&extra), &["tensors", "l0w, l0b, l1w, l1b", "\"l9w\""]);
    let mut other = tensors.clone();
    other[1].1 -= 1;
    let fewer = named(&raw[..raw.len() - 4], &other);
    refused(
        read(&fewer),
        &["tensor l0b", "3 elements for (768 -> 3) x 2", "found 2"],
    );
    let mut nan = bytes.clone();
    nan[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(read(&nan), &["tensor d", "finite numbers", "NaN"]);
    let untied = Architecture::new(768, 3);
    refused(
        read_bullet_weights(&bytes, &untied, None),
        &["network", "a tied one", "an untied one"],
    );
    for name in [&[0xff, 0xfe, b'\n'][..], &[b'x'; 400][..]] {
        refused(read(name), &["byte 0", "the name of a tensor"]);
    }
}
