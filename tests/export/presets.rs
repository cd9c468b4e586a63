//! The formats of engines: sizes of their files, and the same bytes again after reading.

use crate::support::{encoding, inputs, parameters, plain};
use wgrad::nnue::Architecture;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::export::{Quantized, SaveFormat};

fn required(name: &str) -> (SaveFormat, Architecture, Encoding) {
    let text = SaveFormat::preset_texts(name).unwrap()[0];
    let format = SaveFormat::from_toml(text).unwrap();
    let (architecture, encoding) = format.requires.network().unwrap();
    (format, architecture, encoding)
}

/// Writes a network of the shape that a format requires, and reads it back.
#[track_caller]
fn check(name: &str, size: usize) {
    let (format, architecture, encoding) = required(name);
    let parameters = parameters(&architecture, 0.97, 1);
    let written = Quantized::new(&format, &parameters, Some(&encoding)).unwrap();
    drop(parameters);
    let bytes = written.to_bytes().unwrap();
    assert_eq!(bytes.len(), size, "{name}");
    assert!(format.about.contains(&grouped(size)), "{}", format.about);
    let read = Quantized::from_bytes(&format, &architecture, Some(&encoding), &bytes).unwrap();
    assert!(read.tensors() == written.tensors(), "{name}");
    assert!(read.to_bytes().unwrap() == bytes, "{name}");
    let mut longer = bytes;
    longer.push(0);
    let longer = Quantized::from_bytes(&format, &architecture, Some(&encoding), &longer);
    let error = longer.unwrap_err().to_string();
    assert!(error.contains(&format!("{size} bytes for")), "{error}");
}

fn grouped(size: usize) -> String {
    let digits = size.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn a_file_of_tcheran_has_394816_bytes() {
    check("tcheran", 394_816);
}

#[test]
fn a_file_of_akimbo_has_6297664_bytes() {
    check("akimbo", 6_297_664);
}

#[test]
fn a_file_of_renegade_has_34460864_bytes() {
    check("renegade", 34_460_864);
}

#[test]
fn a_file_of_integral_has_28530240_bytes() {
    check("integral", 28_530_240);
}

#[test]
fn a_file_of_hobbes_has_37983808_bytes() {
    check("hobbes", 37_983_808);
}

#[test]
fn a_plain_network_of_128_lanes_has_197440_bytes() {
    let encoding = encoding(inputs("chess768", None), 1);
    let architecture = plain(&encoding, 128);
    for name in ["bullet", "publius"] {
        let format = SaveFormat::preset(name, &architecture).unwrap();
        let parameters = parameters(&architecture, 1.98, 2);
        let written = Quantized::new(&format, &parameters, Some(&encoding)).unwrap();
        assert_eq!(written.to_bytes().unwrap().len(), 197_440, "{name}");
    }
}
