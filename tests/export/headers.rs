//! The first bytes of files.

use crate::support::{
    encoding, format, free, inputs, layered, parameters, plain, refused, small_buckets,
};
use wgrad::nnue::export::{Quantized, SaveFormat};

/// A format with this header, and with merged kings or without.
fn headed(header: &str, merge: &str) -> SaveFormat {
    format(&format!(
        "[header]\n{header}\n[[tensors]]\ntensor = 'A1'\nmerge = [{merge}]\ntype = 'i16'\n\
         scale = 255\n[[tensors]]\ntensor = 'B1'\ntype = 'i16'\nscale = 255\n\
         [[tensors]]\ntensor = 'C'\ntype = 'i16'\nscale = 64\n\
         [[tensors]]\ntensor = 'd'\ntype = 'i16'\nscale = 16320\n"
    ))
}

#[test]
fn a_header_of_bytes_comes_first_and_is_expected_again() {
    let encoding = encoding(inputs("chess768", None), 1);
    let architecture = plain(&encoding, 2);
    let net = parameters(&architecture, 1.0, 1);
    let with = headed("kind = 'bytes'\nhex = '57 47 0a ff'", "");
    let bytes = Quantized::new(&with, &net, Some(&encoding))
        .unwrap()
        .to_bytes()
        .unwrap();
    let without = free("bullet", &architecture);
    let plain = Quantized::new(&without, &net, Some(&encoding))
        .unwrap()
        .to_bytes()
        .unwrap();
    assert_eq!(bytes[..4], [0x57, 0x47, 0x0a, 0xff]);
    assert!(plain.starts_with(&bytes[4..]));
    let read = |bytes: &[u8]| Quantized::from_bytes(&with, &architecture, Some(&encoding), bytes);
    assert_eq!(read(&bytes).unwrap().to_bytes().unwrap(), bytes);
    let mut other = bytes.clone();
    other[3] = 0xfe;
    refused(read(&other), &["header", "the 4 bytes of the format"]);
    refused(
        read(&bytes[4..]),
        &["size of the file", &format!("{} bytes for", bytes.len())],
    );
}

#[test]
fn a_header_of_cbnf_says_sizes_and_flags() {
    let table = small_buckets();
    let kings = inputs("king-buckets-mirrored", Some(&table));
    let encoding = encoding(kings, 8);
    let architecture = plain(&encoding, 258);
    let header = "kind = 'cbnf'\narch = 7\nactivation = 9\nname = 'né'";
    for (merge, flags) in [("", 2), ("'kings'", 6)] {
        let format = headed(header, merge);
        let net = parameters(&architecture, 1.0, 1);
        let written = Quantized::new(&format, &net, Some(&encoding)).unwrap();
        let bytes = written.to_bytes().unwrap();
        let mut expected = b"CBNF\x01\x00".to_vec();
        expected.extend([flags, 0, 0, 7, 9, 2, 1, 8, 8, 3]);
        expected.extend("né".as_bytes());
        expected.resize(64, 0);
        assert_eq!(bytes[..64], expected);
        let read = Quantized::from_bytes(&format, &architecture, Some(&encoding), &bytes);
        assert!(read.unwrap().to_bytes().unwrap() == bytes);
    }
}

#[test]
fn a_header_of_cbnf_without_kings_says_one_bucket_and_a_product() {
    let encoding = encoding(inputs("chess768", None), 1);
    let architecture = layered(&encoding, 4, &["2:crelu"]);
    let mut format = free("bullet", &architecture);
    format.header = headed("kind = 'cbnf'\narch = 0\nactivation = 0\nname = ''", "").header;
    let net = parameters(&architecture, 1.0, 1);
    let bytes = Quantized::new(&format, &net, Some(&encoding))
        .unwrap()
        .to_bytes()
        .unwrap();
    assert_eq!(bytes[4..16], [1, 0, 8, 0, 0, 0, 0, 4, 0, 1, 1, 0]);
    // Sizes that the header cannot say. Another game's network has few inputs.
    let wide = wgrad::nnue::Architecture::new(1, 65_536).tied();
    let zeros = wgrad::nnue::Parameters::zeros(wide).unwrap();
    let format = headed("kind = 'cbnf'\narch = 0\nactivation = 0\nname = ''", "");
    let quantized = Quantized::new(&format, &zeros, None).unwrap();
    refused(
        quantized.to_bytes(),
        &["header, hidden (K)", "at most 65535", "65536"],
    );
}
